// Writing so that what was acknowledged survives a power cut and no path is followed through a link: temporary
// name in the same directory, fsync of the file, rename, fsync of the directory.
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { chmod, lstat, mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { PlatformError } from "../../../kernel/errors.ts";

/** What `temporaryName` begins with; a file of that name has no owner once its writer is gone. */
export const TEMPORARY_PREFIX = ".tmp-";

export function temporaryName(): string {
  return TEMPORARY_PREFIX + randomBytes(8).toString("hex");
}

export const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;

/** Whether a file-system call failed because there is no such entry. */
export function isAbsent(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}

/** The failure of a file-system call as the caller may see it; refusals pass unchanged. */
export function diskFailure(doing: string, cause: unknown): PlatformError {
  if (cause instanceof PlatformError) return cause;
  const full = codeOf(cause) === "ENOSPC" || codeOf(cause) === "EDQUOT";
  return new PlatformError("capsule_failed", {
    message: full
      ? `The disk of this installation is full: ${doing} failed.`
      : `The disk of this installation has a fault: ${doing} failed.`,
    ...(full && { next: "Tell the operator that the disk is full. Nothing that was acknowledged is lost." }),
    cause,
  });
}

/** Makes a directory with this mode whatever the umask, keeping a set-group-id bit that it inherits; one that exists is left as it is. */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
    const inherited = (await lstat(path)).mode & 0o2000;
    await chmod(path, mode | inherited);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** Forces a directory's entries to the disk. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const run = promisify(execFile);

/**
 * Removes a directory that a process wrote into, following no link. Node names every entry by its whole path, so a
 * process that has been taken over could nest directories past the longest path and stay: the system's `rm` goes from
 * directory to directory instead. Nor can it stay by closing a directory to its own user, where that is ours too.
 */
export async function eraseTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    if (!isHoldout(error)) throw error;
    await openDirectories(path);
    await run("/bin/rm", ["-rf", "--", path], { env: {} });
  }
}

/** Failures that a hostile tree can cause: too deep, closed, or grown meanwhile. */
const HOLDOUTS: ReadonlySet<string | undefined> = new Set(["ENAMETOOLONG", "EACCES", "EPERM", "ENOTEMPTY"]);
export const isHoldout = (error: unknown): boolean => HOLDOUTS.has(codeOf(error));

/** Opens every directory at and below the path to its owner before it is entered, as far as that is ours to do. */
export async function openDirectories(path: string): Promise<void> {
  const words = [path, "-type", "d", "!", "-perm", "-700", "-execdir", "chmod", "u+rwx", "{}", ";"];
  await run("/usr/bin/find", words, { env: { PATH: "/usr/bin:/bin" } }).catch(() => {});
}

/** Opens a file for reading, refusing a link in its place. */
export function openToRead(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
}

/** Reads chunks to their end and refuses other bytes than the hash names, or more than `maxBytes` of them. */
async function receive(
  hash: string,
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<number> {
  const digest = createHash("sha256");
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > maxBytes) {
      throw new PlatformError("quota_exceeded", {
        message: `The account's disk has room for ${maxBytes} more bytes and the file is larger.`,
      });
    }
    digest.update(chunk);
    await write(chunk);
  }
  if (digest.digest("hex") !== hash) {
    throw new PlatformError("invalid_input", {
      message: `The bytes sent have another SHA-256 than the name they were sent under, ${hash}.`,
    });
  }
  return size;
}

/** Checks bytes against their name without keeping them. @throws PlatformError invalid_input */
export async function verifyOnly(hash: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await receive(hash, chunks, Number.MAX_SAFE_INTEGER, () => Promise.resolve());
}

export type Placement = {
  /** Final path; its last part is the hash. */
  readonly path: string;
  readonly hash: string;
  readonly mode: number;
  readonly maxBytes: number;
  /** Times the file gets before it appears under its name, in seconds since the epoch. */
  readonly atimeSeconds: number;
  readonly mtimeSeconds: number;
};

/**
 * Places bytes durably under their hash; a reader sees the whole file or none. Answers its size.
 * @throws PlatformError invalid_input, quota_exceeded; system errors as they are.
 */
export async function place(placement: Placement, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  const directory = dirname(placement.path);
  const temporary = join(directory, temporaryName());
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  try {
    const handle = await open(temporary, flags, placement.mode);
    let size: number;
    try {
      await handle.chmod(placement.mode);
      size = await receive(placement.hash, chunks, placement.maxBytes, (chunk) => handle.writeFile(chunk));
      await handle.utimes(placement.atimeSeconds, placement.mtimeSeconds);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, placement.path);
    await syncDirectory(directory);
    return size;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
