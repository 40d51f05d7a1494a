// What a refused binding teaches: what the thing is, what does its work here, and what to do then.
import assert from "node:assert/strict";
import { test } from "node:test";
import { unavailable } from "../../../../src/control/products/workers/unavailable.ts";
import { openBench } from "../../../fixtures/databases.ts";
import { deploy, openShop } from "../../../fixtures/products.ts";

test("a type that clients know is told with what does its work here", () => {
  const { message, next } = unavailable("queue", '"JOBS"', []);
  assert.equal(message, 'bindings: "JOBS" is of type "queue", which this installation does not have yet (a queue).');
  assert.match(next, /^Keep the jobs in a Durable Object .* alarm\(\).*; then remove the binding and deploy again; README\.md lists/);
});

test("one that Cloudflare keeps for itself has nothing in its place, and a mistyped one is guessed", () => {
  assert.match(unavailable("unsafe_module", '"X"', []).next, /^Nothing stands in for it: remove the binding/);
  assert.match(unavailable("plain_txt", '"X"', ["plain_text", "json"]).next, /^Did you mean "plain_text"\? Else remove/);
  assert.match(unavailable("x".repeat(1000), '"X"', ["json"]).next, /^If you can, remove the binding/);
  assert.ok(unavailable("x".repeat(1000), '"X"', []).message.length < 300);
});

test("a deploy, and what a client asks of queues and buckets before it, are refused with the same words and never as a matter of permission", async () => {
  await using bench = await openBench(null);
  const client = await openShop(bench).client();
  const refused = await deploy(client, "w", { bindings: [{ type: "r2_bucket", name: "B", bucket_name: "b" }] });
  assert.deepEqual([refused.status, refused.code], [400, "invalid_upload"]);
  assert.match(refused.message, /"B" is of type "r2_bucket".*an R2 bucket.*KV holds values/s);
  const asked = [
    ["GET", "/queues?name=jobs&page=1", /Keep the jobs in a Durable Object/],
    ["POST", "/queues", /Keep the jobs/],
    ["GET", "/r2/buckets", /Keep values in KV/],
    ["GET", "/r2/buckets/b", /Keep values in KV/],
    ["POST", "/r2/buckets", /Keep values in KV/],
  ] as const;
  for (const [method, path, words] of asked) {
    const answer = await client.call(method, path, method === "POST" ? { json: {} } : {});
    assert.deepEqual([answer.status, answer.code], [400, "product_unavailable"], path);
    assert.match(answer.message, words);
  }
});
