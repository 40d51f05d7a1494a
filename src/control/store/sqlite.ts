// Kysely's SQLite dialect over node:sqlite. One connection: Kysely's own mutex makes of every transaction
// a turn in one queue, so nothing but SQL may be awaited inside one.
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { SqliteAdapter, SqliteDialect } from "kysely";

type Prepared = {
  readonly reader: boolean;
  all(parameters: readonly unknown[]): unknown[];
  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint };
  iterate(parameters: readonly unknown[]): IterableIterator<unknown>;
};

/** SQLite's schema changes are transactional, which Kysely does not use: a crash must not leave half a migration. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class TransactionalDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter();
  }
}

const CACHED_STATEMENTS = 500;

const inputs = (parameters: readonly unknown[]): SQLInputValue[] =>
  parameters.map(
    (value) => (typeof value === "boolean" ? Number(value) : value instanceof Date ? value.toISOString() : value) as SQLInputValue,
  );

function prepared(statement: StatementSync): Prepared {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...inputs(parameters)),
    run: (parameters) => statement.run(...inputs(parameters)),
    iterate: (parameters) => statement.iterate(...inputs(parameters)),
  };
}

/** Opens the file with WAL, full synchronisation and secure deletion. @param path a file, or `:memory:`. */
export function openSqlite(path: string): { dialect: SqliteDialect; truncateLog(): void } {
  const database = new DatabaseSync(path, { timeout: 5000 });
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON;");
  const statements = new Map<string, Prepared>();
  const nothing: Prepared = { reader: false, all: () => [], run: () => ({ changes: 0, lastInsertRowid: 0 }), iterate: () => [].values() };
  const prepare = (sql: string): Prepared => {
    // A full disk makes SQLite roll back by itself; a second rollback would hide why.
    if (sql === "rollback" && !database.isTransaction) return nothing;
    const known = statements.get(sql);
    if (known) return known;
    // Schema changes are re-prepared by SQLite itself, but a statement's column count is read only here.
    const fresh = prepared(database.prepare(sql));
    if (statements.size >= CACHED_STATEMENTS) statements.clear();
    if (!/^\s*(create|alter|drop|pragma)/i.test(sql)) statements.set(sql, fresh);
    return fresh;
  };
  return {
    dialect: new TransactionalDialect({ database: { close: () => database.close(), prepare } }),
    truncateLog: () => database.exec("PRAGMA wal_checkpoint(TRUNCATE)"),
  };
}
