// Who of ours is alive, in files: a host that was killed without warning leaves processes behind on the rungs where
// nothing ties them to it, and its successor ends them. A record names pid and start time, so no stranger is ever hit.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isGone, signal, type ProcessId } from "./processes.ts";

const GROUPS = "groups";
const SWEEP_MS = 10_000;

export type Records = {
  /** Pid of every launch, as a file named by it. */
  readonly processes: (id: ProcessId, alive: boolean) => void;
  /** Group directories in use, those of an earlier life included: a new session may have its groups elsewhere. */
  readonly earlierGroups: readonly string[];
  readonly groups: (directories: readonly string[]) => void;
};

/** Ends whatever an earlier process recorded in the run directory and did not see end, then starts anew. */
export async function openRecords(runDirectory: string): Promise<Records> {
  const directory = join(runDirectory, "pids");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await sweep(directory);
  const groupsFile = join(runDirectory, GROUPS);
  const earlierGroups = existsSync(groupsFile) ? readFileSync(groupsFile, "utf8").split("\n").filter(Boolean) : [];
  return {
    processes({ pid, started }, alive) {
      const path = join(directory, String(pid));
      if (alive) writeFileSync(path, started, { mode: 0o600 });
      else rmSync(path, { force: true });
    },
    earlierGroups,
    groups: (directories) => writeFileSync(groupsFile, directories.join("\n"), { mode: 0o600 }),
  };
}

async function sweep(directory: string): Promise<void> {
  const left: ProcessId[] = readdirSync(directory)
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), started: readFileSync(join(directory, name), "utf8") }));
  for (const id of left) signal(id, "SIGKILL");
  const until = Date.now() + SWEEP_MS;
  for (const id of left) {
    while (!isGone(id) && Date.now() < until) await sleep(5);
    rmSync(join(directory, String(id.pid)), { force: true });
  }
}
