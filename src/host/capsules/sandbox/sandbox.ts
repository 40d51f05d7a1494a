// The ladder of sandboxes: each rung is tried by running a workerd in it, the strongest that works is taken,
// and what the better ones lack is told to the operator. Whatever a launch or an earlier life made is taken down again.
import { chmodSync, mkdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LaunchRequest, Rung, Sandbox, Sandboxed } from "../../contract.ts";
import type { Log } from "../../../kernel/log.ts";
import { INNER, namespacesForbidden } from "./bubblewrap.ts";
import { sweepGroups, type Groups } from "./cgroups.ts";
import { prepare } from "./forms.ts";
import { launcher } from "./launch.ts";
import { BindRefused, unstage } from "./mounts.ts";
import { probe, Unfit } from "./probe.ts";
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
/** What a rung writes into the run directory. */
const FILES = ["workerd", "node", "keeper", "workerd.bpf", "keeper.bpf", "ca-certificates.crt", "groups"];
const IS_ROOT = process.getuid?.() === 0;

type Site = SandboxOptions & { readonly records: Records };

/** What the rung's own strength lacks on this machine. */
function shortcomings(rung: Rung, { controllers }: Groups): string[] {
  const lacking: string[] = [];
  if (rung === "none" && IS_ROOT) lacking.push("none: capsules run as root like this process: for trusted code only");
  if (!controllers.has("memory")) {
    lacking.push(
      `${rung}: memory groups are not writable here, so a capsule's memory is bounded by RLIMIT_DATA alone (systemd: Delegate=yes)`,
    );
  }
  if (!controllers.has("cpu"))
    lacking.push(`${rung}: CPU groups are not writable here, so busy capsules are not weighed against quiet ones`);
  if (!controllers.has("pids") && (rung === "bubblewrap-user" || rung === "none"))
    lacking.push(`${rung}: nothing here counts a capsule's processes (systemd: Delegate=yes, or Linux 5.14 and prlimit)`);
  return lacking;
}

/** How often a rung is tried before it is given up: control groups can refuse for a moment, or for good. */
const TRIES = [{ grouped: true }, { grouped: true }, { grouped: false }];
const RETRY_AFTER_MS = 300;

async function climb(rung: Rung, site: Site, tries = TRIES): Promise<Sandbox> {
  const [{ grouped } = { grouped: false }, ...further] = tries;
  const live = new Set<Sandboxed>();
  const form = await prepare(rung, site, grouped);
  await sweepGroups(form.groups.directories, false);
  site.records.groups(form.groups.directories);
  const begin = launcher(form, site.records.processes);
  const launch = async (request: LaunchRequest): Promise<Sandboxed> => {
    const launched = await begin(request);
    live.add(launched);
    void launched.exited.finally(() => live.delete(launched));
    return launched;
  };
  const dispose = async (): Promise<void> => {
    for (const each of live) each.kill();
    await Promise.all(Array.from(live, ({ exited }) => exited));
    await sweepGroups(form.groups.directories, true);
    await unstage(site.runDirectory);
    for (const name of FILES) rmSync(join(site.runDirectory, name), { recursive: true, force: true });
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
    if (!(error instanceof Unfit) || further.length === 0) throw error;
    site.log.warn({ rung, reason: error.message }, "a rung of the sandbox ladder is tried again");
    await sleep(RETRY_AFTER_MS);
    return climb(rung, site, further);
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
  mkdirSync(options.runDirectory, { recursive: true, mode: 0o711 });
  // The kernel lists mounts by their real paths; /var/run is a link.
  const runDirectory = realpathSync(options.runDirectory);
  // In a shared temporary directory somebody else may have been quicker with the name.
  if (statSync(runDirectory).uid !== process.getuid?.()) throw new Error(`the run directory ${runDirectory} belongs to another user`);
  chmodSync(runDirectory, 0o711);
  const records = await openRecords(runDirectory);
  await sweepGroups(records.earlierGroups, true);
  const site: Site = { ...options, runDirectory, accountsDirectory: resolve(options.accountsDirectory), records };
  const missing: string[] = [];
  for (const rung of options.rung === "auto" ? LADDER : [options.rung]) {
    try {
      const sandbox = await climb(rung, site);
      options.log.info({ rung, missing: [...missing, ...sandbox.missing] }, "sandbox chosen");
      return { ...sandbox, missing: [...missing, ...sandbox.missing] };
    } catch (error) {
      await unstage(runDirectory);
      if (!(error instanceof Unfit) && !(error instanceof BindRefused)) throw error;
      const forbidden =
        rung.startsWith("bubblewrap") && /namespace|Operation not permitted/i.test(error.message) ? namespacesForbidden() : "";
      missing.push(`${rung}: ${error.message}${forbidden}`);
    }
  }
  throw new Error(`no sandbox works here. ${missing.join(". ")}`);
}
