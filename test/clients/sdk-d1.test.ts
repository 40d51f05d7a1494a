// D1 through the official `cloudflare` SDK, generated from the original's OpenAPI, against a whole installation.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import Cloudflare, { APIError } from "cloudflare";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { solveChallenge } from "../fixtures/solve-challenge.ts";

const refusedWith = (status: number, code: number) => (error: unknown) => {
  assert.ok(error instanceof APIError);
  assert.deepEqual([error.status, error.errors[0]?.code], [status, code]);
  return true;
};

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of pages) found.push(one);
  return found;
}

describe("The SDK's d1.database", () => {
  let installation: Installation;
  let client: Cloudflare;
  let account_id: string;
  let id: string;

  before(async () => {
    installation = await startInstallation({ MAYFLY_D1_DATABASES: "3" });
    const post = async (path: string, body: unknown) => {
      const answer = await fetch(`${installation.api}/provisioning/${path}`, { method: "POST", body: JSON.stringify(body) });
      return ((await answer.json()) as { result: never }).result;
    };
    const challenge: Parameters<typeof solveChallenge>[0] & { challengeToken: string } = await post("previews/challenge", {});
    const made: { account: { id: string; apiToken: string } } = await post("previews", {
      acceptTermsOfService: "yes",
      challengeToken: challenge.challengeToken,
      solution: { checkpoints: solveChallenge(challenge) },
    });
    account_id = made.account.id;
    client = new Cloudflare({ apiToken: made.account.apiToken, baseURL: installation.api });
    id = (await client.d1.database.create({ account_id, name: "main", primary_location_hint: "weur" })).uuid ?? "";
  });
  after(() => installation[Symbol.asyncDispose]());

  test("creates, lists to the last page, gets, changes and deletes", async () => {
    const { database } = client.d1;
    const two = await database.create({ account_id, name: "two" });
    await assert.rejects(database.create({ account_id, name: "two" }), refusedWith(400, 7502));
    await database.create({ account_id, name: "three" });
    await assert.rejects(database.create({ account_id, name: "four" }), refusedWith(400, 7406));
    const listed = await all(database.list({ account_id, per_page: 2 }));
    assert.deepEqual(
      listed.map(({ name }) => name),
      ["main", "two", "three"],
    );
    assert.deepEqual((await all(database.list({ account_id, name: "two" }))).length, 1);
    const updated = await database.update(two.uuid ?? "", { account_id, read_replication: { mode: "auto" } });
    assert.deepEqual(updated.read_replication, { mode: "auto" });
    await database.edit(two.uuid ?? "", { account_id, read_replication: { mode: "disabled" } });
    const got = await database.get(two.uuid ?? "", { account_id });
    assert.deepEqual([got.name, got.version, got.num_tables, got.read_replication], ["two", "production", 0, { mode: "disabled" }]);
    await database.delete(two.uuid ?? "", { account_id });
    await assert.rejects(database.get(two.uuid ?? "", { account_id }), refusedWith(404, 7404));
  });

  test("queries as objects and raw, one statement and a batch", async () => {
    const { database } = client.d1;
    await all(database.query(id, { account_id, sql: "create table t(id integer primary key, name text)" }));
    const [inserted] = await all(database.query(id, { account_id, sql: "insert into t(name) values (?), (?)", params: ["a", "b"] }));
    assert.deepEqual([inserted?.success, inserted?.meta?.changes, inserted?.meta?.last_row_id], [true, 2, 2]);
    assert.equal(inserted?.meta?.served_by_primary, true);
    const both = await all(
      database.query(id, { account_id, batch: [{ sql: "select name from t where id = ?", params: ["1"] }, { sql: "select 1 as one" }] }),
    );
    assert.deepEqual(
      both.map(({ results }) => results),
      [[{ name: "a" }], [{ one: 1 }]],
    );
    const [raw] = await all(database.raw(id, { account_id, sql: "select * from t" }));
    assert.deepEqual(raw?.results, {
      columns: ["id", "name"],
      rows: [
        [1, "a"],
        [2, "b"],
      ],
    });
    await assert.rejects(async () => all(database.query(id, { account_id, sql: "select * from nope" })), refusedWith(400, 7500));
  });

  test("imports a file, exports it, and travels in time", async () => {
    const { database } = client.d1;
    const { timeTravel } = database;
    const { bookmark = "" } = await timeTravel.getBookmark(id, { account_id });
    const sql = "create table i(v); insert into i values ('one'), ('two');";
    const etag = createHash("md5").update(sql).digest("hex");
    const begun = await database.import(id, { account_id, action: "init", etag });
    const put = await fetch(begun.upload_url ?? "", { method: "PUT", body: sql });
    assert.deepEqual([put.status, put.headers.get("etag")], [200, `"${etag}"`]);
    const done = await database.import(id, { account_id, action: "ingest", etag, filename: begun.filename ?? "" });
    assert.deepEqual([done.status, done.result?.num_queries, done.result?.meta?.rows_written], ["complete", 2, 2]);
    const polled = await database.import(id, { account_id, action: "poll", current_bookmark: done.at_bookmark ?? "" });
    assert.deepEqual(polled, done);
    const exported = await database.export(id, { account_id, output_format: "polling", dump_options: { tables: ["i"] } });
    assert.equal(exported.status, "complete");
    const text = await (await fetch(exported.result?.signed_url ?? "")).text();
    assert.match(text, /INSERT INTO "i" \("v"\) VALUES\('two'\);/);
    const restored = await timeTravel.restore(id, { account_id, bookmark });
    assert.deepEqual([restored.bookmark, restored.previous_bookmark], [bookmark, done.result?.final_bookmark]);
    await assert.rejects(async () => all(database.query(id, { account_id, sql: "select * from i" })), refusedWith(400, 7500));
    await assert.rejects(timeTravel.restore(id, { account_id, timestamp: "2020-01-01T00:00:00Z" }), refusedWith(404, 71_470));
  });
});
