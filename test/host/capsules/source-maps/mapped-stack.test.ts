// Stacks in places of the author's own files, and maps that are not what they claim to be.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { filesIn, mapStack, type MappedFile } from "../../../../src/host/capsules/source-maps/mapped-stack.ts";
import { MAPPER_LIMITS, mapStackOf } from "../../../../src/host/capsules/source-maps/mapper-process.ts";
import { withoutDescriptors } from "../../../fixtures/without-descriptors.ts";

const TEXT = "a();\n  b();\nc();";
const STACK = "Uncaught Error: x\n  at index.js:2:3 in f\n  at index.js:1:1";
/** Line 1 → a.ts 1:1, line 2 column 3 → a.ts 4:5. */
const MAP = { version: 3, sources: ["src/a.ts"], sourcesContent: ["one\ntwo\nthree\n    four();\n"], names: [], mappings: "AAAA;EAGI" };
const files = (map: unknown, text = TEXT): ReadonlyMap<string, MappedFile> =>
  new Map([["index.js", { text, map: typeof map === "string" ? map : JSON.stringify(map) }]]);
const never = new AbortController().signal;

describe("a mapped stack", () => {
  test("names the author's files, and shows the first line with a caret when asked to", () => {
    const told = "Uncaught Error: x\n at src/a.ts:4:5 in f\n at src/a.ts:1:1";
    assert.equal(mapStack(STACK, files(MAP)), told);
    assert.equal(
      mapStack(STACK, files(MAP), { excerpt: true }),
      "Uncaught Error: x\n at src/a.ts:4:5 in f\n    | four();\n    | ^\n at src/a.ts:1:1",
    );
  });

  test("takes a map from the module's last comment when none came beside it", () => {
    const inline = `${TEXT}\n//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(MAP)).toString("base64")}\n`;
    assert.match(mapStack(STACK, new Map([["index.js", { text: inline, map: null }]])), / at src\/a\.ts:4:5 in f\n/);
  });

  test("keeps the form of an error's own stack", () => {
    const stack =
      "Error: x\n    at Object.f [as g] (index.js:2:3)\n    at async index.js:1:1\n    at index.js:2:3\n    at Array.map (<anonymous>)";
    assert.equal(
      mapStack(stack, files(MAP)),
      "Error: x\n    at Object.f [as g] (src/a.ts:4:5)\n    at async src/a.ts:1:1\n    at src/a.ts:4:5\n    at Array.map (<anonymous>)",
    );
  });

  test("reads sections", () => {
    const sections = {
      version: 3,
      sections: [{ offset: { line: 0, column: 0 }, map: { version: 3, sections: [{ offset: { line: 0, column: 0 }, map: MAP }] } }],
    };
    assert.match(mapStack(STACK, files(sections)), / at src\/a\.ts:4:5 in f\n/);
  });

  test("is mapped once: mapping it again, as wrangler may, finds no frame", () => {
    const once = mapStack(STACK, files(MAP), { excerpt: true });
    // Source: CALL_SITE_REGEXP of wrangler's deploy-helpers.
    assert.doesNotMatch(once, /^(?:\s+'?)? {2,4}at (?:(.+?)\s+\()?(?:(.+?):(\d+)(?::(\d+))?|([^)]+))\)?/m);
  });

  test("leaves frames to the client whose map stayed at home", () => {
    const text = `${TEXT}\n//# sourceMappingURL=index.js.map`;
    assert.equal(mapStack(STACK, new Map([["index.js", { text, map: null }]])), STACK);
  });

  test("shows of a long line the part around the column", () => {
    const text = `${"x".repeat(5000)}boom()${"y".repeat(5000)}`;
    const told = mapStack("Error: x\n  at index.js:1:5001", new Map([["index.js", { text, map: null }]]), { excerpt: true });
    const [, , line = "", caret = ""] = told.split("\n");
    assert.ok(line.length < 140);
    assert.equal(line.slice(caret.indexOf("^")).slice(0, 4), "boom");
  });

  test("drops the runtime's own frames and those that repeat", () => {
    const stack = `Error: x\n  at node-internal:timers:57:15 in set\n${"  at index.js:2:3 in f\n".repeat(9)}  at index.js:1:1`;
    assert.equal(mapStack(stack, files(MAP)), "Error: x\n at src/a.ts:4:5 in f\n at src/a.ts:1:1");
    assert.deepEqual(filesIn(stack), ["index.js"]);
  });
});

const HOSTILE: Readonly<Record<string, string>> = {
  "no JSON": "{nope",
  nothing: "",
  null: "null",
  "a number": "7",
  "a list": "[]",
  "no mappings": JSON.stringify({ version: 3, sources: ["a"], names: [] }),
  "mappings of a wrong type": JSON.stringify({ ...MAP, mappings: 5 }),
  "sources that are none": JSON.stringify({ ...MAP, sources: null }),
  "a source that is not listed": JSON.stringify({ ...MAP, mappings: "ACAA;EAAA" }),
  "negative lines": JSON.stringify({ ...MAP, mappings: "AADD;EADD" }),
  "huge numbers": JSON.stringify({ ...MAP, mappings: "gggggggggggggggggA;ggggggggggggggggB" }),
  "sections that are none": JSON.stringify({ version: 3, sections: [null, 5] }),
  "sections far away": JSON.stringify({ version: 3, sections: [{ offset: { line: 1e308, column: -5 }, map: MAP }] }),
  "sections a thousand deep": `${'{"version":3,"sections":[{"offset":{"line":0,"column":0},"map":'.repeat(1000)}{}${"}]}".repeat(1000)}`,
  "a prototype": '{"version":3,"__proto__":{"sources":["evil"]},"sources":["a"],"names":[],"mappings":""}',
};

describe("a map that is not one", () => {
  test("cannot put lines or control characters into the text", () => {
    const told = mapStack(
      STACK,
      files({ ...MAP, sources: ["a\n  at evil.js:1:1\u001b[31m\u2028.ts"], sourcesContent: ["\n\n\n    x\u001b[2J\r"] }),
      { excerpt: true },
    );
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    assert.doesNotMatch(told.replaceAll("\n", ""), /[\u0000-\u001f\u2028]/);
    assert.equal(told.split("\n").length, 5);
  });

  test("throws whatever it holds for nobody", () => {
    const any = fc.record(
      {
        version: fc.anything(),
        sources: fc.anything(),
        names: fc.anything(),
        mappings: fc.oneof(fc.string(), fc.anything()),
        sections: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(any, fc.string(), (map, stack) => {
        mapStack(`${stack}\n  at index.js:1:1`, files(JSON.stringify(map) ?? ""), { excerpt: true });
      }),
    );
  });
});

describe("the mapper's process", () => {
  const told = (map: Uint8Array | string, text: string | Uint8Array = TEXT, over = never): Promise<string> =>
    mapStackOf(
      STACK,
      {
        module: (name) => (name === "index.js" ? "text" : undefined),
        map: (name) => (name === "index.js" ? "map" : undefined),
        read: (hash) => Promise.resolve(Buffer.from(hash === "map" ? map : text)),
      },
      over,
    );

  test("maps", async () => {
    assert.equal(await told(JSON.stringify(MAP)), "Uncaught Error: x\n at src/a.ts:4:5 in f\n    | four();\n    | ^\n at src/a.ts:1:1");
  });

  for (const [what, map] of Object.entries(HOSTILE)) {
    test(`leaves the places as they were where the map is no map: ${what}`, async () => {
      assert.match(await told(map), /^Uncaught Error: x\n {1,2}at index\.js:2:3 in f\n[^]* {1,2}at index\.js:1:1$/);
    });
  }

  const large: Readonly<Record<string, () => Uint8Array | string>> = {
    "fifty million bytes of mappings": () => JSON.stringify({ ...MAP, mappings: "A,".repeat(25_000_000) }),
    "mappings that take more memory than there is": () => JSON.stringify({ ...MAP, mappings: "AAAA,".repeat(3_000_000) }),
    "mappings of garbage": () => JSON.stringify({ ...MAP, mappings: "!!!!\u0000\ud800" }),
    "sources of numbers": () => JSON.stringify({ ...MAP, sources: [7], sourcesContent: [7] }),
    "lists in lists": () => "[".repeat(MAPPER_LIMITS.maxFileBytes),
    "bytes that are no text": () => Buffer.alloc(10_000_000, 0xff),
  };
  for (const [what, map] of Object.entries(large)) {
    test(`ends with a stack, in bounded time, whatever the map is: ${what}`, { timeout: 30_000 }, async () => {
      const bytes = map();
      const start = performance.now();
      const answer = await told(bytes);
      assert.ok(answer.startsWith("Uncaught Error: x\n") && answer.includes("at "), answer);
      assert.ok(performance.now() - start < MAPPER_LIMITS.timeoutMs + 3000);
    });
  }

  test("ends with the stack as it came when the account ends, and when the files cannot be read", async () => {
    assert.equal(await told(JSON.stringify(MAP), TEXT, AbortSignal.abort()), STACK);
    const gone = { module: () => "x", map: () => undefined, read: () => Promise.reject(new Error("gone")) };
    assert.equal(await mapStackOf(STACK, gone, never), STACK);
  });

  test("and a host without a descriptor to spare has the stack as it came, and lives on", () => {
    const path = join(import.meta.dirname, "../../../../src/host/capsules/source-maps/mapper-process.ts");
    const told = withoutDescriptors(
      { mapStackOf: path },
      `const files = { module: () => "m", map: () => undefined, read: async () => new Uint8Array(3) };
       return mapStackOf(${JSON.stringify(STACK)}, files, new AbortController().signal);`,
    );
    assert.equal(told, STACK);
  });
});
