// Static files as callers get them: through the API, the real asset service and the edge.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { openSites, type Answer, type Sites } from "../../../fixtures/site.ts";
import { WebSocketClient } from "../web-socket-client.ts";

const LINES = Array.from({ length: 4000 }, (_, at) => `line ${at} of a text that repeats itself\n`).join("");
const NOISE = Buffer.concat(Array.from({ length: 20_000 }, (_, at) => createHash("sha256").update(String(at)).digest()));
const WORKER = `export default { async fetch(request, env) {
  const { pathname } = new URL(request.url);
  if (pathname === "/passed") return env.ASSETS.fetch("http://x/lines.txt");
  if (pathname === "/changed") {
    const file = await env.ASSETS.fetch("http://x/lines.txt");
    return new Response((await file.text()).toUpperCase(), file);
  }
  if (pathname === "/marks") {
    const file = await env.ASSETS.fetch("http://x/lines.txt");
    return Response.json([...file.headers.keys()]);
  }
  if (pathname === "/forged") return new Response(${JSON.stringify(LINES)}, { headers: { "mayfly-file": "0".repeat(32), etag: '"a"', "content-type": "text/plain" } });
  if (pathname === "/ws") {
    const [client, server] = Object.values(new WebSocketPair());
    server.accept(); server.addEventListener("message", ({ data }) => server.send("echo " + data));
    return new Response(null, { status: 101, webSocket: client });
  }
  return new Response(${JSON.stringify(LINES)}, { headers: { "content-type": "text/plain" } });
} };`;

const decoded = ({ headers, bytes }: Answer): string => {
  switch (headers["content-encoding"]) {
    case "br":
      return brotliDecompressSync(bytes).toString();
    case "zstd":
      return zstdDecompressSync(bytes).toString();
    case "gzip":
      return gunzipSync(bytes).toString();
    default:
      return bytes.toString();
  }
};

describe("A static file", () => {
  let sites: Sites;
  before(async () => {
    sites = await openSites();
    await sites.deploy(
      "site",
      {
        "/index.html": "<h1>home</h1>",
        "/404.html": `<h1>none</h1>${LINES}`,
        "/lines.txt": LINES,
        "/noise.bin": { content: NOISE, type: "application/octet-stream" },
        "/noise.txt": NOISE,
        "/small.txt": "0123456789",
        "/empty.txt": "",
        "/kept.txt": LINES,
        "/packed.txt": LINES,
        "/tagged.txt": LINES,
        "/sub.vtt": { content: "WEBVTT", type: "text/vtt" },
        "/model.glb": { content: "glTF", type: "model/gltf-binary" },
        "/bare.zzz": { content: "?", type: "application/null" },
        "/app.js": "1",
        "/a.json": "{}",
      },
      {
        config: {
          not_found_handling: "404-page",
          _headers:
            "/kept.txt\n  Cache-Control: public, no-transform\n/packed.txt\n  Content-Encoding: x-own\n/small.txt\n  X-Small: yes\n  ! Cache-Control\n",
        },
      },
    );
    await sites.deploy("tagged", { "/a.txt": LINES, "/b.txt": LINES.toUpperCase() }, { config: { _headers: '/*\n  ETag: "v1"\n' } });
    await sites.deploy(
      "ruled",
      { "/a.vtt": { content: LINES, type: "text/vtt" } },
      { config: { _headers: "/./*\n  X-All: 1\n/*.vtt\n  X-Vtt: 1\n" } },
    );
    await sites.deploy("app", { "/lines.txt": LINES }, { code: WORKER });
  });
  after(() => sites[Symbol.asyncDispose]());
  const get = (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> =>
    sites.get("site", path, headers, method);

  const size = Buffer.byteLength(LINES);
  const parts: readonly (readonly [range: string, first: number, last: number])[] = [
    ["bytes=0-0", 0, 0],
    ["bytes=5-9", 5, 9],
    ["bytes=100-", 100, size - 1],
    ["bytes=-7", size - 7, size - 1],
    [`bytes=0-${size * 2}`, 0, size - 1],
    [`bytes=-${size * 2}`, 0, size - 1],
    ["bytes=70000-140000", 70_000, 140_000],
    ["bytes=3-9223372036854775807", 3, size - 1],
  ];
  for (const [range, first, last] of parts) {
    test(`is answered in part for ${range}`, async () => {
      const answer = await get("/lines.txt", { range, "accept-encoding": "gzip" });
      assert.equal(answer.status, 206);
      assert.equal(answer.text, LINES.slice(first, last + 1));
      assert.equal(answer.headers["content-range"], `bytes ${first}-${last}/${size}`);
      assert.equal(answer.headers["content-length"], String(last - first + 1));
      assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
      assert.equal(answer.headers["content-encoding"], undefined);
      assert.match(answer.headers.etag ?? "", /^"/);
    });
  }

  for (const range of ["bytes=", "bytes=9-5", "bytes=a-b", "lines=0-1", "bytes=0-1,4-5", "bytes=0-1, -1"]) {
    test(`is answered whole for ${JSON.stringify(range)}`, async () => {
      const answer = await get("/lines.txt", { range });
      assert.deepEqual([answer.status, answer.text.length, answer.headers["accept-ranges"]], [200, LINES.length, "bytes"]);
    });
  }

  test("says how long it is to who asks for bytes beyond its end", async () => {
    for (const range of [`bytes=${size}-`, `bytes=${size + 5}-${size + 9}`, "bytes=-0"]) {
      const answer = await get("/lines.txt", { range });
      assert.deepEqual([answer.status, answer.headers["content-range"], answer.text], [416, `bytes */${size}`, ""], range);
    }
    assert.equal((await get("/empty.txt", { range: "bytes=0-" })).headers["content-range"], "bytes */0");
    assert.equal((await get("/empty.txt", { range: "bytes=-5" })).status, 200);
  });

  test("is answered in part only if it is the one that If-Range names, by its strong ETag", async () => {
    const { etag = "" } = (await get("/lines.txt")).headers;
    const range = "bytes=1-2";
    for (const [ifRange, status] of [
      [etag, 206],
      [`W/${etag}`, 200],
      ['"other"', 200],
      [new Date().toUTCString(), 200],
    ] as const) {
      assert.equal((await get("/lines.txt", { range, "if-range": ifRange })).status, status, ifRange);
    }
  });

  test("that is large is answered in part from its end, and the connection to its process stays whole", async () => {
    for (let round = 0; round < 3; round++) {
      const answer = await get("/noise.bin", { range: "bytes=10-19" });
      assert.deepEqual([answer.status, answer.bytes], [206, NOISE.subarray(10, 20)]);
      assert.deepEqual((await get("/noise.bin", { range: "bytes=-20" })).bytes, NOISE.subarray(-20));
      assert.deepEqual((await get("/noise.bin")).bytes, NOISE);
    }
  });

  test("is answered whole to HEAD, whatever the range", async () => {
    const answer = await get("/small.txt", { range: "bytes=0-1" }, "HEAD");
    assert.deepEqual(
      [answer.status, answer.headers["content-length"], answer.headers["accept-ranges"], answer.text],
      [200, "10", "bytes", ""],
    );
  });

  test("with a Content-Encoding of its owner's is left as it is", async () => {
    const answer = await get("/packed.txt", { range: "bytes=0-1", "accept-encoding": "gzip" });
    assert.deepEqual([answer.status, answer.headers["content-encoding"], answer.headers["accept-ranges"]], [200, "x-own", undefined]);
    assert.equal(answer.text, LINES);
  });

  const forms: readonly (readonly [accept: string, encoding: string | undefined])[] = [
    ["gzip, deflate, br, zstd", "br"],
    ["gzip, zstd", "zstd"],
    ["gzip", "gzip"],
    ["x-gzip", "gzip"],
    ["br;q=0.5, gzip;q=0.9", "gzip"],
    ["br;q=0, *", "zstd"],
    ["*;q=0", undefined],
    ["identity;q=1, gzip;q=0.5", undefined],
    ["gzip;q=0", undefined],
    ["deflate", undefined],
    ["gzip;q=2", undefined],
    ["", undefined],
  ];
  for (const [accept, encoding] of forms) {
    test(`is sent ${encoding === undefined ? "as it is" : `as ${encoding}`} to who accepts ${JSON.stringify(accept)}`, async () => {
      const answer = await get("/lines.txt", { "accept-encoding": accept });
      assert.deepEqual([answer.status, answer.headers["content-encoding"], decoded(answer)], [200, encoding, LINES]);
      assert.equal(answer.headers.vary, "Accept-Encoding");
      assert.equal(answer.headers["content-length"], String(answer.bytes.length));
      if (encoding !== undefined) assert.ok(answer.bytes.length < LINES.length / 4);
      assert.equal(answer.headers.etag?.startsWith("W/"), encoding !== undefined);
      assert.equal(answer.headers["accept-ranges"], encoding === undefined ? "bytes" : undefined);
    });
  }

  test("that is compressed has the same headers for HEAD", async () => {
    const accept = { "accept-encoding": "br" };
    const [whole, head] = [await get("/lines.txt", accept), await get("/lines.txt", accept, "HEAD")];
    for (const name of ["etag", "vary", "content-encoding", "content-length", "content-type", "cache-control"] as const) {
      assert.equal(head.headers[name], whole.headers[name], name);
    }
  });

  test("is not modified for its ETag in either form, alone and in a list, and the 304 has the form that is held", async () => {
    const strong = (await get("/lines.txt")).headers.etag ?? "";
    for (const accept of ["identity", "br"]) {
      for (const [held, told] of [
        [strong, strong],
        [`W/${strong}`, `W/${strong}`],
        [`"other", W/${strong}`, `W/${strong}`],
        [`"other", ${strong}`, strong],
        ["*", strong],
      ] as const) {
        const answer = await get("/lines.txt", { "if-none-match": held, "accept-encoding": accept });
        assert.deepEqual([answer.status, answer.headers.etag, answer.headers.vary, answer.text], [304, told, "Accept-Encoding", ""], held);
      }
    }
    assert.equal((await get("/lines.txt", { "if-none-match": '"other"' })).status, 200);
    assert.equal((await get("/lines.txt", { "if-none-match": strong, range: "bytes=0-1" })).status, 304);
  });

  test("is never compressed where that may not or need not be", async () => {
    const accept = { "accept-encoding": "br, gzip" };
    for (const path of ["/kept.txt", "/small.txt", "/noise.bin", "/empty.txt"]) {
      const answer = await get(path, accept);
      assert.deepEqual([answer.headers["content-encoding"], answer.headers.vary], [undefined, undefined], path);
    }
    assert.equal((await get("/lines.txt", { ...accept, "cache-control": "no-transform" })).headers["content-encoding"], undefined);
  });

  test("that compression makes no smaller goes out as it is", async () => {
    for (let round = 0; round < 2; round++) {
      const answer = await get("/noise.txt", { "accept-encoding": "gzip" });
      assert.deepEqual([answer.headers["content-encoding"], answer.bytes.length], [undefined, NOISE.length]);
    }
  });

  test("that is the page for what is not there is compressed, and has no ranges", async () => {
    const answer = await get("/nowhere", { "accept-encoding": "gzip" });
    assert.deepEqual([answer.status, answer.headers["content-encoding"]], [404, "gzip"]);
    assert.match(decoded(answer), /^<h1>none/);
    const part = await get("/nowhere", { range: "bytes=0-1" });
    assert.deepEqual([part.status, part.headers["accept-ranges"]], [404, undefined]);
  });

  test("whose ETag its owner has set is never taken for another of the same ETag", async () => {
    for (const [path, text] of [
      ["/a.txt", LINES],
      ["/b.txt", LINES.toUpperCase()],
    ] as const) {
      const answer = await sites.get("tagged", path, { "accept-encoding": "gzip" });
      assert.deepEqual([answer.headers.etag, decoded(answer)], ['"v1"', text]);
    }
    const part = await sites.get("tagged", "/b.txt", { range: "bytes=0-3", "if-range": '"v1"' });
    assert.deepEqual([part.status, part.text], [206, "LINE"]);
  });

  test("keeps its owner's headers, and shows none of the platform's", async () => {
    const { headers } = await get("/small.txt");
    assert.deepEqual([headers["x-small"], headers["cache-control"]], ["yes", undefined]);
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith("mayfly")),
      [],
    );
    assert.equal((await get("/lines.txt")).headers["cache-control"], "public, max-age=0, must-revalidate");
  });

  test("has what its owner's rules say where the platform has rules for the same paths", async () => {
    const { headers } = await sites.get("ruled", "/a.vtt", { "accept-encoding": "br" });
    assert.deepEqual([headers["x-all"], headers["x-vtt"], headers["content-type"]], ["1", "1", "text/vtt; charset=utf-8"]);
    assert.equal((await sites.get("ruled", "/a.vtt", { range: "bytes=0-1" })).status, 206);
  });

  test("has the type of its extension or, where that is unknown, of its upload", async () => {
    for (const [path, type] of [
      ["/", "text/html; charset=utf-8"],
      ["/app.js", "text/javascript; charset=utf-8"],
      ["/a.json", "application/json"],
      ["/lines.txt", "text/plain; charset=utf-8"],
      ["/sub.vtt", "text/vtt; charset=utf-8"],
      ["/model.glb", "model/gltf-binary"],
      ["/noise.bin", "application/octet-stream"],
      ["/bare.zzz", undefined],
    ] as const) {
      assert.equal((await get(path)).headers["content-type"], type, path);
    }
  });

  test("in front of a Worker is a file, and what the Worker says is left as it is, whatever it came from", async () => {
    const accept = { "accept-encoding": "gzip", range: "bytes=0-1" };
    assert.equal((await sites.get("app", "/lines.txt", { range: "bytes=0-1" })).status, 206);
    assert.equal((await sites.get("app", "/lines.txt", { "accept-encoding": "gzip" })).headers["content-encoding"], "gzip");
    for (const path of ["/passed", "/changed", "/forged", "/own"]) {
      const answer = await sites.get("app", path, accept);
      const { "content-encoding": encoding, "accept-ranges": ranges, vary } = answer.headers;
      assert.deepEqual([answer.status, encoding, ranges, vary], [200, undefined, undefined, undefined], path);
      assert.equal(answer.text, path === "/changed" ? LINES.toUpperCase() : LINES);
      assert.equal(answer.headers["mayfly-file"], undefined);
    }
    const seen = JSON.parse((await sites.get("app", "/marks")).text) as string[];
    assert.ok(seen.includes("etag"));
    assert.ok(!seen.some((name) => name.startsWith("mayfly")), "a Worker never learns the mark");
  });

  test("leaves WebSockets to the Worker behind it", async () => {
    const socket = new WebSocketClient(`ws://127.0.0.1:${sites.house.edgePort}/ws`, { headers: { host: sites.tenant.host("app") } });
    const said = await new Promise<string>((resolve, reject) => {
      socket.once("open", () => socket.send("hi"));
      socket.once("message", (data: Buffer) => resolve(data.toString()));
      socket.once("error", reject);
    });
    socket.close();
    assert.equal(said, "echo hi");
  });
});
