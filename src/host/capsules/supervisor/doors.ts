// The socket directories of a capsule: the process makes its sockets in `s/`, the only place that it can write,
// and the host moves them to `h/`, where no process can put anything else in their place, before it connects.
import { chmod, chown, lstat, mkdir, rename } from "node:fs/promises";
import { request, type Agent } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AccountId } from "../../../kernel/ids.ts";
import { eraseTree } from "../files/durable.ts";
import { PING_PATH } from "../workerd/config.ts";

/** Longest path of a unix socket: sun_path without its final zero. */
const MAX_SOCKET_PATH_BYTES = 107;

export type SocketDirectories = { readonly top: string; readonly process: string; readonly host: string };

/** Where the sockets of the account lie below the run directory. @throws Error when paths get too long for a socket */
export function socketDirectories(runDirectory: string, account: AccountId): SocketDirectories {
  const top = join(runDirectory, "c", account.slice(0, 16));
  if (Buffer.byteLength(join(top, "s", "control.sock")) > MAX_SOCKET_PATH_BYTES) {
    throw new Error(`${runDirectory} is too long a path for unix sockets; set MAYFLY_RUN to a shorter one`);
  }
  return { top, process: join(top, "s"), host: join(top, "h") };
}

/** Empty directories for one start: workerd never unlinks its sockets and fails where one lies. */
export async function freshSocketDirectories(directories: SocketDirectories, uid: number, ownUsers: boolean): Promise<void> {
  await eraseTree(directories.top);
  // A capsule's user passes through to its own, and lists nothing.
  for (const open of [dirname(directories.top), directories.top]) {
    await mkdir(open, { recursive: true });
    await chmod(open, 0o711);
  }
  await mkdir(directories.process, { mode: 0o700 });
  await mkdir(directories.host, { mode: 0o700 });
  if (ownUsers) await chown(directories.process, uid, uid);
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
}
