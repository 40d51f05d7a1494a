// SQL text into a D1 database, all of it or nothing: one transaction, which SQLite undoes when this program dies in it.
// Memory holds one statement at a time. The state before it can be gone back to by bookmark.
import { constants, type DatabaseSync } from "node:sqlite";
import type { StateAnswer, StateJobOf } from "../../../../capsule/state.ts";
import { openDatabase, pragmaNumber, sizeOf } from "./databases.ts";
import { readBody } from "./pipes.ts";
import { databaseFile, isFileAt } from "./places.ts";
import { isSqliteError } from "./refusal.ts";
import { mayDo, whyNot } from "./rights.ts";
import { takeBookmark } from "./snapshots.ts";
import { Statements, StatementTooLong } from "./statements.ts";

/** A value may have 4 MiB in the process, and two characters a byte in a dump. */
const MAX_STATEMENT = 10 * 1024 * 1024;
const MAX_COLUMNS = 100;
const MAX_MESSAGE = 1000;
const FULL = 13;

type Outcome = StateAnswer<"d1-import">;

/** Why an import came to nothing; `statement` counts from 1. */
class Failed extends Error {
  readonly statement: number | null;
  constructor(message: string, statement: number | null) {
    super(message);
    this.statement = statement;
  }
}

const CODES: Readonly<Record<number, string>> = { 18: "SQLITE_TOOBIG", 19: "SQLITE_CONSTRAINT", 20: "SQLITE_MISMATCH", 23: "SQLITE_AUTH" };

/** As D1 words it. */
function wording(error: Error & { errcode: number }, denied: string | null): string {
  const code = error.errcode & 0xff;
  if (code === FULL) return "D1_ERROR: Exceeded maximum DB size";
  if (denied !== null) return `D1_ERROR: ${denied}`;
  return `D1_ERROR: ${error.message.slice(0, MAX_MESSAGE)}: ${CODES[code] ?? "SQLITE_ERROR"}`;
}

/** Runs statements under the rights of an import. */
class Runner {
  readonly #database: DatabaseSync;
  #denied: string | null = null;
  #watching = true;
  count = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    database.setAuthorizer((action, first, second) => {
      if (!this.#watching || mayDo(action, first, second)) return constants.SQLITE_OK;
      this.#denied ??= whyNot(action);
      return constants.SQLITE_DENY;
    });
  }

  /** @throws Failed */
  run(statement: string): void {
    this.count += 1;
    this.#denied = null;
    // The text would end there for SQLite.
    if (statement.includes("\0")) throw new Failed("D1_ERROR: unrecognized token: a NUL character: SQLITE_ERROR", this.count);
    this.#try(statement, this.count);
  }

  /** A statement of ours. @throws Failed */
  own(statement: string): void {
    this.#watching = false;
    this.#try(statement, null);
    this.#watching = true;
  }

  #try(statement: string, number: number | null): void {
    try {
      this.#database.exec(statement);
    } catch (error) {
      if (isSqliteError(error)) throw new Failed(wording(error, this.#denied), number);
      throw error;
    }
  }
}

function* statementsOf(body: Iterable<Buffer>, count: () => number): Generator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const statements = new Statements(MAX_STATEMENT);
  try {
    for (const chunk of body) yield* statements.push(decoder.decode(chunk, { stream: true }));
    yield* statements.push(decoder.decode());
  } catch (error) {
    if (error instanceof StatementTooLong) throw new Failed("D1_ERROR: statement too long: SQLITE_TOOBIG", count() + 1);
    if (error instanceof TypeError) throw new Failed("D1_ERROR: the file is not UTF-8 text: SQLITE_ERROR", count() + 1);
    throw error;
  }
  const last = statements.end();
  if (last !== null) yield last;
}

/** The process's own tables, which an import must leave as they are. */
const reservedSchema = (database: DatabaseSync): string =>
  JSON.stringify(database.prepare("SELECT * FROM sqlite_schema WHERE lower(name) LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY name").all());

function runAll(database: DatabaseSync): Pick<Extract<Outcome, { queries: number }>, "queries" | "rowsWritten"> {
  const changes = database.prepare("SELECT total_changes() AS n");
  const reserved = reservedSchema(database);
  const runner = new Runner(database);
  const before = Number(changes.get()?.["n"]);
  runner.own("BEGIN IMMEDIATE");
  for (const statement of statementsOf(readBody(), () => runner.count)) runner.run(statement);
  const rowsWritten = Number(changes.get()?.["n"]) - before;
  database.setAuthorizer(null);
  if (reservedSchema(database) !== reserved) throw new Failed("D1_ERROR: names that begin with _cf_ are reserved: SQLITE_AUTH", null);
  runner.own("COMMIT");
  return { queries: runner.count, rowsWritten };
}

export async function importSql(root: string, job: StateJobOf<"d1-import">): Promise<Outcome> {
  const startedAt = performance.now();
  await takeBookmark(root, job.database);
  const file = databaseFile(root, job.database);
  isFileAt(file);
  using database = openDatabase(file, "write");
  database.limits.sqlLength = MAX_STATEMENT * 3;
  database.limits.column = MAX_COLUMNS;
  database.limits.attach = 0;
  database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
  pragmaNumber(database, `max_page_count=${Math.floor(job.maxBytes / pragmaNumber(database, "page_size"))}`);
  try {
    const done = runAll(database);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return { ...done, sizeAfter: sizeOf(database), durationMs: Math.round(performance.now() - startedAt) };
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    // Closing undoes what is not committed.
    return { error: { message: error.message.slice(0, MAX_MESSAGE * 2), statement: error.statement } };
  }
}
