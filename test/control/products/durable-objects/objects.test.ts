// Lists of a namespace's objects: what is asked of host, and what is made of its answer, which nobody trusts.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import * as transitions from "../../../../src/control/accounts/transitions.ts";
import type { StateJob } from "../../../../src/capsule/state.ts";
import { openBench, type Bench } from "../../../fixtures/databases.ts";
import { done, put } from "../../../fixtures/object-classes.ts";
import { openShop, type Client, type Shop } from "../../../fixtures/products.ts";

const id = (digit: string): string => digit.repeat(64);
const PATH = "/workers/durable_objects/namespaces";

describe("Objects of a namespace", () => {
  let bench: Bench;
  let shop: Shop;
  let client: Client;
  let namespace: string;
  let asked: StateJob[];

  const answering = (answer: string | (() => AsyncIterable<string>)): void => {
    asked = [];
    shop.host.state = (_, job) => {
      asked.push(job);
      return Promise.resolve(Readable.from(typeof answer === "string" ? [Buffer.from(answer)] : answer(), { objectMode: false }));
    };
  };

  before(async () => {
    bench = await openBench(null);
    shop = openShop(bench);
    client = await shop.client();
    await done(put(client, "app", ["A"], { migrations: { new_tag: "1", new_sqlite_classes: ["A"] } }));
    [{ id: namespace }] = await done(client.call("GET", PATH));
  });
  after(() => bench[Symbol.asyncDispose]());

  test("are asked for by the namespace's key, and answered page by page", async () => {
    const key = client.spec().keep.state?.objects[0];
    answering(JSON.stringify({ ids: [id("a"), id("b")], more: true }));
    const first = await client.call("GET", `${PATH}/${namespace}/objects?limit=2`);
    assert.deepEqual(first.result, [
      { id: id("a"), hasStoredData: true },
      { id: id("b"), hasStoredData: true },
    ]);
    assert.deepEqual(first.info, { count: 2, per_page: 2, cursor: id("b"), cursors: { after: id("b") } });
    assert.deepEqual(asked, [{ kind: "objects", key, after: null, limit: 2 }]);
    answering(JSON.stringify({ ids: [], more: false }));
    const last = await client.call("GET", `${PATH}/${namespace}/objects?cursor=${id("b")}`);
    assert.deepEqual([last.result, last.info.cursor, last.info.cursors], [[], "", { after: "" }]);
    assert.deepEqual(asked, [{ kind: "objects", key, after: id("b"), limit: 1000 }]);
  });

  for (const query of ["limit=0", "limit=1001", "limit=x", "cursor=..%2F..", `cursor=${id("G")}`, "cursor=abc"]) {
    test(`are not asked for with ${query}`, async () => {
      answering("");
      const answer = await client.call("GET", `${PATH}/${namespace}/objects?${query}`);
      assert.deepEqual([answer.status, answer.code, asked], [400, "invalid_input", []]);
      assert.match(answer.message, new RegExp(`^${query.split("=")[0]}: `));
    });
  }

  test("of another account, or of none, are not there", async () => {
    answering("");
    const stranger = await shop.client();
    for (const [by, which] of [
      [stranger, namespace],
      [client, "0".repeat(32)],
      [client, "x"],
    ] as const) {
      const answer = await by.call("GET", `${PATH}/${which}/objects`);
      assert.deepEqual([answer.status, answer.code, asked], [404, "object_namespace_not_found", []]);
    }
  });

  const endless = async function* (): AsyncIterable<string> {
    for (;;) yield "x".repeat(65_536);
  };
  const LIES: readonly (readonly [string, string | (() => AsyncIterable<string>)])[] = [
    ["nothing", ""],
    ["no JSON", "{"],
    ["no list", '{"ids":7,"more":false}'],
    ["ids that are none", '{"ids":["<script>"],"more":false}'],
    ["too many", JSON.stringify({ ids: Array.from({ length: 1001 }, () => id("a")), more: false })],
    ["bytes without end", endless],
  ];
  for (const [what, answer] of LIES) {
    test(`are not believed where host answers ${what}`, async () => {
      answering(answer);
      const refused = await client.call("GET", `${PATH}/${namespace}/objects`);
      assert.deepEqual([refused.status, refused.code], [503, "capsule_failed"]);
    });
  }

  test("are not read for an account that the operator suspended", async () => {
    answering("");
    await bench.store.transaction((tx) => transitions.suspend(tx, client.id, "operator", "too loud", bench.clock.now()));
    const refused = await client.call("GET", `${PATH}/${namespace}/objects`);
    assert.deepEqual([refused.status, refused.code, asked], [403, "account_suspended", []]);
  });
});
