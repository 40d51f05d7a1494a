// How the pinned workerd serves a directory of assets.
import assert from "node:assert/strict";
import { mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
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

  test("a bad value in its configuration stops the process, unknown keys do not", async (t) => {
    const bad = await served(t, '{"html_handling":"nonsense"}');
    assert.equal(run(["serve", "--experimental", "--binary", "-"], { services: bad.services.services }).code, 1);
    const odd = await served(t, '{"nonsense":1}');
    assert.equal(run(["serve", "--experimental", "--binary", "-"], { services: odd.services.services }).code, 0);
  });
});
