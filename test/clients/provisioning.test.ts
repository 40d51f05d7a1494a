// A configuration without ids, as an agent writes it: what is here is made by the deploy and used again by the next ones, what
// is not here is refused on the terminal with what to use instead.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startInstallation } from "../fixtures/installation.ts";
import { startAgent } from "../fixtures/wrangler.ts";

const CODE = `export default { async fetch(request, env) {
  await env.MY_KV.put("x", "1");
  const { one } = await env.DB.prepare("select 1 as one").first();
  return Response.json([await env.MY_KV.get("x"), one]); } };`;

type Listed = readonly { readonly id?: string; readonly title?: string; readonly uuid?: string; readonly name?: string }[];

test("a queue in the configuration is refused with its alternative, and what the first deploy made is used by the next ones", async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  agent.write("index.js", CODE);
  const base = {
    name: "provw",
    main: "index.js",
    compatibility_date: "2026-06-01",
    kv_namespaces: [{ binding: "MY_KV" }],
    d1_databases: [{ binding: "DB" }],
  };
  agent.write("wrangler.jsonc", JSON.stringify({ ...base, queues: { producers: [{ binding: "JOBS" }] } }));
  const refused = await agent.wrangler(["deploy", "--temporary"]);
  assert.notEqual(refused.code, 0, refused.output);
  assert.match(refused.output, /Queues: not there yet in this installation/);
  assert.match(refused.output, /Keep the jobs in a Durable Object or in D1/);
  const { id, apiToken } = agent.account();
  const list = async (path: string): Promise<Listed> => {
    const response = await fetch(`${installation.api}/accounts/${id}/${path}`, { headers: { authorization: `Bearer ${apiToken}` } });
    return ((await response.json()) as { result: Listed }).result;
  };
  const before = await list("storage/kv/namespaces");
  assert.deepEqual(
    before.map(({ title }) => title),
    ["provw-my-kv"],
  );
  const database = await list("d1/database");
  assert.equal(database.length, 1);
  agent.write("wrangler.jsonc", JSON.stringify({ ...base, r2_buckets: [{ binding: "BUCKET" }] }));
  const bucket = await agent.wrangler(["deploy", "--temporary"]);
  assert.notEqual(bucket.code, 0, bucket.output);
  assert.match(bucket.output, /Keep values in KV, up to 25 MiB each/);
  // Never deployed as yet: wrangler asks for both anew, and is given what is there.
  agent.write("wrangler.jsonc", JSON.stringify(base));
  const deployed = await agent.wrangler(["deploy", "--temporary"]);
  assert.equal(deployed.code, 0, deployed.output);
  assert.deepEqual([await list("storage/kv/namespaces"), await list("d1/database")], [before, database]);
  // By hand, a name that is taken stays taken.
  const again = await agent.wrangler(["kv", "namespace", "create", "provw-my-kv", "--temporary"]);
  assert.match(again.output, /already exists/);
  const inherited = await agent.wrangler(["deploy", "--temporary"]);
  assert.equal(inherited.code, 0, inherited.output);
  assert.deepEqual(await list("storage/kv/namespaces"), before);
  assert.equal((await list("d1/database")).length, 1);
  assert.equal((await installation.edge(agent.target())).body, '["1",1]');
});
