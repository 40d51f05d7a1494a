// What a real, unmodified wrangler prints of a deploy that was refused: places in the author's TypeScript, mapped exactly
// once whether wrangler uploads its maps or not, and advice that fits, never wrangler's own for another failure.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { startAgent, type Agent } from "../fixtures/wrangler.ts";

const OK = "export default { fetch() { return new Response('ok') } };";
/** TypeScript whose places differ from those of the script that it becomes. */
const PROJECT = {
  "src/index.ts": `import { open } from "./db";\n\ntype Env = { DB: string };\n\nconst db = open(undefined as never);\n\nexport default {\n  async fetch(request: Request, env: Env): Promise<Response> {\n    return new Response(env.DB + db);\n  },\n};\n`,
  "src/db.ts": `type Settings = { url: string };\n// left out by the compiler\ninterface Unused { a: number }\n\nexport function open(settings: Settings): number {\n  return settings.url.length;\n}\n`,
};
const THROWN =
  /\(reading 'url'\)\n +at src\/db\.ts:6:19 in open\n +\| return settings\.url\.length;\n +\| {17}\^\n +at src\/index\.ts:5:12\n/;

type Case = {
  readonly files: Readonly<Record<string, string>>;
  readonly config?: Record<string, unknown>;
  readonly args?: readonly string[];
  readonly prints: readonly RegExp[];
  readonly code?: number;
};
const ts = (source: string, ...prints: RegExp[]): Case => ({ files: { "src/index.ts": source }, prints });

const CASES: Readonly<Record<string, Case>> = {
  "an exception in nested calls": { files: PROJECT, prints: [THROWN, /top level/] },
  "an exception in minified code": { files: PROJECT, config: { minify: true }, prints: [THROWN] },
  "an exception when maps are not uploaded": {
    files: PROJECT,
    config: { upload_source_maps: false },
    prints: [/at index\.js:\d+:\d+ in open\n +\| return settings\.url\.length;/],
  },
  "an exception in a script that bears the bundle's own name": {
    files: {
      "index.js": `// one\n// two\nimport "./b.js";\nfunction boot() {\n  throw new Error("root");\n}\nboot();\n${OK}`,
      "b.js": "console.log(1)",
    },
    config: { main: "index.js" },
    prints: [/Uncaught Error: root\n +at index\.js:5:9 in boot\n/, /at index\.js:7:1\n/],
  },
  "an exception in an unbundled script": {
    files: { "index.js": `const settings = undefined;\n\nsettings.url;\n${OK}` },
    config: { main: "index.js" },
    args: ["--no-bundle"],
    prints: [/at index\.js:3:10\n +\| settings\.url;/],
  },
  "an exception in a service worker": {
    files: {
      "src/index.ts": `type X = 1;\n\n\nfunction f(x: X) {\n  throw new Error("sw " + x);\n}\nf(1);\naddEventListener("fetch", () => {});`,
    },
    prints: [/Uncaught Error: sw 1\n +at src\/index\.ts:5:9 in f\n/, /at src\/index\.ts:7:1\n/],
  },
  "a rejected await": ts(
    `type X = { a: 1 };\n\nasync function load(): Promise<X> {\n  await 1;\n  throw new RangeError("late");\n}\nexport const x = await load();\n${OK}`,
    /at src\/index\.ts:5:9 in load\n/,
  ),
  "a module of Node.js": {
    ...ts(
      `type X = 1;\n\nimport fs from "node:fs";\nconsole.log(fs);\n${OK}`,
      /at src\/index\.ts:3:\d+\n/,
      /Add "nodejs_compat" to compatibility_flags/,
    ),
    config: { compatibility_date: "2024-01-01" },
  },
  "a missing package": {
    files: { "index.js": `import { Hono } from "hono";\n${OK}` },
    config: { main: "index.js" },
    args: ["--no-bundle"],
    prints: [/at index\.js:1:22\n/, /npm install hono/],
  },
  "a fetch at the top level": ts(
    `type X = 1;\n\nconst config = await fetch("https://example.com/");\n${OK.replace("'ok'", "String(config)")}`,
    /at src\/index\.ts:3:\d+\n/,
    /into a handler/,
  ),
  "a mistyped flag": { files: PROJECT, config: { compatibility_flags: ["node_compat"] }, prints: [/Did you mean "nodejs_compat"\?/] },
  "no handlers": { ...ts("export default {};", /no registered event handlers/), code: 10068 },
  "a file that is named startup": {
    files: { "src/startup.ts": `throw new Error("named so");\n`, "src/index.ts": `import "./startup";\n${OK}` },
    prints: [/at src\/startup\.ts:1:7\n/],
    code: 71425,
  },
};

describe("wrangler prints why a Worker cannot run", () => {
  let installation: Installation;
  let agent: Agent;
  before(async () => {
    installation = await startInstallation();
    agent = await startAgent(installation.api);
  });
  after(async () => {
    await agent[Symbol.asyncDispose]();
    await installation[Symbol.asyncDispose]();
  });
  const run = (command: readonly string[], { files, config, args = [] }: Case) => {
    for (const [path, content] of Object.entries(files)) agent.write(path, content);
    agent.write("wrangler.jsonc", JSON.stringify({ name: "app", main: "src/index.ts", compatibility_date: "2026-01-01", ...config }));
    return agent.wrangler([...command, "--temporary", ...args]);
  };

  for (const [what, refusal] of Object.entries(CASES)) {
    test(what, async () => {
      const { code, output } = await run(["deploy"], refusal);
      if (process.env["TEST_PRINT"]) console.log(`\n--- ${what}\n${output}`);
      assert.equal(code, 1, output);
      assert.match(output, new RegExp(`\\[code: ${refusal.code ?? 10021}\\]`));
      for (const words of refusal.prints) assert.match(output, words);
      assert.doesNotMatch(output, /exceeded startup limits|null\.<anonymous>/);
    });
  }

  test("to versions upload as well", async () => {
    assert.equal((await run(["deploy"], ts(OK))).code, 0);
    const { code, output } = await run(["versions", "upload"], { files: PROJECT, prints: [] });
    assert.notEqual(code, 0);
    assert.match(output, THROWN);
  });

  test("and explains the limits of a start only where one was met", async () => {
    const { output } = await run(["deploy"], ts(`const a: unknown[] = []; for (;;) a.push(new Array(1e5).fill(Math.random()));\n${OK}`));
    assert.match(output, /exceeded startup limits/);
    assert.match(output, /Script startup exceeded the memory limit/);
  });
});
