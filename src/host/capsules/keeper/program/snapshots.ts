// Moments of a D1 database that can be gone back to: `snapshots/<database>/<bookmark>.zst`, each whole or not there.
// A restore leaves the old database or the new one, whenever it is cut short: the old one's log is folded in before the
// new file takes its name.
import { createHash } from "node:crypto";
import { closeSync, createReadStream, createWriteStream, fsyncSync, lstatSync, openSync, readSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { backup } from "node:sqlite";
import { Transform, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import { formatBookmark, readBookmark, type Moment } from "../../../../capsule/bookmark.ts";
import type { StateAnswer, StateJobOf } from "../../../../capsule/state.ts";
import { openDatabase } from "./databases.ts";
import { databaseFile, directoryAt, isFileAt, kindOf, makeDirectoryAt, namesIn, SNAPSHOTS } from "./places.ts";
import { isSqliteError, Refusal } from "./refusal.ts";
import { thin, type Kept } from "./thinning.ts";

const BOUNDS = { count: 12, bytes: 300 * 1024 * 1024 };
const SUFFIX = ".zst";
const TEMPORARY = ".tmp";
/** Above any database that a quota allows: a snapshot that unfolds to more is not one of ours. */
const MAX_BYTES = 2 ** 31 - 1;
const ALL_PAGES = 2 ** 31 - 1;
const PAGE_SIZE_OFFSET = 16;
const HASH_DIGITS = 32;
/** Of the header: what changes without the content, as counters of writes and the writer's version. */
const COUNTERS: readonly [from: number, to: number][] = [
  [18, 20],
  [24, 28],
  [40, 44],
  [92, 100],
];

type Snapshot = Moment & Kept & { readonly bookmark: string };

export function syncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Newest first; what else lies there is none of ours. */
function snapshotsIn(directory: string): Snapshot[] {
  const found: Snapshot[] = [];
  for (const name of namesIn(directory)) {
    const bookmark = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : "";
    const moment = readBookmark(bookmark);
    if (moment === null || kindOf(join(directory, name)) !== "file") continue;
    found.push({ ...moment, bookmark, bytes: lstatSync(join(directory, name)).size });
    if (found.length > 1000) break;
  }
  return found.sort((a, b) => b.atMs - a.atMs);
}

/** Removes what an earlier keeper left half done, in a directory where one works at a time. */
function clearTemporary(directory: string): void {
  for (const name of namesIn(directory)) if (name.includes(TEMPORARY)) rmSync(join(directory, name), { recursive: true, force: true });
}

/** Pages and digest of a database file that is at rest. */
function contentOf(path: string): Pick<Moment, "pages" | "hash"> {
  const fd = openSync(path, "r");
  const hash = createHash("sha256");
  const chunk = Buffer.allocUnsafe(1024 * 1024);
  let bytes = 0;
  let pageSize = 4096;
  try {
    for (;;) {
      const length = readSync(fd, chunk);
      if (length === 0) break;
      if (bytes === 0 && length >= 100) {
        pageSize = chunk.readUInt16BE(PAGE_SIZE_OFFSET) === 1 ? 65_536 : chunk.readUInt16BE(PAGE_SIZE_OFFSET);
        for (const [from, to] of COUNTERS) chunk.fill(0, from, to);
      }
      hash.update(chunk.subarray(0, length));
      bytes += length;
    }
  } finally {
    closeSync(fd);
  }
  return { pages: Math.ceil(bytes / Math.max(512, pageSize)), hash: hash.digest("hex").slice(0, HASH_DIGITS) };
}

/** Copies the database, process or not, into a file of its own. */
async function copyDatabase(file: string, to: string): Promise<void> {
  if (isFileAt(file)) {
    using database = openDatabase(file, "read");
    // In one go: a writer would make it begin again.
    await backup(database, to, { rate: ALL_PAGES });
  }
  // One that was never written to has no file; an empty one is the same to SQLite.
  closeSync(openSync(to, "a", 0o600));
}

/** @throws Refusal when the database cannot be read. */
export async function takeBookmark(root: string, database: string): Promise<StateAnswer<"d1-bookmark">> {
  const file = databaseFile(root, database);
  const directory = makeDirectoryAt(root, SNAPSHOTS, database);
  clearTemporary(directory);
  const copy = join(directory, `copy${TEMPORARY}`);
  const packed = join(directory, `packed${TEMPORARY}`);
  try {
    await copyDatabase(file, copy);
    const content = contentOf(copy);
    const [newest] = snapshotsIn(directory);
    if (newest?.hash === content.hash) return { bookmark: newest.bookmark, atMs: newest.atMs };
    const atMs = Math.max(Date.now(), (newest?.atMs ?? 0) + 1);
    const bookmark = formatBookmark({ ...content, atMs });
    const level = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
    await pipeline(createReadStream(copy), createZstdCompress(level), createWriteStream(packed, { flags: "wx", mode: 0o600 }));
    syncPath(packed);
    renameSync(packed, join(directory, bookmark + SUFFIX));
    syncPath(directory);
    for (const { bookmark: gone } of thin(snapshotsIn(directory), BOUNDS, atMs)) rmSync(join(directory, gone + SUFFIX), { force: true });
    return { bookmark, atMs };
  } catch (error) {
    if (isSqliteError(error)) throw new Refusal(`the database cannot be read: ${error.message}`, { cause: error });
    throw error;
  } finally {
    clearTemporary(directory);
  }
}

export function bookmarks(root: string, { database }: StateJobOf<"d1-bookmarks">): StateAnswer<"d1-bookmarks"> {
  const directory = directoryAt(root, SNAPSHOTS, database);
  const found = directory === null ? [] : snapshotsIn(directory).slice(0, 100);
  return { bookmarks: found.map(({ bookmark, atMs, bytes }) => ({ bookmark, atMs, bytes })) };
}

function bounded(maxBytes: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      done(bytes > maxBytes ? new Error("it unfolds to more than a database can be") : null, chunk);
    },
  });
}

/** Unfolds a snapshot beside the database; it must be what its bookmark says. */
async function unfold(snapshot: string, moment: Moment, to: string): Promise<void> {
  const source: Readable = createReadStream(snapshot);
  try {
    await pipeline(source, createZstdDecompress(), bounded(MAX_BYTES), createWriteStream(to, { flags: "wx", mode: 0o600 }));
  } catch (error) {
    throw new Refusal("the bookmark's data is damaged", { cause: error });
  }
  // The digest leaves out counters only; SQLite itself sees to those.
  if (contentOf(to).hash !== moment.hash) throw new Refusal("the bookmark's data is damaged");
  syncPath(to);
}

/** Folds the write-ahead log into the database, so that nothing of it is left to be applied to another file. */
function foldLog(file: string): void {
  if (!isFileAt(file)) return;
  try {
    using database = openDatabase(file, "write");
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (error) {
    // Not a database any more: its log is worth as little.
    if (!isSqliteError(error)) throw error;
  }
}

export async function restore(root: string, { database, bookmark }: StateJobOf<"d1-restore">): Promise<StateAnswer<"d1-restore">> {
  const file = databaseFile(root, database);
  const directory = makeDirectoryAt(root, SNAPSHOTS, database);
  const snapshot = join(directory, bookmark + SUFFIX);
  const moment = readBookmark(bookmark);
  if (moment === null || kindOf(snapshot) !== "file") throw new Refusal("there is no such bookmark");
  const fresh = `${file}${TEMPORARY}`;
  rmSync(fresh, { recursive: true, force: true });
  try {
    // First of all: taking one may thin out the very one that is asked for.
    await unfold(snapshot, moment, fresh);
    const previous = await takeBookmark(root, database).catch((error: unknown) => {
      if (error instanceof Refusal && isSqliteError(error.cause)) return null;
      throw error;
    });
    foldLog(file);
    for (const beside of ["-wal", "-shm", "-journal"]) rmSync(file + beside, { force: true });
    syncPath(dirname(file));
    renameSync(fresh, file);
    syncPath(dirname(file));
    return { previous: previous?.bookmark ?? null, restored: bookmark };
  } finally {
    rmSync(fresh, { force: true });
  }
}
