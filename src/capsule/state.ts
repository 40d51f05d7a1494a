// What is asked about an account's state outside of its process: alarms, backups, transfers. A keeper does it, a
// second program in the account's sandbox; the ids are of our making, and what it answers is as untrusted as the state.
import { z } from "zod";

/** 32 hexadecimal digits, or a UUID. */
const resource = z.string().regex(/^[0-9a-f-]{32,36}$/);
const uniqueKey = z.string().regex(/^[a-z0-9]{1,40}$/);
/** Of a database at one moment; sorts by time. */
const bookmark = z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/);

/** Every job answers one line of JSON, but for an export, which answers SQL. */
export const stateJob = z.discriminatedUnion("kind", [
  /** The next alarm of the account's Durable Objects. */
  z.object({ kind: z.literal("alarms") }),
  /** Objects of a namespace that have data, by id. */
  z.object({ kind: z.literal("objects"), key: uniqueKey, after: z.string().nullable(), limit: z.number().int().min(1).max(10_000) }),
  /** Removes what is not named. */
  z.object({
    kind: z.literal("sweep"),
    keep: z.object({ kv: z.array(resource), d1: z.array(resource), objects: z.array(uniqueKey) }),
  }),
  z.object({ kind: z.literal("d1-bookmark"), database: resource, reason: z.string().max(40) }),
  z.object({ kind: z.literal("d1-bookmarks"), database: resource }),
  z.object({ kind: z.literal("d1-restore"), database: resource, bookmark }),
  /** The SQL is the body. */
  z.object({ kind: z.literal("d1-import"), database: resource, maxBytes: z.number().int().positive() }),
  z.object({
    kind: z.literal("d1-export"),
    database: resource,
    noSchema: z.boolean(),
    noData: z.boolean(),
    /** None: all. */
    tables: z.array(z.string()).max(1_000),
  }),
  z.object({ kind: z.literal("d1-sizes"), databases: z.array(resource).max(1_000) }),
]);
export type StateJob = z.infer<typeof stateJob>;

/** Jobs that change what a process would have open: it is stopped for them, and requests wait. */
export const NEEDS_REST: ReadonlySet<StateJob["kind"]> = new Set(["sweep", "d1-restore", "d1-import"]);
