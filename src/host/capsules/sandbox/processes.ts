// What the machine tells of a process by its id: whether it is still the same one, its CPU time, its memory.
// Ids are used again, so a process is a pid together with the time it started.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export type ProcessId = { readonly pid: number; readonly started: string };

const LINUX = process.platform === "linux";
/** USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/** Whether a failure says that there is no such process. Any other (no descriptor is free, perhaps) says nothing about it. */
function tellsGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ESRCH";
}

/** Fields of /proc/PID/stat from the third on: the second is a name that may hold spaces and brackets. Null when it is gone. */
function statFields(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    if (tellsGone(error)) return null;
    throw error;
  }
}

function ps(pid: number, field: string): string | null {
  try {
    return (
      execFileSync("ps", ["-o", `${field}=`, "-p", String(pid)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim() || null
    );
  } catch (error) {
    if ((error as { status?: unknown }).status === 1) return null;
    throw error;
  }
}

function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/** The identity of a live process; null when there is none. @throws Error when the machine does not tell */
export function identify(pid: number): ProcessId | null {
  const started = LINUX ? statFields(pid)?.[19] : ps(pid, "lstart");
  return started ? { pid, started } : null;
}

/** Whether the process holds nothing any more: no files, no sockets, no locks. False also while the machine does not tell. */
export function isGone(id: ProcessId): boolean {
  try {
    return LINUX ? isGoneHere(id) : ps(id.pid, "lstart") !== id.started;
  } catch (error) {
    return tellsGone(error);
  }
}

function isGoneHere({ pid, started }: ProcessId): boolean {
  const fields = statFields(pid);
  if (fields === null || fields[19] !== started) return true;
  if (fields[0] !== "Z" && fields[0] !== "X") return false;
  // Nobody may be there to bury it (Node as the first process of a container). A dead leader's other threads still hold files.
  return readdirSync(`/proc/${pid}/task`).length <= 1;
}

/** Sends the signal unless the process is gone already. */
export function signal(id: ProcessId, name: NodeJS.Signals): void {
  if (isGone(id)) return;
  try {
    process.kill(id.pid, name);
  } catch {
    // gone in this instant
  }
}

/** CPU milliseconds since its start, in steps of 10; null when it is gone, or not told. */
export const cpuMsOf = (pid: number): number | null => orElse(() => cpuMs(pid), null);

function cpuMs(pid: number): number | null {
  if (LINUX) {
    const fields = statFields(pid);
    return fields === null ? null : (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }
  const parts = ps(pid, "time")?.split(/[:-]/).map(Number);
  return parts?.every(Number.isFinite) ? parts.reduce((sum, part) => sum * 60 + part, 0) * 1000 : null;
}

/** Bytes that the process has written, to sockets too; null where that is not told. Less than what it allocated on disk without writing. */
export function writtenBytesOf(pid: number): number | null {
  try {
    const text = readFileSync(`/proc/${pid}/io`, "utf8");
    const of = (field: string): number => Number(new RegExp(`^${field}: (\\d+)`, "m").exec(text)?.[1] ?? 0);
    // The one counts no memory that is mapped, the other no file in memory.
    return Math.max(of("wchar"), of("write_bytes"));
  } catch {
    return null;
  }
}

/** How often the process's main thread has waited for something; null where that is not told. */
export function waitsOf(pid: number): number | null {
  try {
    const found = /^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return found ? Number(found[1]) : null;
  } catch {
    return null;
  }
}

/** Proportional set size in bytes; the resident size, which counts shared pages in full, where the kernel does not tell; 0 when gone. */
export function pssBytesOf(pid: number): number {
  if (!LINUX) return Number(orElse(() => ps(pid, "rss"), null) ?? 0) * 1024;
  try {
    return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return Number(orElse(() => statFields(pid), null)?.[21] ?? 0) * 4096;
  }
}
