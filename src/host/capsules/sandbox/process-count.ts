// The number of a capsule's processes where every capsule has the same user and no group counts them: RLIMIT_NPROC, which Linux
// counts for each user namespace by itself since 5.14. It has to be set from outside, once the namespace is there: what a
// namespace is born with counts for the whole user.
import { execFile } from "node:child_process";
import { release } from "node:os";
import { promisify } from "node:util";
import type { Groups } from "./cgroups.ts";
import { findProgram } from "./plain.ts";
import { isGone } from "./processes.ts";

const run = promisify(execFile);

function countsByNamespace(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return major > 5 || (major === 5 && minor >= 14);
}

/** The groups, and the limit where they have none; as they are where this machine has neither. */
export function countedInside(groups: Groups): Groups {
  const prlimit = findProgram("prlimit");
  if (groups.controllers.has("pids") || prlimit === null || !countsByNamespace()) return groups;
  return {
    ...groups,
    controllers: new Set([...groups.controllers, "pids"] as const),
    create: async (limits) => {
      const made = await groups.create(limits);
      const most = limits.maxProcesses;
      return {
        ...made,
        enter: async (id) => {
          await run(prlimit, ["--pid", String(id.pid), `--nproc=${most}:${most}`], { env: {} }).catch((error: unknown) => {
            throw isGone(id) ? Object.assign(new Error(`process ${id.pid} is gone`), { code: "ESRCH" }) : error;
          });
          await made.enter(id);
        },
      };
    },
  };
}
