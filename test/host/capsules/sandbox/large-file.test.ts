// What a Worker meets when a file of its account's may grow no more: an error of its own, nothing lost of what was
// acknowledged before, and a database that is whole after a restart.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openHouse } from "../../../fixtures/house.ts";
import { edgeRequest } from "../../../fixtures/installation.ts";
import { temporaryDirectory } from "../../../fixtures/temporary-directory.ts";
import { tenantOfHouse } from "../../../fixtures/tenant.ts";

/** Half of it for one file. */
const DISK_BYTES = 8 * 1024 * 1024;

const WORKER = `import { DurableObject } from "cloudflare:workers";
export class Keep extends DurableObject {
  fill() {
    this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY, content BLOB)");
    return this.count();
  }
  count() { return this.ctx.storage.sql.exec("SELECT count(*) AS n, coalesce(sum(length(content)), 0) AS bytes FROM rows").one(); }
  add(kb) { this.ctx.storage.sql.exec("INSERT INTO rows (content) VALUES (randomblob(?))", kb * 1024); return this.count(); }
  drop() { this.ctx.storage.sql.exec("DELETE FROM rows WHERE n > 1"); return this.count(); }
  check() { return this.ctx.storage.sql.exec("SELECT count(*) AS n, sum(length(content)) AS bytes FROM rows WHERE typeof(content) = 'blob'").one(); }
}
export default { async fetch(request, env) {
  const [, name, argument] = new URL(request.url).pathname.split("/");
  const stub = env.KEEP.getByName("one");
  try {
    if (name === "kv") { await env.KV.put("k" + argument, "v".repeat(Number(argument) * 1024)); return new Response("put"); }
    return Response.json(await stub[name](Number(argument)));
  } catch (error) { return new Response("refused: " + error.message, { status: 507 }); }
} };`;

test("a database that may grow no more refuses the write, keeps what it has, and is whole after a restart", async () => {
  await using directory = await temporaryDirectory("large-file");
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 600, limits: { maxDiskBytes: DISK_BYTES } });
  const tenant = await tenantOfHouse(house);
  const namespace = await tenant.call<{ id: string }>("POST", `/accounts/${tenant.id}/storage/kv/namespaces`, '{"title":"n"}');
  const metadata = {
    bindings: [
      { type: "durable_object_namespace", name: "KEEP", class_name: "Keep" },
      { type: "kv_namespace", name: "KV", namespace_id: namespace.result.id },
    ],
    migrations: { new_tag: "v1", new_sqlite_classes: ["Keep"] },
  };
  await tenant.deploy("keep", WORKER, { metadata });
  const ask = (path: string) => edgeRequest(house.edgePort, tenant.host("keep"), path, {});
  assert.equal((await ask("/fill/0")).status, 200);
  let added = 0;
  let refusal = "";
  while (refusal === "") {
    const answer = await ask("/add/512");
    if (answer.status === 200) added = (JSON.parse(answer.body) as { n: number }).n;
    else refusal = `${answer.status} ${answer.body}`;
    assert.ok(added < 100, "it is refused at some time");
  }
  assert.match(refusal, /^507 refused: .*SQLITE_IOERR_WRITE/);
  assert.ok(added >= 2 && added * 512 * 1024 <= DISK_BYTES / 2, String(added));
  assert.equal((JSON.parse((await ask("/check/0")).body) as { n: number }).n, added, "what was acknowledged is there");
  assert.match((await ask("/kv/6000")).body, /^refused: /, "a value of KV is a file too");
  assert.equal((await ask("/kv/1000")).body, "put");
  assert.equal((await ask("/drop/0")).status, 200, "what makes room is let in");
  assert.equal((await ask("/add/512")).status, 200);
  await tenant.deploy("keep", `${WORKER}\n// again`, { metadata: { ...metadata, migrations: undefined } });
  assert.deepEqual(JSON.parse((await ask("/check/0")).body), { n: 2, bytes: 2 * 512 * 1024 });
});
