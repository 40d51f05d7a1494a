// The host process as its parent starts it: in its own process, in the best sandbox that this machine has,
// with control played by the test over the real door.
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { connectHost, serveControl } from "../../src/capsule/link.ts";
import type { CapsuleHost } from "../../src/capsule/messages.ts";
import { refuseOpenEdge } from "../../src/host/wing.ts";
import { awaitUntil } from "../fixtures/await-until.ts";
import { answering, ScriptedControl, sha256, specOf, TROUBLE, type SpecOptions } from "../fixtures/capsules.ts";
import { edgeRequest, type EdgeAnswer } from "../fixtures/installation.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const MAIN = fileURLToPath(new URL("../../src/host/main.ts", import.meta.url));

type Ready = { readonly ready: true; readonly rung: string; readonly missing: string[]; readonly edgePort: number };

function start(environment: Record<string, string>): ChildProcess {
  const { PATH = "" } = process.env;
  return fork(MAIN, { env: { PATH, MAYFLY_LOG_LEVEL: "fatal", ...environment }, stdio: ["ignore", "pipe", "pipe", "ipc"] });
}

type Host = AsyncDisposable & {
  readonly child: ChildProcess;
  readonly ready: Ready;
  readonly control: ScriptedControl;
  readonly host: CapsuleHost;
  readonly run: string;
  readonly data: string;
  deploy(source: string, options?: SpecOptions & { memoryBytes?: number }): Promise<ReturnType<typeof specOf>>;
  get(label: string, path?: string): Promise<EdgeAnswer>;
  printed(): string;
};

async function hostProcess(environment: Record<string, string> = {}): Promise<Host> {
  const directory = await temporaryDirectory("host");
  // As root, capsules run as users who must be able to pass through to their sockets.
  const run = await mkdtemp(join(process.getuid?.() === 0 ? "/run" : tmpdir(), "mf-"));
  const control = new ScriptedControl();
  const door = await serveControl(join(run, "control.sock"), control, (error) => {
    throw error;
  });
  const data = join(directory.path, "data");
  const child = start({ MAYFLY_DATA: data, MAYFLY_RUN: run, MAYFLY_EDGE_PORT: "0", ...environment });
  let printed = "";
  child.stdout?.on("data", (chunk) => (printed += String(chunk)));
  let complaints = "";
  child.stderr?.on("data", (chunk) => (complaints += String(chunk)));
  const ready = await Promise.race([
    once(child, "message").then(([message]) => message as Ready),
    once(child, "exit").then(() => assert.fail(complaints)),
  ]);
  const host = connectHost(join(run, "host.sock"));
  return {
    child,
    ready,
    control,
    host,
    run,
    data,
    async deploy(source, { memoryBytes, ...options } = {}) {
      const { label, ...spec } = specOf(source, options);
      if (memoryBytes !== undefined) spec.limits.memoryBytes = memoryBytes;
      await host.put(spec.account, "code", sha256(source), Buffer.from(source));
      await host.apply(spec);
      return { ...spec, label };
    },
    get: (label, path = "/") => edgeRequest(ready.edgePort, `${label}.mayfly.localhost`, path, {}),
    printed: () => printed,
    async [Symbol.asyncDispose]() {
      host[Symbol.dispose]();
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      door.close();
      door.closeAllConnections();
      await rm(run, { recursive: true, force: true });
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** Processes whose command line names the text. */
async function commandsWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes(text)) found.push(command.replaceAll("\0", " "));
  }
  return found;
}

describe("the host process", () => {
  test("the host never opens the database: with its address or the master key at hand it does not start", async () => {
    await using directory = await temporaryDirectory("refused");
    for (const [name, value] of [
      ["MAYFLY_DATABASE_URL", "postgres://x"],
      ["MAYFLY_MASTER_KEY", "0".repeat(64)],
    ] as const) {
      const child = start({ MAYFLY_DATA: directory.path, MAYFLY_RUN: directory.path, [name]: value });
      let said = "";
      child.stderr?.on("data", (chunk) => (said += String(chunk)));
      const [code] = (await once(child, "close")) as [number];
      assert.equal(code, 1);
      assert.match(said, new RegExp(`never opens the database.*${name}`));
      assert.equal(said.includes(value), false);
    }
  });

  test("serves a Worker through edge, sandbox and door, and answers 410 after its end", async () => {
    await using h = await hostProcess();
    const { label, account, subdomain } = await h.deploy(answering('"hello from " + new URL(request.url).hostname'));
    const hello = await h.get(label);
    assert.equal(hello.status, 200);
    assert.equal(hello.body, `hello from ${label}.mayfly.localhost`);
    assert.equal((await h.host.status()).rung, h.ready.rung);
    assert.match((await h.host.status()).workerd, /^workerd \d{4}-/);
    assert.match(await h.host.prometheus(), /mayfly_edge_requests_total\{outcome="proxied",status="2"\} 1/);
    await h.host.end({ account, subdomain, reason: "task-done", endedAtMs: Date.now() });
    assert.equal((await h.get(label)).status, 410);
    await h.host.erase(account);
    assert.deepEqual(await readdir(join(h.data, "accounts")), []);
    assert.equal(h.printed(), "", "nothing is printed but through the parent");
  });

  test("a Worker reaches another account's Worker inside, and one that calls itself in a circle is stopped", async () => {
    await using h = await hostProcess();
    const far = await h.deploy(answering('"far " + request.headers.get("cf-connecting-ip")'));
    const near = await h.deploy(
      `export default { async fetch(request) {
         const circle = new URL(request.url).pathname === "/circle";
         const answer = await fetch(circle ? request.url : "http://${far.label}.mayfly.localhost/");
         return new Response("near, " + answer.status + " " + await answer.text(), { status: answer.status });
       } };`,
    );
    assert.equal((await h.get(near.label)).body, "near, 200 far 2a06:98c0:3600::103");
    const circle = await h.get(near.label, "/circle");
    assert.equal(circle.status, 508);
    assert.match(circle.body, /calling each other in a circle/);
    assert.equal((await h.get(near.label)).status, 200);
  });

  test("a Worker that eats memory is restarted with a reason, and its neighbour answers on", async (t) => {
    await using h = await hostProcess();
    if (h.ready.rung === "none") return t.skip("needs a sandbox that bounds memory: apt-get install bubblewrap");
    const eater = await h.deploy(
      `const kept = [];
       export default { fetch(request) {
         if (new URL(request.url).pathname !== "/eat") return new Response("fine");
         for (;;) { const bytes = new Uint8Array(16 * 1048576); bytes.fill(1); kept.push(bytes); }
       } };`,
      { memoryBytes: 134_217_728 },
    );
    const quiet = await h.deploy(answering('"quiet"'));
    assert.equal((await h.get(eater.label)).body, "fine");
    const eating = h.get(eater.label, "/eat").then(
      (answer) => answer.status,
      () => 0,
    );
    assert.equal((await h.get(quiet.label)).body, "quiet");
    // Where only RLIMIT_DATA bounds it, the allocation throws and the Worker answers 500 itself.
    assert.ok([0, 500, 502, 503].includes(await eating));
    assert.equal((await h.get(quiet.label)).body, "quiet");
    await awaitUntil(async () => (await h.get(eater.label)).body === "fine", { what: "it is started again" });
    if (h.ready.missing.some((lack) => lack.includes("memory groups"))) return;
    const [event] = await h.host.events(0);
    assert.equal(event?.reason, "It used more than 128 MiB of memory and was restarted.");
  });

  test("a host that was killed leaves nothing running, and a new one refills by lookup", async () => {
    await using h = await hostProcess();
    const spec = await h.deploy(TROUBLE);
    assert.equal((await h.get(spec.label)).body, "fine");
    h.child.kill("SIGKILL");
    await once(h.child, "exit");
    await awaitUntil(async () => (await commandsWith(h.run)).length === 0, { what: "no process of the killed host is left" });
    const again = start({ MAYFLY_DATA: h.data, MAYFLY_RUN: h.run, MAYFLY_EDGE_PORT: "0" });
    try {
      const [ready] = (await once(again, "message")) as [Ready];
      const { label, ...plain } = spec;
      h.control.answers.set(label, { kind: "spec", spec: plain });
      const answer = await edgeRequest(ready.edgePort, `${label}.mayfly.localhost`, "/", {});
      assert.equal(answer.body, "fine");
    } finally {
      // The parent is gone: so is the host, and what it ran.
      again.disconnect();
      await once(again, "exit");
    }
    assert.equal(again.exitCode, 0);
    assert.deepEqual(await commandsWith(h.run), []);
  });
});

describe("a weak sandbox", () => {
  test("never serves strangers: its edge listens on loopback only", () => {
    for (const rung of ["root", "none"] as const) {
      for (const bind of ["0.0.0.0", "::", "192.0.2.1", "127.example"]) {
        assert.throws(() => refuseOpenEdge(rung, bind, ["no bubblewrap"]), /loopback only.*MAYFLY_EDGE_BIND.*no bubblewrap/);
      }
      for (const bind of ["127.0.0.1", "::1", "localhost"]) refuseOpenEdge(rung, bind, []);
    }
    refuseOpenEdge("bubblewrap-user", "0.0.0.0", []);
  });
});
