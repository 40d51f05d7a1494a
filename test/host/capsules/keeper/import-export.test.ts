// What D1 text carries there and back, and how an import ends that cannot be had: with the database as it was.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import fc from "fast-check";
import { newId } from "../../../../src/kernel/ids.ts";
import { onEachRung, Scene, strongest } from "./scene.ts";

type Column = { readonly name: string; readonly type: string };
type Value = null | bigint | number | string | Uint8Array | { readonly text: Uint8Array };
type Table = {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly withoutRowid: boolean;
  readonly rows: readonly (readonly Value[])[];
};

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const name = fc
  .oneof(
    fc.constantFrom("rowid", "oid", "order", "it's", 'two"quotes', "a;b", "-- no", "/* x */", "ключ", "a\nb", "[x]", "`y`"),
    fc.string({ minLength: 1, maxLength: 12, unit: "binary" }),
  )
  .filter((text) => !text.includes("\0") && text.isWellFormed() && !/^(sqlite_|_cf_)/i.test(text));
const names = (maxLength: number) => fc.uniqueArray(name, { minLength: 1, maxLength, selector: (text) => text.toLowerCase() });
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n),
  fc.double({ noNaN: true }),
  fc.constantFrom(0.1, 1e300, 5e-324, 1.7976931348623157e308, Infinity, -Infinity, 5, 123456789012345680),
  fc.string({ unit: "binary" }).filter((text) => text.isWellFormed()),
  fc.constantFrom("a\0b", "'", "''", "line\nbreak\r\n", "\\n", "", "; DROP TABLE x; --", "\ufffd"),
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 1, maxLength: 20 }).map((text) => ({ text })),
);
const table = (tableName: string): fc.Arbitrary<Table> =>
  names(5).chain((columns) =>
    fc.record({
      name: fc.constant(tableName),
      columns: fc.tuple(
        ...columns.map((column) =>
          fc.record({ name: fc.constant(column), type: fc.constantFrom("INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "") }),
        ),
      ),
      withoutRowid: fc.boolean(),
      rows: fc.array(fc.tuple(...columns.map(() => value)), { maxLength: 8 }),
    }),
  );
const schema = names(4).chain((tables) => fc.tuple(...tables.map(table)));

function fill(database: DatabaseSync, tables: readonly Table[]): void {
  for (const [at, { name, columns, withoutRowid, rows }] of tables.entries()) {
    const list = columns.map((column) => `${quote(column.name)} ${column.type}`).join(", ");
    const key = withoutRowid ? `, PRIMARY KEY(${columns.map((column) => quote(column.name)).join(",")})) WITHOUT ROWID` : ")";
    database.exec(`CREATE TABLE ${quote(name)} (${list}${key}`);
    database.exec(`CREATE INDEX ${quote(`index ${at}`)} ON ${quote(name)}(${quote(columns[0]?.name ?? "")})`);
    database.exec(`CREATE VIEW ${quote(`view ${at}`)} AS SELECT * FROM ${quote(name)} -- all`);
    database.exec(
      `CREATE TRIGGER ${quote(`trigger ${at}`)} INSTEAD OF DELETE ON ${quote(`view ${at}`)} BEGIN SELECT CASE WHEN 1 THEN 'END;' END; SELECT 2; END`,
    );
    const isText = (cell: Value): cell is { readonly text: Uint8Array } => typeof cell === "object" && cell !== null && "text" in cell;
    for (const row of rows) {
      const marks = row.map((cell) => (isText(cell) ? "CAST(? AS TEXT)" : "?"));
      const insert = database.prepare(`INSERT OR IGNORE INTO ${quote(name)} VALUES(${marks.join(",")})`);
      // A key without a row number may hold no NULL.
      if (withoutRowid && row.includes(null)) continue;
      insert.run(...row.map((cell) => (isText(cell) ? cell.text : cell)));
    }
  }
}

/** Everything in a database, to the bit. */
function contents(file: string): unknown {
  using database = new DatabaseSync(file, { readOnly: true });
  const parts = database
    .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_auto%' ORDER BY type, name")
    .all();
  return parts.map((part) => {
    if (part["type"] !== "table") return { ...part, sql: String(part["sql"]).trimEnd() };
    const columns = database
      .prepare("SELECT name FROM pragma_table_info(?)")
      .all(String(part["name"]))
      .map((row) => quote(String(row["name"])));
    const cells = columns.map(
      (column) => `typeof(${column}), CASE typeof(${column}) WHEN 'text' THEN hex(CAST(${column} AS BLOB)) ELSE ${column} END`,
    );
    const rows = database.prepare(`SELECT ${cells.join(",")} FROM ${quote(String(part["name"]))}`);
    rows.setReadBigInts(true);
    rows.setReturnArrays(true);
    return {
      ...part,
      rows: (rows.all() as unknown[])
        .map((row) =>
          JSON.stringify(row, (_, cell: unknown) =>
            typeof cell === "bigint" ? `${cell}n` : cell === Infinity ? "inf" : cell === -Infinity ? "-inf" : cell,
          ),
        )
        .sort(),
    };
  });
}

/** Writes the database as the account's own user would. */
function write(scene: Scene, fillIn: (database: DatabaseSync) => void): string {
  const file = scene.databaseFile;
  {
    using database = new DatabaseSync(file, { enableDoubleQuotedStringLiterals: true });
    fillIn(database);
  }
  scene.own(file);
  return file;
}

describe("D1 text", () => {
  test("any schema and rows come back from export and import as they were", async () => {
    await using scene = await Scene.open(strongest());
    await fc.assert(
      fc.asyncProperty(schema, async (tables) => {
        const source = Object.create(scene, { database: { value: newId() } }) as Scene;
        const target = Object.create(scene, { database: { value: newId() } }) as Scene;
        const file = write(source, (database) => fill(database, tables));
        const outcome = await target.importSql(await source.exportSql());
        assert.ok("queries" in outcome, JSON.stringify(outcome));
        assert.deepEqual(contents(target.databaseFile), contents(file));
      }),
      { numRuns: 25 },
    );
  });

  test("numbers given, generated columns, foreign keys in circles and the planner's figures survive", async () => {
    await using scene = await Scene.open(strongest());
    const file = write(scene, (database) => {
      database.exec(`PRAGMA defer_foreign_keys=1; BEGIN;
        CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, b REFERENCES b(id) NOT NULL, double AS (id * 2) STORED, half AS (id / 2));
        CREATE TABLE b(id INTEGER PRIMARY KEY, a REFERENCES a(id) NOT NULL);
        CREATE TABLE log(n); CREATE TABLE child(p REFERENCES parent(code)); CREATE TABLE parent(code); CREATE UNIQUE INDEX code ON parent(code);
        INSERT INTO parent VALUES('x'); INSERT INTO child VALUES('x');
        INSERT INTO a(id, b) VALUES(41, 1); INSERT INTO b VALUES(1, 41);
        DELETE FROM sqlite_sequence; INSERT INTO sqlite_sequence VALUES('a', 999);
        CREATE INDEX i ON b(a); CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO log VALUES(new.id); END; COMMIT; ANALYZE;`);
    });
    const dump = await scene.exportSql();
    const target = Object.create(scene, { database: { value: newId() } }) as Scene;
    const outcome = await target.importSql(dump);
    assert.ok("queries" in outcome, JSON.stringify(outcome));
    assert.deepEqual(contents(target.databaseFile), contents(file));
    assert.match(
      await scene.exportSql({ tables: ["b"] }),
      /^PRAGMA[^\n]+\nCREATE TABLE b[^\n]+\nINSERT INTO "b" \("id","a"\) VALUES\(1,41\);\nCREATE INDEX i ON b\(a\);\n$/,
    );
  });

  test("twenty thousand random numbers come back to the last bit", async () => {
    await using scene = await Scene.open(strongest());
    const bits = randomBytes(160_000);
    const numbers = Array.from({ length: 20_000 }, (_, at) => bits.readDoubleLE(at * 8)).filter((number) => !Number.isNaN(number));
    write(scene, (database) => {
      database.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, n); BEGIN");
      const insert = database.prepare("INSERT INTO t(n) VALUES(?)");
      for (const number of numbers) insert.run(number);
      database.exec("COMMIT");
    });
    const target = Object.create(scene, { database: { value: newId() } }) as Scene;
    assert.ok("queries" in (await target.importSql(await scene.exportSql())));
    using database = new DatabaseSync(target.databaseFile, { readOnly: true });
    const back = database.prepare("SELECT n FROM t ORDER BY id").all();
    assert.deepEqual(
      back.map(({ n }) => n),
      // SQLite itself knows one zero.
      numbers.map((number) => (number === 0 ? 0 : number)),
    );
  });

  test("a database with full text search is refused in the hosted original's words, its plain tables are not", async () => {
    await using scene = await Scene.open(strongest());
    write(scene, (database) => database.exec("CREATE VIRTUAL TABLE f USING fts5(a); CREATE TABLE plain(a)"));
    await assert.rejects(scene.exportSql(), {
      code: "invalid_input",
      message: "D1 Export error: cannot export databases with Virtual Tables (fts5)",
    });
    assert.match(await scene.exportSql({ tables: ["plain"] }), /CREATE TABLE plain\(a\);/);
  });

  const REFUSED: [what: string, sql: string, statement: number | null, message: RegExp][] = [
    ["a mistake", "INSERT INTO t VALUES(2);\nSELEC 1;", 2, /^D1_ERROR: near "SELEC": syntax error.*: SQLITE_ERROR$/],
    ["a transaction", "INSERT INTO t VALUES(2); BEGIN TRANSACTION; COMMIT;", 2, /please use the state\.storage\.transaction\(\)/],
    ["a commit", "INSERT INTO t VALUES(2); COMMIT; BAD", 2, /please use the state\.storage\.transaction\(\)/],
    ["a savepoint", "SAVEPOINT x;", 1, /BEGIN TRANSACTION or SAVEPOINT/],
    ["another file", "ATTACH '/cap/state/x' AS x;", 1, /not authorized: SQLITE_AUTH|too many attached/],
    ["a copy elsewhere", "VACUUM INTO 'copy';", 1, /D1_ERROR/],
    ["a reserved table", "CREATE TABLE _cf_KV(a);", 1, /not authorized: SQLITE_AUTH/],
    ["a table renamed to a reserved one", "ALTER TABLE t RENAME TO _cf_x;", null, /reserved/],
    ["a pragma", "PRAGMA journal_mode=DELETE;", 1, /not authorized: SQLITE_AUTH/],
    ["the schema's own table", "PRAGMA writable_schema=ON;", 1, /not authorized: SQLITE_AUTH/],
    ["a temporary table", "CREATE TEMP TABLE x(a);", 1, /not authorized: SQLITE_AUTH/],
    ["another module", "CREATE VIRTUAL TABLE x USING dbstat(main);", 1, /not authorized: SQLITE_AUTH|no such module/],
    ["a NUL", "INSERT INTO t VALUES('a\0b');", 1, /NUL/],
    [
      "no reference",
      "PRAGMA defer_foreign_keys=ON; CREATE TABLE u(a REFERENCES t(a)); INSERT INTO u VALUES(9);",
      null,
      /FOREIGN KEY constraint failed: SQLITE_CONSTRAINT/,
    ],
    ["a statement without an end", `INSERT INTO t VALUES('${"x".repeat(11_000_000)}`, 1, /too long: SQLITE_TOOBIG/],
    ["too much", "CREATE TABLE big(a); INSERT INTO big VALUES(zeroblob(900000));", 2, /^D1_ERROR: Exceeded maximum DB size$/],
  ];
  test("an import that is refused names the statement and leaves the database as it was", async () => {
    await using scene = await Scene.open(strongest());
    const file = write(scene, (database) =>
      database.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(a PRIMARY KEY); INSERT INTO t VALUES(1)"),
    );
    const before = contents(file);
    for (const [what, sql, statement, message] of REFUSED) {
      const outcome = await scene.importSql(sql, { maxBytes: 500_000 });
      assert.ok("error" in outcome, what);
      assert.deepEqual(
        [outcome.error.statement, message.test(outcome.error.message)],
        [statement, true],
        `${what}: ${JSON.stringify(outcome)}`,
      );
      assert.deepEqual(contents(file), before, what);
    }
    const invalid = await scene.importSql(Readable.from([Buffer.from([0x53, 0xff, 0xfe])]));
    assert.match("error" in invalid ? invalid.error.message : "", /not UTF-8/);
  });

  test("comments alone, triggers and text that looks like an end are no hindrance", async () => {
    await using scene = await Scene.open(strongest());
    const outcome = await scene.importSql(`-- a dump; with "marks'
      /* more; */ ; ;
      CREATE TABLE t(a, "b;c"); CREATE TRIGGER x AFTER INSERT ON t BEGIN
        UPDATE t SET "b;c" = CASE a WHEN 1 THEN ';END;' ELSE 2 END; -- END;
        SELECT 1; END;
      INSERT INTO t(a) VALUES(1) -- no semicolon at the end;`);
    assert.ok("queries" in outcome, JSON.stringify(outcome));
    assert.equal(outcome.queries, 3);
    using database = new DatabaseSync(scene.databaseFile, { readOnly: true });
    assert.deepEqual(Object.values(database.prepare('SELECT a, "b;c" FROM t').get() ?? {}), [1, ";END;"]);
  });

  onEachRung(test, "ten megabytes go in and out in pieces, whatever becomes of the reader", async (scene) => {
    const rows = 10_000;
    async function* lines(): AsyncGenerator<Buffer> {
      yield Buffer.from("CREATE TABLE t(id INTEGER PRIMARY KEY, text);\n");
      for (let at = 0; at < rows; at++) yield Buffer.from(`INSERT INTO t VALUES(${at}, '${"text ".repeat(200)}${at}');\n`);
    }
    const outcome = await scene.importSql(Readable.from(lines(), { objectMode: false }));
    assert.ok("queries" in outcome, JSON.stringify(outcome));
    assert.deepEqual([outcome.queries, outcome.rowsWritten], [rows + 1, rows]);
    assert.ok(outcome.sizeAfter > 10_000_000);
    const job = { kind: "d1-export", database: scene.database, noSchema: false, noData: false, tables: [] } as const;
    const left = await scene.keeper.run(scene.place, { ...job, tables: [] });
    for await (const chunk of left) {
      assert.ok((chunk as Buffer).length > 0);
      break;
    }
    let bytes = 0;
    for await (const chunk of await scene.keeper.run(scene.place, { ...job, tables: [] })) bytes += (chunk as Buffer).length;
    assert.ok(bytes > 10_000_000);
  });
});
