// The ladder of sandboxes: each rung is tried by running a workerd in it, the strongest that works is taken,
// and what the better ones lack is told to the operator. Whatever a launch or an earlier life made is taken down again.
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import type { LaunchRequest, Rung, Sandbox, Sandboxed } from "../../contract.ts";
import type { Log } from "../../../kernel/log.ts";
import { INNER, namespacesForbidden } from "./bubblewrap.ts";
import { sweepGroups, type Groups } from "./cgroups.ts";
import { prepare, type Form } from "./forms.ts";
import { limitWords } from "./limits.ts";
import { BindRefused, unstage } from "./mounts.ts";
import { probe, Unfit } from "./probe.ts";
import { start } from "./process.ts";
import { openRecords, type Records } from "./records.ts";

export type SandboxOptions = {
  /** Short, on a local disk; on rungs with own users every parent must be open to all for passing. */
  readonly runDirectory: string;
  readonly accountsDirectory: string;
  /** Path of the workerd binary. */
  readonly workerd: string;
  readonly rung: "auto" | Rung;
  readonly log: Log;
};

const LADDER: readonly Rung[] = ["bubblewrap-root", "bubblewrap-user", "root", "none"];
const IS_ROOT = process.getuid?.() === 0;

type Site = SandboxOptions & { readonly records: Records };

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

function launcher(form: Form, site: Site, live: Set<Sandboxed>): (request: LaunchRequest) => Promise<Sandboxed> {
  const words = limitWords();
  const strays = strayDescriptors();
  return async (request) => {
    if (form.ownUsers && request.uid < 1) throw new Error("a capsule never runs as root");
    const launched = await start(
      {
        command: form.command(request),
        uid: form.ownUsers ? request.uid : null,
        seccompFile: form.seccompFile,
        wrapped: form.wrapped,
        limits: words(request.limits, { memoryGroup: form.groups.controllers.has("memory"), ownUser: form.ownUsers }),
        groups: form.groups.create(request.limits),
        strays,
        onLife: site.records.processes,
      },
      request,
    );
    live.add(launched);
    void launched.exited.finally(() => live.delete(launched));
    return launched;
  };
}

/** What the rung's own strength lacks on this machine. */
function shortcomings(rung: Rung, { controllers }: Groups): string[] {
  const lacking: string[] = [];
  if (!controllers.has("memory")) {
    lacking.push(
      `${rung}: memory groups are not writable here, so a capsule's memory is bounded by RLIMIT_DATA alone (systemd: Delegate=yes)`,
    );
  }
  if (!controllers.has("cpu"))
    lacking.push(`${rung}: CPU groups are not writable here, so busy capsules are not weighed against quiet ones`);
  return lacking;
}

async function climb(rung: Rung, site: Site): Promise<Sandbox> {
  const live = new Set<Sandboxed>();
  const form = await prepare(rung, site);
  site.records.groups(form.groups.directories);
  const launch = launcher(form, site, live);
  const dispose = async (): Promise<void> => {
    for (const each of live) each.kill();
    await Promise.all(Array.from(live, ({ exited }) => exited));
    await sweepGroups(form.groups.directories);
    await unstage(site.runDirectory);
    for (const name of ["accounts", "workerd", "seccomp.bpf", "ca-certificates.crt", "groups"]) {
      rmSync(join(site.runDirectory, name), { recursive: true, force: true });
    }
  };
  try {
    await probe({
      launch,
      runDirectory: site.runDirectory,
      ownUsers: form.ownUsers,
      inner: (socketDirectory) => (form.wrapped ? INNER.sockets : socketDirectory),
    });
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    rung,
    missing: shortcomings(rung, form.groups),
    inner: form.inner,
    launch,
    [Symbol.asyncDispose]: dispose,
  };
}

/**
 * Takes the strongest rung that works here, or the one that is asked for.
 * @throws Error in words for the operator when the rung that was asked for, or every rung, does not work.
 */
export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  const runDirectory = resolve(options.runDirectory);
  mkdirSync(runDirectory, { recursive: true, mode: 0o711 });
  if (IS_ROOT) chmodSync(runDirectory, 0o711);
  const records = await openRecords(runDirectory);
  await sweepGroups(records.earlierGroups);
  const site: Site = { ...options, runDirectory, accountsDirectory: resolve(options.accountsDirectory), records };
  const missing: string[] = [];
  for (const rung of options.rung === "auto" ? LADDER : [options.rung]) {
    try {
      const sandbox = await climb(rung, site);
      options.log.info({ rung, missing: [...missing, ...sandbox.missing] }, "sandbox chosen");
      return { ...sandbox, missing: [...missing, ...sandbox.missing] };
    } catch (error) {
      if (!(error instanceof Unfit) && !(error instanceof BindRefused)) throw error;
      const forbidden =
        rung.startsWith("bubblewrap") && /namespace|Operation not permitted/i.test(error.message) ? namespacesForbidden() : "";
      missing.push(`${rung}: ${error.message}${forbidden}`);
    }
  }
  throw new Error(`no sandbox works here. ${missing.join(". ")}`);
}
