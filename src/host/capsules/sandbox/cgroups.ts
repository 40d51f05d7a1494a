// Memory, CPU share and process count of a capsule, by control groups where this process may write them: version 1
// hierarchies, version 2, or a mixture. One directory a launch under one parent of ours; whoever dies leaves none behind.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LaunchRequest } from "../../contract.ts";
import { isGone, type ProcessId } from "./processes.ts";

const CONTROLLERS = ["memory", "cpu", "pids"] as const;
type Controller = (typeof CONTROLLERS)[number];
type Hierarchy = { readonly version: 1 | 2; readonly directory: string; readonly controllers: readonly Controller[] };

/** A launch's own groups. */
export type LaunchGroups = {
  /**
   * Moves a process into the groups, children that it has already not included: only for one that cannot fork.
   * What it took before still counts elsewhere, so it must not have anything of a tenant's yet.
   * Rejects with ESRCH when it is gone, even in the meantime: its number alone may be somebody else's by then.
   */
  enter(id: ProcessId): Promise<void>;
  /** Whether the kernel killed a process of the group for its memory. */
  outOfMemory(): boolean;
  /** CPU milliseconds of everything that ever ran in the groups; null where they do not count. */
  cpuMs(): number | null;
  /** Kills what is left inside and removes the directories; gives up after some seconds and leaves them to the next sweep. */
  remove(): Promise<void>;
};

export type Groups = {
  readonly controllers: ReadonlySet<Controller>;
  create(limits: LaunchRequest["limits"]): Promise<LaunchGroups>;
  /** Our directory in each hierarchy, for sweepGroups. */
  readonly directories: readonly string[];
};

/** Octal escapes of /proc/self/mountinfo. */
export function unescapeMount(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

type Mount = { readonly root: string; readonly point: string; readonly type: string; readonly options: readonly string[] };

/** Texts of /proc/self/mountinfo and /proc/self/cgroup; both empty where there is no such thing. */
export type GroupTexts = { readonly mounts: string; readonly own: string };

function machineTexts(): GroupTexts {
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8") : "");
  return { mounts: read("/proc/self/mountinfo"), own: read("/proc/self/cgroup") };
}

function cgroupMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , root = "", point = ""] = before.split(" ");
    const [type = "", , options = ""] = after.split(" ");
    return type.startsWith("cgroup") ? [{ root: unescapeMount(root), point: unescapeMount(point), type, options: options.split(",") }] : [];
  });
}

/** This process's own group in a hierarchy, as a path below the mount; a container may see only a part of the tree. */
function ownDirectory(mount: Mount, path: string): string {
  if (mount.root === "/") return join(mount.point, path);
  return path === mount.root || path.startsWith(`${mount.root}/`) ? join(mount.point, path.slice(mount.root.length)) : mount.point;
}

function ownPaths(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split("\n").filter(Boolean)) {
    const [, controllers = "", ...path] = line.split(":");
    for (const controller of controllers.split(",")) paths.set(controller, path.join(":"));
  }
  return paths;
}

const tryWrite = (file: string, text: string): boolean => {
  try {
    writeFileSync(file, text);
    return true;
  } catch {
    return false;
  }
};

/** Hands the controllers to the children of a version 2 group. No process may live in such a group but the root. */
function delegate(directory: string, controllers: readonly Controller[], wholeUnit: boolean): boolean {
  const control = join(directory, "cgroup.subtree_control");
  const wish = controllers.map((controller) => `+${controller}`).join(" ");
  if (tryWrite(control, wish)) return true;
  // A systemd unit with Delegate=yes, or a container: everything here is ours, so it may move down one level.
  if (!wholeUnit) return false;
  const leaf = join(directory, "mayfly-self");
  try {
    mkdirSync(leaf, { recursive: true });
    for (const pid of readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n").filter(Boolean)) {
      tryWrite(join(leaf, "cgroup.procs"), pid);
    }
  } catch {
    return false;
  }
  return tryWrite(control, wish);
}

function openVersion1(mounts: readonly Mount[], paths: ReadonlyMap<string, string>, name: string): Hierarchy[] {
  return mounts.flatMap((mount) => {
    const controllers = CONTROLLERS.filter((controller) => mount.type === "cgroup" && mount.options.includes(controller));
    const path = controllers[0] === undefined ? undefined : paths.get(controllers[0]);
    if (path === undefined) return [];
    const directory = join(ownDirectory(mount, path), name);
    try {
      mkdirSync(directory, { recursive: true });
    } catch {
      return [];
    }
    return [{ version: 1 as const, directory, controllers }];
  });
}

/** @param wanted what version 1 does not offer. */
function openVersion2(
  mounts: readonly Mount[],
  paths: ReadonlyMap<string, string>,
  name: string,
  wanted: readonly Controller[],
): Hierarchy[] {
  const mount = mounts.find(({ type }) => type === "cgroup2");
  const path = paths.get("");
  if (mount === undefined || path === undefined || wanted.length === 0) return [];
  const own = ownDirectory(mount, path).replace(/\/mayfly-self\/?$/, "");
  // Our own group first; root may also open one at the top, where systemd leaves strangers alone.
  for (const parent of new Set([own, mount.point])) {
    const directory = join(parent, name);
    try {
      const offered = readFileSync(join(parent, "cgroup.controllers"), "utf8").trim().split(" ");
      const controllers = wanted.filter((controller) => offered.includes(controller));
      const wholeUnit = parent === own && (/\.service\/?$/.test(own) || path === "/");
      if (controllers.length === 0 || !delegate(parent, controllers, wholeUnit)) continue;
      mkdirSync(directory, { recursive: true });
      if (delegate(directory, controllers, false)) return [{ version: 2, directory, controllers }];
      rmdirSync(directory);
    } catch {
      continue;
    }
  }
  return [];
}

/** What to write, in order; a file that is missing on this kernel (swap accounting) is passed over. */
function settings({ version, controllers }: Hierarchy, limits: LaunchRequest["limits"]): [file: string, value: string][] {
  const memory = String(limits.memoryBytes);
  const rows: Record<`${Controller}${1 | 2}`, [string, string][]> = {
    memory1: [
      ["memory.limit_in_bytes", memory],
      ["memory.memsw.limit_in_bytes", memory],
    ],
    memory2: [
      ["memory.max", memory],
      ["memory.swap.max", "0"],
      ["memory.oom.group", "1"],
    ],
    cpu1: [["cpu.shares", String(limits.cpuWeight)]],
    // Version 2 counts 100 where version 1 counts 1024.
    cpu2: [["cpu.weight", String(Math.max(1, Math.round((limits.cpuWeight * 100) / 1024)))]],
    pids1: [["pids.max", String(limits.maxProcesses)]],
    pids2: [["pids.max", String(limits.maxProcesses)]],
  };
  return controllers.flatMap((controller) => rows[`${controller}${version}`]);
}

/** The number behind a word in a file of `word number` lines; 0 when there is none. */
function counter(file: string, word: string): number {
  try {
    return Number(new RegExp(`^${word} (\\d+)$`, "m").exec(readFileSync(file, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** One deed after the other; a failure is its caller's alone. */
type InTurn = <T>(deed: () => T | Promise<T>) => Promise<T>;

/**
 * The kernel changes groups one at a time too, and a process that joins keeps everyone waiting for some 10 ms: whoever
 * asks meanwhile would be held in a system call, and this process with all its requests.
 */
function turns(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (deed) => {
    const done = last.then(deed);
    last = done.catch(() => {});
    return done;
  };
}

/** Whether the directory is gone. */
function removed(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

async function removeGroup(directory: string, inTurn: InTurn = async (deed) => deed()): Promise<void> {
  // A group cannot go while a process in it is still being buried, so the first attempts may be refused.
  for (let attempt = 0; attempt < 400; attempt++) {
    if (await inTurn(() => removed(directory))) return;
    for (const pid of processesIn(directory)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // gone in the meantime
      }
    }
    await sleep(Math.min(2 + attempt, 20));
  }
}

function processesIn(directory: string): number[] {
  try {
    return readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function refuseIfGone(id: ProcessId): void {
  if (isGone(id)) throw Object.assign(new Error(`process ${id.pid} is gone`), { code: "ESRCH" });
}

function openLaunch(made: readonly Hierarchy[], inTurn: InTurn): LaunchGroups {
  const memory = made.find(({ controllers }) => controllers.includes("memory"));
  const cpu = made.find(({ controllers }) => controllers.includes("cpu"));
  return {
    enter: (id) =>
      inTurn(async () => {
        refuseIfGone(id);
        for (const { directory } of made) await writeFile(join(directory, "cgroup.procs"), String(id.pid), { flag: "r+" });
        refuseIfGone(id);
      }),
    outOfMemory: () =>
      memory !== undefined &&
      counter(join(memory.directory, memory.version === 1 ? "memory.oom_control" : "memory.events"), "oom_kill") > 0,
    cpuMs: () => (cpu?.version === 2 ? counter(join(cpu.directory, "cpu.stat"), "usage_usec") / 1000 : null),
    async remove() {
      await Promise.all(made.map(({ directory }) => removeGroup(directory, inTurn)));
    },
  };
}

function createLaunch(hierarchies: readonly Hierarchy[], name: string, limits: LaunchRequest["limits"], inTurn: InTurn): LaunchGroups {
  const made = hierarchies.map((hierarchy) => ({ ...hierarchy, directory: join(hierarchy.directory, name) }));
  try {
    for (const hierarchy of made) {
      mkdirSync(hierarchy.directory);
      for (const [file, value] of settings(hierarchy, limits)) tryWrite(join(hierarchy.directory, file), value);
    }
  } catch (error) {
    // Empty as they are, they go at once; those that were not made are gone.
    for (const { directory } of made) removed(directory);
    throw error;
  }
  return openLaunch(made, inTurn);
}

/**
 * Finds the control groups that this process may use; those it may not are simply absent from `controllers`.
 * @param name the directory of ours in each hierarchy, such as `mayfly-1a2b3c4d`.
 * The first group that a process joins costs some 10 ms, in which the kernel waits for a grace period; further ones next to nothing.
 */
export function openGroups(name: string, texts: GroupTexts = machineTexts()): Groups {
  const mounts = cgroupMounts(texts.mounts);
  const paths = ownPaths(texts.own);
  const version1 = openVersion1(mounts, paths, name);
  const missing = CONTROLLERS.filter((controller) => !version1.some(({ controllers }) => controllers.includes(controller)));
  const hierarchies = [...version1, ...openVersion2(mounts, paths, name, missing)];
  const inTurn = turns();
  let count = 0;
  return {
    controllers: new Set(hierarchies.flatMap(({ controllers }) => controllers)),
    create: (limits) => inTurn(() => createLaunch(hierarchies, `c${(count += 1)}`, limits, inTurn)),
    directories: hierarchies.map(({ directory }) => directory),
  };
}

const nothing = (enter: () => Promise<void>): LaunchGroups => ({
  enter,
  outOfMemory: () => false,
  cpuMs: () => null,
  remove: () => Promise.resolve(),
});

/** For a machine whose groups can be made but not joined: launches without any. */
export const NO_GROUPS: Groups = {
  controllers: new Set(),
  create: async () => nothing(() => Promise.resolve()),
  directories: [],
};

/** For a launch whose groups could not be made: whoever would enter them is refused. */
export const closedGroups = (reason: unknown): LaunchGroups => nothing(() => Promise.reject(reason));

/** Ends what lives in our directories and removes every launch's group in them, and with `whole` the directories themselves. */
export async function sweepGroups(directories: readonly string[], whole: boolean): Promise<void> {
  for (const directory of directories) {
    if (!existsSync(directory)) continue;
    const children = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    await Promise.all(children.map((child) => removeGroup(join(directory, child.name))));
    if (whole) await removeGroup(directory);
  }
}
