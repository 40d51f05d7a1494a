// Starts one workerd (or keeper) through a shell line that lowers its limits, puts it into its control groups and follows it to its end.
// It has nothing to run until it is in them: its configuration comes afterwards. Joining takes as long as its own start, so
// both go on at once. The end is when workerd itself is gone, not its wrapper: a successor would meet its database locks.
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { closeSync, constants as files, openSync } from "node:fs";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Exit, LaunchRequest, Sandboxed } from "../../contract.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { LaunchGroups } from "./cgroups.ts";
import { cpuMsOf, identify, isGone, pssBytesOf, signal, type ProcessId } from "./processes.ts";

const STDERR_BYTES = 16 * 1024;
const STDOUT_BYTES = 1024 * 1024;
const OUTER_GRACE_MS = 1000;
const LAST_WORDS_MS = 500;

/** Descriptors of the child: 0 to 2, then these. */
export const SECCOMP_FD = 3;
export const INFO_FD = 4;

export type Plan = {
  /** What the shell becomes: program and arguments. */
  readonly command: readonly string[];
  /** User and group of the process; null: our own. */
  readonly uid: number | null;
  /** A file with the system call filter, opened anew for every start since the offset is shared. */
  readonly seccompFile: string | null;
  /** Whether the program tells its child's process id on INFO_FD. */
  readonly wrapped: boolean;
  /** Shell words that lower limits, each ended by `;`. */
  readonly limits: string;
  /** Being made meanwhile; never rejects. */
  readonly groups: Promise<LaunchGroups>;
  /** Descriptors that this process inherited and would pass on. */
  readonly strays: readonly number[];
  /** Called with the process as soon as it is known and when it is gone, for the records of who must be swept. */
  readonly onLife: (id: ProcessId, alive: boolean) => void;
};

/**
 * Where the child's descriptors come from. A shell cannot close those above 9, so a stray one is covered with /dev/null instead.
 * Returns also what must be closed here once the child has it.
 */
function descriptors(plan: Plan, pipeStdout: boolean): { stdio: StdioOptions; opened: number[] } {
  const opened: number[] = [];
  const open = (path: string, flags: number): number => {
    const fd = openSync(path, flags);
    opened.push(fd);
    return fd;
  };
  try {
    const stdio: (number | "pipe" | "ignore")[] = [
      "pipe",
      pipeStdout ? "pipe" : "ignore",
      "pipe",
      plan.seccompFile === null ? "ignore" : open(plan.seccompFile, files.O_RDONLY),
      plan.wrapped ? "pipe" : "ignore",
    ];
    const covered = plan.strays.filter((fd) => fd >= stdio.length);
    if (covered.length > 0) {
      const nothing = open("/dev/null", files.O_RDONLY);
      for (const fd of covered) {
        while (stdio.length < fd) stdio.push("ignore");
        stdio[fd] = nothing;
      }
    }
    return { stdio, opened };
  } catch (error) {
    for (const fd of opened) closeSync(fd);
    throw error;
  }
}

/** The last (or first) bytes of a stream as text. */
function collect(stream: Readable | null, keep: (text: string) => string): () => string {
  let text = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => (text = keep(text + chunk)));
  stream?.on("error", () => {});
  return () => text;
}

const failed = (message: string, detail: Record<string, unknown>, cause?: unknown): PlatformError =>
  new PlatformError("capsule_failed", { message, detail, cause });

/** Resolves with the exit of the child itself; rejects when it never started. */
function ended(child: ChildProcess): Promise<Pick<Exit, "code" | "signal">> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, name) => resolve({ code, signal: name }));
  });
}

/** bubblewrap reports its child's death by signal n as 128 + n, as shells do. */
function unwrap({ code, signal: name }: Pick<Exit, "code" | "signal">): Pick<Exit, "code" | "signal"> {
  if (code === null || code <= 128) return { code, signal: name };
  const found = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
  return found === undefined ? { code, signal: name } : { code: null, signal: found as NodeJS.Signals };
}

/**
 * The wrapped program's process id, as bubblewrap writes it before the program runs; null when it ends without. The pipe
 * stays open to its end: bubblewrap writes on after the id, and dies of a closed pipe while its child waits for it forever.
 */
function childPid(info: Readable): Promise<number | null> {
  return new Promise((resolve) => {
    let text = "";
    info.on("data", (chunk) => {
      text += String(chunk);
      const pid = /"child-pid": (\d+)\D/.exec(text)?.[1];
      if (pid !== undefined) resolve(Number(pid));
    });
    info.once("error", () => resolve(null));
    info.once("close", () => resolve(null));
  });
}

/** Where no control group counts: V8's own words, a failed allocation, or a SIGKILL that was not ours. */
function looksOutOfMemory(exit: Pick<Exit, "code" | "signal">, stderr: string, killed: boolean): boolean {
  if (exit.signal === "SIGKILL") return !killed;
  return exit.signal !== null && /out of memory|allocation failed|bad_alloc/i.test(stderr);
}

function spawnPlan(plan: Plan, pipeStdout: boolean): ChildProcess {
  const { stdio, opened } = descriptors(plan, pipeStdout);
  try {
    return spawn("/bin/sh", ["-c", `${plan.limits} unset PWD OLDPWD; exec "$@"`, "capsule", ...plan.command], {
      cwd: "/",
      env: {},
      stdio,
      // Its own session: a Ctrl-C in the operator's terminal is for us, and we stop capsules in order.
      detached: true,
      ...(plan.uid === null ? {} : { uid: plan.uid, gid: plan.uid }),
    });
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/**
 * Starts the plan's command and resolves once workerd's process exists and is in its groups.
 * @throws PlatformError capsule_failed when there is no such process; nothing is left then.
 */
export async function start(plan: Plan, request: Pick<LaunchRequest, "program" | "stdin" | "collectStdout">): Promise<Sandboxed> {
  const flows = request.program === "keeper";
  let child: ChildProcess;
  try {
    child = spawnPlan(plan, request.collectStdout || flows);
  } catch (error) {
    await plan.groups.then((groups) => groups.remove());
    throw failed("The sandbox could not be started.", {}, error);
  }
  const stderr = collect(child.stderr, (text) => text.slice(-STDERR_BYTES));
  const stdout = collect(flows ? null : child.stdout, (text) => text.slice(0, STDOUT_BYTES));
  const exit = ended(child);
  exit.catch(() => {});
  child.stdin?.on("error", () => {});
  const [groups, inner] = await Promise.all([plan.groups, innerOf(plan, child)]);
  if (inner === null) {
    // One that never got a number has none to be killed by.
    if (child.pid !== undefined) child.kill("SIGKILL");
    const how = await exit.catch((error: unknown) => ({ error }));
    await groups.remove();
    throw failed("The sandbox ended before it began.", { ...how, stderr: stderr() });
  }
  const sandboxed = follow(plan, groups, child, exit, inner, { stderr, stdout });
  try {
    plan.onLife(inner, true);
    await groups.enter(inner);
  } catch (error) {
    // Whatever is said of it, it runs nothing outside its groups.
    sandboxed.kill();
    // What has ended meanwhile tells so itself.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return sandboxed;
    const how = await sandboxed.exited;
    throw failed("The sandbox could not be recorded, or put into its control groups.", { ...how, stderr: stderr() }, error);
  }
  if (request.stdin !== null) sandboxed.feed(request.stdin);
  return sandboxed;
}

/** Who is to run what comes; null when there is none, or the machine does not tell: then it is killed. */
async function innerOf(plan: Plan, child: ChildProcess): Promise<ProcessId | null> {
  // Without descriptors to spare nothing starts, and there are no streams either.
  const info = (child.stdio as ChildProcess["stdio"] | undefined)?.[INFO_FD];
  const pid = plan.wrapped ? info && (await childPid(info as Readable)) : child.pid;
  if (pid === null || pid === undefined) return null;
  try {
    return identify(pid) ?? { pid, started: "" };
  } catch {
    // Told by our own child in this moment, it is nobody else's yet; bubblewrap's may wait for ever for a wrapper that is gone.
    process.kill(pid, "SIGKILL");
    return null;
  }
}

function follow(
  plan: Plan,
  groups: LaunchGroups,
  child: ChildProcess,
  exit: Promise<Pick<Exit, "code" | "signal">>,
  inner: ProcessId,
  said: Pick<Sandboxed, "stderr" | "stdout">,
): Sandboxed {
  let killed = false;
  let lastCpuMs = 0;
  const sampleCpu = (): number => (lastCpuMs = Math.max(lastCpuMs, groups.cpuMs() ?? cpuMsOf(inner.pid) ?? 0));
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const bury = async (): Promise<Exit> => {
    const outcome = unwrap(await exit);
    // A wrapper that dies before it let its child go leaves it waiting, not yet tied to anyone's death.
    signal(inner, "SIGKILL");
    // A killed wrapper takes workerd along, but reports first; two seconds were seen when 200 died at once.
    while (!isGone(inner)) await sleep(2);
    await Promise.race([closed, sleep(LAST_WORDS_MS, undefined, { ref: false })]);
    lastCpuMs = Math.max(lastCpuMs, groups.cpuMs() ?? 0);
    const outOfMemory = groups.outOfMemory() || looksOutOfMemory(outcome, said.stderr(), killed);
    plan.onLife(inner, false);
    // What a process that was taken over has forked dies with its process space; where it has none, it dies with its
    // groups, before its files are erased and its user is another's. Else nobody waits: it has its turn among others' launches.
    const removed = groups.remove();
    if (!plan.wrapped) await removed;
    return { ...outcome, outOfMemory };
  };
  const exited = bury();
  return {
    pid: inner.pid,
    exited,
    feed: (stdin) => void child.stdin?.end(stdin),
    terminate: () => signal(inner, "SIGTERM"),
    kill() {
      killed = true;
      signal(inner, "SIGKILL");
      // The wrapper follows by itself and reports how its child ended; it is killed only if it does not.
      const outer = setTimeout(() => child.kill("SIGKILL"), OUTER_GRACE_MS);
      outer.unref();
      void exited.finally(() => clearTimeout(outer));
    },
    cpuMs: async () => sampleCpu(),
    pssBytes: async () => pssBytesOf(inner.pid),
    ...(child.stdin !== null && child.stdout !== null ? { pipes: { input: child.stdin, output: child.stdout } } : {}),
    ...said,
  };
}
