// Removes what control no longer knows. Never follows a link, never holds a directory's list, and goes down into any depth
// by changing its own directory, since a path may be made longer than the kernel takes.
import { chmodSync, lstatSync, opendirSync, rmdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { objectId } from "../../../../capsule/object-id.ts";
import type { StateAnswer, StateJobOf } from "../../../../capsule/state.ts";
import { openDatabase } from "./databases.ts";
import { kindOf, namesIn, SNAPSHOTS } from "./places.ts";

const MAX_TOLD = 1000;
/** A database, what SQLite puts beside it, or a directory of blobs. */
const OF_OBJECT = /^([0-9a-f]{64})(?:\.sqlite(?:-wal|-shm|-journal)?)?$/;

/** The name of a directory in the present one that still holds something; null once all is gone. */
function clearHere(): string | null {
  const opened = opendirSync(".", { bufferSize: 256 });
  try {
    for (let entry = opened.readSync(); entry !== null; entry = opened.readSync()) {
      if (!lstatSync(entry.name).isDirectory()) {
        unlinkSync(entry.name);
        continue;
      }
      chmodSync(entry.name, 0o700);
      try {
        rmdirSync(entry.name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOTEMPTY") throw error;
        return entry.name;
      }
    }
    return null;
  } finally {
    opened.closeSync();
  }
}

/** Removes whatever stands at the path, with all below it. Only while nothing else writes there. */
function remove(path: string): void {
  if (!lstatSync(path).isDirectory()) return unlinkSync(path);
  chmodSync(path, 0o700);
  const home = process.cwd();
  process.chdir(path);
  for (let depth = 0; depth >= 0;) {
    const below = clearHere();
    process.chdir(below ?? "..");
    depth += below === null ? -1 : 1;
  }
  process.chdir(home);
  rmdirSync(path);
}

/** Alarms of objects that are gone would make them anew, empty. */
function forgetAlarms(metadata: string, kept: ReadonlySet<string>): void {
  if (kindOf(metadata) !== "file") return;
  try {
    using database = openDatabase(metadata, "write");
    const rows = database.prepare("SELECT actor_id AS id FROM _cf_ALARM").all();
    const forget = database.prepare("DELETE FROM _cf_ALARM WHERE actor_id = ?");
    for (const { id } of rows) if (typeof id === "string" && !kept.has(id)) forget.run(id);
  } catch {
    // Without the table, or unreadable: then nothing is remembered either.
  }
}

export function sweep(root: string, { keep, emptyCache }: StateJobOf<"sweep">): StateAnswer<"sweep"> {
  const removed: string[] = [];
  let count = 0;
  /** Whether there was a directory to clear. */
  const clear = (parts: readonly string[], stays: (name: string) => boolean): boolean => {
    if (parts.some((_, at) => kindOf(join(root, ...parts.slice(0, at + 1))) !== "directory")) return false;
    const directory = join(root, ...parts);
    for (const name of namesIn(directory)) {
      if (stays(name)) continue;
      remove(join(directory, name));
      count += 1;
      if (removed.length < MAX_TOLD) removed.push([...parts, name].join("/").slice(0, 300));
    }
    return true;
  };
  const ofObjects =
    (kept: ReadonlySet<string>) =>
    (name: string): boolean => {
      const id = OF_OBJECT.exec(name)?.[1];
      return id === undefined || kept.has(id);
    };
  for (const product of ["kv", "d1"] as const) {
    const kept = new Set(keep[product].map((id) => objectId(product, id)));
    if (clear([product, product], ofObjects(kept))) forgetAlarms(join(root, product, product, "metadata.sqlite"), kept);
    // Blobs of a namespace lie beside the databases' directory.
    clear([product], ofObjects(kept));
  }
  const namespaces = new Set(keep.objects);
  clear(["objects"], (name) => namespaces.has(name));
  const databases = new Set(keep.d1);
  clear([SNAPSHOTS], (name) => databases.has(name));
  if (emptyCache === true) clear(["cache"], () => false);
  return { removed, count };
}
