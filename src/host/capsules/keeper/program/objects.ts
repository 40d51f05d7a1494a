// What the tenant's Durable Objects hold: when the next alarm falls due, and which objects have data.
import { lstatSync } from "node:fs";
import { join } from "node:path";
import type { StateAnswer, StateJobOf } from "../../../../capsule/state.ts";
import { openDatabase, sizeOf } from "./databases.ts";
import { databaseFile, directoryAt, GENERATED_ID, isFileAt, kindOf, namesIn, OBJECT_ID } from "./places.ts";

const MAX_NAMESPACES = 10_000;
const NS_PER_MS = 1_000_000n;
/** Ids that are held at once: a directory may have any number. */
const WINDOW = 20_000;

/** The earliest of one namespace. @throws Error on what cannot be read. */
function earliest(metadata: string): number | null {
  using database = openDatabase(metadata, "read");
  const table = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = '_cf_ALARM' AND type = 'table'").get();
  if (table === undefined) return null;
  const statement = database.prepare("SELECT min(scheduled_time) AS ns FROM _cf_ALARM");
  statement.setReadBigInts(true);
  const ns = statement.get()?.["ns"];
  if (ns === null) return null;
  if (typeof ns !== "bigint" || ns < 0n) throw new Error("an alarm's time is not a number");
  return Number((ns + NS_PER_MS - 1n) / NS_PER_MS);
}

export function alarms(root: string): StateAnswer<"alarms"> {
  let nextMs: number | null = null;
  const skipped: string[] = [];
  const objects = kindOf(join(root, "objects")) === "directory" ? join(root, "objects") : null;
  let count = 0;
  for (const key of objects === null ? [] : namesIn(objects)) {
    if (!GENERATED_ID.test(key)) continue;
    if ((count += 1) > MAX_NAMESPACES) break;
    const directory = join(objects ?? "", key);
    const metadata = join(directory, "metadata.sqlite");
    try {
      if (kindOf(directory) !== "directory") throw new Error("not a directory");
      const kind = kindOf(metadata);
      if (kind === "absent") continue;
      if (kind !== "file") throw new Error("not a file");
      const atMs = earliest(metadata);
      if (atMs !== null) nextMs = Math.min(nextMs ?? atMs, atMs);
    } catch {
      skipped.push(key);
    }
  }
  return { nextMs, skipped };
}

/** Whether anything of the tenant's is stored; a `deleteAll()` leaves an empty database behind. */
function hasData(path: string): boolean {
  if (kindOf(path) !== "file") return false;
  const wal = lstatSync(`${path}-wal`, { throwIfNoEntry: false });
  if (lstatSync(path).size === 0 && (wal?.size ?? 0) === 0) return false;
  try {
    using database = openDatabase(path, "read");
    const of = (where: string): boolean => database.prepare(`SELECT 1 FROM sqlite_schema WHERE ${where} LIMIT 1`).get() !== undefined;
    if (of("name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")) return true;
    return of("name = '_cf_KV' AND type = 'table'") && database.prepare("SELECT 1 FROM _cf_KV LIMIT 1").get() !== undefined;
  } catch {
    // What cannot be read is there all the same.
    return true;
  }
}

/** The first ids behind `after`, in order; whether those are all. */
function idsAfter(directory: string, after: string): { ids: string[]; all: boolean } {
  let ids: string[] = [];
  let bound = "g";
  let all = true;
  for (const name of namesIn(directory)) {
    const id = name.slice(0, -".sqlite".length);
    if (!name.endsWith(".sqlite") || !OBJECT_ID.test(id) || id <= after || id >= bound) continue;
    ids.push(id);
    if (ids.length < 2 * WINDOW) continue;
    ids = ids.sort().slice(0, WINDOW);
    bound = ids.at(-1) ?? bound;
    all = false;
  }
  return { ids: ids.sort().slice(0, WINDOW), all: all && ids.length <= WINDOW };
}

export function objects(root: string, { key, after, limit }: StateJobOf<"objects">): StateAnswer<"objects"> {
  const directory = directoryAt(root, "objects", key);
  if (directory === null) return { ids: [], more: false };
  const found: string[] = [];
  for (let last = after ?? ""; ;) {
    const { ids, all } = idsAfter(directory, last);
    for (const id of ids) {
      if (!hasData(join(directory, `${id}.sqlite`))) continue;
      if (found.length === limit) return { ids: found, more: true };
      found.push(id);
    }
    last = ids.at(-1) ?? last;
    if (all) return { ids: found, more: false };
  }
}

export function sizes(root: string, { databases }: StateJobOf<"d1-sizes">): StateAnswer<"d1-sizes"> {
  const sizeAt = (path: string): number => {
    try {
      if (!isFileAt(path)) return 0;
      using database = openDatabase(path, "read");
      return sizeOf(database);
    } catch {
      return lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
    }
  };
  return { sizes: Object.fromEntries(databases.map((database) => [database, sizeAt(databaseFile(root, database))])) };
}
