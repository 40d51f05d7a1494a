// Where things lie below `state/`. The tenant's user can have put anything there: a path is used only when every part of it
// is a directory, or at its end a plain file, and no link.
import { lstatSync, mkdirSync, opendirSync } from "node:fs";
import { join } from "node:path";
import { objectId } from "../../../../capsule/object-id.ts";
import { Refusal } from "./refusal.ts";

export const GENERATED_ID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
export const OBJECT_ID = /^[0-9a-f]{64}$/;

type Kind = "directory" | "file" | "absent" | "foreign";

/** What stands at a path, links not followed; `foreign` is all that nobody honest puts there. */
export function kindOf(path: string): Kind {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return "absent";
  if (stats.isDirectory()) return "directory";
  return stats.isFile() && stats.nlink === 1 ? "file" : "foreign";
}

/** @throws Error for a name that no job of an honest host bears. */
function checked(part: string): string {
  if (!/^[a-z0-9-]{1,64}$/.test(part)) throw new Error("a job names what is no id of ours");
  return part;
}

/** The directory, or null when it, or one on the way, is absent. @throws Refusal where something else stands. */
export function directoryAt(root: string, ...parts: readonly string[]): string | null {
  let path = root;
  for (const part of parts) {
    path = join(path, checked(part));
    const kind = kindOf(path);
    if (kind === "absent") return null;
    if (kind !== "directory") throw new Refusal(`${parts.join("/")} is not a plain directory`);
  }
  return path;
}

/** As directoryAt, but makes what is absent. */
export function makeDirectoryAt(root: string, ...parts: readonly string[]): string {
  for (const [at] of parts.entries()) {
    const upTo = parts.slice(0, at + 1);
    if (directoryAt(root, ...upTo) === null) mkdirSync(join(root, ...upTo), { mode: 0o700 });
  }
  return join(root, ...parts);
}

/** Whether a plain file stands at the path. @throws Refusal when something else does. */
export function isFileAt(path: string): boolean {
  const kind = kindOf(path);
  if (kind === "absent") return false;
  if (kind !== "file") throw new Refusal("something that is no plain file stands in a database's place");
  return true;
}

/** Names in a directory as they come, never all at once. */
export function* namesIn(directory: string): Generator<string> {
  const opened = opendirSync(directory, { bufferSize: 256 });
  try {
    for (let entry = opened.readSync(); entry !== null; entry = opened.readSync()) yield entry.name;
  } finally {
    opened.closeSync();
  }
}

/** Where a D1 database lies, its directory made if need be. */
export function databaseFile(root: string, database: string): string {
  return join(makeDirectoryAt(root, "d1", "d1"), `${objectId("d1", database)}.sqlite`);
}

export const SNAPSHOTS = "snapshots";
