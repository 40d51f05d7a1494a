// How the pinned workerd serves a directory of assets.
import assert from "node:assert/strict";
import { mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { SERVED_TYPES } from "../../src/control/products/workers/asset-config/types.ts";
import type { WorkerdConfig } from "../../src/host/capsules/workerd/workerd-config.ts";
import { get, internet, run, serve, shortDirectory } from "../fixtures/workerd.ts";

async function served(t: TestContext, config = "{}") {
  const directory = await shortDirectory(t);
  const root = join(directory, "site");
  await mkdir(root);
  const socket = join(directory, "in.sock");
  const services: WorkerdConfig = {
    services: [{ name: "site", assets: { path: root, config, compatibilityDate: "2026-01-01" } }, internet],
    sockets: [{ name: "in", address: `unix:${socket}`, service: { name: "site" }, http: {} }],
  };
  return { directory, root, services, start: () => serve(t, services), get: (path: string, headers = {}) => get(socket, path, headers) };
}

describe("the assets service", () => {
  test("needs --experimental", async (t) => {
    const { services } = await served(t);
    const { code, stderr } = run(["serve", "--binary", "-"], services);
    assert.equal(code, 1);
    assert.match(stderr, /experimental/);
  });

  test("follows symbolic links out of its directory, so we never make one", async (t) => {
    const { directory, root, start, get } = await served(t);
    await writeFile(join(directory, "secret.txt"), "outside");
    await symlink(join(directory, "secret.txt"), join(root, "link.txt"));
    await start();
    assert.equal((await get("/link.txt")).body, "outside");
  });

  test("makes its ETag of path, size and modification time: the same file keeps it, another time changes it", async (t) => {
    const { root, start, get } = await served(t);
    const file = join(root, "a.txt");
    await writeFile(file, "text");
    await utimes(file, 1_500_000_000, 1_500_000_000);
    await start();
    const { etag } = (await get("/a.txt")).headers;
    await writeFile(file, "text");
    await utimes(file, 1_500_000_000, 1_500_000_000);
    assert.equal((await get("/a.txt")).headers.etag, etag);
    await utimes(file, 1_500_000_001, 1_500_000_001);
    assert.notEqual((await get("/a.txt")).headers.etag, etag);
  });

  test("looks files up with each request and answers 304 for their ETag", async (t) => {
    const { root, start, get } = await served(t);
    await start();
    assert.equal((await get("/late.txt")).status, 404);
    await writeFile(join(root, "late.txt"), "now");
    const late = await get("/late.txt");
    assert.deepEqual([late.status, late.headers["content-type"]], [200, "text/plain; charset=utf-8"]);
    assert.equal((await get("/late.txt", { "if-none-match": late.headers.etag ?? "" })).status, 304);
  });

  test("applies header rules to every answer of its own, a hundred and one of them, and the later of two for one path", async (t) => {
    const rules = Array.from({ length: 100 }, (_, at) => `/r${at}/*\n  X-R: ${at}\n`).join("");
    const config = { headers: `${rules}/*\n  X-Last: yes\n`, redirects: "/old /a.txt 301", not_found_handling: "404-page" };
    const { root, start, get } = await served(t, JSON.stringify(config));
    for (const name of ["a.txt", "404.html", "p.html"]) await writeFile(join(root, name), name);
    await start();
    const { etag = "" } = (await get("/a.txt")).headers;
    for (const [path, status, headers] of [
      ["/a.txt", 200, {}],
      ["/a.txt", 304, { "if-none-match": etag }],
      ["/r99/x", 404, {}],
      ["/old", 301, {}],
      ["/p.html", 307, {}],
    ] as const) {
      const answer = await get(path, headers);
      assert.deepEqual([answer.status, answer.headers["x-last"]], [status, "yes"], path);
    }
    assert.equal((await get("/r99/x")).headers["x-r"], "99");
    const twice = await served(t, JSON.stringify({ headers: "/*\n  X-A: 1\n/*\n  X-B: 2\n" }));
    await writeFile(join(twice.root, "a.txt"), "a");
    await twice.start();
    const { headers } = await twice.get("/a.txt");
    assert.deepEqual([headers["x-a"], headers["x-b"]], [undefined, "2"]);
  });

  test("knows no ranges, no compression and no condition of more than one tag", async (t) => {
    const { root, start, get } = await served(t);
    await writeFile(join(root, "a.txt"), "a".repeat(5000));
    await start();
    const { etag = "", ...headers } = (await get("/a.txt", { range: "bytes=0-1", "accept-encoding": "gzip, br" })).headers;
    assert.deepEqual([headers["content-length"], headers["content-encoding"], headers["content-range"]], ["5000", undefined, undefined]);
    assert.equal((await get("/a.txt", { "if-none-match": `"x", ${etag}` })).status, 200);
  });

  test("gives files the types that we take for granted, and no type to others", async (t) => {
    const { root, start, get } = await served(t);
    const expected = new Map([
      ...SERVED_TYPES,
      ...["vtt", "yaml", "glb", "m3u8", "opus", "xhtml"].map((extension) => [extension, undefined] as const),
    ]);
    for (const extension of expected.keys()) await writeFile(join(root, `x.${extension}`), "x");
    await start();
    for (const [extension, type] of expected) {
      // Of pages the extension is taken off.
      const path = type === "text/html" ? "/x" : `/x.${extension}`;
      const charset = type?.startsWith("text/") === true ? "; charset=utf-8" : "";
      if (extension !== "htm") assert.equal((await get(path)).headers["content-type"], type && type + charset, extension);
    }
  });

  test("a bad value in its configuration stops the process, unknown keys do not", async (t) => {
    const bad = await served(t, '{"html_handling":"nonsense"}');
    assert.equal(run(["serve", "--experimental", "--binary", "-"], { services: bad.services.services }).code, 1);
    const odd = await served(t, '{"nonsense":1}');
    assert.equal(run(["serve", "--experimental", "--binary", "-"], { services: odd.services.services }).code, 0);
  });
});
