// Starts that fail half way: whatever was there by then is gone when they are told.
import assert from "node:assert/strict";
import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openGroups, sweepGroups, type LaunchGroups } from "../../../../src/host/capsules/sandbox/cgroups.ts";
import { start, type Plan } from "../../../../src/host/capsules/sandbox/process.ts";
import { identify, isGone, type ProcessId } from "../../../../src/host/capsules/sandbox/processes.ts";
import { withoutDescriptors } from "../../../fixtures/without-descriptors.ts";
import { LIMITS } from "./site.ts";

const LINUX = process.platform === "linux";
const source = (name: string): string => join(import.meta.dirname, "../../../../src/host/capsules/sandbox", name);

/** What a launch of `cat` did, which reads until its standard input ends. */
function watched(more: Partial<Plan & Pick<LaunchGroups, "enter">>) {
  const seen: { id: ProcessId | null; removed: number } = { id: null, removed: 0 };
  const groups: LaunchGroups = {
    enter: more.enter ?? (() => Promise.resolve()),
    outOfMemory: () => false,
    cpuMs: () => null,
    remove: async () => void seen.removed++,
  };
  const onLife: Plan["onLife"] = (id, alive) => {
    seen.id = id;
    more.onLife?.(id, alive);
  };
  const plan: Plan = {
    command: ["/bin/cat"],
    uid: null,
    seccompFile: null,
    wrapped: false,
    limits: "",
    strays: [],
    ...more,
    groups: Promise.resolve(groups),
    onLife,
  };
  return { seen, plan };
}

describe("a start that fails", () => {
  test("because the process cannot be recorded leaves neither it nor its groups", async () => {
    const { seen, plan } = watched({
      onLife: (_, alive) => {
        if (alive) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
      },
    });
    await assert.rejects(start(plan, { stdin: null, collectStdout: false }), { code: "capsule_failed" });
    assert.ok(seen.id !== null && isGone(seen.id));
    assert.equal(seen.removed, 1);
  });

  test("because it seemed gone when its turn came to join its groups is killed all the same, and runs nothing", async () => {
    const { seen, plan } = watched({ enter: () => Promise.reject(Object.assign(new Error("gone"), { code: "ESRCH" })) });
    const sandboxed = await start(plan, { stdin: null, collectStdout: true });
    sandboxed.feed(Buffer.from("something of a tenant's"));
    assert.equal((await sandboxed.exited).signal, "SIGKILL");
    assert.equal(sandboxed.stdout(), "");
    assert.ok(seen.id !== null && isGone(seen.id));
    assert.equal(seen.removed, 1);
  });

  for (const wrapped of [false, true]) {
    test(`for want of descriptors is a failure like any other${wrapped ? ", of a wrapper too" : ""}`, () => {
      const told = withoutDescriptors(
        { start: source("process.ts") },
        `let removed = 0;
         const groups = { enter: async () => {}, outOfMemory: () => false, cpuMs: () => null, remove: async () => { removed++; } };
         const plan = { command: ["/bin/cat"], uid: null, seccompFile: null, wrapped: ${wrapped}, limits: "", groups: Promise.resolve(groups), strays: [], onLife() {} };
         const code = await start(plan, { stdin: null, collectStdout: false }).then(() => "started", (error) => error.code);
         return [code, removed];`,
      );
      assert.deepEqual(told, ["capsule_failed", 1]);
    });
  }

  test("at the second of its groups leaves not even the first", async (t) => {
    if (!LINUX) return t.skip("needs Linux");
    const groups = openGroups(`mayfly-half-${process.pid}`);
    const [first = "", second] = groups.directories;
    try {
      if (second === undefined) return t.skip("there are not two hierarchies of control groups that are writable here");
      rmdirSync(second);
      await assert.rejects(groups.create(LIMITS), { code: "ENOENT" });
      assert.deepEqual(
        readdirSync(first, { withFileTypes: true }).filter((entry) => entry.isDirectory()),
        [],
      );
    } finally {
      await sweepGroups(
        groups.directories.filter((directory) => existsSync(directory)),
        true,
      );
    }
  });

  test("does not take a process for gone that it cannot look at", () => {
    assert.ok(identify(process.pid) !== null);
    const told = withoutDescriptors(
      { "identify, isGone": source("processes.ts") },
      `let code = "";
       try { identify(process.pid); } catch (error) { code = error.code; }
       return [code, isGone({ pid: process.pid, started: "1" })];`,
    );
    assert.deepEqual(told, LINUX ? ["EMFILE", false] : ["", false]);
  });
});
