// Statements by API: each request one transaction, its answer streamed from the process into the envelope. The trail
// says that there was a query, never what it said.
import { Readable } from "node:stream";
import { uploadMemory } from "../../http/memory.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { queryBody, readBody, type Statement } from "./contract.ts";
import { databaseOf, ONE, WRITE } from "./database-routes.ts";
import type { DatabaseKeeper } from "./keeper.ts";
import type { Databases } from "./process.ts";
import { QUERIES_BYTES, QUERY_MAX_BYTES } from "./quota.ts";

/** What wrangler sets behind a migration: its name into the table of those that are applied, whatever that is called. */
const APPLIED = /(?:^|[\s;])insert\s+into\s+(?:"(?:[^"]|"")+"|[\w$]+)\s*\(\s*name\s*\)\s*values\s*\(\s*'(?:[^']|'')*'\s*\)\s*;?\s*$/i;
const APPLIED_MAX = 4_096;

/** Whether a request applies a migration. More requests than those may look like it, none of those looks otherwise. */
export function appliesMigration(statements: readonly Statement[]): boolean {
  const text = statements.at(-1)?.sql ?? "";
  const found = APPLIED.exec(text.slice(-APPLIED_MAX));
  return found !== null && (statements.length > 1 || text.length > found[0].length);
}

/** The envelope of a success around JSON that is on its way. */
async function* enveloped(result: Readable, messages: readonly string[]): AsyncGenerator<Uint8Array> {
  const told = messages.map((message) => ({ code: 10000, message }));
  yield Buffer.from(`{"success":true,"errors":[],"messages":${JSON.stringify(told)},"result":`);
  yield* result as AsyncIterable<Uint8Array>;
  yield Buffer.from("}");
}

export function queryRoutes(context: ProductContext, databases: Databases, keeper: DatabaseKeeper): Route[] {
  const memory = uploadMemory(QUERIES_BYTES, QUERY_MAX_BYTES);
  const remember = async (call: AccountCall, id: string): Promise<string> => {
    try {
      const { bookmark } = await keeper.bookmark(call.account, id);
      return `What the database held before this migration is bookmark ${bookmark}.`;
    } catch (error) {
      context.log.warn({ err: error, account: call.account }, "no bookmark before a migration");
      return "No bookmark could be taken before this migration: there is no way back to what the database held.";
    }
  };
  const run = async (call: AccountCall, raw: boolean): Promise<Response> => {
    const { principal, account } = call;
    const { id } = await databaseOf(context, call);
    using room = memory.open(account);
    const statements = await readBody(call.request, queryBody, QUERY_MAX_BYTES, room);
    const messages = appliesMigration(statements) ? [await remember(call, id)] : [];
    // It may have been deleted meanwhile; a database of that id would be made anew, and belong to nobody.
    if (messages.length > 0) await databaseOf(context, call);
    const asked = context.outside(principal, "d1:query", `d1/${id}`, () => databases.query(account, id, statements, raw));
    const result = await asked.catch(async (error: unknown) => {
      // Nor does the process know a database that is deleted while it is asked.
      await databaseOf(context, call);
      throw error;
    });
    // An answer that broke off must not look like a whole one.
    result.once("error", call.hangUp);
    const body = Readable.toWeb(Readable.from(enveloped(result, messages)));
    return new Response(body as ReadableStream<Uint8Array>, {
      headers: { "content-type": "application/json", "cache-control": "no-store" },
    });
  };
  return [
    accountRoute("POST", `${ONE}/query`, WRITE, (call) => run(call, false)),
    accountRoute("POST", `${ONE}/raw`, WRITE, (call) => run(call, true)),
  ];
}
