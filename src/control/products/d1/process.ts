// What control asks of the account's process about its databases. The process's word is checked and bounded; rows are
// handed on to the account's own client as they come, and are never held or read here.
import type { Readable } from "node:stream";
import type { z } from "zod";
import type { CapsuleAnswer } from "../../../capsule/calls.ts";
import type { CapsuleHost } from "../../../capsule/messages.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import { readUntrusted } from "../../http/untrusted.ts";
import { propsOf, SERVICE } from "./compose.ts";
import { refusal, sizes, type Sizes, type Statement } from "./contract.ts";
import { REFUSAL_MAX_BYTES } from "./quota.ts";

/** Entrypoint of ours in the service. */
const CONTROL = "Control";

export type Databases = {
  /**
   * Runs statements in one transaction.
   * @param raw rows as lists with the columns' names apart, rather than as objects
   * @returns JSON text: a list with an answer for each statement
   * @throws PlatformError query_failed in SQLite's words, database_input, and as `CapsuleHost.call`
   */
  query(account: AccountId, id: string, statements: readonly Statement[], raw: boolean): Promise<Readable>;
  /** Null where the process cannot be had. */
  sizes(account: AccountId, id: string): Promise<Sizes | null>;
};

const GARBLED = "The account's process did not answer as a database does.";

const garbled = (cause: unknown): PlatformError => new PlatformError("capsule_failed", { message: GARBLED, cause });

const checked = <S extends z.ZodType>(answer: CapsuleAnswer, schema: S): Promise<z.output<S>> =>
  readUntrusted(answer.body, schema, { maxBytes: REFUSAL_MAX_BYTES, otherwise: GARBLED });

export function openDatabases(host: Pick<CapsuleHost, "call">): Databases {
  const ask = (account: AccountId, id: string, path: string, body?: Uint8Array): Promise<CapsuleAnswer> => {
    const call = { account, service: SERVICE, entrypoint: CONTROL, props: propsOf(id), method: "POST", path } as const;
    return host.call({ ...call, headers: { "content-type": "application/json" } }, body);
  };
  return {
    query: async (account, id, statements, raw) => {
      const body = Buffer.from(JSON.stringify(statements.map(({ sql, params }) => ({ sql, params }))));
      const answer = await ask(account, id, raw ? "/raw" : "/query", body);
      if (answer.status === 200) return answer.body;
      if (answer.status !== 422 && answer.status !== 400) {
        answer.body.destroy();
        throw garbled(`status ${answer.status}`);
      }
      const { error } = await checked(answer, refusal);
      if (answer.status === 422) throw new PlatformError("query_failed", { message: sentence(error) });
      throw new PlatformError("database_input", {
        message: sentence(error),
        next: "Send the statements as {batch: [{sql, params}]}, each with its own.",
      });
    },
    sizes: async (account, id) => {
      try {
        const answer = await ask(account, id, "/sizes");
        return answer.status === 200 ? await checked(answer, sizes) : (answer.body.destroy(), null);
      } catch (error) {
        if (error instanceof PlatformError && (error.code === "capsule_failed" || error.code === "over_cap")) return null;
        throw error;
      }
    },
  };
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
