// What control asks of a database where it lies, outside the account's process: moments to go back to, SQL text in and
// out. The answers come from the account's sandbox: bounded and checked.
import type { Readable } from "node:stream";
import { stateAnswers, type AnsweredJob, type StateAnswer, type StateJob } from "../../../capsule/state.ts";
import type { CapsuleHost } from "../../../capsule/messages.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import { readUntrusted } from "../../http/untrusted.ts";

const ANSWER_MAX_BYTES = 262_144;

/** A state of a database that it can be brought back to. */
export type Moment = StateAnswer<"d1-bookmark">;
export type Imported = Extract<StateAnswer<"d1-import">, { queries: number }>;
export type ExportOptions = { readonly noSchema: boolean; readonly noData: boolean; readonly tables: readonly string[] };

export type DatabaseKeeper = {
  /** The state as it is now; the same as the one before where nothing changed. */
  bookmark(account: AccountId, id: string): Promise<Moment>;
  /** Newest first. */
  bookmarks(account: AccountId, id: string): Promise<Moment[]>;
  /** `previous` is null where the database could not be read any more. */
  restore(account: AccountId, id: string, bookmark: string): Promise<{ readonly previous: string | null }>;
  /** All of the text or nothing of it. @throws PlatformError query_failed in SQLite's words */
  import(account: AccountId, id: string, maxBytes: number, sql: Readable): Promise<Imported>;
  /** SQL text as it comes. Whoever takes it reads it or destroys it. @throws PlatformError query_failed for what cannot be exported */
  export(account: AccountId, id: string, options: ExportOptions): Promise<Readable>;
};

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
  const ask = async <J extends AnsweredJob>(account: AccountId, job: J, body?: Readable): Promise<StateAnswer<J["kind"]>> => {
    const answer = await start(host, account, job, body);
    // The kind's own schema; the compiler cannot follow the pair through the look-up.
    return (await readUntrusted(answer, stateAnswers[job.kind], {
      maxBytes: ANSWER_MAX_BYTES,
      otherwise: "The account's stored data could not be worked on.",
    })) as StateAnswer<J["kind"]>;
  };
  return {
    bookmark: (account, database) => ask(account, { kind: "d1-bookmark", database }),
    bookmarks: async (account, database) => {
      const { bookmarks } = await ask(account, { kind: "d1-bookmarks", database });
      return bookmarks.toSorted((one, other) => other.atMs - one.atMs);
    },
    restore: (account, database, bookmark) => ask(account, { kind: "d1-restore", database, bookmark }),
    import: async (account, database, maxBytes, sql) => {
      const outcome = await ask(account, { kind: "d1-import", database, maxBytes }, sql);
      if (!("error" in outcome)) return outcome;
      const { message, statement } = outcome.error;
      const where = statement === null ? "" : ` (statement ${statement})`;
      throw new PlatformError("query_failed", { message: `${message.replace(/^D1_ERROR: /, "")}${where}` });
    },
    export: (account, database, { noSchema, noData, tables }) =>
      start(host, account, { kind: "d1-export", database, noSchema, noData, tables: [...tables] }),
  };
}
