// As root a capsule runs as a user of its own, who cannot enter a 0700 data directory: the accounts and the binaries
// are bound into the run directory, which anyone may pass through and nobody may list. Mounts never outlive their sandbox.
import { execFile } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { unescapeMount } from "./cgroups.ts";

const run = promisify(execFile);

const ACCOUNTS = "accounts";

export type Stage = {
  /** The binaries, where any user can execute them. */
  readonly workerd: string;
  readonly node: string;
  /** The accounts directory, where a user can reach what is theirs. */
  readonly accounts: string;
};

/** A bind mount that this machine refuses; the message is for the operator. */
export class BindRefused extends Error {}

async function bind(source: string, target: string, options: string): Promise<void> {
  try {
    await run("mount", ["-o", `bind,${options}`, source, target]);
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() ?? String(error);
    throw new BindRefused(`bind mounts are refused here (${said}): give the process CAP_SYS_ADMIN, or run as an ordinary user`, {
      cause: error,
    });
  }
}

/** Mount points below a directory, the latest first. */
function mountsBelow(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => unescapeMount(line.split(" ")[4] ?? ""))
    .filter((point) => point.startsWith(`${directory}/`))
    .toReversed();
}

/** Takes down what this or an earlier process mounted below the run directory; `-l` because a dying capsule may hold it for a moment. */
export async function unstage(runDirectory: string): Promise<void> {
  if (!existsSync("/proc/self/mountinfo")) return;
  for (const point of mountsBelow(runDirectory)) await run("umount", ["-l", point]);
  // Never recursive: were the mount still there, this would erase every account.
  const mountPoint = join(runDirectory, ACCOUNTS);
  if (existsSync(mountPoint)) rmdirSync(mountPoint);
}

/** Binds a binary into the run directory, under a name of ours. */
async function stageBinary(binary: string, staged: string): Promise<void> {
  rmSync(staged, { force: true });
  if ((statSync(binary).mode & 0o005) === 0o005) {
    // Bound, not copied: /run is memory, often mounted noexec, and the binaries have more than 100 MB each.
    writeFileSync(staged, "");
    await bind(binary, staged, "ro,nosuid,nodev");
  } else {
    copyFileSync(binary, staged);
    chmodSync(staged, 0o755);
  }
}

/**
 * Binds accounts and binaries into the run directory. Nothing in the accounts can be executed, whatever a capsule writes there.
 * @throws BindRefused
 */
export async function stage(runDirectory: string, from: Stage): Promise<Stage> {
  await unstage(runDirectory);
  const staged: Stage = {
    workerd: join(runDirectory, "workerd"),
    node: join(runDirectory, "node"),
    accounts: join(runDirectory, ACCOUNTS),
  };
  mkdirSync(from.accounts, { recursive: true });
  chmodSync(from.accounts, 0o711);
  mkdirSync(staged.accounts, { recursive: true });
  await bind(from.accounts, staged.accounts, "nosuid,nodev,noexec");
  await stageBinary(from.workerd, staged.workerd);
  await stageBinary(from.node, staged.node);
  return staged;
}
