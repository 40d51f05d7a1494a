// Uploads that are tried and run by workerd itself: every kind of module and binding as a tenant's code sees it.
import assert from "node:assert/strict";
import { before, after, describe, test } from "node:test";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { ESM, upload, type Module } from "../../../fixtures/products.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";

/** (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)) */
const ADD = Uint8Array.from(
  "0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b".match(/../g) ?? [],
  (byte) => Number.parseInt(byte, 16),
);

type Run = { readonly house: House; readonly account: string; readonly token: string; readonly subdomain: string };

describe("An upload that workerd runs", () => {
  let directory: TemporaryDirectory;
  let run: Run;

  before(async () => {
    directory = await temporaryDirectory("live");
    const house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    const { account } = await house.provision();
    run = { house, account: account.id, token: account.apiToken, subdomain: account.name.split(" ")[0] ?? "" };
  });
  after(async () => {
    await run.house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const api = <T>(method: string, path: string, body?: FormData | string) =>
    run.house.call<T>(method, `/accounts/${run.account}/workers/${path}`, { token: run.token, ...(body !== undefined && { body }) });
  const put = async (name: string, metadata: Record<string, unknown>, modules: readonly Module[]): Promise<void> => {
    const answer = await api("PUT", `scripts/${name}`, upload(metadata, modules));
    assert.equal(answer.status, 200, answer.errors[0]?.message);
    assert.equal((await api("POST", `scripts/${name}/subdomain`, '{"enabled":true}')).status, 200);
  };
  const refused = async (name: string, metadata: Record<string, unknown>, modules: readonly Module[]): Promise<string> => {
    const answer = await api("PUT", `scripts/${name}`, upload(metadata, modules));
    assert.deepEqual([answer.status, answer.errors[0]?.code], [400, 10021]);
    return answer.errors[0]?.message ?? "";
  };
  const get = async (name: string, path = "/"): Promise<string> => (await run.house.edge(`${name}--${run.subdomain}`, path)).body;
  const esm = (source: string): Module => ["index.js", ESM, source];

  test("imports modules of every kind, under names with and without ./", async () => {
    const source = `import wasm from "./0a1b-add.wasm"; import text from "./0a1b-note.txt"; import data from "./lib/data.bin";
      import conf from "./conf.json"; import old from "./old.cjs"; import { other } from "./lib/other.js";
      export default { async fetch() {
        const { exports } = await WebAssembly.instantiate(wasm);
        return Response.json([exports.add(2, 40), text, data.byteLength, conf.a, old.b, other]); } };`;
    await put("mods", {}, [
      esm(source),
      ["./0a1b-add.wasm", "application/wasm", ADD],
      ["./0a1b-note.txt", "text/plain", "a note"],
      ["lib/data.bin", "application/octet-stream", "1234"],
      ["conf.json", "application/json", '{"a":"json"}'],
      ["old.cjs", "application/javascript", "module.exports = { b: 'cjs' };"],
      ["lib/other.js", ESM, "import text from '../0a1b-note.txt'; export const other = text.length;"],
      ["index.js.map", "application/source-map", '{"version":3}'],
    ]);
    assert.equal(await get("mods"), '[42,"a note",4,"json","cjs",6]');
  });

  test("sees variables, secrets, JSON and the version that it is", async () => {
    await put(
      "vars",
      {
        annotations: { "workers/tag": "t7" },
        bindings: [
          { type: "plain_text", name: "P", text: "plain" },
          { type: "json", name: "J", json: { a: [1] } },
          { type: "secret_text", name: "S", text: "hidden" },
          { type: "version_metadata", name: "V" },
        ],
      },
      [esm("export default { fetch: (_, env) => Response.json([env.P, env.J, env.S, env.V.tag, env.V.id.length]) }")],
    );
    assert.equal(await get("vars"), '["plain",{"a":[1]},"hidden","t7",36]');
    await api("PUT", "scripts/vars/secrets", JSON.stringify({ name: "S", text: "changed" }));
    assert.match(await get("vars"), /"changed"/);
  });

  test("in service-worker format has its parts as globals", async () => {
    await put(
      "classic",
      {
        main_module: undefined,
        body_part: "index.js",
        bindings: [
          { type: "plain_text", name: "P", text: "plain" },
          { type: "text_blob", name: "T", part: "t" },
          { type: "data_blob", name: "D", part: "d" },
          { type: "wasm_module", name: "W", part: "./w" },
        ],
      },
      [
        [
          "index.js",
          "application/javascript",
          "addEventListener('fetch', (e) => e.respondWith(Response.json([P, T, D.byteLength, new WebAssembly.Instance(W).exports.add(1, 2)])))",
        ],
        ["t", "text/plain", "text"],
        ["d", "application/octet-stream", "12345"],
        ["./w", "application/wasm", ADD],
      ],
    );
    assert.equal(await get("classic"), '["plain","text",5,3]');
  });

  test("calls Workers of its account by fetch and RPC; one that is gone says so and stops nobody", async () => {
    const callee = (more: string) =>
      esm(`import { WorkerEntrypoint } from "cloudflare:workers"; ${more}
      export default { fetch: (request) => new Response("callee " + new URL(request.url).pathname) };`);
    const rpc = "export class Rpc extends WorkerEntrypoint { sum(a, b) { return a + b + (this.ctx.props.c ?? 0); } }";
    await put("callee", {}, [callee(rpc)]);
    await put(
      "caller",
      {
        bindings: [
          { type: "service", name: "B", service: "callee" },
          { type: "service", name: "R", service: "callee", entrypoint: "Rpc", props: { c: 10 } },
        ],
      },
      [
        esm(`const tried = async (fn) => { try { return await fn(); } catch (error) { return error.message; } };
          export default { async fetch(request, env) { return Response.json([
            await tried(async () => (await env.B.fetch("http://b/x")).text()), await tried(() => env.R.sum(1, 2)) ]); } };`),
      ],
    );
    assert.equal(await get("caller"), '["callee /x",13]');
    await put("callee", {}, [callee("")]);
    const [fetched, called] = JSON.parse(await get("caller")) as [string, string];
    assert.equal(fetched, "callee /x");
    assert.match(called, /"callee" or its entrypoint "Rpc" does not exist/);
    assert.equal((await api("DELETE", "services/callee?force=true")).status, 200);
    assert.match(await get("caller"), /The bound Worker \\"callee\\" does not exist/);
    assert.match(await get("vars"), /plain/);
  });

  test("without a default export is bound by its entrypoints only", async () => {
    await put("named", {}, [esm(`import { WorkerEntrypoint } from "cloudflare:workers"; export class Rpc extends WorkerEntrypoint {}`)]);
    const bind = (entrypoint?: string) => ({ bindings: [{ type: "service", name: "B", service: "named", entrypoint }] });
    assert.match(
      await refused("binder", bind(), [esm("export default {}")]),
      /names the default export of the Worker "named".* it has "Rpc"/,
    );
    await put("binder", bind("Rpc"), [esm("export default { fetch: () => new Response('ok') }")]);
    assert.equal(await get("binder"), "ok");
  });

  test("is refused in the runtime's words when it cannot start, with file and line, and the old one goes on", async () => {
    await put("app", {}, [esm("export default { fetch: () => new Response('old') }")]);
    const cases: readonly (readonly [string, RegExp])[] = [
      ["export default {", /SyntaxError.*index\.js/s],
      ["function f() { throw new TypeError('top boom'); }\nf();\nexport default {}", /TypeError: top boom\n\s+at index\.js:1:\d+ in f\n/],
      ["import './nope.js'; export default {}", /nope\.js/],
      ["await fetch('http://example.com'); export default {}", /Disallowed operation called within global scope/],
      ["export const x = 1; export default {}", /Incorrect type for map entry 'x'/],
    ];
    for (const [source, message] of cases) assert.match(await refused("app", {}, [esm(source)]), message);
    assert.equal(await get("app"), "old");
    assert.match(
      await refused("json", {}, [esm("import './a.json'; export default {}"), ["a.json", "application/json", "{nope"]]),
      /json/i,
    );
  });

  test("serves static assets first, binds them, and is reached through them by a service binding", async () => {
    const files = { "/index.html": "<h1>hi</h1>", "/deep/a b.txt": "text", "/404.html": "custom 404" };
    const hashed = Object.entries(files).map(([path, content], at) => ({ path, content, hash: `h${at}` }));
    const manifest = Object.fromEntries(hashed.map(({ path, content, hash }) => [encodeURI(path), { hash, size: content.length }]));
    const session = await api<{ jwt: string }>("POST", "scripts/site/assets-upload-session", JSON.stringify({ manifest }));
    const form = new FormData();
    for (const { content, hash } of hashed)
      form.append(hash, new File([Buffer.from(content).toString("base64")], hash, { type: "text/html" }));
    const done = await run.house.call<{ jwt: string }>("POST", `/accounts/${run.account}/workers/assets/upload?base64=true`, {
      token: session.result.jwt,
      body: form,
    });
    assert.equal(done.status, 201, done.errors[0]?.message);
    const metadata = {
      assets: { jwt: done.result.jwt, config: { not_found_handling: "404-page", run_worker_first: ["/api/*"] } },
      bindings: [{ type: "assets", name: "ASSETS" }],
    };
    await put("site", metadata, [
      esm(`import { WorkerEntrypoint } from "cloudflare:workers";
        export default class extends WorkerEntrypoint {
          twice(n) { return 2 * n; }
          async fetch(request) { return new Response("worker " + await (await this.env.ASSETS.fetch("http://x/deep/a%20b.txt")).text()); } }`),
    ]);
    assert.equal(await get("site"), "<h1>hi</h1>");
    assert.equal(await get("site", "/deep/a%20b.txt"), "text");
    assert.equal(await get("site", "/api/x"), "worker text");
    await put("binder", { bindings: [{ type: "service", name: "B", service: "site" }] }, [
      esm(
        `export default { async fetch(request, env) { return Response.json([await (await env.B.fetch("http://x/")).text(), await env.B.twice(21)]); } }`,
      ),
    ]);
    assert.equal(await get("binder"), '["<h1>hi</h1>",42]');
  });
});
