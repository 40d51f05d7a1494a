// Objects as workerd runs them, reached through the edge: what they keep, and what becomes of it when code changes.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";
import { tenantOfHouse, type Tenant } from "../../../fixtures/tenant.ts";

const COUNTER = `
  import { DurableObject } from "cloudflare:workers";
  class Base extends DurableObject {
    async inc() { const n = ((await this.ctx.storage.get("n")) ?? 0) + 1; await this.ctx.storage.put("n", n); return n; }
  }`;
const counting = (className: string, says = ""): string => `${COUNTER}
  export class ${className} extends Base {}
  export default { async fetch(request, env) { return new Response("${says}" + await env.NS.getByName(new URL(request.url).pathname).inc()); } };`;
const binds = (className: string, more: Record<string, unknown> = {}) => [
  { type: "durable_object_namespace", name: "NS", class_name: className, ...more },
];

describe("Durable Objects in an account's process", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let tenant: Tenant;

  before(async () => {
    directory = await temporaryDirectory("objects");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    tenant = await tenantOfHouse(house);
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const get = async (worker: string, path = "/"): Promise<string> => (await house.edge(`${worker}--${tenant.subdomain}`, path)).body;
  const deploy = (worker: string, code: string, bindings: unknown, migrations?: unknown) =>
    tenant.deploy(worker, code, { metadata: { bindings, ...(migrations !== undefined && { migrations }) } });

  test("a class that an upload creates answers at once, and keeps its state through a redeploy", async () => {
    await deploy("counter", counting("Counter"), binds("Counter"), { new_tag: "v1", steps: [{ new_sqlite_classes: ["Counter"] }] });
    assert.deepEqual([await get("counter", "/a"), await get("counter", "/a"), await get("counter", "/b")], ["1", "2", "1"]);
    await deploy("counter", counting("Counter", "again "), binds("Counter"));
    assert.equal(await get("counter", "/a"), "again 3");
  });
});
