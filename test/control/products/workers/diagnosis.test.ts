// Uploads that cannot run, through the real API and the real workerd: what the answer says is all that an agent reads,
// so the runtime's words, the place in the author's own file and the step that fits are each examined.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { ERRORS, type ErrorCode } from "../../../../src/kernel/errors.ts";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { ESM, upload, type Module } from "../../../fixtures/products.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";

const JS = "application/javascript";
const MAP = "application/source-map";
const OK = "export default { fetch() { return new Response('ok') } };";
const OLD = { compatibility_date: "2024-01-01" };
const SCRIPT = { main_module: undefined, body_part: "worker.js" };

type Case = {
  readonly metadata?: Record<string, unknown>;
  readonly modules: readonly Module[];
  readonly code?: ErrorCode;
  readonly says: readonly (string | RegExp)[];
  readonly never?: RegExp;
};

const esm = (source: string): Module => ["index.js", ESM, source];
const one = (source: string, ...says: (string | RegExp)[]): Case => ({ modules: [esm(source)], says });
const dated = (metadata: Record<string, unknown>, ...says: (string | RegExp)[]): Case => ({ metadata, modules: [esm(OK)], says });

const CASES: Readonly<Record<string, Case>> = {
  "a syntax error": one(
    "export default {\n  fetch( { }",
    "Uncaught SyntaxError: Unexpected end of input\n at index.js:2:13\n    | fetch( { }\n    |           ^\n",
    "Correct the syntax",
  ),
  "TypeScript that was not compiled": one("export default { fetch(x: number) {} }", "Unexpected token ':'", "without --no-bundle"),
  "a name declared twice in a second module": {
    modules: [esm(`import "./lib/b.js"; ${OK}`), ["lib/b.js", ESM, "let a;\nlet a;"]],
    says: [" at lib/b.js:2:5\n    | let a;\n    |     ^"],
  },
  "a missing file": one(
    `\nimport { a } from "./lib/nope.js";\n${OK}`,
    `No such module "lib/nope.js".\n at index.js:2:19\n    | import { a } from "./lib/nope.js";`,
    'The upload has one module: "index.js".',
  ),
  "a mistyped file": {
    modules: [esm(`import { a } from "./settings.js"; ${OK}`), ["setting.js", ESM, "export const a = 1"]],
    says: ['Did you mean "setting.js"?'],
  },
  "a package that is not in the upload": one(`import { Hono } from "hono"; ${OK}`, 'No such module "hono"', "Install the package"),
  "a module of Node.js without the flag": {
    metadata: OLD,
    modules: [esm(`import fs from "node:fs"; ${OK}`)],
    says: [
      'No such module "node:fs"',
      " at index.js:1:16",
      'Add "nodejs_compat" to compatibility_flags and set compatibility_date to "2024-09-23" or later',
    ],
  },
  "a bare module of Node.js without the flag": {
    metadata: OLD,
    modules: [esm(`import { Buffer } from "buffer"; ${OK}`)],
    says: ['"buffer" is a module of Node.js', 'Add "nodejs_compat"'],
  },
  "a module of Node.js that the date does not have": {
    metadata: { ...OLD, compatibility_flags: ["nodejs_compat"] },
    modules: [esm(`import fs from "node:http2"; ${OK}`)],
    says: [/Set a later compatibility_date than "2024-01-01"; the newest is "20\d\d-\d\d-\d\d"/],
  },
  "an unknown module of the runtime": one(`import { x } from "cloudflare:worker"; ${OK}`, 'Did you mean "cloudflare:workers"?'),
  "an export that is not there": {
    modules: [
      esm(`import { conect } from "./db.js"; ${OK.replace("'ok'", "conect")}`),
      ["db.js", ESM, "export function connect() {}\nexport const close = 1;"],
    ],
    says: [
      "does not provide an export named 'conect'",
      '"./db.js" exports "connect", "close".',
      'Did you mean "connect"?',
      " at index.js:1:",
    ],
  },
  "a throw in nested calls": one(
    `function a() { b(); }\nfunction b() {\n  throw new TypeError("deep");\n}\na();\n${OK}`,
    'Uncaught TypeError: deep\n at index.js:3:9 in b\n    | throw new TypeError("deep");\n    |       ^\n at index.js:1:16 in a\n at index.js:5:1\n',
    "top level",
  ),
  "a rejected await": one(
    `async function go() {\n  await 1;\n  throw new RangeError("late");\n}\nawait go();\n${OK}`,
    "RangeError: late\n at index.js:3:9 in go",
  ),
  "a thrown string": one(`throw "just text"; ${OK}`, "Uncaught Error: just text\n", "throw an Error object"),
  "a thrown object": one(`throw { a: 1 }; ${OK}`, "throw an Error object"),
  "an undefined name": one(`\nfoo();\n${OK}`, "ReferenceError: foo is not defined\n at index.js:2:1", 'Define or import "foo"'),
  "require in an ES module": one(`const x = require("x");\n${OK}`, "require is not defined", "use `import`"),
  "process without the flag": {
    metadata: OLD,
    modules: [esm(`process.env.A;\n${OK}`)],
    says: ['Add "nodejs_compat" to compatibility_flags'],
  },
  "input or output at the top level": one(
    `\nconst x = await fetch("http://example.com/");\n${OK}`,
    "global scope",
    " at index.js:2:17",
    "into a handler",
  ),
  "an await that never settles": one(`await new Promise(() => {}); ${OK}`, "unsettled", "inside a handler"),
  "endless recursion": one(`function f() { return f() + 1 }\nf();\n${OK}`, "Maximum call stack", "calls itself"),
  "code from strings": {
    metadata: OLD,
    modules: [esm(`new Function("return 1")();\n${OK}`)],
    says: ["Code generation from strings", "compiles no code"],
  },
  "an export of a wrong type": one(`export const limit = 5; ${OK}`, "map entry 'limit'", 'move "limit" into another module'),
  "WebAssembly that is none": {
    modules: [esm(`import w from "./m.wasm"; ${OK}`), ["m.wasm", "application/wasm", "garbage"]],
    says: ["CompileError", 'The WebAssembly module is "m.wasm".', "00 61 73 6d"],
  },
  "WebAssembly that breaks off, among others": {
    modules: [
      esm(OK),
      ["a.wasm", "application/wasm", Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])],
      ["b.wasm", "application/wasm", Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 99])],
    ],
    says: ["CompileError", 'One of the WebAssembly modules is at fault: "a.wasm", "b.wasm".'],
  },
  "JSON that does not parse": {
    modules: [
      esm(`import j from "./good.json"; import k from "./bad.json"; ${OK}`),
      ["good.json", "application/json", "{}"],
      ["bad.json", "application/json", '{"a": 1,\n nope}'],
    ],
    says: ['The JSON module "bad.json" does not parse: Expected double-quoted property name', "line 2"],
  },
  "a main module in CommonJS": {
    modules: [["index.js", JS, "module.exports = { fetch() {} }"]],
    says: ["Main module must be an ES module", "export default"],
  },
  "a service worker that does not parse": {
    metadata: SCRIPT,
    modules: [["worker.js", JS, "addEventListener('fetch', (e) => {"]],
    says: [" at worker.js:1:35\n"],
    never: /upload:|No event handlers/,
  },
  "an ES module sent as a service worker": {
    metadata: SCRIPT,
    modules: [["worker.js", JS, `\n${OK}`]],
    says: ["Unexpected token 'export'\n at worker.js:2:1\n    | export default", "main_module"],
  },
  "a service worker that listens to nothing": {
    metadata: SCRIPT,
    modules: [["worker.js", JS, "1"]],
    code: "no_handlers",
    says: ["no registered event handlers", "fetch()"],
  },
  "no default export and no other": { ...one("export {};", "has no default export"), code: "no_handlers" },
  "a default export without handlers": { ...one("export default {};", "default export has no fetch()"), code: "no_handlers" },
  "a date to come": dated({ compatibility_date: "2999-01-01" }, /Set compatibility_date to "20\d\d-\d\d-\d\d" or earlier/),
  "a date that is none": dated({ compatibility_date: "today" }, "no date of the form", "Set compatibility_date to"),
  "a mistyped flag": dated({ compatibility_flags: ["node_compat"] }, "does not know", 'Did you mean "nodejs_compat"?'),
  "a flag like no other": dated({ compatibility_flags: ["zzz"] }, "does not know", "Correct or remove it"),
  "an experimental flag": dated({ compatibility_flags: ["unsafe_module"] }, "experimental", "Remove it from compatibility_flags"),
  "contradicting flags and an exception": {
    metadata: { compatibility_flags: ["nodejs_compat", "no_nodejs_compat"] },
    modules: [esm("throw 1")],
    says: ['Remove "nodejs_compat" or "no_nodejs_compat"'],
    never: /Uncaught/,
  },
  "an entrypoint of its own that is mistyped": {
    metadata: { bindings: [{ type: "service", name: "API", service: "app", entrypoint: "Apj" }] },
    modules: [esm(`import { WorkerEntrypoint } from "cloudflare:workers"; export class Api extends WorkerEntrypoint {}; ${OK}`)],
    says: ['"API" names the entrypoint "Apj"', 'it has "Api"', 'Did you mean "Api"?'],
  },
  "a word that clients take for the start's limits": {
    modules: [["startup.js", ESM, `throw new Error("x");`]],
    metadata: { main_module: "startup.js" },
    code: "script_failed",
    says: [" at startup.js:1:7"],
  },
  "memory without end": {
    ...one(
      `const a = []; for (;;) a.push(new Array(1e5).fill(Math.random())); ${OK}`,
      /^Script startup exceeded the memory limit/,
      "loop without end",
    ),
  },
  "metadata that is too large": { metadata: { tags: ["x".repeat(4_200_000)] }, modules: [esm(OK)], says: ["metadata: 42", "_headers"] },
  "modules that are too large": {
    modules: [esm(OK), ["big.bin", "application/octet-stream", randomBytes(11_000_000)], ["small.txt", "text/plain", "x"]],
    code: "upload_too_large",
    says: [/Largest, compressed: "big\.bin" 10\d{3}\.\d KiB, /],
  },
  "source maps alone that are too large": {
    modules: [esm(OK), ["index.js.map", MAP, randomBytes(11_000_000).toString("latin1")]],
    code: "upload_too_large",
    says: ["Without its source maps it fits"],
  },
};

describe("An upload that cannot run", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let account: { readonly id: string; readonly apiToken: string };

  before(async () => {
    directory = await temporaryDirectory("diagnosis");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    ({ account } = await house.provision());
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const put = (metadata: Record<string, unknown>, modules: readonly Module[]) =>
    house.call("PUT", `/accounts/${account.id}/workers/scripts/app`, { token: account.apiToken, body: upload(metadata, modules) });

  for (const [what, { metadata = {}, modules, code = "invalid_upload", says, never }] of Object.entries(CASES)) {
    test(`is told of ${what}`, async () => {
      const answer = await put(metadata, modules);
      const [error] = answer.errors;
      const message = error?.message ?? "";
      if (process.env["TEST_PRINT"]) console.log(`\n--- ${what} [${error?.code}]\n${message}`);
      assert.equal(answer.success, false);
      assert.deepEqual([Math.floor(answer.status / 100), error?.code], [4, ERRORS[code].number], message);
      for (const words of says) assert.ok(typeof words === "string" ? message.includes(words) : words.test(message), message);
      if (never) assert.doesNotMatch(message, never);
      assert.doesNotMatch(message, /lens|mayfly-probe|\/work\/|\/tmp/i);
      // Wrangler takes the word for the start's limits, and tells its reader so.
      assert.equal(code === "invalid_upload" && /startup/i.test(message), message.startsWith("Script startup exceeded"));
    });
  }

  test("is told of a change of settings in the same way, from the maps that are stored", async () => {
    const map = JSON.stringify({ version: 3, sources: ["src/app.ts"], sourcesContent: ["\nsetup(): void;"], names: [], mappings: "AACA" });
    const source = `if (!globalThis.navigator) boom(); ${OK}`;
    const kept = await put({ compatibility_date: "2026-01-01" }, [esm(source), ["index.js.map", MAP, map]]);
    assert.equal(kept.status, 200, kept.errors[0]?.message);
    const form = new FormData();
    form.set("settings", new Blob([JSON.stringify({ compatibility_date: "2021-11-02" })], { type: "application/json" }));
    const answer = await house.call("PATCH", `/accounts/${account.id}/workers/scripts/app/settings`, {
      token: account.apiToken,
      body: form,
    });
    assert.equal(answer.status, 400);
    assert.match(answer.errors[0]?.message ?? "", /boom is not defined\n at src\/app\.ts:2:1\n {4}\| setup\(\): void;\n {4}\| \^\n/);
  });

  test("is no Worker whose handlers a getter, a proxy or a prototype holds", async () => {
    for (const source of [
      "export default { get fetch() { return () => new Response('ok') } };",
      "export default new Proxy({}, { get: (_, name) => (name === 'fetch' ? () => new Response('ok') : undefined) });",
      "class App { fetch() { return new Response('ok') } }; export default new App();",
      "export class Room { fetch() {} }",
    ]) {
      const answer = await put({}, [esm(source)]);
      assert.equal(answer.status, 200, answer.errors[0]?.message);
    }
  });
});
