// KV where it refuses: each case ends in the error itself, or in what it answers to odd input.
const MIB = 1024 * 1024;
const seconds = () => Math.floor(Date.now() / 1000);

const puts = {
  "refuses-an-empty-key": ({ KV }) => KV.put("", "v"),
  "refuses-the-key-dot": ({ KV }) => KV.put(".", "v"),
  "refuses-the-key-dot-dot": ({ KV }) => KV.put("..", "v"),
  "refuses-a-key-of-513-bytes": ({ KV }, at) => KV.put(at.padEnd(513, "k"), "v"),
  "refuses-a-key-of-513-wide-bytes": ({ KV }, at) => KV.put(`${at}${"é".repeat(Math.ceil((514 - at.length) / 2))}`, "v"),
  "refuses-an-object-as-value": ({ KV }, at) => KV.put(at, { a: 1 }),
  "null-as-value": ({ KV }, at) => KV.put(at, null),
  "refuses-no-value": ({ KV }, at) => KV.put(at),
  "refuses-a-symbol-as-value": ({ KV }, at) => KV.put(at, Symbol("s")),
  "refuses-25-mib-and-a-byte": ({ KV }, at) => KV.put(at, new Uint8Array(25 * MIB + 1)),
  "refuses-a-stream-of-25-mib-and-a-byte": ({ KV }, at) => {
    let left = 27;
    const pull = (controller) => {
      if (left-- > 1) controller.enqueue(new Uint8Array(left === 1 ? 1 : MIB));
      else controller.close();
    };
    return KV.put(at, new ReadableStream({ pull }));
  },
  "refuses-to-get-half-a-surrogate": ({ KV }, at) => KV.get(`${at}\ud800`),
  "refuses-a-used-stream": async ({ KV }, at) => {
    const { body } = new Response("used");
    await new Response(body).text();
    await KV.put(at, body);
  },
  "refuses-a-stream-that-breaks": async ({ KV }, at) => {
    const broken = new ReadableStream({
      pull(controller) {
        controller.error(new TypeError("broken on purpose"));
      },
    });
    await KV.put(at, broken);
  },
  "refuses-metadata-of-1025-bytes": ({ KV }, at) => KV.put(at, "v", { metadata: "m".repeat(1023) }),
  "refuses-metadata-in-a-circle": ({ KV }, at) => {
    const circle = {};
    circle.self = circle;
    return KV.put(at, "v", { metadata: circle });
  },
  "refuses-metadata-of-a-bigint": ({ KV }, at) => KV.put(at, "v", { metadata: 1n }),
};

const expiry = {
  "refuses-a-ttl-of-59": ({ KV }, at) => KV.put(at, "v", { expirationTtl: 59 }),
  "refuses-a-ttl-of-0": ({ KV }, at) => KV.put(at, "v", { expirationTtl: 0 }),
  "refuses-a-negative-ttl": ({ KV }, at) => KV.put(at, "v", { expirationTtl: -60 }),
  "refuses-a-ttl-that-is-no-number": ({ KV }, at) => KV.put(at, "v", { expirationTtl: "soon" }),
  "refuses-a-ttl-of-nan": ({ KV }, at) => KV.put(at, "v", { expirationTtl: NaN }),
  "refuses-an-expiry-in-the-past": ({ KV }, at) => KV.put(at, "v", { expiration: 1_000_000_000 }),
  "refuses-an-expiry-within-a-minute": async ({ KV }, at) => {
    // The message holds the time itself.
    const soon = seconds() + 30;
    await KV.put(at, "v", { expiration: soon }).catch((error) => {
      throw new Error(error.message.replace(String(soon), "SOON"), { cause: error.name });
    });
  },
  "refuses-an-expiry-that-is-no-number": ({ KV }, at) => KV.put(at, "v", { expiration: "never" }),
  "refuses-an-expiry-after-2038": ({ KV }, at) => KV.put(at, "v", { expiration: 4_000_000_000 }),
  "refuses-an-expiry-of-0": ({ KV }, at) => KV.put(at, "v", { expiration: 0 }),
};

const reads = {
  "refuses-to-get-an-empty-key": ({ KV }) => KV.get(""),
  "refuses-to-get-dot-dot": ({ KV }) => KV.get(".."),
  "refuses-to-get-a-key-of-513-bytes": ({ KV }, at) => KV.get(at.padEnd(513, "k")),
  "refuses-to-delete-an-empty-key": ({ KV }) => KV.delete(""),
  "refuses-to-delete-a-key-of-513-bytes": ({ KV }, at) => KV.delete(at.padEnd(513, "k")),
  "refuses-to-get-no-key": ({ KV }) => KV.get(),
  "an-unknown-type": async ({ KV }, at) => {
    await KV.put(at, "v");
    await KV.get(at, "blob");
  },
  "refuses-json-that-is-none": async ({ KV }, at) => {
    await KV.put(at, "{no");
    await KV.get(at, "json");
  },
  "refuses-a-cache-ttl-of-29": ({ KV }, at) => KV.get(at, { cacheTtl: 29 }),
  "refuses-a-cache-ttl-that-is-no-number": ({ KV }, at) => KV.get(at, { cacheTtl: "x" }),
  "a-bad-cursor": ({ KV }, at) => KV.list({ prefix: at, cursor: "*** no cursor ***" }),
  "a-limit-of-0": ({ KV }, at) => KV.list({ prefix: at, limit: 0 }),
  "a-negative-limit": ({ KV }, at) => KV.list({ prefix: at, limit: -1 }),
  "refuses-a-limit-of-1001": ({ KV }, at) => KV.list({ prefix: at, limit: 1001 }),
  "a-limit-that-is-no-number": ({ KV }, at) => KV.list({ prefix: at, limit: "many" }),
  "refuses-a-prefix-of-513-bytes": ({ KV }, at) => KV.list({ prefix: at.padEnd(513, "k") }),
};

const bulk = {
  "refuses-a-bulk-of-101": ({ KV }, at) => KV.get(Array.from({ length: 101 }, (_, index) => `${at}${index}`)),
  "refuses-a-bulk-of-0": ({ KV }) => KV.get([]),
  "refuses-a-bulk-of-bytes": ({ KV }, at) => KV.get([at], "arrayBuffer"),
  "refuses-a-bulk-of-streams": ({ KV }, at) => KV.get([at], { type: "stream" }),
  "refuses-a-bulk-with-an-empty-key": ({ KV }, at) => KV.get([at, ""]),
  "refuses-a-bulk-with-a-long-key": ({ KV }, at) => KV.get([at, at.padEnd(513, "k")]),
  "refuses-a-bulk-of-json-that-is-none": async ({ KV }, at) => {
    await KV.put(at, "{no");
    await KV.get([at], "json");
  },
  "refuses-a-bulk-with-a-short-cache-ttl": ({ KV }, at) => KV.get([at], { cacheTtl: 1 }),
  "refuses-a-bulk-of-more-than-25-mib": async ({ KV }, at) => {
    const half = new Uint8Array(13 * MIB).fill(120);
    await KV.put(`${at}1`, half);
    await KV.put(`${at}2`, half);
    try {
      return (await KV.get([`${at}1`, `${at}2`])).size;
    } finally {
      await Promise.all([KV.delete(`${at}1`), KV.delete(`${at}2`)]);
    }
  },
};

export const kvErrors = { ...puts, ...expiry, ...reads, ...bulk };
