// What outlives a deploy: the ETag of a file that did not change, and one copy on disk however many versions and Workers
// serve it.
import assert from "node:assert/strict";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openHouse } from "../../../fixtures/house.ts";
import { fetchEdge, openSites, uploadFiles } from "../../../fixtures/site.ts";
import { temporaryDirectory } from "../../../fixtures/temporary-directory.ts";

const TEXT = "a line that stays\n".repeat(200);

describe("A file of a site", () => {
  test("keeps its ETag in another version, for another Worker's wishes, and after a restart of everything", async () => {
    await using directory = await temporaryDirectory("kept");
    const seen: { etag: string; host: string } = { etag: "", host: "" };
    {
      await using sites = await openSites(directory.path);
      await sites.deploy("app", { "/kept.txt": TEXT, "/changed.txt": "one" });
      const kept = (await sites.get("app", "/kept.txt")).headers.etag ?? "";
      const changed = (await sites.get("app", "/changed.txt")).headers.etag ?? "";
      await sites.deploy("app", { "/kept.txt": TEXT, "/changed.txt": "two" });
      assert.equal((await sites.get("app", "/changed.txt")).text, "two");
      assert.notEqual((await sites.get("app", "/changed.txt")).headers.etag, changed);
      const compressed = await sites.get("app", "/kept.txt", { "accept-encoding": "br" });
      assert.equal(compressed.headers.etag, `W/${kept}`);
      await sites.deploy("app", { "/kept.txt": TEXT, "/more.txt": "three" }, { code: "export default { fetch: () => new Response('w') }" });
      for (const tag of [kept, `W/${kept}`]) assert.equal((await sites.get("app", "/kept.txt", { "if-none-match": tag })).status, 304);
      Object.assign(seen, { etag: kept, host: sites.tenant.host("app") });
    }
    await using house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    const again = await fetchEdge(house.edgePort, seen.host, "/kept.txt");
    assert.deepEqual([again.status, again.headers.etag, again.text], [200, seen.etag, TEXT]);
    assert.equal((await fetchEdge(house.edgePort, seen.host, "/kept.txt", { "if-none-match": seen.etag })).status, 304);
  });

  test("among a thousand lies on disk once for all versions and Workers, and one more than a thousand is refused", async () => {
    await using directory = await temporaryDirectory("thousand");
    await using sites = await openSites(directory.path);
    const files = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`/d${at % 30}/f${at}.txt`, `file ${at}`]));
    const config = { not_found_handling: "404-page" };
    await sites.deploy("one", files);
    await sites.deploy("two", files);
    await sites.deploy("one", { ...files, "/d0/f0.txt": "changed" }, { config });
    for (const [name, content] of [
      ["one", "changed"],
      ["two", "file 0"],
    ] as const) {
      assert.equal((await sites.get(name, "/d0/f0.txt")).text, content);
      assert.equal((await sites.get(name, "/d9/f999.txt")).text, "file 999");
    }
    const assets = join(directory.path, "data", "accounts", sites.tenant.id, "assets");
    const stored = await readdir(join(assets, "h"));
    assert.equal(stored.length, 1001);
    const trees = await readdir(join(assets, "v"));
    assert.equal(trees.length, 2, "two Workers with the same files have one tree");
    const inodes = new Set<number>();
    for (const tree of [join(assets, "h"), ...trees.map((name) => join(assets, "v", name))]) {
      for (const entry of await readdir(tree, { recursive: true })) {
        const stats = await lstat(join(tree, entry));
        if (stats.isFile()) inodes.add(stats.ino);
      }
    }
    assert.equal(inodes.size, 1001);
    await assert.rejects(uploadFiles(sites.tenant, "more", { ...files, "/more.txt": "one more" }), /1001 files, more than the 1000/);
  });

  test("may have five mebibytes and not one byte more, which is told by path", async () => {
    await using sites = await openSites();
    const large = Buffer.alloc(5_242_880, "x");
    await sites.deploy("large", { "/large.bin": large });
    const part = await sites.get("large", "/large.bin", { range: "bytes=-3" });
    assert.deepEqual([part.status, part.text, part.headers["content-range"]], [206, "xxx", "bytes 5242877-5242879/5242880"]);
    assert.ok((await sites.get("large", "/large.bin")).bytes.equals(large));
    const more = uploadFiles(sites.tenant, "large", { "/deep/larger.bin": Buffer.concat([large, Buffer.from("x")]) });
    await assert.rejects(more, /"\/deep\/larger\.bin" has 5242881 bytes, more than the 5242880 that a file may have/);
  });
});
