// What Linux tells of processes: who descends from whom, memory and CPU time.
import { readFileSync } from "node:fs";

const TICK_MS = 10;
const MIB = 2 ** 20;

function children(pid: number): number[] {
  try {
    // One file a thread: a child belongs to the thread that made it, which is the main one for all of ours.
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Every process below this one. */
export const descendants = (pid: number): number[] => children(pid).flatMap((child) => [child, ...descendants(child)]);

function field(path: string, name: string): number {
  return (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync(path, "utf8"))?.[1] ?? 0) * 1024) / MIB;
}

/** Proportional set size: pages that several share count in part for each. */
export const pssMiB = (pid: number): number => field(`/proc/${pid}/smaps_rollup`, "Pss");
export const rssMiB = (pid: number): number => field(`/proc/${pid}/status`, "VmRSS");

/** CPU time of all threads since the start, in steps of 10 ms. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
