// What each rung of the ladder needs from the machine, and how it turns a launch into a command.
// Paths of a launch are the real ones; a form maps them to what the capsule's user can reach and will see.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { InnerPaths, LaunchRequest, Rung } from "../../contract.ts";
import { bubblewrapMissing, INNER, openBubblewrap } from "./bubblewrap.ts";
import { NO_GROUPS, openGroups, type Groups } from "./cgroups.ts";
import { stage } from "./mounts.ts";
import { findProgram, plainPrefix } from "./plain.ts";
import { Unfit } from "./probe.ts";
import { seccompArchitecture, seccompFilter } from "./seccomp.ts";

const IS_ROOT = process.getuid?.() === 0;

/** Absolute paths. */
export type Site = { readonly runDirectory: string; readonly accountsDirectory: string; readonly workerd: string };

/** How a rung turns a launch into a command, once its requirements are met. */
export type Form = {
  readonly ownUsers: boolean;
  readonly wrapped: boolean;
  readonly seccompFile: string | null;
  readonly groups: Groups;
  readonly command: (request: LaunchRequest) => string[];
  readonly inner: (directory: string, socketDirectory: string) => InnerPaths;
};

/** What a rung needs before anything is tried. @throws Unfit */
function demand(rung: Rung): void {
  const linux = process.platform === "linux";
  if (rung !== "none" && !linux) throw new Unfit("this rung exists on Linux only");
  if ((rung === "bubblewrap-root" || rung === "root") && !IS_ROOT) {
    throw new Unfit("the process does not run as root, so capsules cannot have user ids of their own");
  }
  if (rung === "bubblewrap-user" && IS_ROOT) throw new Unfit("this rung is for an ordinary user; as root take bubblewrap-root");
  if (rung === "bubblewrap-root" || rung === "bubblewrap-user") {
    const missing = bubblewrapMissing(findProgram("bwrap"));
    if (missing !== null) throw new Unfit(missing);
    if (seccompArchitecture() === null) throw new Unfit(`there is no table of system calls for ${process.arch}`);
  }
}

function writeFilter(runDirectory: string): string {
  const architecture = seccompArchitecture();
  if (architecture === null) throw new Unfit(`there is no table of system calls for ${process.arch}`);
  const path = join(runDirectory, "seccomp.bpf");
  writeFileSync(path, seccompFilter(architecture), { mode: 0o644 });
  return path;
}

/** The name of our groups: one installation's never meet another's. */
const groupName = (runDirectory: string): string => `mayfly-${createHash("sha256").update(runDirectory).digest("hex").slice(0, 8)}`;

/** Brings a rung into being. @param grouped whether launches join control groups @throws Unfit @throws BindRefused */
export async function prepare(rung: Rung, site: Site, grouped: boolean): Promise<Form> {
  demand(rung);
  const ownUsers = rung === "bubblewrap-root" || rung === "root";
  const wrapped = rung === "bubblewrap-root" || rung === "bubblewrap-user";
  const groups = grouped ? openGroups(groupName(site.runDirectory)) : NO_GROUPS;
  const staged = ownUsers
    ? await stage(site.runDirectory, site.accountsDirectory, site.workerd)
    : { workerd: site.workerd, accounts: site.accountsDirectory };
  const reachable = (directory: string): string => {
    const inside = relative(site.accountsDirectory, directory);
    if (inside === "" || inside.startsWith("..")) throw new Error(`${directory} is not below the accounts directory`);
    return join(staged.accounts, inside);
  };
  if (wrapped) {
    const bubblewrap = openBubblewrap(findProgram("bwrap") ?? "bwrap", staged.workerd, site.runDirectory);
    return {
      ownUsers,
      wrapped,
      groups,
      seccompFile: writeFilter(site.runDirectory),
      command: ({ directory, socketDirectory, args }) =>
        bubblewrap.command(directory === null ? null : reachable(directory), socketDirectory, args),
      inner: () => INNER,
    };
  }
  const prefix = plainPrefix(groups.controllers.has("cpu"));
  return {
    ownUsers,
    wrapped,
    groups,
    seccompFile: null,
    command: ({ args }) => [...prefix, staged.workerd, ...args],
    inner: (directory, socketDirectory) => ({
      sockets: socketDirectory,
      assets: join(reachable(directory), "assets"),
      state: join(reachable(directory), "state"),
    }),
  };
}
