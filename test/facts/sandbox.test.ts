// What the sandbox takes for granted about bubblewrap, the kernel and the pinned workerd.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { encodeConfig } from "../../src/host/capsules/workerd/encode.ts";
import { workerdBinary } from "../../src/host/capsules/sandbox/binary.ts";
import { bubblewrapMissing } from "../../src/host/capsules/sandbox/bubblewrap.ts";
import { findProgram } from "../../src/host/capsules/sandbox/plain.ts";
import { identify, isGone } from "../../src/host/capsules/sandbox/processes.ts";
import { awaitUntil } from "../fixtures/await-until.ts";
import { internet, serve, shortDirectory, worker, get } from "../fixtures/workerd.ts";

const BWRAP = process.platform === "linux" ? findProgram("bwrap") : null;
const MISSING = process.platform === "linux" ? bubblewrapMissing(BWRAP) : "needs Linux";
const HELLO = `export default { fetch: () => new Response("hello") };`;
const config = (socket: string): Uint8Array =>
  encodeConfig({
    services: [internet, worker("main", HELLO)],
    sockets: [{ name: "main", address: `unix:${socket}`, service: { name: "main" }, http: {} }],
  });
const SHELL = [
  "--unshare-user",
  "--unshare-pid",
  "--die-with-parent",
  "--as-pid-1",
  "--ro-bind",
  "/",
  "/",
  "--proc",
  "/proc",
  "--dev",
  "/dev",
];

/** workerd under a data limit in kB, until it answers or ends. */
async function startsUnder(dataKb: number, directory: string): Promise<boolean> {
  const socket = join(directory, `s${dataKb}`);
  const child = spawn("/bin/sh", ["-c", `ulimit -d ${dataKb}; exec "$@"`, "sh", workerdBinary(), "serve", "--binary", "-"], {
    env: {},
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = once(child, "exit");
  child.stdin.on("error", () => {});
  child.stdin.end(config(socket));
  try {
    return (
      (await awaitUntil(async () => ((child.exitCode ?? child.signalCode) !== null ? "ended" : (await get(socket, "/")).body), {
        what: "an answer or an end",
      })) === "hello"
    );
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

describe("facts under the sandbox", () => {
  test("workerd starts under the smallest data limit that we set, and not under 300 MB", async (t) => {
    if (process.platform !== "linux") return t.skip("only Linux enforces RLIMIT_DATA");
    const directory = await shortDirectory(t);
    assert.equal(await startsUnder(640_000 + 65_536, directory), true);
    assert.equal(await startsUnder(300_000, directory), false);
  });

  test("workerd leaves its unix socket behind and refuses to start where one lies", async (t) => {
    const directory = await shortDirectory(t);
    const socket = join(directory, "s");
    const { child, ended } = await serve(t, config(socket));
    child.kill("SIGTERM");
    assert.deepEqual((await ended)[0], 0);
    assert.equal(existsSync(socket), true);
    const again = spawnSync(workerdBinary(), ["serve", "--binary", "-"], { input: config(socket), encoding: "utf8", timeout: 20_000 });
    assert.notEqual(again.status, 0);
    assert.match(again.stderr, /Address already in use/);
  });

  for (const whom of ["the child", "bubblewrap"] as const) {
    const outcome = whom === "the child" ? "told as exit code 128 + n" : "the end of the child too, which may come after the report";
    test(`a signal n to ${whom} is ${outcome}`, async (t) => {
      if (BWRAP === null || MISSING !== null) return t.skip(MISSING ?? "");
      const child = spawn(BWRAP, [...SHELL, "--info-fd", "3", "--", "/bin/sleep", "60"], { stdio: ["ignore", "ignore", "ignore", "pipe"] });
      const exited = once(child, "exit");
      let info = "";
      child.stdio[3]?.on("data", (chunk) => (info += String(chunk)));
      const pid = await awaitUntil(() => Number(/"child-pid": (\d+)\D/.exec(info)?.[1]) || child.exitCode, { what: "the child's pid" });
      if (child.exitCode !== null) return t.skip("user namespaces are forbidden here");
      const inner = identify(pid);
      // bubblewrap ties the child to its own life only when it lets it go: wait for the program itself.
      const name = (): string => spawnSync("ps", ["-o", "comm=", "-p", String(pid)], { encoding: "utf8" }).stdout;
      await awaitUntil(() => name().includes("sleep"), { what: "sleep" });
      process.kill(whom === "the child" ? pid : (child.pid ?? 0), "SIGKILL");
      assert.deepEqual(await exited, whom === "the child" ? [137, null] : [null, "SIGKILL"]);
      await awaitUntil(() => inner === null || isGone(inner), { what: "the end of the child" });
    });
  }

  test("a noexec bind keeps what a capsule wrote from being executed", (t) => {
    if (process.platform !== "linux" || process.getuid?.() !== 0) return t.skip("needs Linux and root");
    return (async () => {
      const directory = await shortDirectory(t);
      const script = join(directory, "program");
      writeFileSync(script, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
      assert.equal(spawnSync(script).status, 0);
      // In a mount space of its own, so that nothing has to be taken down.
      const line = 'mount -o bind,nosuid,nodev,noexec "$1" "$1" && "$1/program"; echo $?';
      const { stdout } = spawnSync("unshare", ["-m", "/bin/sh", "-c", line, "sh", directory], { encoding: "utf8" });
      if (stdout.trim() === "32") return t.skip("bind mounts are refused here");
      assert.equal(stdout.trim(), "126");
    })();
  });
});
