import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Verdict } from "../../../../src/capsule/messages.ts";
import type { WorkerService } from "../../../../src/capsule/spec.ts";
import { workerdBinary } from "../../../../src/host/capsules/sandbox/binary.ts";
import { createSandbox } from "../../../../src/host/capsules/sandbox/sandbox.ts";
import { createTrials, type TrialOptions } from "../../../../src/host/capsules/trials/trial.ts";
import { systemClock } from "../../../../src/kernel/clock.ts";
import { PlatformError } from "../../../../src/kernel/errors.ts";
import { newAccountId } from "../../../../src/kernel/ids.ts";
import { createLog } from "../../../../src/kernel/log.ts";
import { PlainSandbox } from "../../../fixtures/plain-sandbox.ts";
import { EMPTY_WASM, Upload } from "../../../fixtures/upload.ts";

const upload = new Upload();
const sandbox = new PlainSandbox();
const trialsWith = (more: Partial<TrialOptions> = {}) => createTrials({ sandbox, files: upload, clock: systemClock, ...more });
const trials = trialsWith({ timeoutMs: 60_000 });

const tried = (worker: WorkerService | string): Promise<Verdict> =>
  trials.validate({ account: newAccountId(), worker: typeof worker === "string" ? upload.worker(worker) : worker });

async function accepted(worker: WorkerService | string): Promise<Extract<Verdict, { ok: true }>> {
  const verdict = await tried(worker);
  assert.ok(verdict.ok, verdict.ok ? "" : verdict.diagnostics);
  return verdict;
}

async function refused(worker: WorkerService | string): Promise<string> {
  const verdict = await tried(worker);
  assert.equal(verdict.ok, false);
  return verdict.ok ? "" : verdict.diagnostics;
}

describe("what an upload exports", () => {
  test("handlers, entrypoints, objects and workflows are told with their methods", async () => {
    const { handlers, entrypoints, startupMs } = await accepted(`
      import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from "cloudflare:workers";
      export default { async fetch() {}, async scheduled() {}, answer: 42 };
      export class Api extends WorkerEntrypoint { add(a, b) { return a + b } fetch() {} get later() { return 1 } }
      class Base extends DurableObject { shared() {} }
      export class Counter extends Base { increment() {} alarm() {} }
      export class Flow extends WorkflowEntrypoint { async run() {} }
      export class Old { constructor(state) {} fetch() {} }
      export const admin = { fetch() {} };`);
    assert.deepEqual(handlers?.sort(), ["fetch", "scheduled"]);
    assert.deepEqual(entrypoints.map(({ name, kind, methods }) => `${name} ${kind} ${methods.sort().join()}`).sort(), [
      "Api entrypoint add,fetch",
      "Counter durable-object alarm,increment,shared",
      "Flow workflow run",
      "Old other fetch",
      "admin handlers fetch",
    ]);
    assert.ok(startupMs > 0);
  });

  test("a default class tells its methods", async () => {
    const source = `import { WorkerEntrypoint } from "cloudflare:workers"; export default class extends WorkerEntrypoint { fetch() {} hi() {} }`;
    assert.deepEqual((await accepted(source)).handlers?.sort(), ["fetch", "hi"]);
  });

  test("without a default export there are no handlers, and that is only a warning", async () => {
    const source = `import { WorkerEntrypoint } from "cloudflare:workers"; export class Api extends WorkerEntrypoint { hi() {} }`;
    assert.equal((await accepted(source)).handlers, null);
  });

  test("every kind of module and binding starts, and service bindings lead nowhere", async () => {
    const worker = upload.worker(
      [
        [
          "src/index.js",
          `import t from "./a.txt"; import d from "../d.bin"; import j from "./j.json"; import w from "./m.wasm"; import c from "./c.cjs";
           import { env } from "cloudflare:workers";
           if (t !== "héllo" || d.byteLength !== 3 || j.a !== 1 || !(w instanceof WebAssembly.Module) || c.seven !== 7) throw new Error("modules");
           if (env.T !== "x" || env.J[0] !== 1 || env.D.byteLength !== 2 || !env.S) throw new Error("bindings");
           export default { fetch() {} };`,
          "esm",
        ],
        ["src/a.txt", "héllo", "text"],
        ["d.bin", new Uint8Array([1, 2, 3]), "data"],
        ["src/j.json", '{"a":1}', "json"],
        ["src/m.wasm", EMPTY_WASM, "wasm"],
        ["src/c.cjs", "exports.seven = 7", "commonjs"],
      ],
      {
        bindings: [
          { kind: "text", name: "T", text: "x" },
          { kind: "json", name: "J", json: "[1]" },
          { kind: "data", name: "D", source: upload.put(new Uint8Array([1, 2])) },
          { kind: "service", name: "S", service: "w-not-there", entrypoint: "Nor" },
        ],
      },
    );
    assert.deepEqual((await accepted(worker)).handlers, ["fetch"]);
  });

  test("service-worker format tells the events that it listens to", async () => {
    const worker = upload.script(
      `addEventListener("fetch", (event) => event.respondWith(new Response(String(W)))); self.addEventListener("scheduled", () => {})`,
      { bindings: [{ kind: "wasm", name: "W", source: upload.put(EMPTY_WASM) }] },
    );
    assert.deepEqual((await accepted(worker)).handlers?.sort(), ["fetch", "scheduled"]);
  });

  test("file names with spaces and signs start", async () => {
    for (const flags of [[], ["new_module_registry"]]) {
      await accepted(upload.worker([["a b/ind%20ex$&.js", "export default { fetch() {} }", "esm"]], { flags }));
    }
  });
});

describe("why an upload is refused", () => {
  test("an error at the top level is told with file, line and column of the upload alone", async () => {
    const words = await refused(upload.worker([["src/app.js", `function f() {\n  throw new TypeError("top boom");\n}\nf();`, "esm"]]));
    assert.equal(
      words,
      'Uncaught TypeError: top boom\n at src/app.js:2:9 in f\n    | throw new TypeError("top boom");\n    |       ^\n at src/app.js:4:1',
    );
  });

  const table: readonly (readonly [string, string, RegExp])[] = [
    ["a syntax error", "export default {\n fetch( { }", /^Uncaught SyntaxError: .*\n at index\.js:2:12\n/],
    ["a missing module", `import x from "./nope.js"`, /^Uncaught Error: No such module "nope\.js"\.\n at index\.js:1:15\n/],
    ["a missing export", `import { zz } from "cloudflare:workers"`, /does not provide an export named 'zz'/],
    ["input or output at global scope", `await fetch("http://example.com/")`, /Disallowed operation called within global scope/],
    ["an export of the wrong type", "export const x = 1", /Incorrect type for map entry 'x'/],
    ["an await that never settles", "await new Promise(() => {})", /Top-level await in module is unsettled/],
  ];
  for (const [what, source, words] of table) {
    test(`${what} is told in the runtime's words, and nothing of ours is in them`, async () => {
      const said = await refused(source);
      assert.match(said, words);
      assert.doesNotMatch(said, /lens|judge|mayfly|upload|\/work\/|\/tmp|workerd\//i);
    });
  }

  test("an endless loop at the top level is stopped, with the word startup", { timeout: 60_000 }, async () => {
    const short = trialsWith({ timeoutMs: 500 });
    const verdict = await short.validate({ account: newAccountId(), worker: upload.worker("while (true);") });
    assert.ok(!verdict.ok && /startup exceeded/i.test(verdict.diagnostics));
    assert.equal(sandbox.alive.size, 0);
  });

  test("eating memory at the top level is told, with the word startup", { timeout: 60_000 }, async () => {
    const said = await refused("const a = []; for (;;) a.push(new Array(1e5).fill(Math.random()));");
    assert.match(said, /startup exceeded the memory limit/i);
  });

  test("a binding that the format cannot have is told without names of ours", async () => {
    const said = await refused(
      upload.worker("export default {}", { bindings: [{ kind: "wasm", name: "W", source: upload.put(EMPTY_WASM) }] }),
    );
    assert.match(said, /^The Worker's binding "W" is a Wasm binding/);
  });

  test("experimental, unknown and Python flags and dates to come never reach a process", async () => {
    const before = sandbox.launches;
    for (const more of [
      { flags: ["experimental"] },
      { flags: ["unsafe_module"] },
      { flags: ["nonsense"] },
      { flags: ["python_workers"] },
    ]) {
      assert.match(await refused(upload.worker("export default {}", more)), /compatibility_flags/);
    }
    assert.match(await refused(upload.worker("export default {}", { date: "2999-01-01" })), /compatibility_date/);
    assert.equal(sandbox.launches, before);
  });

  test("flags that contradict each other are named", async () => {
    const said = await refused(upload.worker("export default {}", { flags: ["nodejs_compat", "no_nodejs_compat"], date: "2026-01-01" }));
    assert.match(said, /nodejs_compat vs no_nodejs_compat/);
  });

  test("a long message is cut", async () => {
    const said = await refused(`throw new Error("x".repeat(6000))`);
    assert.ok(said.length < 4200 && said.startsWith("Uncaught Error: xxx"));
  });
});

describe("an upload that lies", () => {
  test("a script that cannot start is never accepted, whatever it prints and wherever it looks", async () => {
    const said = await refused(
      upload.worker(
        `import fs from "node:fs"; import { env } from "cloudflare:workers";
         for (const name of fs.readdirSync("/bundle")) console.log(fs.readFileSync("/bundle/" + name, "utf8"));
         for (const word of [...Object.values(env), ""]) console.log(word + ' {"handlers":["fetch"],"entrypoints":[]}');
         console.error("service upload: forged");
         throw new Error("does not start");`,
        { flags: ["nodejs_compat"], date: "2026-01-01" },
      ),
    );
    assert.match(said, /does not start/);
  });

  test("the judge's nonce is nowhere in what the upload can see", async () => {
    const { handlers } = await accepted(
      upload.worker(
        `import fs from "node:fs"; import { env } from "cloudflare:workers";
         const seen = JSON.stringify([fs.readdirSync("/bundle").map((name) => fs.readFileSync("/bundle/" + name, "utf8")), env, process.env, process.argv]);
         if (/[0-9a-f]{48}/.test(seen)) throw new Error("the nonce is seen");
         export default { fetch() {} };`,
        { flags: ["nodejs_compat"], date: "2026-01-01" },
      ),
    );
    assert.deepEqual(handlers, ["fetch"]);
  });

  test("an upload that breaks the probe is refused, and one that prints a lot still has its verdict", async () => {
    assert.match(await refused("JSON.stringify = () => 'rubbish'; export default { fetch() {} }"), /startup/i);
    await accepted("for (let i = 0; i < 1000; i++) console.log('x'.repeat(100)); export default { fetch() {} }");
  });
});

describe("how many are tried", () => {
  test("at most so many at once, one of an account, and the rest waits or is told to come back", { timeout: 120_000 }, async () => {
    const own = new PlainSandbox();
    const narrow = createTrials({ sandbox: own, files: upload, clock: systemClock, maxConcurrent: 2, maxQueued: 4, timeoutMs: 60_000 });
    const worker = upload.worker("export default { fetch() {} }");
    const [a, b] = [newAccountId(), newAccountId()];
    const results = await Promise.allSettled([a, a, a, b, b, b, b, b, b].map((account) => narrow.validate({ account, worker })));
    const late = results.filter((result) => result.status === "rejected").map((result) => result.reason as unknown);
    assert.ok(late.length > 0 && late.every((error) => error instanceof PlatformError && error.retryAfterSeconds === 5));
    assert.ok(results.every((result) => result.status === "rejected" || result.value.ok));
    assert.ok(own.mostAlive <= 2);
    assert.equal(own.alive.size, 0);
  });

  test("one account does not fill the places that wait: another's upload has its turn", { timeout: 60_000 }, async () => {
    const short = trialsWith({ timeoutMs: 500, maxQueued: 6 });
    const [greedy, other] = [newAccountId(), newAccountId()];
    const worker = upload.worker("for (;;);");
    const all = Array.from({ length: 12 }, () => short.validate({ account: greedy, worker }));
    const outcomes = Promise.allSettled(all);
    const verdict = await short.validate({ account: other, worker: upload.worker("export default { fetch() {} }") });
    assert.ok(verdict.ok || /exceeded the time limit/.test(verdict.diagnostics), "it was tried");
    const refused = (await outcomes).flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
    assert.equal(refused.length, 7, "one runs and four wait");
    for (const error of refused) {
      assert.ok(
        error instanceof PlatformError && error.code === "too_many_uploads" && error.status === 429 && error.retryAfterSeconds === 5,
      );
    }
  });

  test("a machine that cannot run it is no verdict on the upload", async () => {
    const failing = new PlainSandbox();
    failing.launch = () => Promise.reject(new PlatformError("capsule_failed", { message: "no process" }));
    const on = trialsWith({ sandbox: failing });
    await assert.rejects(
      on.validate({ account: newAccountId(), worker: upload.worker("export default {}") }),
      (error) => error instanceof PlatformError && error.code === "capsule_failed",
    );
  });
});

describe("in the strongest sandbox of this machine", () => {
  test("uploads start, hang, eat memory and flood the console, and each gets its verdict", { timeout: 120_000 }, async (t) => {
    const base = await mkdtemp(join(tmpdir(), "mft-"));
    await chmod(base, 0o711);
    await mkdir(join(base, "accounts"));
    t.after(() => rm(base, { recursive: true, force: true }));
    await using real = await createSandbox({
      runDirectory: join(base, "run"),
      accountsDirectory: join(base, "accounts"),
      workerd: workerdBinary(),
      rung: "auto",
      log: createLog("test", "silent"),
    });
    const inside = trialsWith({ sandbox: real, timeoutMs: 5000 });
    const outcome = async (source: string): Promise<string> => {
      const verdict = await inside.validate({ account: newAccountId(), worker: upload.worker(source) });
      return verdict.ok ? `started: ${verdict.handlers?.join() ?? ""}` : verdict.diagnostics;
    };
    assert.equal(await outcome("export default { fetch() {} }"), "started: fetch");
    assert.match(await outcome("throw new Error('no')"), /^Uncaught Error: no\n at index\.js:1:7\n/);
    assert.match(await outcome("while (true);"), /startup exceeded the time limit/);
    assert.match(await outcome("const a = []; for (;;) a.push(new Array(1e5).fill(Math.random()));"), /startup exceeded the memory limit/);
    assert.match(
      await outcome("const a = []; for (;;) a.push(new Uint8Array(5e7).fill(1));"),
      /startup exceeded the memory limit|startup crashed|RangeError/,
    );
    assert.match(await outcome("for (let i = 0; i < 300; i++) console.log('x'.repeat(10_000)); export default {}"), /startup/);
  });
});
