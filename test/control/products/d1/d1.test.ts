// The API of databases without a process: what is kept, told, refused, and written into the trail.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../../../src/kernel/errors.ts";
import { statementsOf } from "../../../../src/host/capsules/workerd/runtime/d1-statements.js";
import { onBothDatabases, openBench } from "../../../fixtures/databases.ts";
import { deploy, openShop, type Client, type Sent } from "../../../fixtures/products.ts";

const DATABASES = "/d1/database";
const create = (client: Client, name: string, more: Record<string, unknown> = {}) =>
  client.call("POST", DATABASES, { json: { name, ...more } });

onBothDatabases("The D1 product", {
  "makes databases, finds them by id and by name, and lists them by page": async (bench) => {
    const client = await openShop(bench).client();
    const made = [];
    for (const name of ["one", "two", "three"]) {
      made.push((await create(client, name, { primary_location_hint: "weur" })).result);
      bench.clock.advance(1);
    }
    const [first] = made;
    assert.match(first.uuid, /^[0-9a-f-]{36}$/);
    assert.deepEqual([first.name, first.version, first.read_replication], ["one", "production", { mode: "disabled" }]);
    assert.ok(Number.isFinite(Date.parse(first.created_at)));
    for (const named of [first.uuid, "one"]) {
      const found = await client.call("GET", `${DATABASES}/${named}?fields=uuid,name`);
      assert.deepEqual(found.result, { uuid: first.uuid, name: "one" });
    }
    const page = await client.call("GET", `${DATABASES}?per_page=2&page=2`);
    assert.deepEqual([page.result.map((one: { name: string }) => one.name), page.info.total_count], [["three"], 3]);
    assert.deepEqual(Object.keys(page.result[0]), ["uuid", "name", "version", "created_at"]);
    assert.deepEqual((await client.call("GET", `${DATABASES}?per_page=2&page=3`)).result, []);
    const named = await client.call("GET", `${DATABASES}?name=two`);
    assert.deepEqual([named.result.length, named.result[0].uuid], [1, made[1].uuid]);
  },

  "tells of a name that exists before it tells of the limit, neither with 403": async (bench) => {
    const client = await openShop(bench, { d1Databases: 1 }).client();
    await create(client, "one");
    const again = await create(client, "one");
    assert.deepEqual([again.status, again.code, again.number], [400, "database_exists", 7502]);
    const more = await create(client, "two");
    assert.deepEqual([more.status, more.code, more.number], [400, "database_limit", 7406]);
    assert.match(more.message, /claim the account/);
  },

  "reports how many there may be and are": async (bench) => {
    const shop = openShop(bench, { d1Databases: 2 });
    const client = await shop.client();
    await create(client, "one");
    const limits = await shop.products.find(({ name }) => name === "d1")?.limits?.(bench.store.db, client.account);
    assert.deepEqual(limits, [
      { name: "d1.databases", unit: "count", max: 2, used: 1 },
      { name: "d1.database_bytes", unit: "bytes", max: 1_000_000, used: null },
    ]);
  },

  "gives the process its service and what of the state stays, as long as there is a database": async (bench) => {
    const client = await openShop(bench).client();
    const { result: one } = await create(client, "one");
    const { result: two } = await create(client, "two");
    const kept = () => client.spec().keep.state?.d1;
    assert.deepEqual(new Set(kept()), new Set([one.uuid, two.uuid]));
    assert.deepEqual(
      client.spec().units[0]?.services.map(({ id }) => id),
      ["d1"],
    );
    assert.equal((await client.call("DELETE", `${DATABASES}/${one.uuid}`)).status, 200);
    assert.deepEqual(kept(), [two.uuid]);
    assert.equal((await client.call("DELETE", `${DATABASES}/two`)).status, 200);
    assert.deepEqual([kept(), client.spec().units[0]?.services], [[], []]);
    assert.equal((await client.call("DELETE", `${DATABASES}/two`)).code, "database_not_found");
  },

  "keeps what read replication was asked for": async (bench) => {
    const client = await openShop(bench).client();
    const { result } = await create(client, "one");
    for (const [method, json, mode] of [
      ["PUT", { read_replication: { mode: "auto" } }, "auto"],
      ["PATCH", {}, "auto"],
      ["PATCH", { read_replication: { mode: "disabled" } }, "disabled"],
    ] as const) {
      const answer = await client.call(method, `${DATABASES}/${result.uuid}`, { json });
      assert.deepEqual([answer.status, answer.result.read_replication], [200, { mode }]);
      assert.deepEqual((await client.call("GET", `${DATABASES}/one`)).result.read_replication, { mode });
    }
  },

  "writes making, changing and deleting into the trail, with the name sealed": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const { result } = await create(client, "secret-name");
    bench.clock.advance(1);
    await client.call("PUT", `${DATABASES}/secret-name`, { json: { read_replication: { mode: "auto" } } });
    bench.clock.advance(1);
    await client.call("DELETE", `${DATABASES}/secret-name`);
    const lines = await shop.trail.read(client.id, { limit: 10, offset: 0 });
    assert.deepEqual(
      lines.map(({ action, resource, outcome, text }) => [action, resource, outcome, text]),
      ["d1:delete", "d1:update", "d1:create"].map((action) => [action, `d1/${result.uuid}`, "done", "secret-name"]),
    );
    const rows = await bench.store.db.selectFrom("trail").selectAll().execute();
    assert.ok(!JSON.stringify(rows).includes("secret-name"));
  },

  "binds a database of the account, and no other": async (bench) => {
    const shop = openShop(bench);
    const [client, other] = [await shop.client(), await shop.client()];
    const { result: own } = await create(client, "one");
    const { result: foreign } = await create(other, "one");
    const bound = (id: unknown) => ({ bindings: [{ type: "d1", name: "DB", id, internalEnv: "prod" }] });
    assert.equal((await deploy(client, "app", bound(own.uuid))).status, 200);
    const service = client.spec().units[0]?.services.find(({ id }) => id.startsWith("w"));
    assert.ok(service?.kind === "worker");
    assert.deepEqual(service.bindings, [{ kind: "d1", name: "DB", service: "d1", props: JSON.stringify({ database: own.uuid }) }]);
    for (const id of [foreign.uuid, "one", ""]) {
      const refused = await deploy(client, "app", bound(id));
      assert.deepEqual([refused.status, refused.number], [400, 10021]);
      assert.match(refused.message, /binding of type d1 must have a valid `id` specified.*wrangler d1 list/);
    }
    assert.match((await deploy(client, "app", bound(undefined))).message, /must have a valid `id`/);
    const shown = await client.call("GET", "/workers/scripts/app/settings");
    assert.deepEqual(shown.result.bindings, [{ type: "d1", name: "DB", id: own.uuid }]);
  },

  "lets a Worker bind a database only with a token that may write it": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const { result } = await create(client, "one");
    const on = (action: "workers:write" | "workers:read" | "d1:write", id: string) => ({
      action,
      resource: { product: action.startsWith("d1") ? ("d1" as const) : ("workers" as const), id },
      conditions: [],
    });
    const attempt = async (...permissions: ReturnType<typeof on>[]) => {
      const token = await shop.issue(client, [on("workers:read", "*"), on("workers:write", "*"), ...permissions]);
      return deploy({ ...client, call: (method, path, sent) => client.call(method, path, { ...sent, token }) }, "app", {
        bindings: [{ type: "d1", name: "DB", id: result.uuid }],
      });
    };
    assert.equal((await attempt()).code, "forbidden");
    assert.equal((await attempt(on("d1:write", "other"))).code, "forbidden");
    assert.equal((await attempt(on("d1:write", result.uuid))).status, 200);
  },

  "answers the analytics that wrangler asks for, for the token's own account alone": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const query =
      "query q($accountTag: string) { viewer { accounts(filter: {accountTag: $accountTag}) { d1AnalyticsAdaptiveGroups(limit: 1) { sum { rowsRead } } } } }";
    const ask = (json: unknown) => shop.raw("POST", "/graphql", { token: client.token, json });
    assert.deepEqual(await ask({ query, variables: { accountTag: client.id } }), {
      data: { viewer: { accounts: [{ d1AnalyticsAdaptiveGroups: [] }] } },
      errors: null,
    });
    assert.match(JSON.stringify(await ask({ query, variables: { accountTag: "0".repeat(32) } })), /accountTag: this token knows/);
    assert.match(JSON.stringify(await ask({ query: "{ viewer { email } }" })), /query: /);
    assert.match(JSON.stringify(await ask({})), /query: missing/);
  },
});

type Case = readonly [what: string, method: string, path: string, sent: Sent, code: ErrorCode, message: RegExp];
const long = "x".repeat(129);
const CASES: readonly Case[] = [
  ["no body", "POST", "", {}, "database_input", /body is not JSON/],
  ["no name", "POST", "", { json: {} }, "database_input", /name: missing/],
  ["an empty name", "POST", "", { json: { name: "" } }, "database_input", /name: is empty/],
  ["a long name", "POST", "", { json: { name: long } }, "database_input", /name: is longer than 128/],
  ["a name with a slash", "POST", "", { json: { name: "a/b" } }, "database_input", /name: may hold/],
  ["a name with a NUL", "POST", "", { json: { name: "a\0" } }, "database_input", /name: may hold/],
  ["a name that is an id", "POST", "", { json: { name: crypto.randomUUID() } }, "database_input", /name: looks like/],
  ["a jurisdiction", "POST", "", { json: { name: "x", jurisdiction: "eu" } }, "database_input", /jurisdiction: .*one place/],
  ["a mode nobody knows", "PUT", "/one", { json: { read_replication: { mode: "all" } } }, "database_input", /mode: must be auto/],
  ["no replication at all", "PUT", "/one", { json: {} }, "database_input", /read_replication: missing/],
  ["a page that is none", "GET", "?page=0", {}, "invalid_input", /page/],
  ["a database that is not there", "GET", "/nope", {}, "database_not_found", /"nope" could not be found/],
  ["a query of one that is not there", "POST", "/nope/query", { json: { sql: "select 1" } }, "database_not_found", /could not be found/],
  ["no statement", "POST", "/one/query", { json: {} }, "database_input", /must be \{sql/],
  ["SQL that is no text", "POST", "/one/query", { json: { sql: 1 } }, "database_input", /must be \{sql/],
  ["an empty batch", "POST", "/one/raw", { json: { batch: [] } }, "database_input", /must be \{sql/],
  ["a parameter that is an object", "POST", "/one/query", { json: { sql: "select ?", params: [{}] } }, "database_input", /must be \{sql/],
  ["a query that is too long", "POST", "/one/query", { json: { sql: "x".repeat(10_485_761) } }, "body_too_large", /10485760/],
];

describe("The D1 product", () => {
  test("refuses every malformed request by the field, and changes nothing", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    await create(client, "one");
    for (const [what, method, path, sent, code, message] of CASES) {
      const answer = await client.call(method, `${DATABASES}${path}`, sent);
      assert.equal(answer.code, code, `${what}: ${answer.status} ${answer.message}`);
      assert.match(answer.message, message, what);
      assert.ok(answer.status < 500, what);
    }
    assert.equal((await client.call("GET", DATABASES)).info.total_count, 1);
  });

  test("hands on what the process answers, and makes no word of it its own", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const client = await shop.client();
    await create(client, "one");
    const query = () => client.call("POST", `${DATABASES}/one/query`, { json: { sql: "select 1" } });
    const answers: readonly (readonly [number, string, ErrorCode, RegExp])[] = [
      [422, '{"error":"no such table: x: SQLITE_ERROR"}', "query_failed", /^no such table: x: SQLITE_ERROR\. Nothing/],
      [422, "<html>", "capsule_failed", /did not answer as a database does/],
      [422, `{"error":"${"x".repeat(70_000)}"}`, "capsule_failed", /did not answer/],
      [500, "boom", "capsule_failed", /did not answer/],
      [302, "", "capsule_failed", /did not answer/],
    ];
    for (const [status, body, code, message] of answers) {
      shop.host.answer = { status, body };
      const answer = await query();
      assert.equal(answer.code, code, `${status} ${body.slice(0, 80)}`);
      assert.match(answer.message, message);
    }
    shop.host.answer = { status: 200, body: '[{"results":[{"a":1}],"success":true,"meta":{}}]' };
    assert.deepEqual((await query()).result, [{ results: [{ a: 1 }], success: true, meta: {} }]);
    shop.host.answer = { status: 200, body: '{"bytes":-1,"tables":"many"}' };
    const shown = await client.call("GET", `${DATABASES}/one`);
    assert.deepEqual([shown.status, shown.result.file_size], [200, undefined]);
    const trail = await shop.trail.read(client.id, { limit: 100, offset: 0 });
    const queries = trail.filter(({ action }) => action === "d1:query");
    assert.deepEqual(
      Object.fromEntries([...Map.groupBy(queries, ({ outcome }) => outcome)].map(([outcome, all]) => [outcome, all.length])),
      {
        intent: 6,
        failed: 5,
        done: 1,
      },
    );
    assert.ok(queries.every(({ text }) => text === null));
  });
});

describe("A text of SQL", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["", []],
    ["  ;; -- only\n/* this; */", []],
    ["select 1", ["select 1"]],
    ["select 1;select 2;", ["select 1", "select 2"]],
    ["insert into t values ('a;''b;'); select ';'", ["insert into t values ('a;''b;')", "select ';'"]],
    ['select "a;""b", `c;d`, [e;f]; select 2', ['select "a;""b", `c;d`, [e;f]', "select 2"]],
    ["select 1 -- one; two\n; /* ; */ select 2", ["select 1 -- one; two", "/* ; */ select 2"]],
    ["select 'never closed; select 2", ["select 'never closed; select 2"]],
    ["select 1 /* never closed; select 2", ["select 1 /* never closed; select 2"]],
    [
      "CREATE temp Trigger t after insert on a begin select case when 1 then 2 end; delete from b; end; select 1",
      ["CREATE temp Trigger t after insert on a begin select case when 1 then 2 end; delete from b; end", "select 1"],
    ],
    ["create trigger t begin select 1; END\r\n;\r\nselect 2;", ["create trigger t begin select 1; END", "select 2"]],
    ["explain query plan create trigger t begin select 1;end; x", ["explain query plan create trigger t begin select 1;end", "x"]],
    ["create table trigger_log(a); begin; end; select 1", ["create table trigger_log(a)", "begin", "end", "select 1"]],
    ["create table t(a) ; insert into t values (1)", ["create table t(a)", "insert into t values (1)"]],
    ["select a-b, a/b; select x'00'; select €", ["select a-b, a/b", "select x'00'", "select €"]],
  ];
  for (const [sql, statements] of cases) {
    test(`${JSON.stringify(sql.slice(0, 60))} is ${statements.length} statements`, () => assert.deepEqual(statementsOf(sql), statements));
  }

  test("of any kind is taken apart in time that grows with its length", () => {
    for (const part of ["'", '"', "/*", "--", "[", ";", "a ", "create trigger x begin ", "(", "\u00fc"]) {
      const startedAt = performance.now();
      statementsOf(part.repeat(1_000_000 / part.length));
      assert.ok(performance.now() - startedAt < 5_000, part);
    }
  });
});
