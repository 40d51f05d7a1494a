// Groups of version 2 on a directory that looks like one, since the machines that run these tests may have version 1.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openGroups, unescapeMount } from "../../../../src/host/capsules/sandbox/cgroups.ts";
import { identify } from "../../../../src/host/capsules/sandbox/processes.ts";
import { temporaryDirectory } from "../../../fixtures/temporary-directory.ts";

const SELF = identify(process.pid) ?? assert.fail("this process is not told of");

const mount = (point: string, root = "/"): string => `31 24 0:26 ${root} ${point} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate`;

function group(directory: string, controllers: string): string {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "cgroup.controllers"), `${controllers}\n`);
  writeFileSync(join(directory, "cgroup.subtree_control"), "");
  writeFileSync(join(directory, "cgroup.procs"), "");
  return directory;
}

test("a version 1 hierarchy that holds none of the controllers we use is left alone", async () => {
  await using directory = await temporaryDirectory("groups");
  const mounts = ["cpuset", "memory"].map((name) => `31 24 0:26 / ${join(directory.path, name)} rw - cgroup cgroup rw,${name}`).join("\n");
  const groups = openGroups("mayfly-x", { mounts, own: "3:cpuset:/\n4:memory:/job\n0::/\n" });
  assert.deepEqual(groups.directories, [join(directory.path, "memory", "job", "mayfly-x")]);
});

describe("control groups of version 2", () => {
  test("a launch enters one group, with its memory, share and number of processes bounded before it runs", async () => {
    await using directory = await temporaryDirectory("groups");
    const own = group(join(directory.path, "system.slice", "mayfly.service"), "cpuset cpu io memory pids");
    const groups = openGroups("mayfly-x", { mounts: mount(directory.path), own: "0::/system.slice/mayfly.service\n" });
    assert.deepEqual(groups.directories, [join(own, "mayfly-x")]);
    assert.deepEqual([...groups.controllers], ["memory", "cpu", "pids"]);
    assert.equal(readFileSync(join(own, "cgroup.subtree_control"), "utf8"), "+memory +cpu +pids");
    const launch = await groups.create({ memoryBytes: 268_435_456, cpuWeight: 100, maxProcesses: 32 });
    // The kernel's directories come with this file.
    await assert.rejects(launch.enter(SELF), { code: "ENOENT" });
    writeFileSync(join(own, "mayfly-x", "c1", "cgroup.procs"), "");
    await launch.enter(SELF);
    const value = (file: string): string => readFileSync(join(own, "mayfly-x", "c1", file), "utf8");
    assert.deepEqual(["cgroup.procs", "memory.max", "memory.swap.max", "memory.oom.group", "cpu.weight", "pids.max"].map(value), [
      String(SELF.pid),
      "268435456",
      "0",
      "1",
      "10",
      "32",
    ]);
    writeFileSync(join(own, "mayfly-x", "c1", "cgroup.procs"), "");
    await assert.rejects(launch.enter({ ...SELF, started: "1" }), { code: "ESRCH" });
    assert.equal(value("cgroup.procs"), "", "who has the number now is left where it is");
    assert.equal(launch.outOfMemory(), false);
    writeFileSync(join(own, "mayfly-x", "c1", "memory.events"), "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n");
    writeFileSync(join(own, "mayfly-x", "c1", "cpu.stat"), "usage_usec 123000\nuser_usec 100000\n");
    assert.deepEqual([launch.outOfMemory(), launch.cpuMs()], [true, 123]);
  });

  test("a container sees its part of the tree at the mount, and its group's path is taken from there", async () => {
    await using directory = await temporaryDirectory("groups");
    group(directory.path, "cpu memory pids");
    const groups = openGroups("mayfly-x", { mounts: mount(directory.path, "/docker/1a"), own: "0::/docker/1a\n" });
    assert.deepEqual(groups.directories, [join(directory.path, "mayfly-x")]);
  });

  test("where no controller is offered there are no groups, and a launch joins none", async () => {
    await using directory = await temporaryDirectory("groups");
    group(directory.path, "hugetlb");
    const groups = openGroups("mayfly-x", { mounts: mount(directory.path), own: "0::/\n" });
    assert.deepEqual([groups.controllers.size, groups.directories], [0, []]);
    await (await groups.create({ memoryBytes: 1, cpuWeight: 2, maxProcesses: 1 })).enter(SELF);
    const nothing = openGroups("mayfly-x", { mounts: "", own: "" });
    assert.deepEqual(nothing.directories, []);
  });

  test("spaces in mount points are written as octal", () => {
    assert.equal(unescapeMount(String.raw`/a\040b\134c`), "/a b\\c");
  });
});
