// What of a site's configuration is refused, by file and line, and that the real asset service takes what is not.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { assetServiceConfig } from "../../../../src/control/products/workers/asset-config/config.ts";
import type { SentAssetsConfig } from "../../../../src/control/products/workers/contract.ts";
import { PlatformError } from "../../../../src/kernel/errors.ts";
import { get, internet, NOWHERE, serve, shortDirectory, worker } from "../../../fixtures/workerd.ts";

const repeat = (count: number, line: (at: number) => string): string => Array.from({ length: count }, (_, at) => line(at)).join("\n");

function refusal(sent: SentAssetsConfig): string {
  try {
    assetServiceConfig(sent, []);
  } catch (error) {
    assert.ok(error instanceof PlatformError && error.code === "invalid_upload");
    return error.message;
  }
  return "";
}

const HEADERS: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ["a header before any path", "X-A: 1\n/a\n  X-B: 2", /^_headers: line 1: "X-A: 1" stands before the first path/],
  ["a path without headers", "/a\n\n# nothing\n/b\n  X-A: 1", /line 1: "\/a" is followed by no header/],
  ["a last path without headers", "/b\n  X-A: 1\n/a", /line 3: "\/a" is followed by no header/],
  ["a line that is nothing", "/a\n  X-A\n", /line 2: "X-A" is neither a path, nor "Name: value", nor "! Name"/],
  ["a name with a space", "/a\n  X A: 1", /line 2: "X A" is not a header's name/],
  ["a name that is no token", "/a\n  X(A: 1", /line 2: "X\(A" is not a header's name/],
  ["a removal of no token", "/a\n  ! X(A", /line 2: "X\(A" is not a header's name/],
  ["an empty name", "/a\n  : 1", /line 2: "" is not a header's name/],
  ["an empty value", "/a\n  X-A:", /line 2: "X-A" has no value/],
  ["a control character", "/a\n  X-A: a\u0001b", /line 2: the value of "X-A" holds a control character/],
  ["a NUL", "/a\n  X-A: a\0b", /line 2: the value of "X-A" holds a control character/],
  ["a name of the platform", "/a\n  Mayfly-File: 1", /line 2: "Mayfly-File" is a name that this platform keeps/],
  ["another scheme", "http://x.example/a\n  X-A: 1", /line 1: the URL "http:\/\/x\.example\/a" begins neither/],
  ["two wildcards", "/*/a/*\n  X-A: 1", /line 1: "\/\*\/a\/\*" has more than one/],
  ["a wildcard and :splat", "/:splat/*\n  X-A: 1", /line 1: .* has both/],
  ["a line of 2,001 characters", `/a\n  X-A: ${"x".repeat(1996)}`, /line 2: has 2001 characters, more than 2000/],
  ["101 rules", repeat(101, (at) => `/${at}\n  X-A: 1`), /line 201: begins rule 101; 100 are allowed/],
  ["two wrong lines", "/a\n  X-A:\n/b\n  X B: 1", /line 2: .*; line 4: /],
  ["CR line ends and a wrong line", "/a\r\n  X-A: 1\r\n/b\r\n  X-B:\r\n", /line 4: "X-B" has no value/],
  ["very many wrong lines", repeat(10_000, () => "x"), /line 5: .*; and more\.$/],
];

const REDIRECTS: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ["one word", "/a /b\n/a", /^_redirects: line 2: has 1 words/],
  ["four words", "/a /b 301 x", /line 1: has 4 words/],
  ["a source with a host", "https://x.example/a /b", /line 1: the URL "https:\/\/x\.example\/a" names a host/],
  ["a target without a slash", "/a b", /line 1: the URL "b" begins neither/],
  ["a target over http", "/a http://x.example/", /line 1: the URL "http:\/\/x\.example\/" begins neither/],
  ["a status that is none", "/a /b 404", /line 1: the status "404" is none of 200, 301/],
  ["a status with a mark", "/a /b 200!", /line 1: the status "200!" is none of/],
  ["a path twice", "/a /b\n/c /d\n/a /e", /line 3: "\/a" has a rule in line 1 already/],
  ["everything to the index", "/* /index.html 200", /line 1: "\/\*" to "\/index\.html" would lead back/],
  ["the root to the index", "/ /index", /would lead back to itself/],
  ["a rewrite to another host", "/a https://x.example/ 200", /with the status 200 it must be a path/],
  ["two wildcards", "/*/b/* /c", /line 1: "\/\*\/b\/\*" has more than one/],
  ["2,001 static rules", repeat(2001, (at) => `/${at} /x`), /line 2001: is static rule 2001; 2000 are allowed/],
  ["101 dynamic rules", repeat(101, (at) => `/${at}/* /x`), /line 101: is dynamic rule 101; 100 are allowed.*put the others before it/],
  ["static rules after dynamic ones", `/*/x /y\n${repeat(100, (at) => `/${at} /x`)}`, /line 101: is dynamic rule 101/],
  ["a line of 2,001 characters", `/a /${"b".repeat(1997)}`, /line 1: has 2001 characters/],
];

const OTHERS: readonly (readonly [what: string, sent: SentAssetsConfig, message: RegExp])[] = [
  ["no pattern", { run_worker_first: [] }, /run_worker_first: needs a pattern/],
  ["negative patterns alone", { run_worker_first: ["!/a"] }, /needs a pattern that does not begin with "!"/],
  ["a pattern twice", { run_worker_first: ["/a", "/a"] }, /the pattern "\/a" is there twice/],
  ["a pattern that another covers", { run_worker_first: ["/a/*", "/a/b"] }, /"\/a\/b" is part of "\/a\/\*" already/],
  ["a long pattern", { run_worker_first: [`/${"a".repeat(100)}`] }, /is longer than 100 characters/],
  ["an empty base path", { base_path: "" }, /base_path: is empty/],
  ["a base path that is a URL", { base_path: "https://x.example/" }, /base_path: is a URL/],
  ["a base path without a scheme", { base_path: "//x" }, /base_path: is a URL/],
  ["a base path with a backslash", { base_path: "/a\\b" }, /holds a backslash/],
  ["a base path with a control character", { base_path: "/a\n" }, /holds a control character/],
  ["a base path with a query", { base_path: "/a?b" }, /holds a query/],
  ["a base path that is encoded", { base_path: "/a%20b" }, /holds percent-encoding/],
];

describe("A site's configuration", () => {
  for (const [what, text, message] of HEADERS) {
    test(`is refused for ${what} in _headers`, () => assert.match(refusal({ _headers: text }), message));
  }
  for (const [what, text, message] of REDIRECTS) {
    test(`is refused for ${what} in _redirects`, () => assert.match(refusal({ _redirects: text }), message));
  }
  for (const [what, sent, message] of OTHERS) {
    test(`is refused for ${what}`, () => assert.match(refusal(sent), message));
  }

  test("says nothing of the root's index where .html stays", () => {
    assert.equal(refusal({ _redirects: "/ /index", html_handling: "none" }), "");
  });

  test("that passes is taken whole by the asset service, at every limit", async (t) => {
    const directory = await shortDirectory(t);
    const root = join(directory, "site");
    await mkdir(root);
    await writeFile(join(root, "a.txt"), "x");
    const sent: SentAssetsConfig = {
      _headers: repeat(100, (at) => `/r${at}/*\n  X-R: ${at}\n  ! X-No`),
      _redirects: `${repeat(2000, (at) => `/base/s${at} /t${at}#f 30${[1, 2, 3, 7, 8][at % 5]} # why`)}\n${repeat(100, (at) => `/base/d${at}/* /:splat`)}`,
      run_worker_first: Array.from({ length: 100 }, (_, at) => `${at === 0 ? "" : "!"}/p${"x".repeat(92)}${at}`.slice(0, 100)),
      base_path: "docs/../base",
    };
    const socket = join(directory, "in.sock");
    const running = await serve(t, {
      services: [
        { name: "site", assets: { path: root, config: assetServiceConfig(sent, []), userWorker: { name: "w" } } },
        worker("w", "export default { fetch: () => new Response('worker') }", { globalOutbound: NOWHERE }),
        internet,
      ],
      sockets: [{ name: "in", address: `unix:${socket}`, service: { name: "site" }, http: {} }],
    });
    assert.equal((await get(socket, "/base/a.txt")).status, 200);
    assert.equal((await get(socket, "/base/s1999")).headers.location, "/t1999#f");
    assert.equal((await get(socket, "/base/d99/x")).headers.location, "/x");
    assert.equal(running.stderr(), "", "nothing was skipped");
  });

  test("that is refused here is one that the asset service skips in part or does not start with", async (t) => {
    // What the service would take: it counts to 101, and fails with a control character at each request instead.
    const ours = new Set(["a control character", "a NUL", "a name of the platform", "a removal of no token", "101 rules"]);
    const directory = await shortDirectory(t);
    const cases: (readonly [string, object])[] = [
      ...HEADERS.map(([what, headers]) => [what, { headers }] as const),
      ...REDIRECTS.map(([what, redirects]) => [what, { redirects }] as const),
      ...OTHERS.map(([what, sent]) => [what, sent] as const),
    ];
    const taken: string[] = [];
    for (const [at, [what, config]] of cases.entries()) {
      if (ours.has(what)) continue;
      const socket = join(directory, `${at}.sock`);
      const services = [
        { name: "site", assets: { path: directory, config: JSON.stringify(config), compatibilityDate: "2026-01-01" } },
        internet,
      ];
      const sockets = [{ name: "in", address: `unix:${socket}`, service: { name: "site" }, http: {} }];
      const running = await serve(t, { services, sockets }).catch(() => null);
      if (running?.stderr() === "") taken.push(what);
      running?.child.kill("SIGKILL");
      await running?.ended;
    }
    assert.deepEqual(taken, []);
  });
});
