import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { Rung } from "../../../../src/host/contract.ts";
import { HELLO, IS_ROOT, mountsBelow, ownUsers, run, Site, statusLine } from "./site.ts";
import { bubblewrapMissing } from "../../../../src/host/capsules/sandbox/bubblewrap.ts";
import { findProgram } from "../../../../src/host/capsules/sandbox/plain.ts";

/** Whether the rung can be tried here at all; skips the test otherwise. */
function needs(t: TestContext, rung: Rung): boolean {
  const reason =
    process.platform !== "linux" && rung !== "none"
      ? "needs Linux"
      : ownUsers(rung) && !IS_ROOT
        ? "needs root"
        : rung.startsWith("bubblewrap")
          ? bubblewrapMissing(findProgram("bwrap"))
          : null;
  if (reason !== null) t.skip(reason);
  return reason === null;
}

describe("the sandbox ladder", () => {
  test("auto names the strongest rung that works, and what better ones lack", async () => {
    await using site = new Site();
    await using sandbox = await site.sandbox("auto");
    if (IS_ROOT && bubblewrapMissing(findProgram("bwrap")) === null) assert.equal(sandbox.rung, "bubblewrap-root");
    else assert.ok(sandbox.missing.length > 0);
  });

  test("a rung that was asked for and does not work is an error in the operator's words", async () => {
    await using site = new Site();
    await assert.rejects(site.sandbox(IS_ROOT ? "bubblewrap-user" : "root"), /as root take bubblewrap-root|does not run as root/);
    await assert.rejects(site.sandbox("none", "/bin/false"), /a trial workerd did not answer: it ended with exit code 1/);
    assert.deepEqual(mountsBelow(site.runDirectory), []);
  });

  test("a bubblewrap that is absent is named with the command that installs it", () => {
    assert.equal(bubblewrapMissing(null), "bubblewrap is not installed: apt-get install bubblewrap");
  });

  for (const rung of ["bubblewrap-root", "root", "none"] as const) {
    test(`${rung}: a Worker answers, reports CPU and memory, and drains on terminate`, async (t) => {
      if (!needs(t, rung)) return;
      await using site = new Site();
      await using sandbox = await site.sandbox(rung);
      const capsule = site.capsule("a", ownUsers(rung));
      const { process, ask } = await run(sandbox, capsule, HELLO);
      assert.equal(await ask(), "hello");
      assert.ok((await process.pssBytes()) > 1_000_000);
      assert.ok((await process.cpuMs()) >= 0);
      if (ownUsers(rung)) assert.deepEqual(statusLine(process.pid, "Uid"), Array(4).fill(String(capsule.uid)));
      assert.deepEqual(
        statusLine(process.pid, "NoNewPrivs")
          .concat(rung === "none" ? ["1"] : [])
          .slice(0, 1),
        ["1"],
      );
      process.terminate();
      assert.deepEqual(await process.exited, { code: 0, signal: null, outOfMemory: false });
    });

    test(`${rung}: the environment is empty and no descriptor of ours is open in the process`, async (t) => {
      if (!needs(t, rung)) return;
      await using site = new Site();
      await using sandbox = await site.sandbox(rung);
      const { process } = await run(sandbox, site.capsule("a", ownUsers(rung)));
      if (IS_ROOT) assert.doesNotMatch(readFileSync(`/proc/${process.pid}/environ`, "utf8"), /PATH|HOME|MAYFLY|NODE/);
      process.kill();
      assert.equal((await process.exited).signal, "SIGKILL");
    });
  }

  test("a capsule's process may gain nothing: no capabilities, no new privileges, a filter, a process space of its own", async (t) => {
    if (!needs(t, "bubblewrap-root")) return;
    await using site = new Site();
    await using sandbox = await site.sandbox("bubblewrap-root");
    const { process } = await run(sandbox, site.capsule("a", true));
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
      assert.deepEqual(statusLine(process.pid, set), ["0000000000000000"]);
    assert.deepEqual(statusLine(process.pid, "NoNewPrivs"), ["1"]);
    assert.deepEqual(statusLine(process.pid, "Seccomp"), ["2"]);
    assert.deepEqual(statusLine(process.pid, "NSpid"), [String(process.pid), "1"]);
    assert.deepEqual(statusLine(process.pid, "Groups").filter(Boolean), []);
  });

  for (const rung of ["bubblewrap-root", "root"] as const) {
    test(`${rung}: as root, capsules run from a 0700 parent and from a data path of 120 characters`, async (t) => {
      if (!needs(t, rung)) return;
      await using site = new Site(`data/${"long-".repeat(20)}name/accounts`);
      assert.ok(site.accountsDirectory.length >= 120, site.accountsDirectory);
      chmodSync(join(site.accountsDirectory, ".."), 0o700);
      await using sandbox = await site.sandbox(rung);
      const capsule = site.capsule("a", true);
      const { state } = sandbox.inner(capsule.directory, capsule.socketDirectory);
      const put = `export default { async fetch(request, env) {
        await env.DISK.fetch("http://disk/file", { method: "PUT", body: "kept" });
        return env.DISK.fetch("http://disk/file");
      } };`;
      const { ask } = await run(sandbox, capsule, put, { disk: state });
      assert.equal(await ask(), "kept");
      assert.equal(readFileSync(join(capsule.directory, "state", "file"), "utf8"), "kept");
    });
  }

  test("a binary that only its owner may execute is served as a copy under the run directory", async (t) => {
    if (!needs(t, "bubblewrap-root")) return;
    await using site = new Site();
    const { workerdBinary } = await import("../../../../src/host/capsules/sandbox/binary.ts");
    const { copyFileSync } = await import("node:fs");
    const closed = join(site.accountsDirectory, "..", "workerd");
    mkdirSync(join(closed, ".."), { recursive: true });
    copyFileSync(workerdBinary(), closed);
    chmodSync(closed, 0o700);
    await using sandbox = await site.sandbox("bubblewrap-root", closed);
    assert.equal(sandbox.rung, "bubblewrap-root");
  });
});
