// The socket directories of one process: it makes its sockets in `s…/`, and the host moves them to `h…/`, where no process
// can put anything else in their place, before it connects; from then on `s…/`, which is no part of the account's disk, is
// closed to its writing. No two processes share them: the next one of an account may wait while the one before still serves.
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { chmod, lchown, lstat, rename } from "node:fs/promises";
import { request, type Agent } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AccountId } from "../../../kernel/ids.ts";
import { eraseTree } from "../files/durable.ts";
import { PING_PATH } from "../workerd/config.ts";

/** Longest path of a unix socket: sun_path without its final zero. */
const MAX_SOCKET_PATH_BYTES = 107;

export type SocketDirectories = { readonly process: string; readonly host: string };

/** Below it lie the sockets of every account. */
export const allSockets = (runDirectory: string): string => join(runDirectory, "c");

/** Below it lie the sockets of all processes of the account. */
export const accountSockets = (runDirectory: string, account: AccountId): string => join(allSockets(runDirectory), account.slice(0, 16));

/** @param name of the process, short, no other's. @throws Error when paths get too long for a socket */
export function socketDirectories(runDirectory: string, account: AccountId, name: string): SocketDirectories {
  const top = accountSockets(runDirectory, account);
  const directories = { process: join(top, `s${name}`), host: join(top, `h${name}`) };
  if (Buffer.byteLength(join(directories.process, "control.sock")) > MAX_SOCKET_PATH_BYTES) {
    throw new Error(`${runDirectory} is too long a path for unix sockets; set MAYFLY_RUN to a shorter one`);
  }
  return directories;
}

/** Makes the directories for one process. At once: they lie in memory, and seven turns of the thread pool would take longer. */
export function makeSocketDirectories(directories: SocketDirectories, uid: number, ownUsers: boolean): void {
  const top = dirname(directories.process);
  // A capsule's user passes through to its own, and lists nothing.
  for (const open of [dirname(top), top]) {
    mkdirSync(open, { recursive: true });
    chmodSync(open, 0o711);
  }
  mkdirSync(directories.process, { mode: 0o700 });
  mkdirSync(directories.host, { mode: 0o700 });
  if (ownUsers) chownSync(directories.process, uid, uid);
}

export async function eraseSocketDirectories(directories: SocketDirectories): Promise<void> {
  await eraseTree(directories.process);
  await eraseTree(directories.host);
}

async function moved(directories: SocketDirectories, name: string): Promise<boolean> {
  const path = join(directories.host, name);
  try {
    await rename(join(directories.process, name), path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  // A link there would lead the host's requests to a socket of somebody else's.
  if (!(await lstat(path)).isSocket()) throw new Error(`${name} is not a socket`);
  return true;
}

/** Where the process's user is its own it can only pass through to its egress any more: it would fill what no account's limit counts. */
async function seal({ process: directory }: SocketDirectories): Promise<void> {
  const { uid, gid } = await lstat(directory);
  const own = process.getuid?.() ?? uid;
  if (uid === own) return;
  await chmod(directory, 0o710);
  await lchown(directory, own, gid);
}

/**
 * Asks the process's control socket for a sign of life. What answers may be a process that has been taken over:
 * the whole answer has to be here within `timeoutMs`, since an idle time-out would start anew with every byte.
 */
export function ping(socketPath: string, timeoutMs: number, agent: Agent | false = false): Promise<boolean> {
  return new Promise((resolve) => {
    const tell = (alive: boolean): void => {
      clearTimeout(timer);
      resolve(alive);
    };
    const outgoing = request({ socketPath, path: PING_PATH, agent, headers: { host: "control" } }, (incoming) => {
      incoming.resume();
      incoming.once("end", () => tell(incoming.statusCode === 200));
      incoming.once("error", () => tell(false));
    });
    const timer = setTimeout(() => {
      outgoing.destroy();
      tell(false);
    }, timeoutMs);
    outgoing.on("error", () => tell(false));
    outgoing.end();
  });
}

/**
 * Waits until the process listens everywhere and answers on its control socket.
 * @param names file names of the sockets, the control socket's first
 */
export async function takeSockets(directories: SocketDirectories, names: readonly string[], signal: AbortSignal): Promise<void> {
  for (const [index, name] of names.entries()) {
    while (!(await moved(directories, name))) await sleep(1, undefined, { signal });
    if (index > 0) continue;
    // Bound is not yet listening, and listening is not yet running.
    while (!(await ping(join(directories.host, name), 1_000))) await sleep(1, undefined, { signal });
  }
  await seal(directories);
}
