// Durable Objects by the official `cloudflare` SDK: lists of namespaces and of objects.
import assert from "node:assert/strict";
import { test } from "node:test";
import Cloudflare from "cloudflare";
import { startInstallation } from "../fixtures/installation.ts";
import { tenantAt } from "../fixtures/tenant.ts";

const CODE = `import { DurableObject } from "cloudflare:workers";
  export class Counter extends DurableObject {
    async inc() { const n = ((await this.ctx.storage.get("n")) ?? 0) + 1; await this.ctx.storage.put("n", n); return n; }
  }
  export default { async fetch(request, env) { return Response.json(await env.NS.getByName(new URL(request.url).pathname).inc()); } };`;

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of pages) found.push(one);
  return found;
}

test("The SDK's durableObjects lists namespaces, and their objects to the last page; a Worker's end takes them along", async () => {
  await using installation = await startInstallation();
  const tenant = await tenantAt(installation);
  const account_id = tenant.id;
  const client = new Cloudflare({ apiToken: tenant.token, baseURL: installation.api, maxRetries: 2 });
  const bindings = [{ type: "durable_object_namespace", name: "NS", class_name: "Counter" }];
  await tenant.deploy("app", CODE, { metadata: { bindings, migrations: { new_tag: "v1", new_sqlite_classes: ["Counter"] } } });
  for (const path of ["/a", "/b", "/c"]) assert.equal((await installation.edge(tenant.host("app"), path)).body, "1");

  const { namespaces } = client.durableObjects;
  const listed = await all(namespaces.list({ account_id, per_page: 1 }));
  assert.deepEqual(
    listed.map(({ id, ...rest }) => [typeof id, rest]),
    [["string", { name: "app_Counter", script: "app", class: "Counter", use_sqlite: true }]],
  );
  const objects = await all(namespaces.objects.list(listed[0]?.id ?? "", { account_id, limit: 2 }));
  assert.equal(new Set(objects.map(({ id }) => id)).size, 3);
  assert.ok(objects.every(({ id, hasStoredData }) => /^[0-9a-f]{64}$/.test(id ?? "") && hasStoredData));

  await client.workers.scripts.delete("app", { account_id, force: true });
  assert.deepEqual(await all(namespaces.list({ account_id })), []);
});
