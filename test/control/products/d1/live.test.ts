// Databases that workerd itself holds, through the API and through bindings at once.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { objectId } from "../../../../src/capsule/object-id.ts";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { ESM, upload } from "../../../fixtures/products.ts";
import { tenantOfHouse } from "../../../fixtures/tenant.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";

type Result = { readonly results: Record<string, unknown>[]; readonly success: boolean; readonly meta: Record<string, unknown> };
type Poll = {
  readonly status: string;
  readonly at_bookmark: string;
  readonly errors: string[];
  readonly result?: { readonly num_queries: number; readonly meta: { readonly rows_written: number } };
};
type Database = { readonly uuid: string; readonly num_tables?: number; readonly file_size?: number };

/** Runs what the request says against the binding and answers it, or what was thrown. */
const WORKER = `
const RUN = {
  all: (db, { sql, params = [] }) => db.prepare(sql).bind(...params).all(),
  first: (db, { sql, params = [] }) => db.prepare(sql).bind(...params).first(),
  raw: (db, { sql }) => db.prepare(sql).raw({ columnNames: true }),
  exec: (db, { sql }) => db.exec(sql),
  batch: (db, { batch }) => db.batch(batch.map((sql) => db.prepare(sql))),
  session: async (db, { sql }) => {
    const session = db.withSession("first-primary");
    const before = session.getBookmark();
    const { results } = await session.prepare(sql).all();
    const bookmark = session.getBookmark();
    const again = db.withSession(bookmark);
    await again.prepare(sql).all();
    return { results, before, bookmark, grew: again.getBookmark() > bookmark };
  },
  loop: async (db, { ms }) => {
    let asked = 0;
    for (const from = Date.now(); Date.now() - from < ms; asked++) await db.prepare("select 1").first();
    return asked;
  },
  blob: async (db) => {
    await db.prepare("create table if not exists b(v blob)").run();
    await db.prepare("insert into b values (?)").bind(new Uint8Array([0, 255])).run();
    return (await db.prepare("select v from b").first()).v;
  },
};
export default { async fetch(request, env) {
  const asked = JSON.parse(decodeURIComponent(new URL(request.url).search.slice(1)));
  try { return Response.json(await RUN[asked.how](env.DB, asked)); } catch (error) { return Response.json({ threw: error.message }); }
} };`;

const pathOf = (asked: unknown): string => `/?${encodeURIComponent(JSON.stringify(asked))}`;

describe("A D1 database", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let account: string;
  let token: string;
  let subdomain: string;
  let id: string;

  before(async () => {
    directory = await temporaryDirectory("d1");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    const made = await house.provision();
    account = made.account.id;
    token = made.account.apiToken;
    subdomain = made.account.name.split(" ")[0] ?? "";
    id = (await api<Database>("POST", "/d1/database", { name: "main" })).result.uuid;
    const put = await house.call("PUT", `/accounts/${account}/workers/scripts/app`, {
      token,
      body: upload({ bindings: [{ type: "d1", name: "DB", id, internalEnv: "x" }] }, [["index.js", ESM, WORKER]]),
    });
    assert.equal(put.status, 200, put.errors[0]?.message);
    await api("POST", "/workers/scripts/app/subdomain", { enabled: true });
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const api = <T>(method: string, path: string, body?: unknown) =>
    house.call<T>(method, `/accounts/${account}${path}`, { token, ...(body !== undefined && { body: JSON.stringify(body) }) });
  const query = async (body: unknown, database = id): Promise<Result[]> => {
    const answer = await api<Result[]>("POST", `/d1/database/${database}/query`, body);
    assert.equal(answer.status, 200, answer.errors[0]?.message);
    return answer.result;
  };
  const refused = async (body: unknown, database = id): Promise<[number, number | undefined, string | undefined]> => {
    const answer = await api("POST", `/d1/database/${database}/query`, body);
    return [answer.status, answer.errors[0]?.code, answer.errors[0]?.message];
  };
  const worker = async <T>(how: string, asked: Record<string, unknown> = {}): Promise<T> => {
    const { status, body } = await house.edge(`app--${subdomain}`, pathOf({ how, ...asked }));
    assert.equal(status, 200, body);
    return JSON.parse(body) as T;
  };

  test("is one and the same for the API and for a Worker", async () => {
    await query({ sql: "create table users(id integer primary key, name text)" });
    await query({ sql: "insert into users(name) values (?)", params: ["ada"] });
    assert.deepEqual(await worker("first", { sql: "select * from users" }), { id: 1, name: "ada" });
    await worker("all", { sql: "insert into users(name) values (?)", params: ["bob"] });
    const [seen] = await query({ sql: "select name from users order by id" });
    assert.deepEqual(seen?.results, [{ name: "ada" }, { name: "bob" }]);
    const { result } = await api<{ results: unknown }[]>("POST", `/d1/database/main/raw`, { sql: "select id, name from users" });
    assert.deepEqual(result[0]?.results, {
      columns: ["id", "name"],
      rows: [
        [1, "ada"],
        [2, "bob"],
      ],
    });
  });

  test("says what a statement did, and how long it took", async () => {
    const [inserted] = await query({ sql: "insert into users(name) values ('cyd'), ('dan')" });
    assert.deepEqual(
      [inserted?.meta["changes"], inserted?.meta["last_row_id"], inserted?.meta["changed_db"], inserted?.meta["rows_written"]],
      [2, 4, true, 2],
    );
    const slow = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 300000) select count(*) as n from c";
    const [counted] = await query({ sql: slow });
    assert.ok(Number(counted?.meta["duration"]) >= 5, `duration ${String(counted?.meta["duration"])}`);
    const bound = await worker<Result>("all", { sql: slow });
    assert.ok(Number(bound.meta["duration"]) >= 5);
    assert.deepEqual(bound.results, [{ n: 300_000 }]);
  });

  test("takes several statements in one text or in a batch as one transaction", async () => {
    const results = await query({ sql: "insert into users(name) values ('x;y'); -- a comment;\nselect count(*) as n from users;" });
    assert.deepEqual(
      results.map(({ results: rows }) => rows),
      [[], [{ n: 5 }]],
    );
    const both = await query({
      batch: [
        { sql: "select ? as a", params: [1] },
        { sql: "select ? as a", params: [null] },
      ],
    });
    assert.deepEqual(
      both.map(({ results: rows }) => rows),
      [[{ a: 1 }], [{ a: null }]],
    );
    for (const failing of [
      { sql: "delete from users; select * from nope" },
      { batch: [{ sql: "delete from users" }, { sql: "select * from nope" }] },
    ]) {
      const [status, code, message] = await refused(failing);
      assert.deepEqual([status, code], [400, 7500]);
      assert.match(message ?? "", /^no such table: nope: SQLITE_ERROR\. /);
    }
    const thrown = await worker<{ threw: string }>("batch", { batch: ["delete from users", "select * from nope"] });
    assert.equal(thrown.threw, "D1_ERROR: no such table: nope: SQLITE_ERROR");
    assert.deepEqual(await worker("first", { sql: "select count(*) as n from users" }), { n: 5 });
  });

  test("keeps triggers whole, and binds texts, numbers, truth, nothing and bytes", async () => {
    await query({
      sql: `create table log(t text); create trigger tr after insert on users begin insert into log values ('a;b'); insert into log values (case when 1 then 'c' else 'd' end); end; insert into users(name) values ('eve');`,
    });
    const [logged] = await query({ sql: "select t from log" });
    assert.deepEqual(logged?.results, [{ t: "a;b" }, { t: "c" }]);
    const [bound] = await query({ sql: "select ? as t, ? as n, ? as y, ? as o, hex(?) as b", params: ["ü", 1.5, true, null, [0, 255]] });
    assert.deepEqual(bound?.results, [{ t: "ü", n: 1.5, y: 1, o: null, b: "00FF" }]);
    assert.deepEqual(await worker("blob"), [0, 255]);
  });

  test("gives Workers exec, raw and sessions with bookmarks that grow", async () => {
    const executed = await worker<{ count: number }>("exec", { sql: "create table e(v)\ninsert into e values (1)" });
    assert.equal(executed.count, 2);
    assert.deepEqual(await worker("raw", { sql: "select v from e" }), [["v"], [1]]);
    const session = await worker<{ results: unknown; before: null; bookmark: string; grew: boolean }>("session", {
      sql: "select v from e",
    });
    assert.deepEqual([session.results, session.before, session.grew], [[{ v: 1 }], null, true]);
  });

  test("lets everyone else have a turn while a Worker asks it in a loop, the watchdog too", async () => {
    assert.ok((await worker<number>("loop", { ms: 4_000 })) > 100);
  });

  test("loses nothing when API and Worker write at once", async () => {
    await query({ sql: "create table n(who text)" });
    await Promise.all(
      Array.from({ length: 40 }, (_, at) =>
        at % 2 === 0
          ? query({ sql: "insert into n values ('api')" })
          : worker("all", { sql: "insert into n values (?)", params: ["worker"] }),
      ),
    );
    const [counted] = await query({ sql: "select who, count(*) as n from n group by who order by who" });
    assert.deepEqual(counted?.results, [
      { who: "api", n: 20 },
      { who: "worker", n: 20 },
    ]);
  });

  test("shows its true size and number of tables, by id and by name", async () => {
    for (const named of [id, "main"]) {
      const { result } = await api<Database>("GET", `/d1/database/${named}`);
      assert.equal(result.uuid, id);
      assert.equal(result.num_tables, 5);
      assert.ok((result.file_size ?? 0) > 8_192);
    }
    const { result } = await api<Database>("GET", `/d1/database/main?fields=uuid,name`);
    assert.deepEqual(result, { uuid: id, name: "main" });
  });

  test("is full at its cap: nothing of the statement stays, and what is deleted makes room", async () => {
    const { result } = await api<Database>("POST", "/d1/database", { name: "full" });
    await query({ sql: "create table f(v blob)" }, result.uuid);
    const fill =
      "insert into f select randomblob(100000) from (with recursive c(n) as (select 1 union all select n + 1 from c where n < ?) select n from c)";
    await query({ sql: fill, params: [30] }, result.uuid);
    const [status, code, message] = await refused({ sql: fill, params: [20] }, result.uuid);
    assert.deepEqual([status, code], [400, 7500]);
    assert.match(message ?? "", /^Exceeded maximum DB size\. /);
    const count = async () => (await query({ sql: "select count(*) as n from f" }, result.uuid))[0]?.results;
    assert.deepEqual(await count(), [{ n: 30 }]);
    assert.equal((await refused({ sql: `delete from f; ${fill.replace("?", "60")}` }, result.uuid))[1], 7500);
    assert.deepEqual(await count(), [{ n: 30 }]);
    await query({ sql: "delete from f where rowid > 10" }, result.uuid);
    await query({ sql: fill, params: [10] }, result.uuid);
    assert.deepEqual(await count(), [{ n: 20 }]);
  });

  test("tells a Worker of its cap in D1's words", async () => {
    const big = "insert into f2 select randomblob(5000000)";
    await worker("exec", { sql: "create table f2(v blob)" });
    assert.equal((await worker<{ threw: string }>("all", { sql: big })).threw, "D1_ERROR: Exceeded maximum DB size");
    assert.deepEqual(await worker("first", { sql: "select count(*) as n from f2" }), { n: 0 });
  });

  test("refuses in SQLite's words what a database may not do", async () => {
    const cases: readonly (readonly [unknown, number, RegExp])[] = [
      [{ sql: "selekt" }, 7500, /near "selekt": syntax error.*SQLITE_ERROR/],
      [{ sql: "-- nothing\n;" }, 7500, /^No SQL statements detected\./],
      [{ sql: "begin" }, 7500, /BEGIN TRANSACTION|not authorized/],
      [{ sql: "attach 'x' as y" }, 7500, /not authorized/],
      [{ sql: "select 1; select ?", params: [1] }, 7400, /^params: 1 for a text of 2 statements\. .*batch/],
      [{ sql: "PRAGMA miniflare_d1_export(?,?,?);", params: [0, 0, "x"] }, 7500, /not authorized|syntax error/],
      [{ sql: `select '${"x".repeat(120_000)}'` }, 7500, /too big|too long|SQLITE_TOOBIG/i],
    ];
    for (const [body, code, message] of cases) {
      const [status, number, text] = await refused(body);
      assert.deepEqual([status, number], [400, code], text);
      assert.match(text ?? "", message);
    }
    const dumped = await worker<{ threw: string }>("all", { sql: "PRAGMA miniflare_d1_export(?,?,?);", params: [0, 0] });
    assert.match(dumped.threw, /not authorized: SQLITE_AUTH/);
  });

  /** As a client that follows wrangler's steps. */
  const importInto = async (database: string, sql: string): Promise<Poll> => {
    const etag = createHash("md5").update(sql).digest("hex");
    const path = `/d1/database/${database}/import`;
    const { result: begun } = await api<{ filename: string; upload_url: string }>("POST", path, { action: "init", etag });
    const put = await house.control.app.request(begun.upload_url, { method: "PUT", body: sql, headers: { host: "localhost:8787" } }, {});
    assert.deepEqual([put.status, put.headers.get("etag")], [200, `"${etag}"`]);
    let poll = await api<Poll>("POST", path, { action: "ingest", filename: begun.filename, etag });
    while (poll.result.status === "active")
      poll = await api<Poll>("POST", path, { action: "poll", current_bookmark: poll.result.at_bookmark });
    return poll.result;
  };
  const exportOf = async (database: string, dump_options: unknown = {}): Promise<string> => {
    const asked = { output_format: "polling", dump_options };
    const { result } = await api<{ result: { signed_url: string } }>("POST", `/d1/database/${database}/export`, asked);
    const answer = await house.control.app.request(result.result.signed_url, { headers: { host: "localhost:8787" } }, {});
    assert.equal(answer.status, 200);
    return answer.text();
  };
  const count = async (table: string, database = id) =>
    (await query({ sql: `select count(*) as n from ${table}` }, database))[0]?.results[0]?.["n"];

  test("takes in a file of SQL as a whole or not at all, beside what Workers hold open", async () => {
    const sql = "create table i(v); insert into i values ('one;'); insert into i values (x'00ff');\n-- the end";
    const done = await importInto(id, sql);
    assert.equal(done.status, "complete", done.errors.join());
    assert.deepEqual([done.result?.num_queries, done.result?.meta.rows_written], [3, 2]);
    assert.deepEqual(await worker("all", { sql: "select count(*) as n from i" }).then((all) => (all as Result).results), [{ n: 2 }]);
    const failed = await importInto(id, "insert into i values (1); insert into nope values (1);");
    assert.equal(failed.status, "error");
    assert.match(failed.errors[0] ?? "", /^no such table: nope.*\(statement 2\)/);
    const full = await importInto(id, `insert into i values (zeroblob(5000000));`);
    assert.match(full.errors[0] ?? "", /^Exceeded maximum DB size/);
    assert.equal(await count("i"), 2);
  });

  test("goes out as SQL that makes the same database elsewhere", async () => {
    const text = await exportOf(id, { tables: ["i", "users"] });
    assert.match(text, /CREATE TABLE|create table/);
    const { result } = await api<Database>("POST", "/d1/database", { name: "copy" });
    // Its trigger writes into a table that was left out.
    const done = await importInto(result.uuid, `create table log(t text); ${text}`);
    assert.equal(done.status, "complete", done.errors.join());
    const all = async (database: string) => (await query({ sql: "select id, name from users order by id" }, database))[0]?.results;
    assert.deepEqual(await all(result.uuid), await all(id));
    assert.deepEqual((await query({ sql: "select hex(v) as h from i where typeof(v) = 'blob'" }, result.uuid))[0]?.results, [
      { h: "00FF" },
    ]);
    assert.doesNotMatch(await exportOf(id, { no_schema: true, tables: ["i"] }), /create table/i);
    assert.equal((await api("DELETE", "/d1/database/copy")).status, 200);
  });

  test("that is deleted while a migration waits for its bookmark is said to be gone", async () => {
    const tenant = await tenantOfHouse(house);
    const at = `/accounts/${tenant.id}/d1/database`;
    const sql = `CREATE TABLE "d1_migrations" (name TEXT); INSERT INTO "d1_migrations" (name) VALUES ('0001_first.sql');`;
    let gone = 0;
    for (let round = 0; round < 6; round++) {
      const { uuid } = (await tenant.call<Database>("POST", at, JSON.stringify({ name: "short" }))).result;
      const applied = tenant.call("POST", `${at}/${uuid}/query`, JSON.stringify({ sql }));
      const deleted = tenant.call("DELETE", `${at}/${uuid}`);
      const { status, code, message } = await applied;
      assert.equal((await deleted).status, 200);
      // Unless it was applied before.
      if (status !== 200) assert.deepEqual([status, code], [404, 7404], message);
      gone += Number(status === 404);
    }
    assert.ok(gone > 0, "some were deleted first");
  });

  test("goes back to a bookmark, and forward again, under the Workers that use it", async () => {
    const time = `/d1/database/${id}/time_travel`;
    await query({ sql: "create table v(n); insert into v values (1)" });
    const { bookmark } = (await api<{ bookmark: string }>("GET", `${time}/bookmark`)).result;
    await worker("all", { sql: "insert into v values (2)" });
    const { result } = await api<{ previous_bookmark: string }>("POST", `${time}/restore?bookmark=${bookmark}`);
    assert.deepEqual(await worker("first", { sql: "select group_concat(n) as n from v" }), { n: "1" });
    await api("POST", `${time}/restore?bookmark=${result.previous_bookmark}`);
    assert.deepEqual(await worker("first", { sql: "select group_concat(n) as n from v" }), { n: "1,2" });
    const old = await api("GET", `${time}/bookmark?timestamp=2020-01-01T00:00:00Z`);
    assert.deepEqual([old.status, old.errors[0]?.code], [404, 71_470]);
  });

  test("can be brought back to before a migration", async () => {
    const migration = "drop table v;\nINSERT INTO d1_migrations (name)\nvalues ('0001.sql');";
    await query({ sql: "create table d1_migrations(id integer primary key, name text)" });
    const answer = await api("POST", `/d1/database/${id}/query`, { sql: migration });
    const [bookmark] = /[0-9a-f-]{59}/.exec(answer.messages[0]?.message ?? "") ?? [];
    assert.ok(bookmark, JSON.stringify(answer));
    assert.equal((await api("POST", `/d1/database/${id}/time_travel/restore?bookmark=${bookmark}`)).status, 200);
    assert.deepEqual([await count("v"), await count("d1_migrations")], [2, 0]);
  });

  test("answers neither the API nor a Worker once it is deleted", async () => {
    const { result } = await api<Database>("POST", "/d1/database", { name: "brief" });
    const binds = { bindings: [{ type: "d1", name: "DB", id: result.uuid }] };
    const put = await house.call("PUT", `/accounts/${account}/workers/scripts/other`, {
      token,
      body: upload(binds, [["index.js", ESM, WORKER]]),
    });
    assert.equal(put.status, 200, put.errors[0]?.message);
    await api("POST", "/workers/scripts/other/subdomain", { enabled: true });
    const other = async (): Promise<string> => {
      return (await house.edge(`other--${subdomain}`, pathOf({ how: "first", sql: "select 1 as one" }))).body;
    };
    assert.equal(await other(), '{"one":1}');
    await query({ sql: "create table t(v)" }, result.uuid);
    await api("GET", `/d1/database/${result.uuid}/time_travel/bookmark`);
    const state = join(directory.path, "data", "accounts", account, "state");
    const places = [join(state, "d1", "d1", `${objectId("d1", result.uuid)}.sqlite`), join(state, "snapshots", result.uuid)];
    for (const place of places) assert.ok(existsSync(place), place);
    assert.equal((await api("DELETE", "/d1/database/brief")).status, 200);
    assert.equal((await api("POST", `/d1/database/${result.uuid}/query`, { sql: "select 1" })).errors[0]?.code, 7404);
    assert.match(await other(), /does not exist/);
    for (const place of places) assert.ok(!existsSync(place), place);
  });
});
