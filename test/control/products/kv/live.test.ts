// KV with the real process: what the API writes the Workers read, and the other way round.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
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

  test("writes one after the other all arrive, none at a connection that the one before closed", async () => {
    for (let at = 0; at < 250; at++) await put("on end", { body: at % 2 === 0 ? "" : `value ${at}` });
  });

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

  const MIB = 1_048_576;
  const pattern = (bytes: number): Buffer => Buffer.alloc(bytes, "the same bytes again and again, ");

  test("a value of 25 MiB streams in and out, and one byte more is refused", async () => {
    const value = pattern(25 * MIB);
    await put("big", { body: ReadableStream.from([value.subarray(0, 10), value.subarray(10)]) });
    const answer = await desk.api("GET", at("values/big"));
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(value));
    assert.equal(await desk.worker("/size?key=big"), String(25 * MIB));
    assert.equal(await desk.worker("/stream?key=big"), String(25 * MIB));
    for (const body of [pattern(25 * MIB + 1), ReadableStream.from([value, Buffer.from("x")])]) {
      const refused = await desk.api("PUT", at("values/big"), { body });
      assert.equal(refused.status, 413);
      assert.match(await refused.text(), /value: larger than 26214400 bytes/);
    }
    assert.equal(await desk.worker("/size?key=big"), String(25 * MIB), "what was refused changed nothing");
    await desk.ok("DELETE", at("values/big"));
  });

  test("values of every size around the limits of what is kept inline come back as they were", async () => {
    for (const bytes of [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_003]) {
      const value = pattern(bytes);
      await put(`size ${bytes}`, { body: value });
      const answer = await desk.api("GET", at(`values/${encodeURIComponent(`size ${bytes}`)}`));
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(value), String(bytes));
      assert.equal(await desk.worker(`/big?key=w${bytes}&size=${bytes}`), "ok");
      assert.equal(await desk.worker(`/size?key=w${bytes}`), String(bytes));
    }
    assert.equal(await desk.worker(`/pour?key=poured&size=${3 * MIB}`), "ok");
    assert.equal(await desk.worker("/size?key=poured"), String(3 * MIB));
  });

  test("a body that breaks off leaves what was there", async () => {
    await put("torn", { body: "before" });
    const torn = new ReadableStream({
      pull(controller) {
        controller.enqueue(pattern(200_000));
        controller.error(new Error("gone"));
      },
    });
    assert.equal((await desk.api("PUT", at("values/torn"), { body: torn })).status, 400);
    assert.equal(await get("torn"), "before");
  });

  test("metadata comes in a form, before or behind the value, and goes with it", async () => {
    for (const order of [
      ["value", "metadata"],
      ["metadata", "value"],
    ]) {
      const form = new FormData();
      for (const name of order) form.append(name, name === "value" ? new Blob([pattern(300_000)]) : JSON.stringify({ order }));
      await put("with metadata", { body: form });
      assert.deepEqual((await desk.ok("GET", at("metadata/with%20metadata"))).result, { order });
      assert.equal((await get("with metadata")).length, 300_000);
      assert.deepEqual(JSON.parse(await desk.worker("/get?key=with+metadata")).metadata, { order });
    }
    await put("with metadata", { body: "x" });
    assert.equal((await desk.ok("GET", at("metadata/with%20metadata"))).result, null);
    assert.equal((await desk.api("GET", at("metadata/nothing"))).status, 404);
  });

  test("a life ends by expiration or ttl, and is told with the value", async () => {
    const soon = Math.floor(Date.now() / 1000) + 3600;
    await put("until", { body: "x" }, `?expiration=${soon}`);
    await put("for", { body: "x" }, "?expiration_ttl=3600&expiration=5");
    const until = await desk.api("GET", at("values/until"));
    assert.equal(until.headers.get("expiration"), String(soon));
    assert.equal(until.headers.get("content-type"), "application/octet-stream");
    const left = Number((await desk.api("GET", at("values/for"))).headers.get("expiration"));
    assert.ok(Math.abs(left - soon) < 60);
    const { result } = await desk.ok("GET", at("keys?prefix=until"));
    assert.deepEqual(result, [{ name: "until", expiration: soon }]);
    assert.match(
      await desk.worker(`/put?key=short&value=x&options=${encodeURIComponent('{"expirationTtl":30}')}`),
      /KV PUT failed: 400 .*30/,
    );
  });

  test("keys may hold anything, and are listed in their order by prefix and cursor", async () => {
    const names = ["a/b", "a%2Fb", "ü", "a b+c&d=e?f#g", "__proto__", "...", "a/../b"];
    for (const name of names) await put(name, { body: name });
    for (const name of names) assert.equal(await get(name), name);
    await desk.ok("PUT", at("bulk"), {
      json: Array.from({ length: 25 }, (_, n) => ({ key: `list:${String(n).padStart(2, "0")}`, value: "x" })),
    });
    const seen: string[] = [];
    let cursor = "";
    do {
      const page = await desk.ok("GET", at(`keys?prefix=list:&limit=10&cursor=${encodeURIComponent(cursor)}`));
      seen.push(...page.result.map(({ name }: { name: string }) => name));
      assert.equal(page.result_info.count, page.result.length);
      cursor = page.result_info.cursor;
    } while (cursor !== "");
    assert.deepEqual(
      seen,
      Array.from({ length: 25 }, (_, n) => `list:${String(n).padStart(2, "0")}`),
    );
    assert.equal((await desk.api("GET", at("keys?cursor=%ff"))).status, 400);
  });

  test("pairs are written, read and deleted in bulk", async () => {
    const large = pattern(200_000).toString();
    const pairs = [
      { key: "b1", value: "one" },
      { key: "b2", value: Buffer.from([0, 255, 1]).toString("base64"), base64: true, metadata: { x: 1 } },
      { key: "b3", value: large, expiration_ttl: 3600 },
      { key: "b4", value: '{"is":"json"}' },
      { key: "b1", value: "the last of two" },
    ];
    assert.deepEqual((await desk.ok("PUT", at("bulk"), { json: pairs })).result, { successful_key_count: 5, unsuccessful_keys: [] });
    const bytes = await desk.api("GET", at("values/b2"));
    assert.deepEqual([...new Uint8Array(await bytes.arrayBuffer())], [0, 255, 1]);
    const read = await desk.ok("POST", at("bulk/get"), { json: { keys: ["b1", "b3", "nothing", "__proto__"] } });
    assert.deepEqual(Object.entries(read.result.values), [
      ["b1", "the last of two"],
      ["b3", large],
      ["nothing", null],
      ["__proto__", "__proto__"],
    ]);
    const parsed = await desk.ok("POST", at("bulk/get"), { json: { keys: ["b4"], type: "json", withMetadata: true } });
    assert.deepEqual(parsed.result.values.b4, { value: { is: "json" }, metadata: null });
    assert.equal((await desk.api("POST", at("bulk/get"), { json: { keys: ["b1"], type: "json" } })).status, 400);
    assert.equal((await desk.ok("POST", at("bulk/delete"), { json: ["b1", "b2", "nothing"] })).result.successful_key_count, 3);
    assert.equal((await desk.ok("DELETE", at("bulk"), { json: ["b3"] })).result.successful_key_count, 1);
    assert.deepEqual(
      (await desk.ok("GET", at("keys?prefix=b"))).result.map(({ name }: { name: string }) => name),
      ["b4"],
    );
  });

  test("10,000 pairs are one request", async () => {
    const json = Array.from({ length: 10_000 }, (_, n) => ({ key: `many:${n}`, value: `value ${n}`, metadata: { n } }));
    assert.equal((await desk.ok("PUT", at("bulk"), { json })).result.successful_key_count, 10_000);
    assert.equal(await get("many:9999"), "value 9999");
    await desk.ok("POST", at("bulk/delete"), { json: json.map(({ key }) => key) });
    assert.deepEqual((await desk.ok("GET", at("keys?prefix=many:"))).result, []);
  });

  test("a rename keeps the data, a deletion purges it, and the Worker is told by name", async () => {
    const other = await openDesk(house);
    const values = `/storage/kv/namespaces/${other.id}/values`;
    await other.ok("PUT", `${values}/k`, { body: pattern(100_000) });
    await other.ok("PUT", `/storage/kv/namespaces/${other.id}`, { json: { title: "renamed" } });
    assert.equal(await other.worker("/size?key=k"), "100000");
    const state = join(directory.path, "data/accounts", other.account, "state/kv");
    const files = (): string[] => readdirSync(state, { recursive: true, encoding: "utf8" }).filter((name) => name.includes("/b/"));
    assert.equal(files().length, 1);
    await other.ok("DELETE", `/storage/kv/namespaces/${other.id}`);
    assert.match(await other.worker("/size?key=k"), new RegExp(`KV namespace .*${other.id}.* does not exist`));
    assert.deepEqual(files(), []);
    assert.deepEqual(
      await house.control.store.db
        .selectFrom("kv_namespaces")
        .select("id")
        .where("account_id", "=", other.account as never)
        .execute(),
      [],
    );
  });

  test("what is written is in the trail, once a request", async () => {
    await put("trailed", { body: "x" });
    const { result } = await desk.ok("GET", "/trail?per_page=5");
    const own = result.filter(
      (line: { action: string; resource: string }) => line.action === "kv:write" && line.resource === `kv/${desk.id}`,
    );
    assert.ok(own.length >= 2);
  });
});

describe("KV that is full", () => {
  test("takes no write of the API or a Worker, tells so, and takes them again after a deletion and a restart", async () => {
    await using directory = await temporaryDirectory("kv-full");
    await using house = await openHouse({ directory: directory.path, ttlSeconds: 3600, quota: { kvBytes: 1_000_000 } });
    const desk = await openDesk(house);
    const second = (await desk.ok("POST", "/storage/kv/namespaces", { json: { title: "second" } })).result.id as string;
    const at = (rest: string, id = desk.id): string => `/storage/kv/namespaces/${id}/${rest}`;
    await desk.ok("PUT", at("values/half", second), { body: Buffer.alloc(500_000) });
    await desk.ok("PUT", at("values/rest"), { body: Buffer.alloc(400_000) });
    const refusals = async (): Promise<void> => {
      for (const bytes of [60_000 + 50_000, 600_000]) {
        const refused = await desk.api("PUT", at("values/more"), { body: Buffer.alloc(bytes) });
        assert.equal(refused.status, 400);
        assert.match(await refused.text(), /KV of this account is full.*1000000 bytes.*claim the account/);
        assert.match(await desk.worker(`/big?key=more&size=${bytes}`), /KV PUT failed: 413 KV of this account is full/);
        assert.match(
          await desk.worker(`/pour?key=more&size=${Math.ceil(bytes / 65_536) * 65_536}`),
          /KV PUT failed: 413 KV of this account is full/,
        );
      }
      const bulk = await desk.api("PUT", at("bulk"), { json: [0, 1, 2].map((n) => ({ key: `n${n}`, value: "x".repeat(50_000) })) });
      assert.equal(bulk.status, 400);
      assert.match(await bulk.text(), /quota_exceeded/);
      assert.equal((await desk.api("GET", at("values/more"))).status, 404);
    };
    await refusals();
    // The same room is there for a value that replaces another, or is smaller.
    await desk.ok("PUT", at("values/rest"), { body: Buffer.alloc(450_000) });
    await desk.ok("PUT", at("values/rest"), { body: Buffer.alloc(400_000) });
    // A new process counts anew what lies on the disk.
    await desk.ok("PUT", "/workers/scripts/w/secrets", { json: { name: "S", text: "x", type: "secret_text" } });
    await refusals();
    await desk.ok("DELETE", at("values/half", second));
    assert.equal(await desk.worker("/big?key=more&size=500000"), "ok");
  });

  test("says which pairs of a bulk write it did not take", async () => {
    await using directory = await temporaryDirectory("kv-bulk");
    await using house = await openHouse({ directory: directory.path, ttlSeconds: 3600, quota: { kvBytes: 120_000 } });
    const desk = await openDesk(house);
    const json = Array.from({ length: 2_500 }, (_, n) => ({ key: `k${n}`, value: "x".repeat(60) }));
    const { result, messages } = await desk.ok("PUT", `/storage/kv/namespaces/${desk.id}/bulk`, { json });
    assert.equal(result.successful_key_count, 1000);
    assert.deepEqual(
      result.unsuccessful_keys,
      json.slice(1000).map(({ key }) => key),
    );
    assert.match(messages[0].message, /KV of this account is full/);
  });
});
