// The door between the wings: two interfaces and the messages they carry. Control calls CapsuleHost,
// host calls CapsuleControl; each side serves its own over a unix socket (link.ts). Bodies are streams.
import { z } from "zod";
import type { Readable } from "node:stream";
import type { AccountId } from "../kernel/ids.ts";
import type { CapsuleAnswer, CapsuleCall, ScheduledCall, ScheduledOutcome } from "./calls.ts";
import type { FollowQuery, LogPage, LogQuery, MetricsMinute, MetricsQuery, TailQuery } from "./logs.ts";
import type { StateJob } from "./state.ts";
import type { Ban } from "./bans.ts";
import { CAPPED, capUse } from "./caps.ts";
import { accountId, capsuleSpec, tombstone, type CapsuleSpec, type Tombstone, type Trial } from "./spec.ts";

/** Where uploaded bytes lie in the account's directory. */
export const fileKind = z.enum(["code", "assets"]);
export type FileKind = z.infer<typeof fileKind>;

const entrypoint = z.object({
  name: z.string(),
  kind: z.enum(["entrypoint", "durable-object", "workflow", "handlers", "other"]),
  methods: z.array(z.string()),
});

/** What a trial found: the script's exports, or the runtime's own words on why it cannot start. */
export const verdict = z.discriminatedUnion("ok", [
  z.object({
    ok: z.literal(true),
    /** Names of the default export's handlers (`fetch`, `scheduled`, …); null when there is none. */
    handlers: z.array(z.string()).nullable(),
    entrypoints: z.array(entrypoint),
    startupMs: z.number(),
  }),
  z.object({ ok: z.literal(false), diagnostics: z.string() }),
]);
export type Verdict = z.infer<typeof verdict>;

export const usage = z.object({
  hot: z.boolean(),
  /** Proportional set size of the process; 0 while cold. */
  pssBytes: z.number(),
  /** CPU time used by the account's processes since this host started. */
  cpuMs: z.number(),
  diskBytes: z.number(),
  starts: z.number(),
  restarts: z.number(),
  caps: z.array(capUse),
});
export type Usage = z.infer<typeof usage>;

/** Something that happened to a capsule and that control must write down or act on. */
/** `reason` is for the account's own eyes: what the process did, with figures. */
const told = { cursor: z.number().int(), atMs: z.number(), account: accountId, reason: z.string() };
export const capsuleEvent = z.discriminatedUnion("kind", [
  z.object({ ...told, kind: z.enum(["restarted", "suspend"]) }),
  /** A process with Durable Objects is gone; the next alarm of theirs, in milliseconds since the epoch, or none. */
  z.object({ ...told, kind: z.literal("cold"), wakeAtMs: z.number().nullable() }),
  /** Refusals of one kind and reason since the last that was told of: at a cap, or on the way out. */
  z.object({
    ...told,
    kind: z.literal("refused"),
    what: z.enum(["egress", ...CAPPED]),
    count: z.number().int().positive(),
    /** Whom its Workers wanted to reach, as many as fit; for the operator alone. */
    hosts: z.array(z.string()),
  }),
]);
export type CapsuleEvent = z.infer<typeof capsuleEvent>;

export const hostStatus = z.object({
  rung: z.string(),
  workerd: z.string(),
  hot: z.number(),
  known: z.number(),
  missing: z.array(z.string()),
});
export type HostStatus = z.infer<typeof hostStatus>;

/** One account's share of the machine, for the operator. */
export const accountLoad = z.object({
  account: accountId,
  hot: z.boolean(),
  /** Proportional set size of the process; 0 while cold. */
  pssBytes: z.number(),
  /** CPU time within the last minute or so. */
  cpuMsPerMinute: z.number(),
  restarts: z.number(),
  caps: z.array(capUse),
});
export type AccountLoad = z.infer<typeof accountLoad>;

/** What this machine has, and how much of it is taken. */
export const capacity = z.object({
  cores: z.number(),
  /** Of one, five and fifteen minutes. */
  loadAverage: z.array(z.number()),
  memoryBytes: z.object({ total: z.number(), free: z.number(), reserve: z.number() }),
  diskBytes: z.object({ total: z.number(), free: z.number() }),
  processes: z.object({ hot: z.number(), max: z.number() }),
  accountsKnown: z.number(),
  edgeConnections: z.object({ open: z.number(), max: z.number() }),
});
export type Capacity = z.infer<typeof capacity>;

/** What control asks of host. @throws PlatformError capsule_failed when the machine cannot do it. */
export type CapsuleHost = {
  /** Names of files that are not on disk yet. */
  missing(account: AccountId, kind: FileKind, hashes: readonly string[]): Promise<string[]>;
  /** Stores bytes durably under their SHA-256; refuses others. Repeating it is harmless. */
  put(account: AccountId, kind: FileKind, hash: string, bytes: Readable | Uint8Array): Promise<void>;
  /** Starts the Worker in a scratch sandbox without state or network, bounded in time and number. */
  validate(trial: Trial): Promise<Verdict>;
  /** Resolves once new requests reach this generation; a lower one than held is ignored. */
  apply(spec: CapsuleSpec): Promise<{ serving: number }>;
  /** From its return on, every host name of the account answers 410, and no process of it lives. */
  end(tombstone: Tombstone): Promise<void>;
  /** Removes the account's directory. Only after `end`. */
  erase(account: AccountId): Promise<void>;
  usage(account: AccountId): Promise<Usage>;
  /**
   * Sends a request to a service of the account's process, starting it where it is cold; the answer streams.
   * @throws PlatformError account_gone, account_suspended, over_cap while a cap keeps the process from running,
   * capsule_failed when it cannot be had or goes away
   */
  call(call: CapsuleCall, body?: Readable | Uint8Array): Promise<CapsuleAnswer>;
  /** Runs a Worker's scheduled handler to its end. @throws PlatformError as `call`, and then nothing was run */
  schedule(call: ScheduledCall): Promise<ScheduledOutcome>;
  /** Starts the account's process if it is cold: what is overdue in it, such as an alarm, then runs. @throws PlatformError as `call` */
  wake(account: AccountId): Promise<void>;
  /**
   * Does something about the account's state outside of its process, which is stopped for some jobs (state.ts) while
   * requests wait. The answer streams; destroying it ends the job.
   * @throws PlatformError as `call`
   */
  state(account: AccountId, job: StateJob, body?: Readable): Promise<Readable>;
  /** What is kept of the account's log. */
  logs(query: LogQuery): Promise<LogPage>;
  /** `followLine`s as they come, one JSON a line, until the reader goes or the account ends; a slow reader misses some and is told. */
  follow(query: FollowQuery): Promise<Readable>;
  /** Invocations of a Worker as `wrangler tail` prints them, one JSON a line; as `follow` otherwise. */
  tail(query: TailQuery): Promise<Readable>;
  metrics(query: MetricsQuery): Promise<MetricsMinute[]>;
  /** Events after the cursor; waits up to 25 s for the first. A cursor of another host life starts anew. */
  events(cursor: number): Promise<CapsuleEvent[]>;
  status(): Promise<HostStatus>;
  /** Accounts that are hot or have used anything of their caps, heaviest in CPU first. */
  loads(): Promise<AccountLoad[]>;
  capacity(): Promise<Capacity>;
  /** Prometheus text of the host process. */
  prometheus(): Promise<string>;
};

export const lookupAnswer = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("spec"), spec: capsuleSpec }),
  z.object({ kind: z.literal("tombstone"), tombstone }),
  z.object({ kind: z.literal("none") }),
  /** There is something, but it cannot be had now; `reason` is for the caller. */
  z.object({ kind: z.literal("unavailable"), reason: z.string(), retryAfterSeconds: z.number().int().positive() }),
]);
export type LookupAnswer = z.infer<typeof lookupAnswer>;

export const heldAccount = z.object({ account: accountId, generation: z.number().int() });
export type HeldAccount = z.infer<typeof heldAccount>;

/** What host asks of control. */
export type CapsuleControl = {
  /**
   * Who answers for this host label (`worker--subdomain`, or a preview's, without the edge domain). The first visit of a
   * preview brings its version into the spec that is answered.
   */
  lookup(label: string): Promise<LookupAnswer>;
  /** Told what host holds; answers, place by place, with what host should hold instead, null where nothing changed. */
  held(accounts: readonly HeldAccount[]): Promise<(LookupAnswer | null)[]>;
  /** Whose calls are refused, now. */
  bans(): Promise<Ban[]>;
  /** Tokens that callers wrote into addresses: whoever logs addresses has them now, so control ends them. */
  leaked(secrets: readonly string[]): Promise<void>;
};
