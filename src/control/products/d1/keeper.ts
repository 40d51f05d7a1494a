// What control asks of a database where it lies, outside the account's process: moments to go back to, SQL text in and
// out. The answers come from the account's sandbox: bounded and checked.
import type { Readable } from "node:stream";
import { z } from "zod";
import type { CapsuleHost } from "../../../capsule/messages.ts";
import type { StateJob } from "../../../capsule/state.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";

const ANSWER_MAX_BYTES = 262_144;

export const BOOKMARK = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/;
const bookmark = z.string().regex(BOOKMARK);
const moment = z.object({ bookmark, atMs: z.number().int().nonnegative() });
/** A state of a database that it can be brought back to. */
export type Moment = z.infer<typeof moment>;

const moments = z.object({ bookmarks: z.array(moment).max(1_000) });
/** `previous` is null where the database could not be read any more. */
const restored = z.object({ previous: bookmark.nullable(), restored: bookmark });
const count = z.number().int().nonnegative();
const done = z.object({ queries: count, rowsWritten: count, sizeAfter: count, durationMs: z.number().nonnegative() });
export type Imported = z.infer<typeof done>;
/** `statement` counts from 1; null: the transaction's end. */
const failed = z.object({ error: z.object({ message: z.string().max(4_096), statement: z.number().int().positive().nullable() }) });
const imported = z.union([done, failed]);

export type ExportOptions = { readonly noSchema: boolean; readonly noData: boolean; readonly tables: readonly string[] };

export type DatabaseKeeper = {
  /** The state as it is now; the same as the one before where nothing changed. */
  bookmark(account: AccountId, id: string, reason: string): Promise<Moment>;
  /** Newest first. */
  bookmarks(account: AccountId, id: string): Promise<Moment[]>;
  restore(account: AccountId, id: string, bookmark: string): Promise<{ readonly previous: string | null }>;
  /** All of the text or nothing of it. @throws PlatformError query_failed in SQLite's words */
  import(account: AccountId, id: string, maxBytes: number, sql: Readable): Promise<Imported>;
  /** SQL text as it comes. Whoever takes it reads it or destroys it. @throws PlatformError query_failed for what cannot be exported */
  export(account: AccountId, id: string, options: ExportOptions): Promise<Readable>;
};

const garbled = (cause: unknown): PlatformError =>
  new PlatformError("capsule_failed", { message: "The account's stored data could not be worked on.", cause });

async function read(answer: Readable): Promise<unknown> {
  let text = "";
  for await (const chunk of answer) {
    text += String(chunk);
    if (text.length > ANSWER_MAX_BYTES) throw new Error("longer than an answer may be");
  }
  return JSON.parse(text);
}

/** @throws PlatformError query_failed where the job cannot be done on what is there, and as `CapsuleHost.state` */
async function start(host: Pick<CapsuleHost, "state">, account: AccountId, job: StateJob, body?: Readable): Promise<Readable> {
  try {
    return await host.state(account, job, body);
  } catch (error) {
    if (error instanceof PlatformError && error.code === "invalid_input")
      throw new PlatformError("query_failed", { message: error.message, next: "Nothing was changed.", cause: error });
    throw error;
  }
}

export function openDatabaseKeeper(host: Pick<CapsuleHost, "state">): DatabaseKeeper {
  const ask = async <S extends z.ZodType>(account: AccountId, schema: S, job: StateJob, body?: Readable): Promise<z.output<S>> => {
    const answer = await start(host, account, job, body);
    try {
      return schema.parse(await read(answer));
    } catch (cause) {
      throw cause instanceof PlatformError ? cause : garbled(cause);
    } finally {
      answer.destroy();
    }
  };
  return {
    bookmark: (account, database, reason) => ask(account, moment, { kind: "d1-bookmark", database, reason }),
    bookmarks: async (account, database) => {
      const found = (await ask(account, moments, { kind: "d1-bookmarks", database })).bookmarks;
      return found.toSorted((one, other) => other.atMs - one.atMs);
    },
    restore: (account, database, to) => ask(account, restored, { kind: "d1-restore", database, bookmark: to }),
    import: async (account, database, maxBytes, sql) => {
      const outcome = await ask(account, imported, { kind: "d1-import", database, maxBytes }, sql);
      if (!("error" in outcome)) return outcome;
      const { message, statement } = outcome.error;
      const where = statement === null ? "" : ` (statement ${statement})`;
      throw new PlatformError("query_failed", { message: `${message.replace(/^D1_ERROR: /, "")}${where}` });
    },
    export: (account, database, { noSchema, noData, tables }) =>
      start(host, account, { kind: "d1-export", database, noSchema, noData, tables: [...tables] }),
  };
}
