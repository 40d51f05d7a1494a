// How a tenant's database is opened: nothing in its schema is trusted, no extension loads, and a connection for reading
// cannot write. A process that works on the same file goes on undisturbed.
import { DatabaseSync, type DatabaseSyncOptions } from "node:sqlite";

const OPTIONS: DatabaseSyncOptions = {
  timeout: 5000,
  allowExtension: false,
  defensive: true,
  enableForeignKeyConstraints: true,
  // As in the process: schemas that were written there must be readable here.
  enableDoubleQuotedStringLiterals: true,
};

export function openDatabase(path: string, mode: "read" | "write"): DatabaseSync {
  const database = new DatabaseSync(path, { ...OPTIONS, readOnly: mode === "read" });
  database.exec("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY");
  return database;
}

export function pragmaNumber(database: DatabaseSync, pragma: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0] ?? 0);
}

export function sizeOf(database: DatabaseSync): number {
  return pragmaNumber(database, "page_count") * pragmaNumber(database, "page_size");
}
