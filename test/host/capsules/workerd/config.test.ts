import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { AssetsService, Binding, Service, Unit } from "../../../../src/capsule/spec.ts";
import {
  CF_BLOB_HEADER,
  CONTROL_SOCKET,
  EGRESS_SOCKET,
  FORWARDED_PROTO_HEADER,
  ingressSockets,
  PING_PATH,
  serveConfig,
} from "../../../../src/host/capsules/workerd/config.ts";
import { AccountFiles } from "../../../../src/host/capsules/files/files.ts";
import { moduleReader } from "../../../../src/host/capsules/workerd/modules.ts";
import { systemClock } from "../../../../src/kernel/clock.ts";
import { newAccountId } from "../../../../src/kernel/ids.ts";
import { Upload } from "../../../fixtures/upload.ts";
import { get, serve, shortDirectory } from "../../../fixtures/workerd.ts";
import { LIMITS } from "../../../fixtures/limits.ts";

const unitOf = (services: Service[], routes: readonly { label: string; service: string }[]): Unit => ({
  id: "u",
  services,
  fronts: [...new Set(routes.map(({ service }) => service))],
  ingress: routes.map(({ label, service }) => ({ label, worker: label, choices: [{ service, version: "v", percentage: 100 }] })),
});

/** File name of the socket that answers for the label. */
const socketAt = (unit: Unit, label: string): string | undefined => {
  const service = unit.ingress.find((route) => route.label === label)?.choices[0]?.service;
  return service === undefined ? undefined : ingressSockets(unit).get(service);
};

async function start(t: TestContext, upload: Upload, unit: Unit, assets = "/nowhere") {
  const sockets = await shortDirectory(t);
  const bytes = await moduleReader(unit.services, (hash) => upload.readCode("", hash));
  const config = serveConfig(unit, { inner: { sockets, assets, state: "/nowhere" }, bytes, limits: LIMITS });
  const running = await serve(t, config, 1 + ingressSockets(unit).size);
  return { ...running, sockets, at: (label: string) => join(sockets, socketAt(unit, label) ?? "none") };
}

describe("a unit as a configuration", () => {
  test("Workers answer on a socket each, labels may share one, and control answers the watchdog", async (t) => {
    const upload = new Upload();
    const unit = unitOf(
      [
        upload.worker(`export default { fetch() { return new Response("one") } }`, { id: "w-1" }),
        upload.script(`addEventListener("fetch", (event) => event.respondWith(new Response("two")))`, { id: "w-2" }),
      ],
      [
        { label: "a--x", service: "w-1" },
        { label: "b--x", service: "w-2" },
        { label: "alias-a--x", service: "w-1" },
      ],
    );
    const { at, sockets } = await start(t, upload, unit);
    assert.equal((await get(at("a--x"), "/")).body, "one");
    assert.equal((await get(at("b--x"), "/")).body, "two");
    assert.equal(at("alias-a--x"), at("a--x"));
    assert.equal(socketAt(unit, "c--x"), undefined);
    const pong = await get(join(sockets, CONTROL_SOCKET), PING_PATH);
    assert.deepEqual([pong.status, pong.body], [200, "pong"]);
  });

  test("request.cf and the scheme come from the edge's headers, which the Worker does not see", async (t) => {
    const upload = new Upload();
    const source = `export default { fetch(request) { return Response.json([request.url, request.cf, Object.fromEntries(request.headers)]) } }`;
    const unit = unitOf([upload.worker(source)], [{ label: "a--x", service: "w-1" }]);
    const { at } = await start(t, upload, unit);
    const sent = { [CF_BLOB_HEADER]: '{"colo":"MFY"}', [FORWARDED_PROTO_HEADER]: "https" };
    const [url, cf, headers] = JSON.parse((await get(at("a--x"), "/p?q", sent)).body) as [string, unknown, Record<string, string>];
    assert.equal(url, "https://tenant.example/p?q");
    assert.deepEqual(cf, { colo: "MFY" });
    assert.ok(!(CF_BLOB_HEADER in headers));
  });

  test("Workers called egress, kv, control, lens or internet-1 work like any other and reach nothing of ours", async (t) => {
    const upload = new Upload();
    const names = ["egress", "kv", "control", "lens", "internet-1"];
    const source = `export default { fetch(_, env) { return Response.json(Object.keys(env)) } }`;
    const unit = unitOf(
      names.map((id) => upload.worker(source, { id, bindings: [{ kind: "text", name: "NAME", text: id }] })),
      names.map((id) => ({ label: id, service: id })),
    );
    const { at, sockets } = await start(t, upload, unit);
    for (const name of names) assert.equal((await get(at(name), "/")).body, '["NAME"]');
    assert.equal((await get(join(sockets, CONTROL_SOCKET), PING_PATH)).body, "pong");
  });

  test("ids that are not distinct, or that are workerd's own, are never composed", () => {
    const upload = new Upload();
    const worker = (id: string) => upload.worker("export default {}", { id });
    const compose = (services: Service[]) =>
      serveConfig(unitOf(services, []), { inner: { sockets: "/s", assets: "/a", state: "/t" }, bytes: () => new Uint8Array() });
    assert.throws(() => compose([worker("w-1"), worker("w-1")]), /not distinct/);
    assert.throws(() => compose([worker("internet")]), /not distinct/);
  });

  test("every fetch of a Worker goes to the egress socket as an absolute URL, and without one it fails", async (t) => {
    const upload = new Upload();
    const source = `export default { async fetch() {
      try { return new Response(await (await fetch("https://example.com/x?y", { headers: { a: "b" } })).text()) }
      catch (error) { return new Response(error.message, { status: 502 }) } } }`;
    const unit = unitOf([upload.worker(source)], [{ label: "a--x", service: "w-1" }]);
    const { at, sockets } = await start(t, upload, unit);
    assert.equal((await get(at("a--x"), "/")).status, 502);
    const egress = createServer({ requireHostHeader: false }, (incoming, outgoing) =>
      outgoing.end(`${incoming.url} ${String(incoming.headers["a"])}`),
    );
    await new Promise<void>((resolve) => egress.listen(join(sockets, EGRESS_SOCKET), resolve));
    t.after(() => {
      egress.closeAllConnections();
      egress.close();
    });
    assert.equal((await get(at("a--x"), "/")).body, "https://example.com/x?y b");
  });

  test("Workers call each other by entrypoint with props, and what is absent says so", async (t) => {
    const upload = new Upload();
    const bindings: Binding[] = [
      { kind: "service", name: "API", service: "w-api", entrypoint: "Api", props: '{"n":2}' },
      { kind: "service", name: "GONE", service: "absent", props: '{"worker":"old","entrypoint":"Thing"}' },
    ];
    const caller = `export default { async fetch(_, env) {
      const said = [await env.API.twice(4)];
      for (const call of [() => env.GONE.fetch("http://x/"), () => env.GONE.anything(1), () => env.GONE.other()])
        said.push(await call().then(() => "answered", (error) => error.message));
      return Response.json(said) } }`;
    const api = `import { WorkerEntrypoint } from "cloudflare:workers"; export class Api extends WorkerEntrypoint { twice(x) { return x * this.ctx.props.n } }`;
    const absent: Service = {
      ...upload.worker("", { id: "absent" }),
      code: { format: "modules", modules: [{ name: "absent.js", kind: "esm", source: { runtime: "absent-service" } }] },
    };
    const unit = unitOf(
      [upload.worker(caller, { bindings }), upload.worker(api, { id: "w-api" }), absent],
      [{ label: "a--x", service: "w-1" }],
    );
    const { at } = await start(t, upload, unit);
    const said = JSON.parse((await get(at("a--x"), "/")).body) as unknown[];
    assert.equal(said[0], 8);
    for (const words of said.slice(1)) assert.match(String(words), /Worker "old" or its entrypoint "Thing" does not exist/);
  });

  test("an endless loop in a Worker silences control's ping: that is what the watchdog goes by", async (t) => {
    const upload = new Upload();
    const unit = unitOf([upload.worker(`export default { fetch() { for (;;); } }`)], [{ label: "a--x", service: "w-1" }]);
    const { at, sockets } = await start(t, upload, unit);
    get(at("a--x"), "/").catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 300));
    const ping = get(join(sockets, CONTROL_SOCKET), PING_PATH).then(
      () => "pong",
      () => "cut",
    );
    assert.equal(await Promise.race([ping, new Promise((resolve) => setTimeout(resolve, 1000, "silent"))]), "silent");
  });
});

describe("assets", () => {
  async function site(t: TestContext) {
    const data = await shortDirectory(t);
    const account = newAccountId();
    const files = new AccountFiles({ data, clock: systemClock, maxDiskBytes: 10_000_000 });
    const upload = new Upload();
    const put = async (text: string): Promise<string> => {
      const source = upload.put(text);
      const hash = "hash" in source ? source.hash : "";
      await files.put(account, "assets", hash, Buffer.from(text));
      return hash;
    };
    const assets: AssetsService = {
      kind: "assets",
      id: "a-1",
      origin: null,
      files: [
        { path: "/index.html", hash: await put("<h1>home</h1>") },
        { path: "/a b/\u00FC.css", hash: await put("p{}") },
        { path: "/404.html", hash: await put("nothing here") },
      ],
      config: '{"not_found_handling":"404-page"}',
      worker: null,
    };
    const lay = async (unit: Unit) => {
      await files.materialise({ account, units: [unit], limits: LIMITS });
      return join(files.directory(account), "assets");
    };
    return { files, account, upload, assets, lay, data };
  }

  test("alone, they answer with type, ETag and 404 page, and HEAD and If-None-Match work", async (t) => {
    const { assets, lay, upload } = await site(t);
    const unit = unitOf([assets], [{ label: "a--x", service: "a-1" }]);
    const { at } = await start(t, upload, unit, await lay(unit));
    const page = await get(at("a--x"), "/");
    assert.deepEqual([page.status, page.body], [200, "<h1>home</h1>"]);
    assert.match(page.headers["content-type"] ?? "", /^text\/html/);
    const etag = page.headers.etag ?? "";
    assert.equal((await get(at("a--x"), "/", { "if-none-match": etag })).status, 304);
    assert.equal((await get(at("a--x"), "/", {}, "HEAD")).body, "");
    assert.match((await get(at("a--x"), "/a%20b/%C3%BC.css")).headers["content-type"] ?? "", /^text\/css/);
    const gone = await get(at("a--x"), "/gone");
    assert.deepEqual([gone.status, gone.body], [404, "nothing here"]);
  });

  test("an ETag survives a redeploy that changes other files", async (t) => {
    const first = await site(t);
    const unit = unitOf([first.assets], [{ label: "a--x", service: "a-1" }]);
    const one = await start(t, first.upload, unit, await first.lay(unit));
    const before = (await get(one.at("a--x"), "/")).headers.etag;
    one.child.kill("SIGKILL");
    const second = await site(t);
    const changed = unitOf([{ ...second.assets, id: "a-2", files: second.assets.files.slice(0, 2) }], [{ label: "a--x", service: "a-2" }]);
    const two = await start(t, second.upload, changed, await second.lay(changed));
    assert.equal((await get(two.at("a--x"), "/")).headers.etag, before);
    assert.ok(before);
  });

  test("with a Worker, files come first, the Worker has the rest and an ASSETS binding", async (t) => {
    const { assets, lay, upload } = await site(t);
    const source = `export default { async fetch(request, env) { return new Response("worker " + await (await env.ASSETS.fetch("http://x/")).text()) } }`;
    const bindings: Binding[] = [{ kind: "service", name: "ASSETS", service: "a-1", entrypoint: "AssetWorker" }];
    const unit = unitOf(
      [upload.worker(source, { bindings }), { ...assets, config: "{}", worker: "w-1" }],
      [{ label: "a--x", service: "a-1" }],
    );
    const { at } = await start(t, upload, unit, await lay(unit));
    assert.equal((await get(at("a--x"), "/")).body, "<h1>home</h1>");
    assert.equal((await get(at("a--x"), "/else")).body, "worker <h1>home</h1>");
  });

  test("nothing outside the tree is served", async (t) => {
    const { assets, lay, upload, files, account } = await site(t);
    const unit = unitOf([assets], [{ label: "a--x", service: "a-1" }]);
    const root = await lay(unit);
    await mkdir(join(files.directory(account), "state", "x"), { recursive: true });
    const { at } = await start(t, upload, unit, root);
    for (const path of ["/../../h/", "/%2e%2e/%2e%2e/h/", "/..%2f..%2fh", "//etc/passwd", "/..\\..\\h"]) {
      assert.ok([404, 400, 307].includes((await get(at("a--x"), path)).status), path);
    }
  });
});
