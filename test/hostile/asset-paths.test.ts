// Paths that an upload names and paths that a caller asks for: what is taken is a regular file under its own name, and
// nothing outside a site's own files is ever served.
import assert from "node:assert/strict";
import { lstat, readdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { text } from "node:stream/consumers";
import { openSites, type Sites } from "../fixtures/site.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../fixtures/temporary-directory.ts";

const NFC = "/caf\u00e9.txt";
const NFD = "/cafe\u0301.txt";

/** As the manifest has them: percent-encoded. Null: refused, with these words. */
const UPLOADS: readonly (readonly [what: string, path: string, refusal: RegExp | null])[] = [
  ["a climb", "/../a.txt", /segment "\.\."/],
  ["a climb in the middle", "/a/../../b.txt", /segment "\.\."/],
  ["an encoded climb", "/%2e%2e/a.txt", /segment "\.\."/],
  ["a climb with an encoded slash", "/..%2fa.txt", /segment "\.\."/],
  ["a climb with backslashes", "/..%5c..%5ca.txt", /backslash/],
  ["a dot", "/./a.txt", /segment "\."/],
  ["an empty segment", "//a.txt", /empty segment/],
  ["a directory", "/a/", /empty segment/],
  ["the root", "/", /empty segment/],
  ["no slash", "a.txt", /does not begin with a slash/],
  ["nothing", "", /does not begin with a slash/],
  ["a NUL", "/a%00.txt", /NUL/],
  ["a broken encoding", "/a%zz.txt", /percent-encoding/],
  ["an encoding of no character", "/%ff.txt", /percent-encoding/],
  ["a name of 256 bytes", `/${"n".repeat(256)}`, /segment longer than 255 bytes/],
  ["a name of 255 bytes in fewer characters", `/${encodeURIComponent("é".repeat(128))}`, /segment longer than 255 bytes/],
  ["a path of more than 2048 bytes", `/${"d/".repeat(1100)}a`, /longer than 2048 bytes/],
  ["a name of 255 bytes", `/${"n".repeat(255)}`, null],
  ["a deep path", `/${"d/".repeat(200)}a.txt`, null],
  ["a trailing dot", "/dot.txt.", null],
  ["three dots", "/.../a.txt", null],
  ["a dotfile", "/.env", null],
  ["a hidden directory", "/.well-known/a.txt", null],
  ["a space and a quote", "/a%20%22b%22.txt", null],
  ["a percent sign", "/100%25.txt", null],
  ["an encoded encoding", "/%252e%252e.txt", null],
  ["a colon and a star", "/a%3A*b.txt", null],
  ["a hash and a question mark", "/a%23b%3Fc.txt", null],
  ["a line break", "/a%0Ab.txt", null],
  ["a composed character", encodeURI(NFC), null],
  ["the same character in two parts", encodeURI(NFD), null],
  ["a capital letter", "/Case.txt", null],
  ["the same without", "/case.txt", null],
  ["a file that looks like a temporary one", "/.tmp-0123456789abcdef", null],
  ["an unusual script", `/${encodeURIComponent("файл-文件-🦋.txt")}`, null],
];

/** Sent as they are, over a bare socket. */
const ASKED: readonly string[] = [
  "/../etc/passwd",
  "/../../../../../../etc/passwd",
  "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
  "/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
  "/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
  "/..%5c..%5cetc%5cpasswd",
  "/%252e%252e/etc/passwd",
  "//etc/passwd",
  "///etc/passwd",
  "/./../etc/passwd",
  "/a%00.txt",
  "/%00",
  "/..;/etc/passwd",
  "/%c0%ae%c0%ae/etc/passwd",
  "/.%00./etc/passwd",
  "/../h",
  "/..",
  "/%2e%2e",
  "/_headers",
  "/_redirects",
  "/.assetsignore",
  "/%5fheaders",
];

describe("An asset's path", () => {
  let directory: TemporaryDirectory;
  let sites: Sites;
  const taken = UPLOADS.filter(([, , refusal]) => refusal === null);
  const contentOf = (path: string): string => `content of ${path}`;
  before(async () => {
    directory = await temporaryDirectory("paths");
    sites = await openSites(directory.path);
    const files = Object.fromEntries(taken.map(([, path]) => [path, contentOf(path)]));
    const special = { "/_headers": "/*\n  X-Uploaded: yes", "/_redirects": "/a /b 301", "/.assetsignore": "x" };
    await sites.deploy("odd", { ...files, ...special }, { config: { html_handling: "none" } });
  });
  after(async () => {
    await sites[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  for (const [what, path, refusal] of UPLOADS) {
    if (refusal === null) continue;
    test(`with ${what} is refused`, async () => {
      const manifest = JSON.stringify({ manifest: { [path]: { hash: "aa", size: 1 } } });
      const scripts = `/accounts/${sites.tenant.id}/workers/scripts`;
      const answer = await sites.tenant.call("POST", `${scripts}/bad/assets-upload-session`, manifest);
      assert.equal(answer.status, 400);
      assert.match(answer.message, refusal);
    });
  }

  for (const [what, path] of taken) {
    test(`with ${what} is a file of its own`, async () => {
      const answer = await sites.get("odd", path);
      assert.deepEqual([answer.status, answer.text], [200, contentOf(path)]);
    });
  }

  test("that is a file and a directory at once is refused", async () => {
    const entry = { hash: "aa", size: 1 };
    for (const paths of [
      ["/a", "/a/b"],
      ["/a/b/c", "/a/b"],
      ["/%61", "/a/b"],
    ]) {
      const manifest = JSON.stringify({ manifest: Object.fromEntries(paths.map((path) => [path, entry])) });
      const scripts = `/accounts/${sites.tenant.id}/workers/scripts`;
      const answer = await sites.tenant.call("POST", `${scripts}/bad/assets-upload-session`, manifest);
      assert.equal(answer.status, 400);
      assert.match(answer.message, /both a file and a directory/);
    }
  });

  test("never becomes a link, whatever was uploaded", async () => {
    const root = join(directory.path, "data", "accounts", sites.tenant.id, "assets");
    const entries = await readdir(root, { recursive: true });
    assert.ok(entries.length > taken.length);
    for (const entry of entries) {
      const stats = await lstat(join(root, entry));
      assert.ok(stats.isFile() || stats.isDirectory(), entry);
      assert.equal(stats.mode & 0o7022, stats.isDirectory() ? stats.mode & 0o2000 : 0, `${entry} is writable for others or set-id`);
    }
  });

  test("that leads nowhere of the site's is answered with nothing of anyone's", async () => {
    for (const path of ASKED) {
      const socket = connect(sites.house.edgePort, "127.0.0.1");
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${sites.tenant.host("odd")}\r\nConnection: close\r\n\r\n`);
      const answer = await text(socket);
      assert.match(answer, /^HTTP\/1\.1 (?:404|400|307) /, path);
      assert.doesNotMatch(answer, /root:|X-Uploaded|content of/i, path);
    }
  });
});
