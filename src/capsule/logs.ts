// What host knows of an account's invocations and tells control: records that are kept, the questions that are asked
// of them, and what a live tail carries. All of it is the account's own and dies with it.
import { z } from "zod";
import { accountId } from "./spec.ts";

/** How an invocation ended: the runtime's words, and `refused` where the edge answered in the Worker's place. */
export const outcome = z.enum(["ok", "exception", "exceededCpu", "exceededMemory", "canceled", "refused", "unknown"]);
export type LogOutcome = z.infer<typeof outcome>;

export const LOG_KINDS = ["request", "invocation", "console", "exception", "notice"] as const;

const of = {
  /** Milliseconds since the epoch. */
  atMs: z.number(),
  /** Script name and version id; null where the edge cannot tell. */
  worker: z.string().nullable(),
  version: z.string().nullable(),
};
/** The request that it belongs to, as CF-Ray names it; null outside of requests through the edge. */
const ray = z.string().nullable();

export const logRecord = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("request"),
    ...of,
    ray,
    method: z.string(),
    url: z.string(),
    /** 0: no answer. */
    status: z.number().int(),
    outcome,
    /** From the request's head to the response's end. */
    wallMs: z.number(),
    /** Null where it cannot be told from that of other requests. */
    cpuMs: z.number().nullable(),
  }),
  /** Anything but a request through the edge: a call between Workers, a schedule, a queue. */
  z.object({ kind: z.literal("invocation"), ...of, ray, trigger: z.string(), outcome }),
  z.object({ kind: z.literal("console"), ...of, ray, level: z.string(), text: z.string() }),
  z.object({ kind: z.literal("exception"), ...of, ray, name: z.string(), message: z.string(), stack: z.string().nullable() }),
  /** What the platform has to say to the account: something was refused, or a cap was reached. */
  z.object({ kind: z.literal("notice"), ...of, text: z.string() }),
]);
export type LogRecord = z.infer<typeof logRecord>;

const wanted = {
  account: accountId,
  kind: z.enum(LOG_KINDS).optional(),
  worker: z.string().optional(),
  outcome: outcome.optional(),
  /** Part of the URL, the line, the exception; case counts for nothing. */
  text: z.string().optional(),
};

export const logQuery = z.object({
  ...wanted,
  /** Milliseconds since the epoch, both ends included. */
  sinceMs: z.number().optional(),
  untilMs: z.number().optional(),
  limit: z.number().int().min(1).max(1000),
  /** From the page before. */
  cursor: z.string().optional(),
});
export type LogQuery = z.infer<typeof logQuery>;

/** Newest first. */
export const logPage = z.object({
  records: z.array(logRecord),
  /** Of the next, older page; null at the end. */
  cursor: z.string().nullable(),
  /**
   * Records that are not here, of all since the account began, and the time of the newest of them; null without any. They gave
   * way to newer ones, or were never written: a flood was too much, the disk failed, a process could not be heard.
   */
  dropped: z.object({ records: z.number().int(), untilMs: z.number() }).nullable(),
});
export type LogPage = z.infer<typeof logPage>;

/** What `follow` streams, one JSON a line: records as they come, and how many a slow reader missed. */
export const followLine = z.union([logRecord, z.object({ kind: z.literal("missed"), records: z.number().int() })]);
export type FollowLine = z.infer<typeof followLine>;
export const followQuery = z.object(wanted);
export type FollowQuery = z.infer<typeof followQuery>;

/** All that are given must hold. */
export const tailQuery = z.object({
  account: accountId,
  worker: z.string(),
  version: z.string().optional(),
  /** Share of the events, above 0 and below 1. */
  samplingRate: z.number().optional(),
  outcomes: z.array(z.string()).optional(),
  /** Upper case. */
  methods: z.array(z.string()).optional(),
  /** The header is there and, with a `query`, holds it. */
  headers: z.array(z.object({ key: z.string(), query: z.string().optional() })).optional(),
  clientIps: z.array(z.string()).optional(),
  /** Part of a console line. */
  query: z.string().optional(),
});
export type TailQuery = z.infer<typeof tailQuery>;

export const metricsQuery = z.object({ account: accountId, sinceMs: z.number(), untilMs: z.number() });
export type MetricsQuery = z.infer<typeof metricsQuery>;

/** In a Worker's place: all those beyond the 64 that one minute tells apart. No Worker can have the name. */
export const OTHER_WORKERS = "(others)";

/** One minute of one Worker, or of the account's process as a whole (`worker` null: CPU alone). */
export const metricsMinute = z.object({
  /** Its beginning. */
  atMs: z.number(),
  worker: z.string().nullable(),
  requests: z.number().int(),
  /** Answers with 5xx, exceptions, kills. */
  errors: z.number().int(),
  cpuMs: z.number().nullable(),
  /** Of requests, to within 5 %; null without any. */
  wallMs: z.object({ p50: z.number(), p90: z.number(), p99: z.number() }).nullable(),
});
export type MetricsMinute = z.infer<typeof metricsMinute>;
