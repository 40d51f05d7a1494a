// Statements by API: each request one transaction, its answer streamed from the process into the envelope. The trail
// says that there was a query, never what it said.
import { Readable } from "node:stream";
import { uploadMemory } from "../../http/memory.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { queryBody, readBody } from "./contract.ts";
import { databaseOf, ONE, WRITE } from "./database-routes.ts";
import type { Databases } from "./process.ts";
import { QUERIES_BYTES, QUERY_MAX_BYTES } from "./quota.ts";

const HEAD = '{"success":true,"errors":[],"messages":[],"result":';

/** The envelope of a success around JSON that is on its way. */
async function* enveloped(result: Readable): AsyncGenerator<Uint8Array> {
  yield Buffer.from(HEAD);
  yield* result as AsyncIterable<Uint8Array>;
  yield Buffer.from("}");
}

export function queryRoutes(context: ProductContext, databases: Databases): Route[] {
  const memory = uploadMemory(QUERIES_BYTES, QUERY_MAX_BYTES);
  const run = async (call: AccountCall, raw: boolean): Promise<Response> => {
    const { principal, account } = call;
    const { id } = await databaseOf(context, call);
    using room = memory.open(account);
    const statements = await readBody(call.request, queryBody, QUERY_MAX_BYTES, room);
    const result = await context.outside(principal, "d1:query", `d1/${id}`, () => databases.query(account, id, statements, raw));
    // An answer that broke off must not look like a whole one.
    result.once("error", call.hangUp);
    const body = Readable.toWeb(Readable.from(enveloped(result)));
    return new Response(body as ReadableStream<Uint8Array>, {
      headers: { "content-type": "application/json", "cache-control": "no-store" },
    });
  };
  return [
    accountRoute("POST", `${ONE}/query`, WRITE, (call) => run(call, false)),
    accountRoute("POST", `${ONE}/raw`, WRITE, (call) => run(call, true)),
  ];
}
