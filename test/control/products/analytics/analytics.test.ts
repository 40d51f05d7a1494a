// Analytics Engine: what Workers write is what the SQL API reads, and a query changes nothing.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { toSqlite } from "../../../../src/control/products/analytics/contract.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { ESM, upload } from "../../../fixtures/products.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";

const SOURCE = `export default { async fetch(request, env) {
  const place = new URL(request.url).searchParams.get("place");
  env.AE.writeDataPoint({ blobs: [place, "é"], doubles: [21.5, 2], indexes: ["sensor"] });
  return new Response("written");
} };`;

type Answer = {
  readonly data: Record<string, unknown>[];
  readonly meta: { name: string; type: string }[];
  readonly errors?: { message: string }[];
};

describe("Analytics Engine", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let account: { id: string; name: string; apiToken: string };

  before(async () => {
    directory = await temporaryDirectory("analytics");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    ({ account } = await house.provision());
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });
  const call = (method: string, path: string, body?: FormData | string) =>
    house.call(method, `/accounts/${account.id}${path}`, { token: account.apiToken, ...(body !== undefined && { body }) });
  const query = async (sql: string): Promise<Answer> => (await call("POST", "/analytics_engine/sql", sql)) as unknown as Answer;
  const deploy = (dataset: string) =>
    call(
      "PUT",
      "/workers/scripts/app",
      upload({ bindings: [{ type: "analytics_engine", name: "AE", dataset }] }, [["index.js", ESM, SOURCE]]),
    );

  test("a query before any Worker binds a dataset says what to do", async () => {
    assert.match((await query("SELECT 1")).errors?.[0]?.message ?? "", /no Worker of this account binds a dataset/);
  });

  test("a bad name of a dataset is refused by its field", async () => {
    assert.match((await deploy("a b")).errors[0]?.message ?? "", /bindings\.0 \("AE"\)\.dataset: is not the name of a dataset/);
  });

  test("points are read back by columns, with the hosted original's shape", async () => {
    assert.equal((await deploy("weather")).status, 200);
    await call("POST", "/workers/scripts/app/subdomain", '{"enabled":true}');
    const label = `app--${account.name.split(" ")[0]}`;
    for (const place of ["Rome", "Oslo", "Rome"]) assert.equal((await house.edge(label, `/?place=${place}`)).body, "written");
    const sql =
      "SELECT blob1 AS place, SUM(_sample_interval) AS n, AVG(double1) AS t FROM weather WHERE index1 = 'sensor' AND timestamp > NOW() - INTERVAL '1' DAY GROUP BY place ORDER BY place FORMAT JSON";
    const answer = await awaitUntil(
      async () => {
        const got = await query(sql);
        return got.data?.[1]?.["n"] === 2 && got;
      },
      { what: "three points are there" },
    );
    assert.deepEqual(answer.data, [
      { place: "Oslo", n: 1, t: 21.5 },
      { place: "Rome", n: 2, t: 21.5 },
    ]);
    assert.deepEqual(answer.meta[0], { name: "place", type: "String" });
    assert.deepEqual((await query("SELECT DISTINCT blob2, blob20, double20 FROM weather")).data, [{ blob2: "é", blob20: "", double20: 0 }]);
  });

  test("a query changes nothing, and a wrong one says why", async () => {
    assert.match((await query("DELETE FROM weather")).errors?.[0]?.message ?? "", /neither SELECT nor WITH/);
    await query('SELECT 1; DELETE FROM "all points"');
    assert.deepEqual((await query("SELECT count() AS n FROM weather")).data, [{ n: 3 }]);
    assert.match((await query("SELECT nowhere FROM weather")).errors?.[0]?.message ?? "", /query: no such column: nowhere/);
  });

  test("bytes, infinities and names that objects have of themselves are answered like everything else", async () => {
    assert.deepEqual((await query("SELECT x'41ff' AS b, 9e999 AS i, NULL AS n")).data, [{ b: "41FF", i: null, n: null }]);
    assert.equal(JSON.stringify((await query('SELECT 1 AS "__proto__"')).data), '[{"__proto__":1}]');
  });

  test("an answer that is too long says so, and is not held", async () => {
    const long = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 9000) SELECT hex(zeroblob(2000)) AS z FROM c";
    const answer = await query(long);
    assert.match(answer.errors?.[0]?.message ?? "", /query: More than 4194304 characters: select fewer columns/);
  });

  test("long runs of white space cost no time", () => {
    const space = " ".repeat(65_000);
    const startedAtMs = performance.now();
    for (const sql of [`SELECT 1${space}x`, `SELECT 1 FORMAT JSON${space}x`, `SELECT NOW()${space}x`, `SELECT 1;${space}x`])
      assert.equal(toSqlite(sql).length > 65_000, true);
    assert.ok(performance.now() - startedAtMs < 1_000);
  });

  test("words of the hosted dialect are put into SQLite's", () => {
    assert.equal(toSqlite("SELECT NOW() - INTERVAL '2' WEEK;"), "SELECT datetime('now', '-14 day')");
    assert.equal(toSqlite("SELECT toDateTime('2026-01-01') FORMAT JSON"), "SELECT datetime('2026-01-01')");
    assert.equal(toSqlite("SELECT 1 AS FORMAT_JSON\nformat  json ;\n"), "SELECT 1 AS FORMAT_JSON");
  });
});
