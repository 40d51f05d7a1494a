// SQL inside an object: cursors, bindings, transactions, what is refused.
import { each } from "../show.js";

function three({ sql }) {
  sql.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  sql.exec("INSERT INTO t (v) VALUES (?), (?), (?)", "a", "b", "c");
  return sql;
}

export const sqlDeeds = {
  "sql-cursor": ({ storage }) => {
    const sql = three(storage);
    const cursor = sql.exec("SELECT * FROM t");
    const first = cursor.next();
    return [
      first,
      cursor.columnNames,
      cursor.rowsRead,
      cursor.rowsWritten,
      cursor.toArray(),
      cursor.next(),
      cursor.toArray(),
      cursor.rowsRead,
    ];
  },
  "sql-one": ({ storage }) => {
    const sql = three(storage);
    return each({
      one: () => sql.exec("SELECT v FROM t WHERE id = 2").one(),
      none: () => sql.exec("SELECT v FROM t WHERE id = 9").one(),
      many: () => sql.exec("SELECT v FROM t").one(),
    });
  },
  "sql-raw": ({ storage }) => {
    const cursor = three(storage).exec('SELECT id, v AS "a b", 1 AS id FROM t WHERE id > 1');
    const raw = cursor.raw();
    return [raw.next(), raw.columnNames ?? "none", [...raw], cursor.columnNames, cursor.toArray()];
  },
  "sql-columns-of-one-name": ({ storage }) => [...storage.sql.exec("SELECT 1 AS a, 2 AS a, 3 AS b")],
  "sql-rows-written": ({ storage }) => {
    const sql = three(storage);
    sql.exec("CREATE INDEX i ON t (v)");
    const counts = (cursor) => [cursor.rowsRead, cursor.rowsWritten];
    return [
      counts(sql.exec("INSERT INTO t (v) VALUES ('d')")),
      counts(sql.exec("UPDATE t SET v = 'z' WHERE id = 1")),
      counts(sql.exec("DELETE FROM t WHERE id = 1")),
      sql.exec("INSERT INTO t (v) VALUES ('e') RETURNING id").one(),
    ];
  },
  "sql-bindings": ({ storage: { sql } }) => {
    const values = {
      integer: 7,
      float: 1.5,
      beyond53: 2 ** 53 + 2,
      bigint: 7n,
      true: true,
      null: null,
      undefined: undefined,
      text: "é",
      buffer: new Uint8Array([1, 2]).buffer,
      view: new Uint8Array([9, 1]).subarray(1),
      numbers: [1, 2],
      object: { a: 1 },
      date: new Date(0),
      nan: NaN,
      infinity: Infinity,
      symbol: Symbol("s"),
      function: () => 1,
    };
    const told = (value) => sql.exec("SELECT ?1 AS v, typeof(?1) AS type", value).one();
    return each(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, () => told(value)])));
  },
  "sql-results-of-each-type": ({ storage: { sql } }) =>
    sql.exec("SELECT 9007199254740993 AS big, 1.5 AS real, x'0102' AS blob, NULL AS none, 'a' AS text, 9e999 AS infinite").one(),
  "sql-several-statements": ({ storage: { sql } }) => {
    const cursor = sql.exec("CREATE TABLE t (v); INSERT INTO t VALUES (1); -- end\n SELECT v + ? AS v FROM t;", 1);
    return [cursor.columnNames, cursor.toArray()];
  },
  "sql-text-of-nothing": ({ storage: { sql } }) =>
    each({
      empty: () => sql.exec("").toArray(),
      spaces: () => sql.exec(" \n").toArray(),
      comment: () => sql.exec("-- nothing").toArray(),
      semicolon: () => sql.exec(";").toArray(),
      afterComment: () => sql.exec("SELECT 1 AS v; -- end").toArray(),
      noText: () => sql.exec().toArray(),
    }),
  "sql-refusals": ({ storage: { sql } }) => {
    sql.exec("CREATE TABLE t (v UNIQUE NOT NULL, w CHECK (w > 0))");
    const texts = [
      "SELEKT 1",
      "SELECT (1",
      "SELECT * FROM none",
      "SELECT nocolumn FROM t",
      "INSERT INTO t VALUES (1, 1), (1, 1)",
      "INSERT INTO t VALUES (NULL, 1)",
      "INSERT INTO t VALUES (3, 0)",
      "BEGIN",
      "COMMIT",
      "ROLLBACK",
      "SAVEPOINT a",
      "ATTACH DATABASE ':memory:' AS other",
      "VACUUM",
      "PRAGMA journal_mode = delete",
      "PRAGMA user_version = 5",
      "CREATE TABLE _cf_mine (v)",
      "SELECT * FROM _cf_KV",
      "CREATE TEMP TABLE x (v)",
      "SELECT load_extension('x')",
      "SELECT sqlite_version()",
      "EXPLAIN SELECT 1",
    ];
    return each(Object.fromEntries(texts.map((text) => [text, () => sql.exec(text).toArray().length])));
  },
  "sql-wrong-number-of-bindings": ({ storage: { sql } }) =>
    each({
      few: () => sql.exec("SELECT ? AS v, ? AS w", 1).toArray(),
      many: () => sql.exec("SELECT ? AS v", 1, 2).toArray(),
      named: () => sql.exec("SELECT :a AS v", 1).toArray(),
    }),
  "sql-cursor-after-a-write": ({ storage }) => {
    const sql = three(storage);
    const cursor = sql.exec("SELECT v FROM t ORDER BY id");
    const first = cursor.next();
    sql.exec("INSERT INTO t (v) VALUES ('d')");
    return [first, cursor.toArray()];
  },
  "sql-cursor-after-drop": ({ storage }) => {
    const sql = three(storage);
    const cursor = sql.exec("SELECT v FROM t");
    cursor.next();
    return each({ drop: () => sql.exec("DROP TABLE t").toArray(), rest: () => cursor.toArray() });
  },
  "sql-foreign-keys": ({ storage: { sql } }) => {
    sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p)");
    return each({ orphan: () => sql.exec("INSERT INTO c VALUES (1)").toArray(), on: () => sql.exec("PRAGMA foreign_keys").toArray() });
  },
  "sql-full-text-and-json": ({ storage: { sql } }) => {
    sql.exec("CREATE VIRTUAL TABLE f USING fts5(v)");
    sql.exec("INSERT INTO f VALUES (?), (?)", "a fly", "a bug");
    return [sql.exec("SELECT v FROM f WHERE f MATCH 'fly'").toArray(), sql.exec("SELECT value FROM json_each(?)", "[1,2]").toArray()];
  },
  "sql-database-size": ({ storage: { sql } }) => {
    const before = sql.databaseSize;
    sql.exec("CREATE TABLE t (v); INSERT INTO t VALUES (randomblob(100000))");
    const full = sql.databaseSize;
    sql.exec("DELETE FROM t");
    return [before % 4096, full - before >= 100_000, sql.databaseSize < full];
  },
  "sql-row-of-many-sizes": ({ storage: { sql } }) => {
    sql.exec("CREATE TABLE t (v)");
    const sizes = { "1.9 MB": 1_900_000, "2.1 MB": 2_100_000, "3 MB": 3_000_000 };
    const insert = (size) => sql.exec("INSERT INTO t VALUES (?) RETURNING length(v) AS n", "x".repeat(size)).one();
    return each(Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, () => insert(size)])));
  },
  "sql-text-of-many-sizes": ({ storage: { sql } }) =>
    each({
      "99 kB": () => sql.exec(`SELECT length('${"x".repeat(99_000)}') AS n`).one(),
      "110 kB": () => sql.exec(`SELECT length('${"x".repeat(110_000)}') AS n`).one(),
    }),
  "sql-many-parameters": ({ storage: { sql } }) => {
    const asked = (count) => sql.exec(`SELECT ${Array(count).fill("?").join(", ")}`, ...Array(count).fill(1)).columnNames.length;
    return each({ 100: () => asked(100), 101: () => asked(101), 2000: () => asked(2000) });
  },
  "transaction-sync": ({ storage }) => {
    const sql = three(storage);
    const answer = storage.transactionSync(() => {
      sql.exec("DELETE FROM t WHERE id = 1");
      return sql.exec("SELECT count(*) AS n FROM t").one().n;
    });
    return [answer, sql.exec("SELECT count(*) AS n FROM t").one()];
  },
  "transaction-sync-that-throws": async ({ storage }) => {
    const sql = three(storage);
    const told = await each({
      throws: () =>
        storage.transactionSync(() => {
          sql.exec("DELETE FROM t");
          throw new RangeError("undone");
        }),
      sqlFails: () =>
        storage.transactionSync(() => {
          sql.exec("DELETE FROM t");
          sql.exec("INSERT INTO none VALUES (1)");
        }),
    });
    return [told, sql.exec("SELECT count(*) AS n FROM t").one()];
  },
  "transaction-sync-in-another": async ({ storage }) => {
    const sql = three(storage);
    storage.transactionSync(() => {
      sql.exec("DELETE FROM t WHERE id = 1");
      try {
        storage.transactionSync(() => {
          sql.exec("DELETE FROM t");
          throw new Error("inner");
        });
      } catch {}
    });
    return sql.exec("SELECT id FROM t").toArray();
  },
  "transaction-with-sql": async ({ storage }) => {
    const sql = three(storage);
    const failed = await storage
      .transaction(async () => {
        sql.exec("DELETE FROM t");
        await scheduler.wait(1);
        throw new Error("undone");
      })
      .catch((error) => error);
    return [failed, sql.exec("SELECT count(*) AS n FROM t").one()];
  },
  "delete-all-drops-tables": async ({ storage }) => {
    const sql = three(storage);
    await storage.put("a", 1);
    await storage.deleteAll();
    return [sql.exec("SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\'").toArray(), await storage.get("a")];
  },
};
