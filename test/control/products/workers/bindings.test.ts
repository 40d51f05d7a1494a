// Secrets, inherited bindings and service bindings: what a version gets, and what it may not have.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openBench, onBothDatabases } from "../../../fixtures/databases.ts";
import { deploy, ESM, openShop, upload, type Client, type Module } from "../../../fixtures/products.ts";

const secretNames = async (client: Client, script: string): Promise<string[]> =>
  ((await client.call("GET", `/workers/scripts/${script}/secrets`)).result as { name: string }[]).map(({ name }) => name).sort();

const CALLEE: Module = ["index.js", ESM, "export class Rpc {}\nexport default {}"];
const service = (more: Record<string, unknown> = {}) => ({ bindings: [{ type: "service", name: "B", service: "callee", ...more }] });

function boundTo(client: Client, name: string) {
  const binding = client
    .spec()
    .units.flatMap((unit) => unit.services)
    .flatMap((found) => (found.kind === "worker" ? found.bindings : []))
    .find((found) => found.name === name);
  assert.ok(binding?.kind === "service");
  return binding;
}

onBothDatabases("Secrets of a Worker", {
  "are set, listed without their text, changed in bulk, kept by a deploy and deleted": async (bench) => {
    const client = await openShop(bench).client();
    await deploy(client, "app");
    const put = await client.call("PUT", "/workers/scripts/app/secrets", { json: { name: "S1", text: "s3cr3t", type: "secret_text" } });
    assert.deepEqual([put.status, put.result], [200, { name: "S1", type: "secret_text" }]);
    const bulk = (secrets: unknown) =>
      client.call("PATCH", "/workers/scripts/app/secrets-bulk", {
        json: { secrets },
        headers: { "content-type": "application/merge-patch+json" },
      });
    const text = (value: string) => ({ type: "secret_text", text: value });
    assert.equal((await bulk({ S2: { name: "S2", ...text("two") }, S3: text("three") })).status, 200);
    assert.equal((await bulk({ S3: null, S4: text("four"), S9: null })).status, 200);
    assert.deepEqual(await secretNames(client, "app"), ["S1", "S2", "S4"]);
    assert.equal((await client.call("DELETE", "/workers/scripts/app/secrets/S4?url_encoded=true")).status, 200);
    assert.equal((await client.call("DELETE", "/workers/scripts/app/secrets/S4?url_encoded=true")).code, "secret_not_found");
    await deploy(client, "app", { keep_bindings: ["secret_text", "secret_key"] });
    assert.deepEqual(await secretNames(client, "app"), ["S1", "S2"]);
    const [found] = client.spec().units[0]?.services ?? [];
    assert.ok(found?.kind === "worker");
    assert.deepEqual(found.bindings[0], { kind: "text", name: "S1", text: "s3cr3t" });
    assert.deepEqual((await client.call("GET", "/workers/scripts/app/secrets/S1")).result, { type: "secret_text", name: "S1" });
    assert.equal((await client.call("GET", "/workers/scripts/app/secrets/S4")).code, "secret_not_found");
    await deploy(client, "app");
    assert.deepEqual(await secretNames(client, "app"), []);
  },

  "never lie in the database in the clear, nor leave the API": async (bench) => {
    const client = await openShop(bench).client();
    const planted = "planted-secret-7781";
    const written = "planted-by-tenant-7781";
    await deploy(client, "app", {
      bindings: [
        { type: "secret_text", name: "S", text: planted },
        { type: "plain_text", name: "P", text: written },
      ],
      annotations: { "workers/message": written },
      tags: [written],
      observability: { note: written },
      placement: { note: written },
    });
    for (const path of ["scripts/app/settings", "scripts/app/secrets", "scripts/app/versions", "services/app", "workers/app", "scripts"]) {
      assert.ok(!JSON.stringify(await client.call("GET", `/workers/${path}`)).includes(planted));
    }
    for (const table of ["worker_versions", "workers", "worker_deployments", "trail"] as const) {
      const rows = await bench.store.db.selectFrom(table).selectAll().execute();
      const bytes = rows.flatMap((row) =>
        Object.values(row).map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : JSON.stringify(value))),
      );
      assert.ok(!bytes.some((text) => text?.includes(planted) || text?.includes(written)), table);
    }
  },

  "are not set over a latest version that nobody deployed, but make a version of it": async (bench) => {
    const client = await openShop(bench).client();
    await deploy(client, "app");
    await client.call("POST", "/workers/scripts/app/versions", {
      body: upload({ bindings: [{ type: "plain_text", name: "P", text: "p" }] }),
    });
    const put = await client.call("PUT", "/workers/scripts/app/secrets", { json: { name: "S", text: "x" } });
    assert.deepEqual([put.status, put.code], [409, "latest_not_deployed"]);
    const patched = await client.call("PATCH", "/workers/workers/app/versions/latest", {
      json: { env: { S: { type: "secret_text", text: "x" } }, annotations: { "workers/message": "m" } },
    });
    const version = await client.call("GET", `/workers/scripts/app/versions/${patched.result.id}`);
    assert.deepEqual(
      version.result.resources.bindings.map(({ name }: { name: string }) => name),
      ["P", "S"],
    );
    assert.equal((await client.call("GET", "/workers/scripts/app/deployments")).result.deployments.length, 1);
  },

  "have the name of no other binding": async (bench) => {
    const client = await openShop(bench).client();
    await deploy(client, "app", { bindings: [{ type: "plain_text", name: "P", text: "p" }] });
    const put = await client.call("PUT", "/workers/scripts/app/secrets", { json: { name: "P", text: "x" } });
    assert.equal(put.code, "invalid_upload");
    assert.match(put.message, /"P" is a binding of type plain_text/);
  },
});

describe("Inherited bindings", () => {
  test("are those of the latest version; one that it lacks is 10057", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    const inherit = (name: string, more = {}) => ({ bindings: [{ type: "inherit", name, ...more }] });
    assert.equal((await deploy(client, "app", inherit("V"))).code, "invalid_inherit");
    await deploy(client, "app", { bindings: [{ type: "plain_text", name: "V", text: "kept" }] });
    assert.equal((await deploy(client, "app", inherit("V"))).status, 200);
    assert.equal((await deploy(client, "app", inherit("W", { old_name: "V" }))).status, 200);
    const { result } = await client.call("GET", "/workers/scripts/app/settings");
    assert.deepEqual(result.bindings, [{ type: "plain_text", name: "W", text: "kept" }]);
    const refused = await deploy(client, "app", inherit("V"));
    assert.deepEqual([refused.status, refused.code], [400, "invalid_inherit"]);
  });

  test("of --keep-vars stay unless their name was sent", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    const vars = (values: Record<string, string>) => ({
      bindings: Object.entries(values).map(([name, text]) => ({ type: "plain_text", name, text })),
    });
    await deploy(client, "app", vars({ A: "1", B: "2" }));
    await deploy(client, "app", { ...vars({ B: "3" }), keep_bindings: ["plain_text", "json", "secret_text"] });
    const { result } = await client.call("GET", "/workers/scripts/app/settings");
    assert.deepEqual(
      result.bindings.map(({ name, text }: { name: string; text: string }) => `${name}=${text}`),
      ["B=3", "A=1"],
    );
  });
});

describe("Service bindings", () => {
  test("reach the callee's version that serves, by entrypoint and with props", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    await deploy(client, "callee", {}, [CALLEE]);
    await deploy(client, "caller", service({ entrypoint: "Rpc", props: { a: 1 } }));
    const bound = boundTo(client, "B");
    assert.deepEqual([bound.entrypoint, bound.props], ["Rpc", '{"a":1}']);
    await deploy(client, "callee", {}, [CALLEE]);
    assert.notEqual(boundTo(client, "B").service, bound.service);
    const references = await client.call("GET", "/workers/scripts/callee/references");
    assert.deepEqual(references.result.services.incoming, [{ service: "caller", environment: "production", name: "B" }]);
    assert.deepEqual((await client.call("GET", "/workers/scripts/caller/references")).result.services.incoming, []);
  });

  test("to a Worker or entrypoint that is not there are refused, and the entrypoints there are named", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    const missing = await deploy(client, "caller", service());
    assert.deepEqual([missing.status, missing.code], [400, "invalid_upload"]);
    assert.match(missing.message, /"B" binds the Worker "callee", which this account does not have\. Deploy that Worker first/);
    await deploy(client, "callee", {}, [CALLEE]);
    const wrong = await deploy(client, "caller", service({ entrypoint: "Nope" }));
    assert.match(wrong.message, /does not export it; it has "Rpc"/);
    assert.equal((await deploy(client, "caller", service({ entrypoint: "default" }))).status, 200);
  });

  test("to itself are checked against the code that comes with them", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    const self = (entrypoint: string) => ({ bindings: [{ type: "service", name: "ME", service: "me", entrypoint }] });
    assert.equal((await deploy(client, "me", self("Rpc"), [CALLEE])).status, 200);
    const wrong = await deploy(client, "me", self("Other"), [CALLEE]);
    assert.equal(wrong.code, "invalid_upload");
    assert.equal(
      (await deploy(client, "fresh", { bindings: [{ type: "service", name: "ME", service: "fresh", entrypoint: "Rpc" }] })).code,
      "invalid_upload",
    );
    assert.equal((await client.call("GET", "/workers/services/fresh")).code, "worker_not_found");
  });

  test("whose callee drops the entrypoint or is deleted lead to a stand-in that says so", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    await deploy(client, "callee", {}, [CALLEE]);
    await deploy(client, "caller", service({ entrypoint: "Rpc", props: { a: 1 } }));
    await deploy(client, "callee");
    assert.deepEqual(boundTo(client, "B"), {
      kind: "service",
      name: "B",
      service: "absent",
      props: '{"worker":"callee","entrypoint":"Rpc"}',
    });
    await client.call("DELETE", "/workers/services/callee?force=true");
    assert.equal(boundTo(client, "B").service, "absent");
    assert.deepEqual(
      client.spec().units[0]?.services.map(({ id }) => id.slice(0, 2)),
      ["w-", "ab"],
    );
    await deploy(client, "callee", {}, [CALLEE]);
    assert.equal(boundTo(client, "B").entrypoint, "Rpc");
  });

  test("always need permission on the Worker they bind, inherited and kept ones included", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const owner = await shop.client();
    await deploy(owner, "callee", {}, [CALLEE]);
    await deploy(owner, "caller", service());
    const on = (action: "workers:read" | "workers:write", id: string) => ({
      action,
      resource: { product: "workers" as const, id },
      conditions: [],
    });
    const token = await shop.issue(owner, [on("workers:write", "caller"), on("workers:read", "caller")]);
    const put = (metadata: Record<string, unknown>) => owner.call("PUT", "/workers/scripts/caller", { token, body: upload(metadata) });
    for (const metadata of [service(), { bindings: [{ type: "inherit", name: "B" }] }, { keep_bindings: ["service"] }]) {
      const refused = await put(metadata);
      assert.deepEqual([refused.status, refused.code], [403, "forbidden"]);
      assert.match(refused.message, /workers:read on workers\/callee/);
    }
    assert.equal(shop.refusals.length, 3);
    const settings = await owner.call("PATCH", "/workers/scripts/caller/settings", { token, json: service() });
    assert.equal(settings.status, 403);
    assert.equal((await put({})).status, 200);
  });
});
