// The Cache API, as Workers of one account use it: their own entries, freshness, conditions, ranges, and its bounds.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { namesCaches } from "../../../../src/control/products/workers/cache.ts";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { ESM, upload } from "../../../fixtures/products.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";

/** Evaluates the function that it is sent, and answers with what that returns. */
const SOURCE = `export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  const steps = {
    "/default": async () => {
      const cache = caches.default;
      await cache.put("http://x/a", new Response("kept", { headers: { "cache-control": "max-age=60", "x-mine": "yes" } }));
      const found = await cache.match("http://x/a");
      return [found.status, await found.text(), found.headers.get("x-mine"), found.headers.get("cf-cache-status"),
        await cache.delete("http://x/a"), (await cache.match("http://x/a")) ?? null, await cache.delete("http://x/a")];
    },
    "/named": async () => {
      const one = await caches.open("one");
      await one.put("http://x/b", new Response("one", { headers: { "cache-control": "max-age=60" } }));
      const other = await caches.open("other");
      return [await (await one.match("http://x/b")).text(), (await other.match("http://x/b")) ?? null, (await caches.default.match("http://x/b")) ?? null];
    },
    "/refused": async () => {
      const answers = [];
      for (const headers of [{ "cache-control": "no-store" }, { "cache-control": "private" }, { "cache-control": "max-age=0" },
        { "cache-control": "max-age=60", "set-cookie": "a=b" }]) {
        await caches.default.put("http://x/c", new Response("c", { headers }));
        answers.push((await caches.default.match("http://x/c")) ?? null);
      }
      await caches.default.put("http://x/d", new Response("d", { headers: { "cache-control": "private=set-cookie, max-age=9", "set-cookie": "a=b" } }));
      const found = await caches.default.match("http://x/d");
      answers.push(await found.text(), found.headers.get("set-cookie"));
      await caches.default.put("http://x/e", new Response("e"));
      answers.push(await (await caches.default.match("http://x/e")).text());
      return answers;
    },
    "/conditions": async () => {
      const bytes = new Uint8Array(1_300_000).map((_, at) => at % 251);
      await caches.default.put("http://x/f", new Response(bytes, { headers: { etag: '"v1"', "cache-control": "s-maxage=60, max-age=0" } }));
      const ask = (headers) => caches.default.match(new Request("http://x/f", { headers }));
      const known = await ask({ "if-none-match": 'W/"v1"' });
      const part = await ask({ range: "bytes=524280-524300" });
      const tail = await ask({ range: "bytes=-3" });
      const beyond = await ask({ range: "bytes=9999999-" });
      const whole = new Uint8Array(await (await ask({})).arrayBuffer());
      return [known.status, part.status, part.headers.get("content-range"), [...new Uint8Array(await part.arrayBuffer())].every((byte, at) => byte === (524280 + at) % 251),
        (await tail.arrayBuffer()).byteLength, beyond.status, beyond.headers.get("content-range"), whole.length, whole.every((byte, at) => byte === at % 251)];
    },
    "/expires": async () => {
      await caches.default.put("http://x/g", new Response("g", { headers: { "cache-control": "max-age=1" } }));
      const before = (await caches.default.match("http://x/g")) !== undefined;
      await scheduler.wait(1_100);
      return [before, (await caches.default.match("http://x/g")) ?? null];
    },
    "/bound": async () => {
      const big = new Uint8Array(15_000_000);
      for (let at = 0; at < 5; at++) {
        await caches.default.put("http://x/big" + at, new Response(big, { headers: { "cache-control": "max-age=60" } }));
        await scheduler.wait(5);
      }
      const there = [];
      for (let at = 0; at < 5; at++) there.push((await caches.default.match("http://x/big" + at)) !== undefined);
      await caches.default.put("http://x/huge", new Response(new Uint8Array(17_000_000), { headers: { "cache-control": "max-age=60" } }));
      return [...there, (await caches.default.match("http://x/huge")) ?? null];
    },
    "/keep": async () => {
      await caches.default.put("http://x/kept", new Response("still here", { headers: { "cache-control": "max-age=600" } }));
      return [];
    },
    "/kept": async () => [await (await caches.default.match("http://x/kept"))?.text() ?? null],
  };
  return Response.json(await steps[pathname]());
} };`;

describe("The Cache API", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let subdomain = "";
  let put: (name: string, source: string) => Promise<void>;

  before(async () => {
    directory = await temporaryDirectory("cache");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    const { account } = await house.provision();
    subdomain = account.name.split(" ")[0] ?? "";
    put = async (name, source) => {
      const options = { token: account.apiToken, body: upload({}, [["index.js", ESM, source]]) };
      const answer = await house.call("PUT", `/accounts/${account.id}/workers/scripts/${name}`, options);
      assert.equal(answer.status, 200, answer.errors[0]?.message);
      const path = `/accounts/${account.id}/workers/scripts/${name}/subdomain`;
      await house.call("POST", path, { token: account.apiToken, body: '{"enabled":true}' });
    };
    await put("app", SOURCE);
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });
  const run = async (path: string, name = "app"): Promise<unknown> => {
    const { status, body } = await house.edge(`${name}--${subdomain}`, path);
    assert.equal(status, 200, body);
    return JSON.parse(body);
  };

  test("keeps, finds and deletes what a Worker puts", async () => {
    assert.deepEqual(await run("/default"), [200, "kept", "yes", "HIT", true, null, false]);
  });

  test("keeps named caches apart", async () => {
    assert.deepEqual(await run("/named"), ["one", null, null]);
  });

  test("keeps nothing that says it must not be kept", async () => {
    assert.deepEqual(await run("/refused"), [null, null, null, null, "d", null, "e"]);
  });

  test("answers conditions and ranges over what it keeps", async () => {
    const expected = [304, 206, "bytes 524280-524300/1300000", true, 3, 416, "bytes */1300000", 1_300_000, true];
    assert.deepEqual(await run("/conditions"), expected);
  });

  test("forgets what is no longer fresh", async () => {
    assert.deepEqual(await run("/expires"), [true, null]);
  });

  test("lets the least recently used go at its bound, and takes nothing that is too large", async () => {
    assert.deepEqual(await run("/bound"), [false, true, true, true, true, null]);
  });

  test("survives a redeploy, and no other Worker sees it", async () => {
    await run("/keep");
    await put("other", SOURCE);
    assert.deepEqual(await run("/kept", "other"), [null]);
    await put("app", `${SOURCE}\n// another version`);
    assert.deepEqual(await run("/kept"), ["still here"]);
  });

  test("takes an isolate only where the code names it", () => {
    assert.equal(namesCaches("const hit = await caches.default.match(request)"), true);
    assert.equal(namesCaches("const mycaches = 1"), false);
  });
});
