// What every product of the registry keeps to: accounts apart, permissions as the routes' table says, its own
// quota error, and an end that leaves nothing.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Route } from "../../../src/control/http/routes.ts";
import { ACTIONS, AGENT_ACTIONS, OWNER_ACTIONS, PRODUCTS, type Action } from "../../../src/control/permissions/actions.ts";
import { onWholeAccount, type Permission } from "../../../src/control/permissions/authorize.ts";
import { onBothDatabases, openBench } from "../../fixtures/databases.ts";
import { deploy, ESM, openShop, type Client, type Shop } from "../../fixtures/products.ts";

const FILLED = {
  script: "app",
  version: "v",
  deployment: "p",
  secret: "s",
  name: "n",
  database: "d",
  bucket: "b",
  namespace: "k",
  key: "y",
  queue: "q",
  store: "t",
} as const;

/** The path with every parameter given. */
function pathOf(route: Route, account: string): string {
  return route.path.replaceAll(/:(\w+)/g, (_, name: string) => {
    if (name === "account") return account;
    const value = FILLED[name as keyof typeof FILLED];
    assert.ok(value, `the contract test knows no value for :${name}`);
    return value;
  });
}

const routesOf = (shop: Shop): Route[] => shop.products.flatMap((product) => [...product.routes]);
const only = (action: Action, product: Permission["resource"]["product"], id: string): Permission[] => [
  { action, resource: { product, id }, conditions: [] },
];

/** Every kind of token, and whether the table lets it call the route. */
function tokens(route: Route): [what: string, permissions: readonly Permission[], allowed: boolean][] {
  const { access } = route;
  assert.ok(access.kind === "action");
  const { action, product, param } = access;
  const id = param === null ? "*" : FILLED[param as keyof typeof FILLED];
  const others = ACTIONS.filter((candidate) => candidate !== action);
  const otherProduct = PRODUCTS.find((candidate) => candidate !== product) ?? "account";
  return [
    ["an agent's", onWholeAccount(AGENT_ACTIONS), AGENT_ACTIONS.includes(action)],
    ["an owner's", onWholeAccount(OWNER_ACTIONS), true],
    ["one for this action and resource alone", only(action, product, id), true],
    ["one for this action on the whole product", only(action, product, "*"), true],
    ["one for this action on another product", only(action, otherProduct, "*"), false],
    ["one for every other action", onWholeAccount(others), false],
    [
      "one with a condition that nobody knows",
      only(action, product, "*").map((held) => ({ ...held, conditions: [{ kind: "moon" }] })),
      false,
    ],
    ["an empty one", [], false],
    ...(param === null ? [] : ([["one for another resource", only(action, product, "other"), false]] as [string, Permission[], boolean][])),
  ];
}

async function fill(client: Client): Promise<void> {
  const put = await deploy(client, "app", { bindings: [{ type: "secret_text", name: "S", text: "x" }] });
  assert.equal(put.status, 200, put.message);
  const session = await client.call("POST", "/workers/scripts/app/assets-upload-session", {
    json: { manifest: { "/a": { hash: "aa", size: 1 } } },
  });
  assert.equal(session.status, 200, session.message);
  const namespace = await client.call("POST", "/storage/kv/namespaces", { json: { title: "app" } });
  assert.equal(namespace.status, 200, namespace.message);
  const database = await client.call("POST", "/d1/database", { json: { name: "app" } });
  assert.equal(database.status, 200, database.message);
  const migrations = { new_tag: "v1", new_sqlite_classes: ["Counter"] };
  const counter = ["index.js", ESM, "export class Counter extends DurableObject {}; export default { fetch() {} }"] as const;
  const objects = await deploy(client, "objects", { migrations }, [counter]);
  assert.equal(objects.status, 200, objects.message);
  const crons = await client.call("PUT", "/workers/scripts/app/schedules", { json: [{ cron: "0 0 1 1 *" }] });
  assert.equal(crons.status, 200, crons.message);
  const store = await client.call("POST", "/secrets_store/stores", { json: { name: "app" } });
  assert.equal(store.status, 200, store.message);
  const json = [{ name: "app", value: "x", scopes: ["workers"] }];
  assert.equal((await client.call("POST", `/secrets_store/stores/${store.result.id}/secrets`, { json })).status, 200);
}

describe("Every product", () => {
  test("lets every kind of token in exactly where the table of its routes says", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const client = await shop.client();
    for (const route of routesOf(shop)) {
      if (route.access.kind === "capability") continue;
      for (const [what, permissions, allowed] of tokens(route)) {
        const token = await shop.issue(client, permissions);
        const answer = await shop.send(route.method, pathOf(route, client.id), { token });
        const denied = answer.status === 403 && answer.code === "forbidden";
        assert.equal(!denied, allowed, `${route.method} ${route.path} with ${what} token: ${answer.status} ${answer.message}`);
        assert.ok(answer.status < 500, `${route.method} ${route.path}: ${answer.status} ${answer.message}`);
      }
    }
  });

  test("answers 401 without a token, and 404 for an account that is not the token's", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const [client, stranger] = [await shop.client(onWholeAccount(OWNER_ACTIONS)), await shop.client(onWholeAccount(OWNER_ACTIONS))];
    for (const route of routesOf(shop)) {
      const path = pathOf(route, client.id);
      const nobody = await shop.send(route.method, path);
      const refusal = route.path.includes("/d1/") ? "transfer_invalid" : "asset_session_invalid";
      const code = route.access.kind === "capability" ? refusal : "unauthenticated";
      assert.deepEqual([nobody.status, nobody.code], [401, code], route.path);
      const answer = await shop.send(route.method, path, { token: stranger.token });
      // About the token's own account, whoever's that is.
      if (!route.path.includes(":account")) continue;
      const expected = route.access.kind === "capability" ? 401 : 404;
      assert.equal(answer.status, expected, `${route.method} ${route.path}`);
    }
  });

  test("has no route that is open to everyone", async () => {
    await using bench = await openBench(null);
    for (const route of routesOf(openShop(bench)))
      assert.ok(route.access.kind === "action" || route.access.kind === "capability", route.path);
  });

  test("has no two routes of one method and path", async () => {
    await using bench = await openBench(null);
    const all = routesOf(openShop(bench)).map(({ method, path }) => `${method} ${path.replaceAll(/:\w+/g, ":")}`);
    assert.deepEqual(all.toSorted(), [...new Set(all)].sort());
  });
});

onBothDatabases("Every product", {
  "keeps two accounts apart": async (bench) => {
    const shop = openShop(bench);
    const [one, other] = [await shop.client(), await shop.client()];
    await fill(one);
    const before = one.spec();
    for (const product of shop.products) {
      const seen = await bench.store.transaction((tx) => product.resolve(tx, other.id, "app"));
      assert.equal(seen, null, product.name);
      const composed = await bench.store.transaction((tx) => product.compose(tx, other.account));
      assert.deepEqual(composed, { services: [], fronts: [], ingress: [], keep: { code: [], assets: [] } }, product.name);
    }
    assert.equal((await other.call("GET", "/workers/services/app")).code, "worker_not_found");
    assert.deepEqual((await other.call("GET", "/workers/scripts")).result, []);
    await fill(other);
    await other.call("DELETE", "/workers/services/app?force=true");
    assert.deepEqual(one.spec(), before);
    assert.equal((await one.call("GET", "/workers/services/app")).status, 200);
  },

  "refuses at its quota with an error that says so": async (bench) => {
    const client = await openShop(bench, {
      workersPerAccount: 0,
      assetFiles: 0,
      kvNamespaces: 0,
      d1Databases: 0,
      objectNamespaces: 0,
    }).client();
    const worker = await deploy(client, "app");
    const session = await client.call("POST", "/workers/scripts/app/assets-upload-session", {
      json: { manifest: { "/a": { hash: "aa", size: 1 } } },
    });
    const namespace = await client.call("POST", "/storage/kv/namespaces", { json: { title: "app" } });
    for (const answer of [worker, session, namespace]) {
      assert.deepEqual([answer.status, answer.code], [400, "quota_exceeded"]);
      assert.match(answer.message, /claim the account/);
    }
    const database = await client.call("POST", "/d1/database", { json: { name: "app" } });
    assert.deepEqual([database.status, database.code], [400, "database_limit"]);
  },

  "ends without a row left, and a second teardown finds nothing": async (bench) => {
    const shop = openShop(bench);
    const [one, other] = [await shop.client(), await shop.client()];
    await fill(one);
    await fill(other);
    const tables = [
      "workers",
      "worker_versions",
      "worker_deployments",
      "asset_files",
      "asset_sessions",
      "kv_namespaces",
      "d1_databases",
      "object_namespaces",
      "worker_crons",
      "secret_stores",
      "secrets",
    ] as const;
    const rows = async (account: string): Promise<number> => {
      let count = 0;
      for (const table of tables)
        count += (
          await bench.store.db
            .selectFrom(table)
            .selectAll()
            .where("account_id", "=", account as never)
            .execute()
        ).length;
      return count;
    };
    const others = await rows(other.id);
    let removed = 0;
    for (const product of shop.products) removed += (await bench.store.transaction((tx) => product.teardown(tx, one.id))).removed;
    assert.ok(removed >= 5);
    assert.equal(await rows(one.id), 0);
    for (const product of shop.products) {
      assert.deepEqual(await bench.store.transaction((tx) => product.teardown(tx, one.id)), { removed: 0 }, product.name);
    }
    assert.equal(await rows(other.id), others);
  },
});
