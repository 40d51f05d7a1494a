// Imports, exports and time travel as clients drive them, with a host that does what the keeper is asked in memory: what
// is checked is who may, when, how often, and what is left.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import type { StateJob } from "../../../../src/capsule/state.ts";
import { ERRORS, PlatformError } from "../../../../src/kernel/errors.ts";
import * as transitions from "../../../../src/control/accounts/transitions.ts";
import { appliesMigration } from "../../../../src/control/products/d1/query-routes.ts";
import { openBench, type Bench } from "../../../fixtures/databases.ts";
import { openShop, type Client, type Shop } from "../../../fixtures/products.ts";

const SQL = "create table t(v); insert into t values ('a very telling row');";
const md5 = (text: string): string => createHash("md5").update(text).digest("hex");
const bookmarkOf = (atMs: number): string =>
  `${atMs.toString(16).padStart(12, "0").slice(0, 8)}-${atMs.toString(16).padStart(12, "0").slice(8)}0000-00000001-${"0".repeat(32)}`;
const DONE = { queries: 2, rowsWritten: 1, sizeAfter: 8_192, durationMs: 3 };

type Desk = AsyncDisposable & {
  readonly bench: Bench;
  readonly shop: Shop;
  readonly client: Client;
  readonly id: string;
  /** Below the database. */
  ask(path: string, json: unknown): ReturnType<Client["call"]>;
  init(text?: string): Promise<{ readonly filename: string; readonly upload_url: string }>;
  /** @param path of an address that was answered, without any token */
  open(method: string, address: string, body?: string): Promise<Response>;
  spooled(): string[];
  imported: string[];
  actions(): Promise<string[]>;
};

/** A database with bookmarks of 1,000 and 2,000 ms, and a host that imports whatever comes. */
async function openDesk(quota: Parameters<typeof openShop>[1] = {}): Promise<Desk> {
  const bench = await openBench(null);
  const shop = openShop(bench, quota);
  const client = await shop.client();
  const { result } = await client.call("POST", "/d1/database", { json: { name: "main" } });
  const imported: string[] = [];
  const moments = [1_000, 2_000].map((atMs) => ({ bookmark: bookmarkOf(atMs), atMs, bytes: 1 }));
  shop.host.onState = (job: StateJob, body: string) => {
    switch (job.kind) {
      case "d1-bookmark":
        return { bookmark: bookmarkOf(3_000 + imported.length), atMs: 3_000 + imported.length };
      case "d1-bookmarks":
        return { bookmarks: moments };
      case "d1-restore":
        return { previous: bookmarkOf(3_000), restored: job.bookmark };
      case "d1-import":
        imported.push(body);
        return DONE;
      case "d1-export":
        return Readable.from([Buffer.from(`-- ${job.tables.join()} ${job.noData} ${job.noSchema}\n`), Buffer.from("create table t(v);\n")]);
      default:
        throw new Error(job.kind);
    }
  };
  const ask: Desk["ask"] = (path, json) => client.call("POST", `/d1/database/main/${path}`, { json });
  return {
    bench,
    shop,
    client,
    id: result.uuid,
    ask,
    init: async (text = SQL) => {
      const answer = await ask("import", { action: "init", etag: md5(text) });
      assert.equal(answer.status, 200, answer.message);
      return answer.result;
    },
    open: (method, address, body) =>
      shop.fetch(method, address.replace(/^http:\/\/localhost\/client\/v4/, ""), body === undefined ? {} : { body }),
    spooled: () => readdirSync(join(bench.data, "spool", "d1")),
    imported,
    actions: async () =>
      (await shop.trail.read(client.id, { limit: 50, offset: 0 })).map(({ action, outcome }) => `${action} ${outcome}`).toSorted(),
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

describe("An import", () => {
  test("takes a file by its own address, imports it whole, once, and leaves nothing of it behind", async () => {
    await using desk = await openDesk();
    const { filename, upload_url } = await desk.init();
    const put = await desk.open("PUT", upload_url, SQL);
    assert.deepEqual([put.status, put.headers.get("etag")], [200, `"${md5(SQL)}"`]);
    assert.deepEqual(desk.spooled(), [`${filename}.sql`]);
    assert.ok(!readFileSync(join(desk.bench.data, "spool", "d1", `${filename}.sql`)).includes("telling"));
    const ingest = () => desk.ask("import", { action: "ingest", filename, etag: md5(SQL) });
    const done = await ingest();
    assert.deepEqual([done.result.status, done.result.success, done.result.at_bookmark], ["complete", true, bookmarkOf(3_000)]);
    assert.deepEqual([done.result.result.num_queries, done.result.result.final_bookmark], [2, bookmarkOf(3_001)]);
    assert.deepEqual([done.result.result.meta.size_after, done.result.result.meta.rows_written], [8_192, 1]);
    assert.deepEqual((await ingest()).result, done.result);
    assert.deepEqual((await desk.ask("import", { action: "poll", current_bookmark: bookmarkOf(3_000) })).result, done.result);
    assert.deepEqual(desk.imported, [SQL]);
    assert.deepEqual(desk.spooled(), []);
    assert.deepEqual(await desk.actions(), ["d1:create done", "d1:import done", "d1:import intent"]);
  });

  test("that fails says why, and may be tried again with the same file", async () => {
    await using desk = await openDesk();
    const works = desk.shop.host.onState;
    const { filename, upload_url } = await desk.init();
    await desk.open("PUT", upload_url, SQL);
    const ingest = () => desk.ask("import", { action: "ingest", filename, etag: md5(SQL) });
    desk.shop.host.onState = (job, body) =>
      job.kind === "d1-import" ? { error: { message: 'D1_ERROR: near "x": syntax error: SQLITE_ERROR', statement: 2 } } : works(job, body);
    const failed = (await ingest()).result;
    assert.deepEqual([failed.status, failed.success], ["error", true]);
    assert.match(failed.errors[0], /^near "x": syntax error: SQLITE_ERROR \(statement 2\)/);
    desk.shop.host.onState = (job, body) => (job.kind === "d1-import" ? { queries: "many" } : works(job, body));
    assert.match((await ingest()).result.errors[0], /could not be worked on/);
    desk.shop.host.onState = works;
    assert.equal((await ingest()).result.status, "complete");
    assert.deepEqual((await desk.actions()).filter((line) => line.endsWith("failed")).length, 2);
  });

  test("refuses what is not the announced file, and takes it then", async () => {
    await using desk = await openDesk({ d1Bytes: 65_536 });
    const { filename, upload_url } = await desk.init();
    const refused = async (body: string): Promise<[number, unknown]> => {
      const answer = await desk.open("PUT", upload_url, body);
      const { errors } = (await answer.json()) as { errors: { code: number }[] };
      return [answer.status, errors[0]?.code];
    };
    assert.deepEqual(await refused(`${SQL} `), [400, ERRORS.import_mismatch.number]);
    assert.deepEqual(await refused("x".repeat(65_536 * 5 + 1)), [413, ERRORS.body_too_large.number]);
    const early = await desk.ask("import", { action: "ingest", filename, etag: md5(SQL) });
    assert.deepEqual([early.status, early.code], [404, "import_not_found"]);
    assert.equal((await desk.open("PUT", upload_url, SQL)).status, 200);
    const wrong = await desk.ask("import", { action: "ingest", filename, etag: md5("other") });
    assert.equal(wrong.code, "import_not_found");
    assert.deepEqual(desk.imported, []);
  });

  test("gives way to a later one, and does not run beside another", async () => {
    await using desk = await openDesk();
    const first = await desk.init();
    const second = await desk.init();
    assert.equal((await desk.open("PUT", first.upload_url, SQL)).status, 404);
    await desk.open("PUT", second.upload_url, SQL);
    const { promise: gate, resolve: goOn } = Promise.withResolvers<void>();
    const works = desk.shop.host.onState;
    desk.shop.host.onState = async (job, body) => {
      if (job.kind === "d1-import") await gate;
      return works(job, body);
    };
    const ingest = (filename: string) => desk.ask("import", { action: "ingest", filename, etag: md5(SQL) });
    const running = ingest(second.filename);
    while (!desk.shop.host.jobs.some(({ kind }) => kind === "d1-import")) await new Promise(setImmediate);
    const other = await ingest("f".repeat(32));
    assert.deepEqual([other.status, other.code], [409, "import_running"]);
    goOn();
    assert.equal((await running).result.status, "complete");
    assert.equal((await desk.ask("import", { action: "poll", current_bookmark: bookmarkOf(1) })).code, "import_not_found");
  });

  test("ends with its account, its token, its database and its time", async () => {
    await using desk = await openDesk();
    const { upload_url } = await desk.init();
    const put = async (address = upload_url): Promise<number> => (await desk.open("PUT", address, SQL)).status;
    const { db } = desk.bench.store;
    const set = (to: object) => db.updateTable("accounts").set(to).execute();
    await set({ auth_epoch: 2 });
    assert.equal(await put(), 401);
    await set({ auth_epoch: 1, state: "ending", end_reason: "task-done" });
    assert.equal(await put(), 410);
    await set({ state: "temporary", end_reason: null });
    await db.updateTable("tokens").set({ ended_at: 1 }).execute();
    assert.equal(await put(), 401);
    await db.updateTable("tokens").set({ ended_at: null }).execute();
    const other = await desk.shop.client();
    for (const changed of [
      upload_url.replace(desk.client.id, other.id),
      upload_url.replace(desk.id, crypto.randomUUID()),
      upload_url.replace("import/file", "export/file"),
      upload_url.slice(0, -3),
    ])
      assert.equal((await desk.open(changed.includes("export") ? "GET" : "PUT", changed)).status, 401, changed);
    assert.equal(await put(), 200);
    desk.bench.clock.advance(901_000);
    assert.equal(await put(), 401);
    assert.equal(desk.spooled().length, 1);
    await desk.bench.store.transaction((tx) => desk.shop.products.find(({ name }) => name === "d1")!.teardown(tx, desk.client.id));
    assert.deepEqual(desk.spooled(), []);
  });
});

describe("An export", () => {
  test("answers an address that streams what the database holds when it is opened", async () => {
    await using desk = await openDesk();
    const ask = (dump_options: unknown) => desk.ask("export", { output_format: "polling", dump_options });
    const { result } = await ask({ no_schema: false, no_data: true, tables: ["t"] });
    assert.deepEqual([result.status, result.at_bookmark, result.result.filename], ["complete", bookmarkOf(3_000), "main.sql"]);
    const answer = await desk.open("GET", result.result.signed_url);
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), "-- t true false\ncreate table t(v);\n");
    assert.ok((await desk.actions()).includes("d1:export done"));
    for (const [options, message] of [
      [{ no_schema: true, no_data: true }, /dump_options: leaves out schema and data alike/],
      [{ tables: "t" }, /dump_options.tables/],
    ] as const) {
      const refused = await ask(options);
      assert.equal(refused.code, "database_input");
      assert.match(refused.message, message);
    }
    desk.bench.clock.advance(3_601_000);
    assert.equal((await desk.open("GET", result.result.signed_url)).status, 401);
  });

  test("that cannot be made says so before an address is answered", async () => {
    await using desk = await openDesk();
    const works = desk.shop.host.onState;
    desk.shop.host.onState = (job, body) => {
      if (job.kind !== "d1-export") return works(job, body);
      throw new PlatformError("invalid_input", { message: "D1 Export error: cannot export databases with Virtual Tables (fts5)" });
    };
    const refused = await desk.ask("export", { output_format: "polling" });
    assert.deepEqual([refused.status, refused.number], [400, 7500]);
    assert.match(refused.message, /Virtual Tables/);
  });

  test("closes with its account even where the address is fresh", async () => {
    await using desk = await openDesk();
    const { result } = await desk.ask("export", { output_format: "polling" });
    await desk.bench.store.db.updateTable("accounts").set({ state: "ending", end_reason: "task-done" }).execute();
    assert.equal((await desk.open("GET", result.result.signed_url)).status, 410);
  });
});

describe("What lies outside the process", () => {
  test("is not read for an account that the operator suspended", async () => {
    await using desk = await openDesk();
    const { bench, client, shop } = desk;
    await bench.store.transaction((tx) => transitions.suspend(tx, client.id, "operator", "too loud", bench.clock.now()));
    const asked = [
      () => client.call("GET", "/d1/database/main/time_travel/bookmark"),
      () => client.call("GET", "/d1/database/main/time_travel/bookmark?timestamp=2"),
      () => client.call("POST", "/d1/database/main/time_travel/restore?timestamp=2"),
      () => desk.ask("export", { output_format: "polling" }),
      () => desk.ask("import", { action: "init", etag: md5(SQL) }),
    ];
    for (const ask of asked) {
      const answer = await ask();
      assert.deepEqual([answer.status, answer.code], [403, "account_suspended"]);
    }
    assert.deepEqual(shop.host.jobs, []);
  });
});

describe("Time travel", () => {
  const at = (ms: number): string => encodeURIComponent(new Date(ms).toISOString());
  const get = (desk: Desk, query: string) => desk.client.call("GET", `/d1/database/main/time_travel/bookmark${query}`);
  const restore = (desk: Desk, query: string) => desk.client.call("POST", `/d1/database/main/time_travel/restore${query}`);

  test("names a bookmark of now, and the newest that is as old as a time", async () => {
    await using desk = await openDesk();
    assert.deepEqual((await get(desk, "")).result, { bookmark: bookmarkOf(3_000) });
    assert.deepEqual((await get(desk, `?timestamp=${at(1_999)}`)).result, { bookmark: bookmarkOf(1_000) });
    assert.deepEqual((await get(desk, "?timestamp=2")).result, { bookmark: bookmarkOf(2_000) });
    const early = await get(desk, `?timestamp=${at(999)}`);
    assert.deepEqual([early.status, early.code], [404, "bookmark_not_found"]);
    assert.match(early.message, /the oldest is of 1970-01-01T00:00:01\.000Z/);
    for (const query of ["?timestamp=yesterday", "?timestamp=-1", `?timestamp=${"9".repeat(20)}`])
      assert.equal((await get(desk, query)).code, "database_input", query);
  });

  test("brings a database back by bookmark or by time, and names the way back", async () => {
    await using desk = await openDesk();
    for (const query of [`?bookmark=${bookmarkOf(1_000)}`, `?timestamp=${at(1_500)}`]) {
      const { result } = await restore(desk, query);
      assert.deepEqual([result.bookmark, result.previous_bookmark], [bookmarkOf(1_000), bookmarkOf(3_000)]);
      assert.match(result.message, /"main" is as it was at 1970-01-01T00:00:01\.000Z/);
    }
    assert.deepEqual(await desk.actions(), [
      "d1:create done",
      "d1:restore done",
      "d1:restore done",
      "d1:restore intent",
      "d1:restore intent",
    ]);
  });

  test("refuses a bookmark that is not there with those that are", async () => {
    await using desk = await openDesk();
    const gone = await restore(desk, `?bookmark=${bookmarkOf(1_500)}`);
    assert.deepEqual([gone.status, gone.code], [404, "bookmark_not_found"]);
    assert.match(gone.message, new RegExp(`${bookmarkOf(2_000)} \\(1970-01-01T00:00:02\\.000Z\\)`));
    for (const query of ["", "?bookmark=x", `?bookmark=${bookmarkOf(1_000)}&timestamp=2`])
      assert.equal((await restore(desk, query)).code, "database_input", query);
    assert.ok(!desk.shop.host.jobs.some(({ kind }) => kind === "d1-restore"));
  });

  test("has a bookmark of what was there before each migration, or says that it has none", async () => {
    await using desk = await openDesk();
    desk.shop.host.answer = { status: 200, body: "[]" };
    const migrate = async (): Promise<string> => {
      const sql = "create table t(v);\nINSERT INTO \"my migrations\" (name)\nvalues ('0001_it''s.sql');";
      const answer = await desk.shop.raw("POST", `/accounts/${desk.client.id}/d1/database/main/query`, {
        token: desk.client.token,
        json: { sql },
      });
      return answer.messages[0].message;
    };
    assert.match(await migrate(), new RegExp(bookmarkOf(3_000)));
    desk.shop.host.onState = () => {
      throw new PlatformError("capsule_failed", { message: "no" });
    };
    assert.match(await migrate(), /No bookmark could be taken/);
  });

  test("tells a migration from other statements", () => {
    const of = (...texts: string[]): boolean => appliesMigration(texts.map((sql) => ({ sql, params: [] })));
    const applied = "INSERT INTO \"d1_migrations\" (name)\nvalues ('0001_init.sql');";
    assert.ok(of(`create table t(v);\n${applied}`));
    assert.ok(of(`${"-- long\n".repeat(10_000)}create table t(v); -- with a comment\n${applied}`));
    assert.ok(of("create table t(v)", applied.replace('"d1_migrations"', "applied")));
    assert.ok(of(`select 1;${applied.replace("d1_migrations", 'a""b')}`));
    for (const other of [
      applied,
      "select 1; insert into users(name, age) values ('a', 1)",
      "select 1; -- insert into t(name) values ('a') x",
      "",
    ])
      assert.ok(!of(other), other);
  });
});
