// KV with the real process: what the API writes the Workers read, and the other way round.
import assert from "node:assert/strict";
import { before, after, describe, test } from "node:test";
import { openHouse, uploadBody, type House } from "../../../fixtures/house.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";
import type { Json } from "../../../fixtures/products.ts";

const WORKER = `export default { async fetch(request, env) {
  const { op, key, value, options } = await request.json().catch(() => ({})) ?? {};
  const url = new URL(request.url);
  const [name, text] = [url.searchParams.get("key"), url.searchParams.get("value")];
  const size = Number(url.searchParams.get("size") ?? 0);
  try {
    switch (url.pathname) {
      case "/get": return Response.json(await env.KV.getWithMetadata(name));
      case "/size": return new Response(String((await env.KV.get(name, "arrayBuffer"))?.byteLength));
      case "/stream": { let n = 0; for await (const c of await env.KV.get(name, "stream")) n += c.byteLength; return new Response(String(n)); }
      case "/put": await env.KV.put(name, text, JSON.parse(url.searchParams.get("options") ?? "{}")); break;
      case "/big": await env.KV.put(name, new Uint8Array(size)); break;
      case "/pour": { const { readable, writable } = new FixedLengthStream(size); const w = writable.getWriter();
        const put = env.KV.put(name, readable); for (let n = 0; n < size; n += 65536) await w.write(new Uint8Array(Math.min(65536, size - n))); await w.close(); await put; break; }
      case "/delete": await env.KV.delete(name); break;
      case "/list": return Response.json(await env.KV.list({ prefix: text ?? "" }));
    }
    return new Response("ok");
  } catch (error) { return new Response(String(error)); }
} };`;

type Sent = {
  readonly body?: string | Uint8Array | FormData | ReadableStream;
  readonly json?: unknown;
  readonly headers?: Record<string, string>;
};

/** An account with one namespace and a Worker bound to it. */
export type Desk = {
  readonly account: string;
  readonly token: string;
  readonly id: string;
  api(method: string, path: string, sent?: Sent): Promise<Response>;
  ok(method: string, path: string, sent?: Sent): Promise<Json>;
  worker(path: string): Promise<string>;
};

async function openDesk(house: House): Promise<Desk> {
  const { account } = await house.provision();
  const subdomain = account.name.split(" ")[0] ?? "";
  const api: Desk["api"] = async (method, path, { body, json, headers } = {}) =>
    house.control.app.request(
      `http://localhost:8787/client/v4/accounts/${account.id}${path}`,
      {
        method,
        headers: { host: "localhost:8787", authorization: `Bearer ${account.apiToken}`, ...headers },
        ...(json !== undefined && { body: JSON.stringify(json) }),
        ...(body !== undefined && { body, duplex: "half" }),
      },
      {},
    );
  const ok: Desk["ok"] = async (method, path, sent) => {
    const answer = await api(method, path, sent);
    const text = await answer.text();
    assert.equal(answer.status, 200, `${method} ${path}: ${text.slice(0, 500)}`);
    return JSON.parse(text);
  };
  const { id } = (await ok("POST", "/storage/kv/namespaces", { json: { title: "first" } })).result as { id: string };
  const bindings = [{ type: "kv_namespace", name: "KV", namespace_id: id }];
  await ok("PUT", "/workers/scripts/w", { body: uploadBody(WORKER, { bindings }) });
  await ok("POST", "/workers/scripts/w/subdomain", { json: { enabled: true } });
  return {
    account: account.id,
    token: account.apiToken,
    id,
    api,
    ok,
    worker: async (path) => (await house.edge(`w--${subdomain}`, path)).body,
  };
}

describe("KV with the real process", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let desk: Desk;

  before(async () => {
    directory = await temporaryDirectory("kv");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    desk = await openDesk(house);
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const at = (rest: string): string => `/storage/kv/namespaces/${desk.id}/${rest}`;
  const put = (key: string, sent: Sent, query = "") => desk.ok("PUT", at(`values/${encodeURIComponent(key)}${query}`), sent);
  const get = async (key: string): Promise<string> => {
    const answer = await desk.api("GET", at(`values/${encodeURIComponent(key)}`));
    assert.equal(answer.status, 200);
    return answer.text();
  };

  test("what the API writes a Worker reads, and the other way round", async () => {
    await put("one", { body: "from the API" });
    assert.deepEqual(JSON.parse(await desk.worker("/get?key=one")), { value: "from the API", metadata: null, cacheStatus: "MISS" });
    assert.equal(await desk.worker(`/put?key=two&value=of+a+Worker&options=${encodeURIComponent('{"metadata":{"m":[1]}}')}`), "ok");
    assert.equal(await get("two"), "of a Worker");
    assert.deepEqual((await desk.ok("GET", at("metadata/two"))).result, { m: [1] });
    assert.equal(await desk.worker("/delete?key=two"), "ok");
    const missing = await desk.api("GET", at("values/two"));
    const { errors } = (await missing.json()) as Json;
    assert.deepEqual([missing.status, errors[0].code, errors[0].documentation_url.endsWith("#kv_key_not_found")], [404, 10009, true]);
  });
});
