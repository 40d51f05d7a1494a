import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeConfig } from "../../../../src/host/capsules/workerd/encode.ts";
import { VOID, type WorkerdConfig } from "../../../../src/host/capsules/workerd/workerd-config.ts";
import { EMPTY_WASM } from "../../../fixtures/upload.ts";
import { internet, NOWHERE, run, shortDirectory, worker } from "../../../fixtures/workerd.ts";

const TEST = ["test", "--experimental", "--no-verbose", "--binary", "-", "main"];

describe("the encoder", () => {
  test("every kind of module arrives byte for byte", () => {
    const source = `
      import t from "./t.txt"; import d from "./d.bin"; import j from "./j.json"; import w from "./m.wasm"; import c from "./c.js";
      export default { test() { console.log(JSON.stringify([t, [...new Uint8Array(d)], j, String(w), c.default ?? c])) } };`;
    const { code, stdout, stderr } = run(TEST, {
      services: [
        worker("main", source, {
          modules: [
            { name: "main.js", esModule: source },
            { name: "t.txt", text: "\u{FEFF}h\u00E9llo \u{1F600}" },
            { name: "d.bin", data: new Uint8Array([0, 255, 7]) },
            { name: "j.json", json: '{"a":[1]}' },
            { name: "m.wasm", wasm: EMPTY_WASM },
            { name: "c.js", commonJsModule: "module.exports = { default: 7 }" },
          ],
        }),
        internet,
      ],
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), ["\u{FEFF}h\u00E9llo \u{1F600}", [0, 255, 7], { a: [1] }, "[object WebAssembly.Module]", 7]);
  });

  test("every kind of binding that a tenant may have arrives", () => {
    const source = `
      export default { async test(_, env) {
        console.log(JSON.stringify([env.T, env.J, [...new Uint8Array(env.D)], await env.P.tell(), await (await env.S.fetch("http://x/")).text()]));
      } };`;
    const { code, stdout, stderr } = run(TEST, {
      services: [
        worker("main", source, {
          bindings: [
            { name: "T", text: "t\u00E4xt" },
            { name: "J", json: "[1,2]" },
            { name: "D", data: new Uint8Array([9, 8]) },
            { name: "P", service: { name: "callee", entrypoint: "Api", props: { json: '{"who":"main"}' } } },
            { name: "S", service: { name: "script" } },
          ],
        }),
        worker(
          "callee",
          `import { WorkerEntrypoint } from "cloudflare:workers"; export class Api extends WorkerEntrypoint { tell() { return this.ctx.props.who } }`,
        ),
        {
          name: "script",
          worker: {
            serviceWorkerScript: `addEventListener("fetch", (event) => event.respondWith(new Response(String(W))))`,
            compatibilityDate: "2026-11-01",
            bindings: [{ name: "W", wasmModule: EMPTY_WASM }],
            globalOutbound: NOWHERE,
          },
        },
        internet,
      ],
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), ["t\u00E4xt", [1, 2], [9, 8], "main", "[object WebAssembly.Module]"]);
  });

  test("members without a value, groups, numbers and nested lists arrive: the products that come with workerd start", async (t) => {
    const disk = await shortDirectory(t);
    const source = `
      export default { async test(_, env) {
        await env.KV.put("a", "1"); const one = await env.KV.get("a");
        const row = await env.DB.prepare("select 2 as two").first();
        console.log(JSON.stringify([one, row.two, typeof env.DEBUG, env.HD.user]));
      } };`;
    const config: WorkerdConfig = {
      services: [
        worker("main", source, {
          compatibilityFlags: ["experimental"],
          bindings: [
            { name: "KV", kvNamespace: { name: "kv", props: { json: '{"namespace":"n"}' } } },
            {
              name: "DB",
              wrapped: {
                moduleName: "cloudflare-internal:d1-api",
                innerBindings: [{ name: "fetcher", service: { name: "d1", props: { json: '{"database":"d"}' } } }],
              },
            },
            { name: "DEBUG", workerdDebugPort: VOID },
            { name: "HD", hyperdrive: { designator: { name: "pg" }, database: "d", user: "someone", password: "p", scheme: "postgres" } },
          ],
        }),
        {
          name: "kv",
          worker: {
            modules: [{ name: "kv.js", bundled: "/workerd/kv.js" }],
            compatibilityDate: "2026-01-01",
            globalOutbound: NOWHERE,
            bindings: [
              { name: "SHARD", durableObjectNamespace: { className: "KVNamespace" } },
              { name: "BLOBS", service: { name: "disk" } },
            ],
            durableObjectNamespaces: [{ className: "KVNamespace", uniqueKey: "kv", enableSql: true }],
            durableObjectStorage: { localDisk: "disk" },
          },
        },
        {
          name: "d1",
          worker: {
            modules: [{ name: "d1.js", bundled: "/workerd/d1.js" }],
            compatibilityDate: "2026-01-01",
            globalOutbound: NOWHERE,
            bindings: [{ name: "DATABASE", durableObjectNamespace: { className: "D1Database" } }],
            durableObjectNamespaces: [{ className: "D1Database", uniqueKey: "d1", enableSql: true }],
            durableObjectStorage: { localDisk: "disk" },
          },
        },
        { name: "disk", disk: { path: disk, writable: true, allowDotfiles: false } },
        { name: "pg", external: { address: "unix:/nowhere", tcp: {} } },
        internet,
      ],
      v8Flags: ["--max-old-space-size=64"],
      extensions: [{ modules: [{ name: "ours:x", internal: true, esModule: "export const x = 1" }] }],
    };
    const { code, stdout, stderr } = run(TEST, config);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), ["1", 2, "object", "someone"]);
  });

  test("a field or member that the pinned workerd does not have is a bug, told by name", () => {
    assert.throws(() => encodeConfig({ services: [], nonsense: 1 } as unknown as WorkerdConfig), /Config has no field nonsense/);
    const http = { style: "tunnel" } as unknown as { style: "proxy" };
    assert.throws(() => encodeConfig({ services: [{ name: "x", external: { address: "a", http } }] }), /no member tunnel/);
    assert.throws(() => encodeConfig({ services: "x" } as unknown as WorkerdConfig), TypeError);
  });

  test("three megabytes of script encode and start", () => {
    const source = `export default { test() { console.log("big") } }; /* ${"x".repeat(3_000_000)} */`;
    const { code, stdout } = run(TEST, { services: [worker("main", source), internet] });
    assert.deepEqual([code, stdout.trim()], [0, "big"]);
  });
});
