// What can be asked of an account's state at rest: control sends a job, the host's keeper does it as the account's user.
// Jobs name generated ids alone; what a tenant chose (tables to export) is never part of a path.
import { z } from "zod";
import { BOOKMARK } from "./bookmark.ts";

/** 32 hexadecimal digits or a UUID, lower case. */
export const GENERATED_ID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
/** As `idFromName` and `newUniqueId` give it. */
export const OBJECT_ID = /^[0-9a-f]{64}$/;

const generatedId = z.string().regex(GENERATED_ID);
const bookmark = z.string().regex(BOOKMARK);
const bytes = z.number().int().nonnegative();
const timeMs = z.number().int().nonnegative();

const jobs = {
  /** When the next alarm of a tenant's Durable Object falls due. */
  alarms: z.object({ kind: z.literal("alarms") }),
  /** Ids of a namespace's objects that have stored data, in order. */
  objects: z.object({
    kind: z.literal("objects"),
    key: generatedId,
    after: z.string().regex(OBJECT_ID).nullable(),
    limit: z.number().int().min(1).max(1000),
  }),
  /** Removes what nothing refers to any more: the lists are what stays. */
  sweep: z.object({
    kind: z.literal("sweep"),
    keep: z.object({ kv: z.array(generatedId), d1: z.array(generatedId), objects: z.array(generatedId) }),
    /** Takes everything out of the cache too. */
    emptyCache: z.boolean().optional(),
  }),
  "d1-bookmark": z.object({ kind: z.literal("d1-bookmark"), database: generatedId }),
  "d1-bookmarks": z.object({ kind: z.literal("d1-bookmarks"), database: generatedId }),
  "d1-restore": z.object({ kind: z.literal("d1-restore"), database: generatedId, bookmark }),
  /** SQL text is the body. */
  "d1-import": z.object({ kind: z.literal("d1-import"), database: generatedId, maxBytes: bytes.min(4096) }),
  /** The answer is SQL text. Empty `tables`: all of them. */
  "d1-export": z.object({
    kind: z.literal("d1-export"),
    database: generatedId,
    noSchema: z.boolean(),
    noData: z.boolean(),
    tables: z.array(z.string().max(1000)).max(1000),
  }),
  "d1-sizes": z.object({ kind: z.literal("d1-sizes"), databases: z.array(generatedId).max(1000) }),
};

export const stateJob = z.discriminatedUnion("kind", [
  jobs.alarms,
  jobs.objects,
  jobs.sweep,
  jobs["d1-bookmark"],
  jobs["d1-bookmarks"],
  jobs["d1-restore"],
  jobs["d1-import"],
  jobs["d1-export"],
  jobs["d1-sizes"],
]);
export type StateJob = z.infer<typeof stateJob>;
export type StateJobOf<Kind extends StateJob["kind"]> = Extract<StateJob, { kind: Kind }>;

const snapshot = z.object({ bookmark, atMs: timeMs });

/** What each job but the export answers, as one line of JSON. */
export const stateAnswers = {
  alarms: z.object({
    /** Null: none is set. */
    nextMs: timeMs.nullable(),
    /** Namespaces that cannot be read; the process may have written nonsense there. */
    skipped: z.array(z.string().max(64)).max(10_000),
  }),
  objects: z.object({ ids: z.array(z.string().regex(OBJECT_ID)).max(1000), more: z.boolean() }),
  sweep: z.object({
    /** Paths below `state/`, the first thousand. */
    removed: z.array(z.string().max(300)).max(1000),
    count: z.number().int().nonnegative(),
  }),
  "d1-bookmark": snapshot,
  "d1-bookmarks": z.object({ bookmarks: z.array(snapshot.extend({ bytes })).max(100) }),
  /** `previous` is null where the database could not be read any more. */
  "d1-restore": z.object({ previous: bookmark.nullable(), restored: bookmark }),
  "d1-import": z.union([
    z.object({ queries: bytes, rowsWritten: bytes, sizeAfter: bytes, durationMs: z.number().nonnegative() }),
    /** The database is as it was. `statement` counts from 1; null: at the end of the transaction. */
    z.object({ error: z.object({ message: z.string().max(2000), statement: z.number().int().nullable() }) }),
  ]),
  "d1-sizes": z.object({ sizes: z.record(generatedId, bytes) }),
};
export type StateAnswerKind = keyof typeof stateAnswers;
/** A job that one line of JSON answers. */
export type AnsweredJob = Extract<StateJob, { kind: StateAnswerKind }>;
export type StateAnswer<Kind extends StateAnswerKind> = z.infer<(typeof stateAnswers)[Kind]>;
