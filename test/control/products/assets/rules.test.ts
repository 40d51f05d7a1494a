// How a site's configuration decides who answers and where a caller is sent: each case through the API and the edge.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openSites, type Answer, type Site, type Sites } from "../../../fixtures/site.ts";

const FILES = {
  "/index.html": "home",
  "/foo.html": "foo",
  "/bar/index.html": "bar",
  "/bar/404.html": "nothing in bar",
  "/404.html": "nothing",
  "/plain.txt": "plain",
  "/old.txt": "kept",
};
const WORKER = "export default { fetch: (request) => new Response('worker ' + new URL(request.url).pathname) }";

/** "200 body", or "307 /where". */
const said = ({ status, headers, text }: Answer): string => `${status} ${headers.location ?? text}`.trim();

type Case = readonly [path: string, expected: string, headers?: Readonly<Record<string, string>>];

const SITES: Readonly<Record<string, { readonly site: Site; readonly cases: readonly Case[] }>> = {
  "html_handling auto-trailing-slash": {
    site: {},
    cases: [
      ["/", "200 home"],
      ["/index.html", "307 /"],
      ["/index", "307 /"],
      ["/foo", "200 foo"],
      ["/foo/", "307 /foo"],
      ["/foo.html", "307 /foo"],
      ["/foo.html?a=b", "307 /foo?a=b"],
      ["/bar", "307 /bar/"],
      ["/bar/", "200 bar"],
      ["/bar/index.html", "307 /bar/"],
      ["/plain.txt", "200 plain"],
      ["/plain.txt/", "404"],
      ["/nowhere", "404"],
    ],
  },
  "html_handling force-trailing-slash": {
    site: { config: { html_handling: "force-trailing-slash" } },
    cases: [
      ["/", "200 home"],
      ["/foo", "307 /foo/"],
      ["/foo/", "200 foo"],
      ["/foo.html", "307 /foo/"],
      ["/bar", "307 /bar/"],
      ["/bar/", "200 bar"],
    ],
  },
  "html_handling drop-trailing-slash": {
    site: { config: { html_handling: "drop-trailing-slash" } },
    cases: [
      ["/", "200 home"],
      ["/foo", "200 foo"],
      ["/foo/", "307 /foo"],
      ["/bar", "200 bar"],
      ["/bar/", "307 /bar"],
      ["/bar/index.html", "307 /bar"],
    ],
  },
  "html_handling none": {
    site: { config: { html_handling: "none" } },
    cases: [
      ["/", "404"],
      ["/index.html", "200 home"],
      ["/foo", "404"],
      ["/foo.html", "200 foo"],
      ["/bar/", "404"],
      ["/bar/index.html", "200 bar"],
    ],
  },
  "not_found_handling 404-page": {
    site: { config: { not_found_handling: "404-page" } },
    cases: [
      ["/nowhere", "404 nothing"],
      ["/bar/nowhere", "404 nothing in bar"],
      ["/bar/a/b/c", "404 nothing in bar"],
    ],
  },
  "not_found_handling single-page-application": {
    site: { config: { not_found_handling: "single-page-application" } },
    cases: [
      ["/nowhere", "200 home"],
      ["/a/b/c.js", "200 home"],
      ["/foo", "200 foo"],
    ],
  },
  "not_found_handling single-page-application before a Worker": {
    site: { code: WORKER, config: { not_found_handling: "single-page-application" } },
    cases: [
      ["/page", "200 home", { "sec-fetch-mode": "navigate" }],
      ["/api/a", "200 worker /api/a"],
      ["/foo", "200 foo"],
    ],
  },
  "no run_worker_first": {
    site: { code: WORKER },
    cases: [
      ["/foo", "200 foo"],
      ["/nowhere", "200 worker /nowhere"],
    ],
  },
  "run_worker_first true": {
    site: { code: WORKER, config: { run_worker_first: true } },
    cases: [
      ["/foo", "200 worker /foo"],
      ["/", "200 worker /"],
    ],
  },
  "run_worker_first false": { site: { code: WORKER, config: { run_worker_first: false } }, cases: [["/foo", "200 foo"]] },
  "run_worker_first with patterns": {
    site: { code: WORKER, config: { run_worker_first: ["/bar/*", "/foo", "!/bar/index.html"] } },
    cases: [
      ["/foo", "200 worker /foo"],
      ["/bar/", "200 worker /bar/"],
      ["/bar/x", "200 worker /bar/x"],
      ["/bar/index.html", "307 /bar/"],
      ["/plain.txt", "200 plain"],
      ["/nowhere", "200 worker /nowhere"],
    ],
  },
  base_path: {
    site: { code: WORKER, config: { base_path: "/docs" } },
    cases: [
      ["/docs/foo", "200 foo"],
      ["/docs/foo.html", "307 /docs/foo"],
      ["/docs", "307 /docs/"],
      ["/docs/", "200 home"],
      ["/docsfoo", "200 worker /docsfoo"],
      ["/foo", "200 worker /foo"],
    ],
  },
  _redirects: {
    site: {
      config: {
        _redirects: [
          "/gone /plain.txt 301",
          "/later https://x.example/a?b#c 302 # why",
          "/see /plain.txt 303",
          "/temporary /plain.txt 307",
          "/for-ever /plain.txt 308",
          "/old.txt /plain.txt 301",
          "/rewritten /plain.txt 200",
          "/default /plain.txt",
          "/blog/:year/:name /posts/:name-:year 301",
          "/all/* /bar/:splat 302",
        ].join("\n"),
      },
    },
    cases: [
      ["/gone", "301 /plain.txt"],
      ["/gone?a=b", "301 /plain.txt?a=b"],
      ["/later", "302 https://x.example/a?b#c"],
      ["/see", "303 /plain.txt"],
      ["/temporary", "307 /plain.txt"],
      ["/for-ever", "308 /plain.txt"],
      ["/old.txt", "301 /plain.txt"],
      ["/rewritten", "200 plain"],
      ["/default", "302 /plain.txt"],
      ["/blog/2026/mayfly", "301 /posts/mayfly-2026"],
      ["/all/a/b", "302 /bar/a/b"],
    ],
  },
};

describe("A site with", () => {
  let sites: Sites;
  const nameOf = (what: string): string => `s${Object.keys(SITES).indexOf(what)}`;
  before(async () => {
    sites = await openSites();
    for (const [what, { site }] of Object.entries(SITES)) await sites.deploy(nameOf(what), FILES, site);
  });
  after(() => sites[Symbol.asyncDispose]());

  for (const [what, { cases }] of Object.entries(SITES)) {
    for (const [path, expected, headers] of cases) {
      test(`${what} answers ${path}${headers ? " to a navigation" : ""} with ${expected}`, async () => {
        assert.equal(said(await sites.get(nameOf(what), path, headers)), expected);
      });
    }
  }

  test("_headers gives and takes headers by path, placeholder and host", async () => {
    const host = sites.tenant.host("headed");
    const _headers = [
      "/*",
      "  X-All: every",
      "  X-Twice: one",
      "/plain.txt",
      "  X-Twice: two",
      "  Cache-Control: public, max-age=60",
      "  ! X-All",
      "/bar/:file",
      "  X-File: is :file",
      `https://${host}/foo`,
      "  X-Host: here",
      "https://other.example/foo",
      "  X-Other: there",
    ].join("\n");
    await sites.deploy("headed", FILES, { config: { _headers } });
    const plain = (await sites.get("headed", "/plain.txt")).headers;
    assert.deepEqual([plain["x-all"], plain["x-twice"], plain["cache-control"]], [undefined, "one, two", "public, max-age=60"]);
    const foo = (await sites.get("headed", "/foo")).headers;
    assert.deepEqual([foo["x-all"], foo["x-host"], foo["x-other"]], ["every", "here", undefined]);
    assert.equal((await sites.get("headed", "/bar/404")).headers["x-file"], "is 404");
    // Header rules hold for every answer of the files, and of nobody else.
    assert.equal((await sites.get("headed", "/foo.html")).headers["x-all"], "every");
    await sites.deploy("headed", FILES, { code: WORKER, config: { _headers } });
    assert.equal((await sites.get("headed", "/nowhere")).headers["x-all"], undefined);
  });

  test("one hundred header rules of its own has all of them, and ranges still", async () => {
    const _headers = Array.from({ length: 100 }, (_, at) => `${at === 99 ? "/plain.txt" : `/r${at}/*`}\n  X-R: ${at}`).join("\n");
    await sites.deploy("hundred", FILES, { config: { _headers } });
    const answer = await sites.get("hundred", "/plain.txt", { range: "bytes=1-2" });
    assert.deepEqual([answer.status, answer.text, answer.headers["x-r"]], [206, "la", "99"]);
  });

  test("other methods than GET and HEAD refuses them for a file", async () => {
    for (const method of ["POST", "PUT", "DELETE"]) assert.equal((await sites.get("s0", "/plain.txt", {}, method)).status, 405);
  });

  test("a configuration that would stop the process is refused, and the site goes on as it was", async () => {
    const answer = await sites.upload("s0", FILES, { config: { run_worker_first: ["!/a"] }, code: WORKER });
    assert.deepEqual([answer.status, answer.code], [400, 10021], answer.message);
    const lines = await sites.upload("s0", FILES, { config: { _headers: "/a\n  X A: 1" } });
    assert.match(lines.message, /_headers: line 2: "X A" is not a header's name/);
    assert.equal(said(await sites.get("s0", "/foo")), "200 foo");
  });
});
