// The SQL API of Analytics Engine: a query over what the account's Workers wrote, answered without the API's envelope.
import { PlatformError } from "../../../kernel/errors.ts";
import { readBytes } from "../../http/body.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import { readUntrusted } from "../../http/untrusted.ts";
import type { ProductContext } from "../product.ts";
import { queryAnswer, rowsOnWire, toSqlite } from "./contract.ts";
import { ANALYTICS_SERVICE } from "./compose.ts";

const SQL = "/accounts/:account/analytics_engine/sql" as const;
const READ = { action: "analytics:read", product: "analytics" } as const;
const SQL_MAX_BYTES = 65_536;
/** Every character that the process lets through escaped, and the brackets around them. */
const ANSWER_MAX_BYTES = 33_554_432;

async function query(context: ProductContext, call: AccountCall, sql: string): Promise<Response> {
  if (!/^\s*(SELECT|WITH)\b/i.test(sql)) {
    throw new PlatformError("invalid_input", {
      message: "query: begins with neither SELECT nor WITH.",
      next: "Send one SELECT over a dataset.",
    });
  }
  const asked = { account: call.account, service: ANALYTICS_SERVICE, entrypoint: "Control", props: "{}", headers: {} };
  const { status, body } = await context.host.call({ ...asked, method: "POST", path: "/query" }, Buffer.from(toSqlite(sql)));
  if (status !== 200) {
    body.destroy();
    throw new PlatformError("invalid_input", {
      message: "query: no Worker of this account binds a dataset.",
      next: "Deploy a Worker with analytics_engine_datasets first.",
    });
  }
  const otherwise = "The account's process gave an answer that cannot be read.";
  const answer = await readUntrusted(body, queryAnswer, { maxBytes: ANSWER_MAX_BYTES, otherwise });
  if ("names" in answer) return Response.json(rowsOnWire(answer));
  throw new PlatformError("invalid_input", {
    message: `query: ${answer.error}`,
    next: "The dialect is SQLite's, over the columns timestamp, _sample_interval, index1, blob1 to blob20, double1 to double20.",
  });
}

export function analyticsRoutes(context: ProductContext): Route[] {
  return [
    accountRoute("POST", SQL, READ, async (call) => {
      const sql = Buffer.from(await readBytes(call.request, SQL_MAX_BYTES)).toString();
      // The body may have taken minutes to arrive, and the token may have ended meanwhile.
      await context.store.inAccount(call.principal, () => Promise.resolve());
      return query(context, call, sql);
    }),
    accountRoute("GET", SQL, READ, (call) => query(context, call, call.url.searchParams.get("query") ?? "")),
  ];
}
