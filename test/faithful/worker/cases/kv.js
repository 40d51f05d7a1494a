// KV where it answers: values, types, metadata, expiry as far as it shows, lists and bulk reads.
import { each } from "../show.js";

const MIB = 1024 * 1024;

const stream = (...chunks) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });

const seconds = () => Math.floor(Date.now() / 1000);

/** How far an expiry lies from where it should: the clock may tick between the put and the look. */
const offBy = (expiration, wanted) => (Math.abs(expiration - wanted) <= 2 ? "as asked" : expiration - wanted);

async function putAll(kv, at, names) {
  await Promise.all(names.map((name) => kv.put(`${at}${name}`, name)));
}

const namesOf = (list, at) => list.keys.map(({ name }) => name.slice(at.length));

const values = {
  "put-answers-nothing": ({ KV }, at) => KV.put(at, "v"),
  "get-text": async ({ KV }, at) => {
    await KV.put(at, "vé\u0000🦋");
    return [
      await KV.get(at),
      await KV.get(at, "text"),
      await KV.get(at, { type: "text" }),
      await KV.get(at, {}),
      await KV.get(at, undefined),
    ];
  },
  "get-missing": ({ KV }, at) =>
    each({
      text: () => KV.get(at),
      json: () => KV.get(at, "json"),
      bytes: () => KV.get(at, "arrayBuffer"),
      stream: () => KV.get(at, "stream"),
      metadata: () => KV.getWithMetadata(at),
    }),
  "get-json": async ({ KV }, at) => {
    await KV.put(at, '{"a":[1,null,"é"],"b":1e400}');
    return [await KV.get(at, "json"), await KV.get(at, { type: "json", cacheTtl: 60 })];
  },
  "get-bytes": async ({ KV }, at) => {
    await KV.put(at, new Uint8Array([0, 255, 128, 10]));
    return [await KV.get(at, "arrayBuffer"), await KV.get(at)];
  },
  "get-stream": async ({ KV }, at) => {
    await KV.put(at, "streamed");
    const body = await KV.get(at, "stream");
    return [body, await new Response(body).text()];
  },
  "put-array-buffer": async ({ KV }, at) => {
    await KV.put(at, new Uint8Array([1, 2, 3]).buffer);
    return KV.get(at, "arrayBuffer");
  },
  "put-part-of-a-buffer": async ({ KV }, at) => {
    await KV.put(at, new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
    return KV.get(at, "arrayBuffer");
  },
  "put-stream": async ({ KV }, at) => {
    await KV.put(at, stream("one ", "two"));
    return KV.get(at);
  },
  "put-empty": async ({ KV }, at) => {
    await KV.put(at, "");
    return [await KV.get(at), await KV.get(at, "arrayBuffer"), await KV.getWithMetadata(at)];
  },
  "put-again": async ({ KV }, at) => {
    await KV.put(at, "one", { metadata: { a: 1 }, expirationTtl: 600 });
    await KV.put(at, "two");
    const { keys } = await KV.list({ prefix: at });
    return [await KV.getWithMetadata(at), keys];
  },
  "put-65-kib": async ({ KV }, at) => {
    await KV.put(at, "x".repeat(65 * 1024));
    return (await KV.get(at)).length;
  },
  "put-25-mib": async ({ KV }, at) => {
    await KV.put(at, new Uint8Array(25 * MIB).fill(7));
    const got = await KV.get(at, "arrayBuffer");
    await KV.delete(at);
    return [got.byteLength, new Uint8Array(got).at(-1), await KV.get(at)];
  },
  "put-in-wait-until": async ({ KV }, at, ctx) => {
    const put = KV.put(at, "later");
    ctx.waitUntil(put);
    await put;
    return KV.get(at);
  },
  delete: async ({ KV }, at) => {
    await KV.put(at, "v");
    return [await KV.delete(at), await KV.get(at), await KV.delete(at), (await KV.list({ prefix: at })).keys];
  },
  "namespaces-are-apart": async ({ KV, KV2 }, at) => {
    await KV.put(at, "v");
    return [await KV2.get(at), (await KV2.list({ prefix: at })).keys, await KV.get(at)];
  },
  "values-that-are-not-text": ({ KV }, at) =>
    each({
      number: () => KV.put(`${at}1`, 12.5).then(() => KV.get(`${at}1`)),
      boolean: () => KV.put(`${at}2`, false).then(() => KV.get(`${at}2`)),
      date: () => KV.put(`${at}3`, new Date(0)).then(() => KV.get(`${at}3`).then((text) => text.length)),
    }),
};

const keys = {
  "odd-keys": async ({ KV }, at) => {
    const odd = ["/a/b", "a b", "%2F", "?q=1&b", "#h", "é🦋", "\n", "\\", "..", "a+b", "'\"", "%"];
    const got = {};
    for (const key of odd) {
      await KV.put(`${at}${key}`, key);
      got[key] = await KV.get(`${at}${key}`);
    }
    return [got, namesOf(await KV.list({ prefix: at }), at)];
  },
  "key-of-512-bytes": async ({ KV }, at) => {
    const key = at + "k".repeat(512 - at.length);
    const wide = `${at}${"x".repeat((512 - at.length) % 2)}${"é".repeat(Math.floor((512 - at.length) / 2))}`;
    await KV.put(key, "ascii");
    await KV.put(wide, "wide");
    return [await KV.get(key), await KV.get(wide)];
  },
  "key-is-made-text": async ({ KV }, at) => {
    await KV.put(at, "v");
    return [await KV.get({ toString: () => at }), await KV.get([at])];
  },
  "key-of-half-a-surrogate": async ({ KV }, at) => {
    await KV.put(`${at}\ud800`, "half");
    return [await KV.get(`${at}\ud800`), await KV.get(`${at}\ufffd`), namesOf(await KV.list({ prefix: at }), at)];
  },
};

const metadata = {
  "metadata-of-each-type": ({ KV }, at) =>
    each(
      Object.fromEntries(
        [{ a: { b: [1] } }, "text", 0, 1.5, true, false, [], null, undefined, "", new Date(0)].map((metadata, index) => [
          `${index}`,
          async () => {
            await KV.put(`${at}${index}`, "v", { metadata });
            return (await KV.getWithMetadata(`${at}${index}`)).metadata;
          },
        ]),
      ),
    ),
  "metadata-of-1024-bytes": async ({ KV }, at) => {
    await KV.put(at, "v", { metadata: "m".repeat(1022) });
    return (await KV.getWithMetadata(at)).metadata.length;
  },
  "metadata-with-each-type-of-value": async ({ KV }, at) => {
    await KV.put(at, "[1]", { metadata: { m: "é" } });
    const bytes = await KV.getWithMetadata(at, "arrayBuffer");
    const streamed = await KV.getWithMetadata(at, { type: "stream", cacheTtl: 30 });
    await streamed.value.cancel();
    return [await KV.getWithMetadata(at), await KV.getWithMetadata(at, "json"), bytes, streamed];
  },
};

const expiry = {
  "expiry-shows-in-lists": async ({ KV }, at) => {
    const now = seconds();
    await KV.put(`${at}a`, "v", { expirationTtl: 60 });
    await KV.put(`${at}b`, "v", { expiration: now + 3600 });
    await KV.put(`${at}c`, "v", { expiration: String(now + 7200) });
    const { keys } = await KV.list({ prefix: at });
    return [keys.map(({ expiration }, index) => offBy(expiration, now + [60, 3600, 7200][index])), Object.keys(keys[0])];
  },
  "expiry-of-both-kinds": async ({ KV }, at) => {
    const now = seconds();
    await KV.put(at, "v", { expirationTtl: 600, expiration: now + 6000 });
    const { expiration } = (await KV.list({ prefix: at })).keys[0];
    return { asTtl: offBy(expiration, now + 600), asTime: offBy(expiration, now + 6000) };
  },
  "expiry-with-a-fraction": ({ KV }, at) =>
    each({
      ttl: async () => {
        const now = seconds();
        await KV.put(`${at}a`, "v", { expirationTtl: 90.7 });
        return offBy((await KV.list({ prefix: `${at}a` })).keys[0].expiration, now + 90);
      },
      text: async () => {
        const now = seconds();
        await KV.put(`${at}b`, "v", { expirationTtl: "90" });
        return offBy((await KV.list({ prefix: `${at}b` })).keys[0].expiration, now + 90);
      },
    }),
  "expiry-far-away": async ({ KV }, at) => {
    await KV.put(at, "v", { expiration: 2_100_000_000 });
    return (await KV.list({ prefix: at })).keys;
  },
  "cache-ttl": async ({ KV }, at) => {
    await KV.put(at, "one");
    const first = await KV.get(at, { cacheTtl: 30 });
    await KV.put(at, "two");
    return [first, await KV.get(at, { cacheTtl: 3600 })];
  },
};

const lists = {
  "list-whole": async ({ KV }, at) => {
    await putAll(KV, at, ["b", "a"]);
    await KV.put(`${at}c`, "v", { metadata: { m: 1 } });
    return KV.list({ prefix: at });
  },
  "list-nothing": ({ KV }, at) => KV.list({ prefix: at }),
  "list-order": async ({ KV }, at) => {
    await putAll(KV, at, ["b", "B", "é", "a", "\uffff", "🦋", "10", "9", "_", "-", "aa"]);
    return namesOf(await KV.list({ prefix: at }), at);
  },
  "list-pages": async ({ KV }, at) => {
    await putAll(KV, at, ["1", "2", "3", "4", "5"]);
    const pages = [];
    let cursor;
    do {
      const page = await KV.list({ prefix: at, limit: 2, cursor });
      pages.push({ names: namesOf(page, at), complete: page.list_complete, cursor: typeof page.cursor, members: Object.keys(page) });
      cursor = page.list_complete ? undefined : page.cursor;
    } while (cursor !== undefined && pages.length < 9);
    return pages;
  },
  "list-page-that-ends-exactly": async ({ KV }, at) => {
    await putAll(KV, at, ["1", "2"]);
    const page = await KV.list({ prefix: at, limit: 2 });
    return [page.list_complete, typeof page.cursor];
  },
  "list-cursor-of-a-deleted-key": async ({ KV }, at) => {
    await putAll(KV, at, ["1", "2", "3", "4"]);
    const { cursor } = await KV.list({ prefix: at, limit: 2 });
    await KV.delete(`${at}2`);
    return namesOf(await KV.list({ prefix: at, cursor }), at);
  },
  "list-cursor-of-another-prefix": async ({ KV }, at) => {
    await putAll(KV, at, ["a1", "a2", "b1"]);
    const { cursor } = await KV.list({ prefix: `${at}a`, limit: 1 });
    return namesOf(await KV.list({ prefix: `${at}b`, cursor }), at);
  },
  "list-with-empty-cursor": async ({ KV }, at) => {
    await putAll(KV, at, ["1"]);
    return each({
      empty: async () => namesOf(await KV.list({ prefix: at, cursor: "" }), at),
      null: async () => namesOf(await KV.list({ prefix: at, cursor: null }), at),
    });
  },
  "list-odd-prefixes": async ({ KV }, at) => {
    await putAll(KV, at, ["%a", "_a", "*a", "a", "[a"]);
    const found = {};
    for (const prefix of ["%", "_", "*", "[", "A"]) found[prefix] = namesOf(await KV.list({ prefix: at + prefix }), at);
    return found;
  },
  "list-limit-of-1000-and-more": async ({ KV }, at) => {
    await putAll(KV, at, ["1"]);
    return each({
      1000: async () => namesOf(await KV.list({ prefix: at, limit: 1000 }), at),
      text: async () => namesOf(await KV.list({ prefix: at, limit: "5" }), at),
      null: async () => namesOf(await KV.list({ prefix: at, limit: null }), at),
    });
  },
};

const bulk = {
  "bulk-text": async ({ KV }, at) => {
    await putAll(KV, at, ["1", "2"]);
    return KV.get([`${at}2`, `${at}none`, `${at}1`]);
  },
  "bulk-json": async ({ KV }, at) => {
    await putAll(KV, at, ["1", "[2]"]);
    return KV.get([`${at}1`, `${at}[2]`], "json");
  },
  "bulk-with-metadata": async ({ KV }, at) => {
    await KV.put(`${at}1`, "v", { metadata: { m: 1 } });
    await KV.put(`${at}2`, "v");
    return KV.getWithMetadata([`${at}1`, `${at}2`, `${at}none`], { cacheTtl: 60 });
  },
  "bulk-of-100": async ({ KV }, at) => {
    await putAll(KV, at, ["0", "99"]);
    const got = await KV.get(Array.from({ length: 100 }, (_, index) => `${at}${index}`));
    return [got.size, got.get(`${at}99`), got.get(`${at}50`)];
  },
  "bulk-of-the-same-key-twice": async ({ KV }, at) => {
    await putAll(KV, at, ["1"]);
    return KV.get([`${at}1`, `${at}1`]);
  },
  "bulk-of-one": async ({ KV }, at) => {
    await putAll(KV, at, ["1"]);
    return KV.get([`${at}1`]);
  },
};

export const kv = { ...values, ...keys, ...metadata, ...expiry, ...lists, ...bulk };
