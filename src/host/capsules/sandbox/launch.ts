// One launch: a form's command under the limits of the request, in groups of its own, with nothing of ours passed on.
// Only from the main thread: the tie that ends a capsule with its parent is to the thread that started it.
import { readdirSync, readFileSync } from "node:fs";
import type { LaunchRequest, Sandboxed } from "../../contract.ts";
import { closedGroups } from "./cgroups.ts";
import type { Form } from "./forms.ts";
import { limitWords } from "./limits.ts";
import { start, type Plan } from "./process.ts";

/** Descriptors above the standard ones that a child would inherit: Node opens its own with close-on-exec, its parent may not have. */
function strayDescriptors(): number[] {
  if (process.platform !== "linux") return [];
  const closeOnExec = 0o2000000;
  return readdirSync("/proc/self/fdinfo")
    .map(Number)
    .filter((fd) => {
      try {
        const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0";
        return fd > 2 && (Number.parseInt(flags, 8) & closeOnExec) === 0;
      } catch {
        return false;
      }
    });
}

/** Starts capsules in a form; processes are told to `onLife` when they appear and when they are gone. */
export function launcher(form: Form, onLife: Plan["onLife"]): (request: LaunchRequest) => Promise<Sandboxed> {
  const words = limitWords();
  const strays = strayDescriptors();
  return async (request) => {
    if (form.ownUsers && request.uid < 1) throw new Error("a capsule never runs as root");
    return start(
      {
        command: form.command(request),
        uid: form.ownUsers ? request.uid : null,
        seccompFile: form.seccompFiles?.[request.program ?? "workerd"] ?? null,
        wrapped: form.wrapped,
        limits: words(request.limits, { memoryGroup: form.groups.controllers.has("memory"), ownUser: form.ownUsers }),
        groups: form.groups.create(request.limits).catch(closedGroups),
        strays,
        onLife,
      },
      request,
    );
  };
}
