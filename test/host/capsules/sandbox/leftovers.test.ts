// What is left when launches, sandboxes and hosts end, in whatever way: nothing.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import type { Rung } from "../../../../src/host/contract.ts";
import { bubblewrapMissing } from "../../../../src/host/capsules/sandbox/bubblewrap.ts";
import { openGroups, sweepGroups } from "../../../../src/host/capsules/sandbox/cgroups.ts";
import { findProgram } from "../../../../src/host/capsules/sandbox/plain.ts";
import { identify, isGone } from "../../../../src/host/capsules/sandbox/processes.ts";
import { openRecords } from "../../../../src/host/capsules/sandbox/records.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import type { Told } from "./tell.ts";
import { HELLO, IS_ROOT, LIMITS, mountsBelow, ownUsers, processesWith, run, Site } from "./site.ts";

const LINUX = process.platform === "linux";
const BUBBLEWRAP = LINUX ? bubblewrapMissing(findProgram("bwrap")) : "needs Linux";

function cannot(rung: Rung): string | null {
  if (ownUsers(rung) && !IS_ROOT) return "needs root";
  return rung.startsWith("bubblewrap") ? BUBBLEWRAP : null;
}

/** A host in a process of its own; `uid` makes it an ordinary user's. */
async function host(site: Site, rung: string, count: number, uid?: number) {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "tell.ts"), rung, site.runDirectory, site.accountsDirectory, String(count)],
    {
      stdio: ["pipe", "pipe", "pipe"],
      env: {},
      ...(uid === undefined ? {} : { uid, gid: uid }),
    },
  );
  const exited = once(child, "exit");
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => (out += String(chunk)));
  child.stderr.on("data", (chunk) => (err += String(chunk)));
  const told = await awaitUntil(
    () => (child.exitCode === null ? out.includes("\n") && (JSON.parse(out) as Told) : { failed: true as const }),
    {
      what: `the host's line; ${err}`,
      deadlineMs: 30_000,
    },
  );
  if ("failed" in told) throw new Error(err);
  return { child, exited, told };
}

/** The installation's directory in each hierarchy, once no launch has a group there; that follows soon after its end. */
async function emptiedGroups(site: Site): Promise<string[]> {
  const groups = readFileSync(join(site.runDirectory, "groups"), "utf8").split("\n").filter(Boolean);
  const children = (directory: string): number =>
    readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory()).length;
  await awaitUntil(() => groups.every((directory) => children(directory) === 0), { what: "the groups of every launch go" });
  return groups;
}

describe("what the sandbox leaves behind", () => {
  for (const rung of ["bubblewrap-root", "root", "none"] as const) {
    test(`${rung}: 20 launches leave no group, mount, process or record`, async (t) => {
      const reason = cannot(rung);
      if (reason !== null) return t.skip(reason);
      await using site = new Site();
      const sandbox = await site.sandbox(rung);
      await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const { process } = await run(sandbox, site.capsule(`c${i}`, ownUsers(rung)), HELLO);
          if (i % 2 === 0) process.kill();
          else process.terminate();
          await process.exited;
        }),
      );
      assert.deepEqual(readdirSync(join(site.runDirectory, "pids")), []);
      const groups = await emptiedGroups(site);
      await sandbox[Symbol.asyncDispose]();
      assert.deepEqual(mountsBelow(site.runDirectory), []);
      assert.deepEqual(
        processesWith(site.runDirectory).filter((pid) => pid !== process.pid),
        [],
      );
      for (const directory of groups) assert.throws(() => readdirSync(directory), { code: "ENOENT" });
      assert.deepEqual(
        readdirSync(site.runDirectory).filter((name) => !name.startsWith("s-")),
        ["pids"],
      );
    });
  }

  test("capsules killed in the instant of their launch are gone, every one", async () => {
    await using site = new Site();
    await using sandbox = await site.sandbox("auto");
    const scratch = {
      directory: null,
      socketDirectory: null,
      args: ["serve", "--binary", "-"],
      stdin: new Uint8Array(),
      limits: LIMITS,
      collectStdout: false,
    };
    for (let round = 0; round < 4; round++) {
      const launched = await Promise.all(Array.from({ length: 8 }, (_, i) => sandbox.launch({ ...scratch, uid: 330_000 + i })));
      for (const each of launched) each.kill();
      for (const { exited, pid } of launched) {
        await exited;
        assert.equal(identify(pid), null);
      }
    }
  });

  test("disposing a sandbox ends the capsules that still run, and never touches the accounts", async () => {
    await using site = new Site();
    const sandbox = await site.sandbox("auto");
    const capsule = site.capsule("a", ownUsers(sandbox.rung));
    const { process } = await run(sandbox, capsule);
    await sandbox[Symbol.asyncDispose]();
    assert.equal((await process.exited).signal, "SIGKILL");
    assert.equal(readFileSync(join(capsule.directory, "code", "source"), "utf8"), "source");
  });

  for (const rung of ["bubblewrap-root", "root", "none"] as const) {
    test(`${rung}: a host that is killed takes its capsules along, and the next one clears its mounts`, async (t) => {
      const reason = cannot(rung);
      if (reason !== null) return t.skip(reason);
      await using site = new Site();
      const { child, exited, told } = await host(site, rung, 3);
      const ids = told.pids.map((pid) => identify(pid));
      assert.ok(ids.every((id) => id !== null));
      child.kill("SIGKILL");
      await exited;
      // Bound to their parent's life where that can be arranged; swept by the successor in any case.
      await using successor = await site.sandbox(rung);
      for (const id of ids) assert.ok(id !== null && isGone(id), `pid ${id?.pid} outlived its host`);
      assert.equal(mountsBelow(site.runDirectory).length, ownUsers(rung) ? 3 : 0);
      await emptiedGroups(site);
      assert.equal(successor.rung, rung);
    });
  }

  test("bubblewrap: capsules die with their host, with nobody sweeping", async (t) => {
    const rung = IS_ROOT ? "bubblewrap-root" : "bubblewrap-user";
    const reason = cannot(rung);
    if (reason !== null) return t.skip(reason);
    await using site = new Site();
    const { child, exited, told } = await host(site, rung, 3);
    const ids = told.pids.map((pid) => identify(pid));
    child.kill("SIGKILL");
    await exited;
    await awaitUntil(() => ids.every((id) => id === null || isGone(id)), { what: "the end of every capsule" });
    await using _successor = await site.sandbox(rung);
  });

  test("an ordinary user gets bubblewrap without own users, and is told what root would add", async (t) => {
    if (!IS_ROOT) return t.skip("needs root, to become an ordinary user");
    if (BUBBLEWRAP !== null) return t.skip(BUBBLEWRAP);
    await using site = new Site();
    const uid = 320_000;
    for (const path of [site.runDirectory, site.accountsDirectory]) chownSync(path, uid, uid);
    chmodSync(dirname(site.accountsDirectory), 0o711);
    const { child, exited, told } = await host(site, "auto", 1, uid);
    assert.deepEqual([told.rung, told.answer], ["bubblewrap-user", "hello"]);
    assert.match(told.missing.join("\n"), /bubblewrap-root: the process does not run as root/);
    child.stdin.end();
    assert.deepEqual(await exited, [0, null]);
  });

  test("a record of a pid that someone else has now ends nobody; a record of ours ends the process", async () => {
    await using site = new Site();
    const sleeper = spawn("sleep", ["60"], { stdio: "ignore" });
    const stranger = spawn("sleep", ["60"], { stdio: "ignore" });
    const gone = once(sleeper, "exit");
    try {
      const directory = join(site.runDirectory, "pids");
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, String(sleeper.pid)), identify(sleeper.pid ?? 0)?.started ?? "");
      writeFileSync(join(directory, String(stranger.pid)), "12345");
      await openRecords(site.runDirectory);
      assert.deepEqual(await gone, [null, "SIGKILL"]);
      assert.notEqual(identify(stranger.pid ?? 0), null);
      assert.deepEqual(readdirSync(directory), []);
    } finally {
      stranger.kill("SIGKILL");
      sleeper.kill("SIGKILL");
    }
  });

  test("groups that an earlier life left behind are removed with what still lives in them", async (t) => {
    if (!LINUX || !IS_ROOT) return t.skip("needs Linux and root");
    const groups = openGroups(`mayfly-test-${process.pid}`);
    if (groups.directories.length === 0) return t.skip("control groups are not writable here");
    const sleeper = spawn("sleep", ["60"], { stdio: "ignore" });
    const gone = once(sleeper, "exit");
    try {
      await (await groups.create(LIMITS)).enter(identify(sleeper.pid ?? 0) ?? assert.fail("it has ended"));
    } finally {
      await sweepGroups(groups.directories, true);
    }
    assert.deepEqual(await gone, [null, "SIGKILL"]);
    for (const directory of groups.directories) assert.throws(() => readdirSync(directory), { code: "ENOENT" });
  });

  test("a launch that cannot be is an error and leaves nothing", async (t) => {
    if (!LINUX || !IS_ROOT) return t.skip("needs Linux and root");
    await using site = new Site();
    await using sandbox = await site.sandbox("auto");
    if (!sandbox.rung.startsWith("bubblewrap")) return t.skip("needs bubblewrap: apt-get install bubblewrap");
    const capsule = site.capsule("a", true);
    rmSync(join(capsule.directory, "state"), { recursive: true });
    const launch = () => sandbox.launch({ ...capsule, args: ["--version"], stdin: new Uint8Array(), limits: LIMITS, collectStdout: true });
    // bubblewrap may have told of its child before it found out.
    const outcome = await launch().then(
      ({ exited }) => exited,
      (error: unknown) => error,
    );
    assert.ok(outcome instanceof Error || (outcome as { code: number }).code === 1, JSON.stringify(outcome));
    await assert.rejects(
      async () => sandbox.launch({ ...capsule, uid: 0, args: [], stdin: new Uint8Array(), limits: LIMITS, collectStdout: false }),
      /never runs as root/,
    );
    assert.deepEqual(readdirSync(join(site.runDirectory, "pids")), []);
  });
});
