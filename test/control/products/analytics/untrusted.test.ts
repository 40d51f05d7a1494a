// What an account's process may answer to a query when it was taken over, bounded and checked, and who may hear it.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { openBench } from "../../../fixtures/databases.ts";
import { openShop } from "../../../fixtures/products.ts";

const SQL = "/analytics_engine/sql";

describe("A query's answer", () => {
  for (const body of ["", "{", "[]", '{"names":["a"],"rows":[[{}]]}', '{"names":"a"}']) {
    test(`that is ${JSON.stringify(body)} is the process's failure`, async () => {
      await using bench = await openBench(null);
      const shop = openShop(bench);
      const client = await shop.client();
      shop.host.answer = { status: 200, body };
      const answer = await client.call("POST", SQL, { body: "SELECT 1" });
      assert.deepEqual([answer.status, answer.code], [503, "capsule_failed"]);
    });
  }

  test("without end is read to its bound alone", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const client = await shop.client();
    const bodies: Readable[] = [];
    const endless = (status: number) => () => {
      let sent = 0;
      const chunk = Buffer.alloc(1_048_576, 0x20);
      const body = new Readable({ read: () => body.push(sent++ < 64 ? chunk : null) });
      bodies.push(body);
      return Promise.resolve({ status, headers: {}, body });
    };
    for (const [status, code] of [
      [200, "capsule_failed"],
      [500, "invalid_input"],
    ] as const) {
      shop.host.call = endless(status);
      assert.equal((await client.call("POST", SQL, { body: "SELECT 1" })).code, code);
    }
    assert.deepEqual(
      bodies.map(({ destroyed, readableEnded }) => [destroyed, readableEnded]),
      [
        [true, false],
        [true, false],
      ],
    );
  });

  test("is not given to a token that ended while the query arrived", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const client = await shop.client();
    shop.host.answer = { status: 200, body: '{"names":["a"],"rows":[[1]]}' };
    const end = () => bench.store.db.updateTable("tokens").set({ ended_at: 1 }).where("account_id", "=", client.id).execute();
    const answer = await client.call("POST", SQL, { body: "SELECT 1 AS a", meanwhile: end });
    assert.deepEqual([answer.status, answer.code], [401, "token_refused"]);
  });
});
