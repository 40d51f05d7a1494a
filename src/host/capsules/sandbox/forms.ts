// What each rung of the ladder needs from the machine, and how it turns a launch into a command.
// Paths of a launch are the real ones; a form maps them to what the capsule's user can reach and will see.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { InnerPaths, LaunchRequest, Program, Rung } from "../../contract.ts";
import { bubblewrapMissing, INNER, INNER_KEEPER, openBubblewrap } from "./bubblewrap.ts";
import { NO_GROUPS, openGroups, type Groups } from "./cgroups.ts";
import { KEEPER_SCRIPT, makeKeeperProgram, NODE_FLAGS } from "./keeper-program.ts";
import { stage } from "./mounts.ts";
import { findProgram, plainPrefix } from "./plain.ts";
import { countedInside } from "./process-count.ts";
import { Unfit } from "./probe.ts";
import { seccompArchitecture, seccompFilter } from "./seccomp.ts";

const IS_ROOT = process.getuid?.() === 0;

/** Absolute paths. */
export type Site = { readonly runDirectory: string; readonly accountsDirectory: string; readonly workerd: string };

/** How a rung turns a launch into a command, once its requirements are met. */
export type Form = {
  readonly ownUsers: boolean;
  readonly wrapped: boolean;
  readonly seccompFiles: Readonly<Record<Program, string>> | null;
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

function writeFilter(runDirectory: string, runs: Program): string {
  const architecture = seccompArchitecture();
  if (architecture === null) throw new Unfit(`there is no table of system calls for ${process.arch}`);
  const path = join(runDirectory, `${runs}.bpf`);
  writeFileSync(path, seccompFilter(architecture, runs), { mode: 0o644 });
  return path;
}

/** A keeper always has a directory. */
function directoryOf({ directory }: LaunchRequest): string {
  if (directory === null) throw new Error("a keeper is launched over an account's directory");
  return directory;
}

/** The name of our groups: one installation's never meet another's. */
const groupName = (runDirectory: string): string => `mayfly-${createHash("sha256").update(runDirectory).digest("hex").slice(0, 8)}`;

/** Brings a rung into being. @param grouped whether launches join control groups @throws Unfit @throws BindRefused */
export async function prepare(rung: Rung, site: Site, grouped: boolean): Promise<Form> {
  demand(rung);
  const ownUsers = rung === "bubblewrap-root" || rung === "root";
  const wrapped = rung === "bubblewrap-root" || rung === "bubblewrap-user";
  const opened = grouped ? openGroups(groupName(site.runDirectory)) : NO_GROUPS;
  const groups = rung === "bubblewrap-user" ? countedInside(opened) : opened;
  const own = { workerd: site.workerd, node: process.execPath, accounts: site.accountsDirectory };
  const [staged, keeper] = await Promise.all([ownUsers ? stage(site.runDirectory, own) : own, makeKeeperProgram(site.runDirectory)]);
  const reachable = (directory: string): string => {
    const inside = relative(site.accountsDirectory, directory);
    if (inside === "" || inside.startsWith("..")) throw new Error(`${directory} is not below the accounts directory`);
    return join(staged.accounts, inside);
  };
  if (wrapped) {
    const bubblewrap = openBubblewrap(findProgram("bwrap") ?? "bwrap", { ...staged, keeper }, site.runDirectory);
    return {
      ownUsers,
      wrapped,
      groups,
      seccompFiles: { workerd: writeFilter(site.runDirectory, "workerd"), keeper: writeFilter(site.runDirectory, "keeper") },
      command(request) {
        const { program, directory, socketDirectory, args } = request;
        if (program !== "keeper") return bubblewrap.command(directory === null ? null : reachable(directory), socketDirectory, args);
        const script = [...NODE_FLAGS, join(INNER_KEEPER, KEEPER_SCRIPT), INNER.state];
        return bubblewrap.keeper(reachable(directoryOf(request)), [...script, ...args]);
      },
      inner: () => INNER,
    };
  }
  const prefix = plainPrefix(groups.controllers.has("cpu"));
  return {
    ownUsers,
    wrapped,
    groups,
    seccompFiles: null,
    command(request) {
      if (request.program !== "keeper") return [...prefix, staged.workerd, ...request.args];
      const state = join(reachable(directoryOf(request)), "state");
      return [...prefix, staged.node, ...NODE_FLAGS, join(keeper, KEEPER_SCRIPT), state, ...request.args];
    },
    inner: (directory, socketDirectory) => ({
      sockets: socketDirectory,
      assets: join(reachable(directory), "assets"),
      state: join(reachable(directory), "state"),
    }),
  };
}
