// An account's directory as a whole: how it is made, how much it takes, whose it is. The walks follow no link.
import { chmod, lchown, lstat, opendir } from "node:fs/promises";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Stats } from "node:fs";
import { DISKS } from "../../../capsule/spec.ts";
import { isAbsent, isHoldout, makeDirectory, openDirectories, syncDirectory } from "./durable.ts";

/** Visits the path and everything below it, parents first, until a visit answers false; what vanishes meanwhile is passed over. */
async function walk(path: string, visit: (path: string, stats: Stats) => unknown): Promise<boolean> {
  try {
    const stats = await lstat(path);
    if ((await visit(path, stats)) === false) return false;
    if (!stats.isDirectory()) return true;
    for await (const entry of await opendir(path)) if (!(await walk(join(path, entry.name), visit))) return false;
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  return true;
}

/**
 * Bytes on disk at and below the path, each file once whatever the number of its names; 0 when there is nothing.
 * @param mostBytes beyond which nothing more is counted
 */
export async function diskUsage(path: string, mostBytes = Infinity): Promise<number> {
  try {
    return await walked(path, mostBytes);
  } catch (error) {
    // Nobody escapes the measure by nesting directories past the longest path, or by closing them where their user is ours.
    if (!isHoldout(error)) throw error;
    await openDirectories(path);
    const { stdout } = await promisify(execFile)("/usr/bin/du", ["-sk", "--", path], { env: {} });
    return Number.parseInt(stdout, 10) * 1024;
  }
}

async function walked(path: string, mostBytes: number): Promise<number> {
  const seen = new Set<number>();
  let bytes = 0;
  await walk(path, (_, stats) => {
    if (stats.nlink > 1 && stats.isFile()) {
      if (seen.has(stats.ino)) return true;
      seen.add(stats.ino);
    }
    bytes += stats.blocks * 512;
    return bytes <= mostBytes;
  });
  return bytes;
}

/**
 * Opens an account's directory to the user `uid` and the group of the same number: the directory itself and assets/
 * for reading, state/ as its own. New files under assets/ take the group by the directories' set-group-id bit.
 */
export async function giveTo(directory: string, uid: number): Promise<void> {
  const top = await lstat(directory);
  // The top is given last, so that its group tells whether all of this was finished.
  if (top.gid === uid && (top.mode & 0o777) === 0o750) return;
  await walk(join(directory, "assets"), async (path, stats) => {
    await lchown(path, 0, uid);
    if (stats.isDirectory()) await chmod(path, 0o2750);
  });
  await walk(join(directory, "state"), (path) => lchown(path, uid, uid));
  await chmod(join(directory, "state"), 0o700);
  await lchown(directory, 0, uid);
  await chmod(directory, 0o750);
}

/** Makes a directory that the process may write, for whoever has `state/` already. Before any process of the account runs. */
async function makeDisk(state: string, name: string): Promise<void> {
  const { uid, gid } = await lstat(state);
  const path = join(state, name);
  await makeDirectory(path, 0o700);
  const made = await lstat(path);
  if (made.isDirectory() && made.uid !== uid && made.uid === process.getuid?.()) await lchown(path, uid, gid);
}

/** Makes an account's directory durably, closed to everyone else; what is there already is left as it is. */
export async function makeAccount(root: string, directory: string): Promise<void> {
  const assets = join(directory, "assets");
  await makeDirectory(root, 0o711);
  await makeDirectory(directory, 0o700);
  await makeDirectory(join(directory, "code"), 0o700);
  await makeDirectory(assets, 0o750);
  await makeDirectory(join(assets, "h"), 0o750);
  await makeDirectory(join(assets, "v"), 0o750);
  const state = join(directory, "state");
  await makeDirectory(state, 0o700);
  for (const name of DISKS) await makeDisk(state, name);
  // At once: the disk writes them down together.
  await Promise.all([assets, state, directory, root].map(syncDirectory));
}
