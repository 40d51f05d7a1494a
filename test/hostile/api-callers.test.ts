// Every route of the API with bodies, parameters and queries that no honest client sends: always a 4xx in the envelope
// that names what to do next, never a 5xx, never a hang, never a half-made resource. On both databases.
import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import type { AddressInfo } from "node:net";
import { listen } from "../../src/control/http/listen.ts";
import type { Route } from "../../src/control/http/routes.ts";
import { openHouse, type House } from "../fixtures/house.ts";
import { startPostgres } from "../fixtures/postgres.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { newTenant, type SendToApi, type Tenant } from "../fixtures/tenant.ts";
import { BAD_BODIES, BAD_PARAMS, holdsText, UNREAD } from "./bad-bodies.ts";

const WORKER = `export default { fetch() { return new Response("as before"); } };`;
const HANGS_AFTER_MS = 20_000;
const TABLES = ["workers", "worker_versions", "worker_deployments", "asset_files", "asset_sessions", "tokens"] as const;

type Asked = { readonly method: string; readonly path: string; readonly init: RequestInit };

/** What the answer must be, whatever was asked. */
async function judge(send: SendToApi, { method, path, init }: Asked, what: string): Promise<boolean> {
  const said = `${method} ${path.slice(0, 200)} with ${what}`;
  const response = await send(path, { ...init, method, signal: AbortSignal.timeout(HANGS_AFTER_MS) }).catch((error: unknown) => {
    throw new Error(`${said}: no answer`, { cause: error });
  });
  const text = await response.text();
  assert.ok(response.status < 500, `${said}: ${response.status} ${text}`);
  const body = JSON.parse(text) as {
    success: boolean;
    errors: { code: number; message: string; documentation_url: string }[];
    result: unknown;
  };
  assert.equal(body.success, response.ok, said);
  if (response.ok) return true;
  const [error] = body.errors;
  assert.ok(error && Number.isInteger(error.code), `${said}: ${text}`);
  // What is wrong, in one sentence that is the error's own, then what to do about it.
  assert.match(error.message, /^.{8,}[.:?"}\]] .{8,}/s, said);
  assert.ok(error.message.length < 1500, `${said}: the message does not repeat what was sent whole`);
  assert.doesNotMatch(error.message, /SQLITE|syntax error|at .*\.ts:\d|node:internal|\[object Object\]|undefined\b/, said);
  assert.match(error.documentation_url, /\/errors#\w+$/, said);
  return false;
}

/** Everything that the account has in the database. */
async function rowsOf(house: House, account: string): Promise<string> {
  const rows = await Promise.all(
    TABLES.map(
      async (table) =>
        [
          table,
          await house.control.store.db
            .selectFrom(table)
            .selectAll()
            .where("account_id", "=", account as never)
            .execute(),
        ] as const,
    ),
  );
  // Noted once a minute, whatever is sent.
  return JSON.stringify(rows, (name, value: unknown) => (name === "last_used_at" ? null : value));
}

/** Rises with every write to the account, whether or not it left anything. */
async function revisionOf(house: House, account: string): Promise<number | undefined> {
  const query = house.control.store.db.selectFrom("accounts").select("revision");
  return (await query.where("id", "=", account as never).executeTakeFirst())?.revision;
}

const fill = (route: Route, tenant: Tenant, param = "worker"): string =>
  route.path.replace(":account", tenant.id).replaceAll(/:\w+/g, param);

function tests(open: (t: TestContext | null, stack: AsyncDisposableStack) => Promise<string | null | { skip: string }>): void {
  const stack = new AsyncDisposableStack();
  let house: House | undefined;
  let send: SendToApi;
  let reason = "";

  before(async () => {
    const databaseUrl = await open(null, stack);
    if (databaseUrl !== null && typeof databaseUrl === "object") {
      reason = databaseUrl.skip;
      return;
    }
    const directory = stack.use(await temporaryDirectory("callers"));
    house = stack.use(await openHouse({ directory: directory.path, databaseUrl, ttlSeconds: 3600 }));
    const server = stack.use(await listen(house.control.app, { port: 0, hostname: "127.0.0.1" }));
    const { port } = server.address() as AddressInfo;
    send = (path, init) => fetch(`http://127.0.0.1:${port}/client/v4${path}`, init);
  });
  after(() => stack.disposeAsync());

  const ready = (t: TestContext): House | undefined => {
    if (!house) t.skip(reason);
    return house;
  };
  const newcomer = async (): Promise<Tenant> => {
    const tenant = await newTenant(send);
    await tenant.deploy("worker", WORKER);
    return tenant;
  };
  const bearer = (tenant: Tenant) => ({ authorization: `Bearer ${tenant.token}` });

  test("bodies that no honest client sends", async (t) => {
    const within = ready(t);
    if (!within) return;
    // What is refused before any database sees it is refused alike on both.
    const bodies =
      within.control.store.kind === "sqlite" ? BAD_BODIES : BAD_BODIES.filter(({ body, what }) => what === UNREAD || holdsText(body));
    let tenant = await newcomer();
    let rows = await rowsOf(within, tenant.id);
    let revision = await revisionOf(within, tenant.id);
    for (const route of within.control.routes) {
      for (const { what, body, type, encoding } of bodies) {
        if (body !== undefined && route.method === "GET") continue;
        const headers = {
          ...bearer(tenant),
          ...(type !== undefined && { "content-type": Buffer.from(type).toString("latin1") }),
          ...(encoding !== undefined && { "content-encoding": encoding }),
        };
        const init = { headers, ...(body !== undefined && { body }) };
        const accepted = await judge(send, { method: route.method, path: fill(route, tenant), init }, what);
        if (!accepted) {
          const now = await revisionOf(within, tenant.id);
          if (now === revision) continue;
          revision = now;
          assert.equal(await rowsOf(within, tenant.id), rows, `${route.method} ${route.path} with ${what} leaves nothing behind`);
          continue;
        }
        // Some routes read no body, and for some an odd one is well-formed: then the deed is done, and the account may be gone.
        const lives = await tenant.call("GET", `/accounts/${tenant.id}/workers/scripts/worker/settings`);
        if (lives.status !== 200) tenant = await newcomer();
        rows = await rowsOf(within, tenant.id);
        revision = await revisionOf(within, tenant.id);
        // Whoever deletes in spite of that reads no body: the other hundred would end as many accounts and say nothing new.
        if (route.method === "DELETE" && what === UNREAD) break;
      }
    }
  });

  test("parameters and queries that no honest client sends", async (t) => {
    const within = ready(t);
    if (!within) return;
    const tenant = await newcomer();
    const rows = await rowsOf(within, tenant.id);
    for (const route of within.control.routes) {
      if (!route.path.includes("/:")) continue;
      for (const [what, param] of Object.entries(BAD_PARAMS)) {
        const body = route.method === "GET" || route.method === "DELETE" ? {} : { body: "{}" };
        const init = { headers: bearer(tenant), ...body };
        if (/:(?!account)/.test(route.path)) await judge(send, { method: route.method, path: fill(route, tenant, param), init }, what);
        const elsewhere = route.path.replace(":account", param).replaceAll(/:\w+/g, "worker");
        assert.equal(await judge(send, { method: route.method, path: elsewhere, init }, `${what} as account`), false);
      }
    }
    assert.equal(await rowsOf(within, tenant.id), rows);
    const lists = within.control.routes.filter(({ method, path }) => method === "GET" && !path.includes("provisioning"));
    const queries = [
      "page=0",
      "page=-1",
      "page=x",
      "per_page=1e9",
      "per_page=",
      "page=1&page=2",
      "page=%00",
      "%ff=%ff",
      "page=99999999999999999999",
    ];
    for (const route of lists) {
      for (const query of queries)
        await judge(send, { method: "GET", path: `${fill(route, tenant)}?${query}`, init: { headers: bearer(tenant) } }, query);
    }
  });

  test("tokens and headers that no honest client sends", async (t) => {
    const within = ready(t);
    if (!within) return;
    const tenant = await newcomer();
    const tokens = [
      "",
      "Bearer",
      "Bearer ",
      "Basic eDp5",
      `Bearer ${tenant.token.slice(0, -1)}`,
      `Bearer ${tenant.token}x`,
      `Bearer ${"x".repeat(8000)}`,
      "Bearer a b",
      "Bearer \u00e9",
      `bearer\t${tenant.token}`,
    ];
    for (const route of within.control.routes) {
      if (route.access.kind === "public") continue;
      for (const authorization of tokens) {
        const accepted = await judge(
          send,
          { method: route.method, path: fill(route, tenant), init: { headers: { authorization } } },
          `the token ${authorization.slice(0, 20)}`,
        );
        assert.equal(accepted, false);
      }
    }
    const headers = [
      ...["{", "[]", "null", '{"title":1}', `{"title":"${"x".repeat(3000)}"}`, '{"more":1}', "\u00ff\u00fe"].map((value) => ({
        "mayfly-task": value,
      })),
      ...["0", "-1", "1.5", "1e3", "99999999999", "x", "", " "].map((value) => ({ "mayfly-lifetime": value })),
    ];
    for (const header of headers) {
      const init = { headers: header as Record<string, string>, body: "{}" };
      await judge(send, { method: "POST", path: "/provisioning/previews", init }, JSON.stringify(header).slice(0, 80));
    }
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]) {
      for (const path of [
        "/",
        "/accounts/",
        "//accounts",
        "/accounts/%2e%2e/memberships/x",
        "/nothing/here",
        "/%",
        "/accounts/%/workers",
      ]) {
        await judge(send, { method, path, init: { headers: bearer(tenant) } }, "a route that is none");
      }
    }
  });

  test("and the installation is as it was", async (t) => {
    const within = ready(t);
    if (!within) return;
    const tenant = await newcomer();
    assert.equal((await within.edge(`worker--${tenant.subdomain}`)).body, "as before");
  });
}

describe("the API on SQLite stands", () => tests(() => Promise.resolve(null)));
describe("the API on PostgreSQL stands", () =>
  tests(async (_t, stack) => {
    const database = await startPostgres();
    if ("skip" in database) return { skip: database.skip };
    return stack.use(database).url;
  }));
