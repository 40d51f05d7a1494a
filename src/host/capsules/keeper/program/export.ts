// A D1 database as SQL text, from one read transaction: what a process writes meanwhile is not in it. A row at a time.
import type { DatabaseSync } from "node:sqlite";
import type { StateJobOf } from "../../../../capsule/state.ts";
import { openDatabase } from "./databases.ts";
import { literal, quoteName } from "./literals.ts";
import { answer, flush, write } from "./pipes.ts";
import { databaseFile, isFileAt } from "./places.ts";
import { isSqliteError, Refusal } from "./refusal.ts";
import { Statements } from "./statements.ts";

type Part = { readonly type: string; readonly name: string; readonly tbl_name: string; readonly sql: string };
type Job = StateJobOf<"d1-export">;

const OURS = /^_cf_/i;
const SQLITES = /^sqlite_/i;

/** A statement with its semicolon, on a line of its own where a comment at the end would swallow it. */
function closed(sql: string): string {
  const [whole] = new Statements(Infinity).push(`${sql};`);
  return whole === undefined ? `${sql}\n;\n` : `${whole}\n`;
}

const isUnique = ({ type, sql }: Part): boolean => type === "index" && /^\s*create\s+unique\b/i.test(sql);

/** Columns that hold something of their own: generated ones cannot be written. */
function columnsOf(database: DatabaseSync, table: string): string[] {
  const rows = database.prepare("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0").all(table);
  return rows.map(({ name }) => String(name));
}

/** An order that stays: of the row's own number, by a name that no column has taken. */
function orderOf(database: DatabaseSync, table: string): string {
  const all = database.prepare("SELECT lower(name) AS name FROM pragma_table_xinfo(?)").all(table);
  const taken = new Set(all.map(({ name }) => String(name)));
  const without = database.prepare("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?").get(table)?.["wr"] === 1;
  const free = without ? undefined : ["rowid", "oid", "_rowid_"].find((name) => !taken.has(name));
  return free === undefined ? "" : ` ORDER BY ${free}`;
}

function writeRows(database: DatabaseSync, table: string): void {
  const names = columnsOf(database, table).map(quoteName);
  // Text as bytes: it need not be valid, and a NUL would end it.
  const values = names.map((name) => `CASE typeof(${name}) WHEN 'text' THEN CAST(${name} AS BLOB) ELSE ${name} END`);
  const types = names.map((name) => `substr(typeof(${name}),1,1)`).join("||");
  const statement = database.prepare(`SELECT ${[types, ...values].join(",")} FROM ${quoteName(table)}${orderOf(database, table)}`);
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  const start = `INSERT INTO ${quoteName(table)} (${names.join(",")}) VALUES(`;
  for (const row of statement.iterate() as Iterable<unknown> as Iterable<Parameters<typeof literal>[0][]>) {
    const kinds = String(row[0]);
    let text = start;
    for (let at = 1; at < row.length; at++) text += (at === 1 ? "" : ",") + literal(row[at], kinds[at - 1]);
    write(`${text});\n`);
  }
}

function partsOf(database: DatabaseSync, { tables }: Job): Part[] {
  const rows = database.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").all();
  const wanted = new Set(tables);
  const parts = rows as unknown as Part[];
  return parts.filter(({ name, tbl_name }) => !OURS.test(name) && (wanted.size === 0 || wanted.has(tbl_name)));
}

/** What SQLite keeps in tables of its own: the last numbers given, and the planner's figures. */
function writeSqlites(database: DatabaseSync, parts: readonly Part[], job: Job): void {
  const counted = parts.some(({ type, sql }) => type === "table" && /\bautoincrement\b/i.test(sql));
  const sequence = parts.find(({ name }) => name === "sqlite_sequence");
  if (sequence !== undefined && counted) {
    if (!job.noSchema) write("DELETE FROM sqlite_sequence;\n");
    if (!job.noData) writeRows(database, "sqlite_sequence");
  }
  if (parts.some(({ name }) => name === "sqlite_stat1")) {
    if (!job.noSchema) write("ANALYZE sqlite_schema;\n");
    if (!job.noData) writeRows(database, "sqlite_stat1");
  }
}

function writeAll(database: DatabaseSync, job: Job): void {
  const parts = partsOf(database, job);
  const tables = parts.filter(({ type, name }) => type === "table" && !SQLITES.test(name));
  if (tables.some(({ sql }) => /^\s*create\s+virtual\b/i.test(sql))) {
    throw new Refusal("D1 Export error: cannot export databases with Virtual Tables (fts5)");
  }
  answer({ ok: true });
  write("PRAGMA defer_foreign_keys=TRUE;\n");
  const schema = (which: (part: Part) => boolean): void => {
    if (!job.noSchema) for (const part of parts) if (which(part)) write(closed(part.sql));
  };
  // All that a foreign key refers to must be there before a row is: other tables, and what makes their columns unique.
  schema((part) => tables.includes(part));
  schema(isUnique);
  if (!job.noData) for (const { name } of tables) writeRows(database, name);
  writeSqlites(database, parts, job);
  schema((part) => part.type === "index" && !isUnique(part));
  // A trigger may be of a view, and must not see the rows come.
  schema(({ type }) => type === "view");
  schema(({ type }) => type === "trigger");
}

export function exportSql(root: string, job: Job): void {
  const file = databaseFile(root, job.database);
  try {
    using database = openDatabase(isFileAt(file) ? file : ":memory:", isFileAt(file) ? "read" : "write");
    database.exec("BEGIN");
    writeAll(database, job);
  } catch (error) {
    if (isSqliteError(error)) throw new Refusal(`the database cannot be read: ${error.message}`, { cause: error });
    throw error;
  }
  flush();
}
