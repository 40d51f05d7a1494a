// The resource limits that a capsule's shell line sets, in the words of this machine's /bin/sh.
import { execFileSync } from "node:child_process";
import type { LaunchRequest } from "../../contract.ts";

/** workerd ends when it cannot accept: well above what the supervisor lets in (BOUNDS.maxInFlight), spare connections and the egress take. */
const OPEN_FILES = 4096;
/** In bytes, for what keeps nothing, and at least: workerd starts with 100 KB. */
const SMALL_FILE_BYTES = 1024 * 1024;
/** The unit of the shell's `ulimit -f`. */
const BLOCK_BYTES = 512;
/** The usual one, wherever this process has more: a thread of ours needs no larger one. */
const STACK_KB = 8192;
/** What workerd reserves beyond the tenant's memory before it starts: measured, it needs 600 MB to start at all. */
const OWN_DATA_KB = 640_000;
/** Behind a memory group the data limit only stops what the group would kill anyway. */
const BACKSTOP_DATA_KB = 2_000_000;

export type LimitWords = (limits: LaunchRequest["limits"], counts: { readonly memoryGroup: boolean; readonly ownUser: boolean }) => string;

/** dash and busybox count processes with -p, bash and zsh with -u (where -p is the size of pipes). */
function processOption(): "-u" | "-p" {
  try {
    execFileSync("/bin/sh", ["-c", "ulimit -u"], { stdio: "ignore" });
    return "-u";
  } catch {
    return "-p";
  }
}

/** Shell words that set the limits of one launch. RLIMIT_CPU is not among them: it counts over the whole life of a process. */
export function limitWords(): LimitWords {
  const processes = processOption();
  return ({ memoryBytes, maxProcesses, maxFileBytes = 0 }, { memoryGroup, ownUser }) => {
    const dataKb = OWN_DATA_KB + Math.ceil(memoryBytes / 1024);
    return [
      "umask 077",
      // A write past the largest file fails, and does not end the process.
      "trap '' XFSZ",
      "ulimit -c 0",
      `ulimit -n ${OPEN_FILES}`,
      `ulimit -s ${STACK_KB}`,
      `ulimit -f ${Math.floor(Math.max(SMALL_FILE_BYTES, maxFileBytes) / BLOCK_BYTES)}`,
      `ulimit -d ${memoryGroup ? Math.max(BACKSTOP_DATA_KB, dataKb) : dataKb}`,
      // Counted per user of the machine: fair only where the user is the capsule's own. Two more for the wrapper.
      ...(ownUser ? [`ulimit ${processes} ${maxProcesses + 2}`] : []),
      "",
    ].join("; ");
  };
}
