// What SQL a D1 database speaks: constraints that hold, functions, extensions, pragmas, and the limits of SQLite as D1 sets them.
import { each } from "../show.js";

const rows = async (db, sql, ...values) =>
  (
    await db
      .prepare(sql)
      .bind(...values)
      .all()
  ).results;

const language = {
  "foreign-keys-hold": async ({ DB }, at) => {
    await DB.batch([
      DB.prepare(`CREATE TABLE ${at}_p (id INTEGER PRIMARY KEY)`),
      DB.prepare(`CREATE TABLE ${at}_c (p REFERENCES ${at}_p ON DELETE CASCADE)`),
      DB.prepare(`INSERT INTO ${at}_p VALUES (1), (2)`),
      DB.prepare(`INSERT INTO ${at}_c VALUES (1), (2)`),
    ]);
    const { meta } = await DB.prepare(`DELETE FROM ${at}_p WHERE id = 1`).run();
    return [meta.changes, await rows(DB, `SELECT * FROM ${at}_c`), await rows(DB, "PRAGMA foreign_keys")];
  },
  "foreign-keys-deferred": async ({ DB }, at) => {
    await DB.batch([
      DB.prepare(`CREATE TABLE ${at}_p (id INTEGER PRIMARY KEY)`),
      DB.prepare(`CREATE TABLE ${at}_c (p REFERENCES ${at}_p)`),
    ]);
    await DB.batch([
      DB.prepare("PRAGMA defer_foreign_keys = on"),
      DB.prepare(`INSERT INTO ${at}_c VALUES (1)`),
      DB.prepare(`INSERT INTO ${at}_p VALUES (1)`),
    ]);
    return rows(DB, `SELECT * FROM ${at}_c`);
  },
  triggers: async ({ DB }, at) => {
    await DB.exec(`CREATE TABLE ${at} (v); CREATE TABLE ${at}_log (v)`);
    await DB.exec(`CREATE TRIGGER ${at}_t AFTER UPDATE ON ${at} BEGIN INSERT INTO ${at}_log VALUES (old.v || '>' || new.v); END`);
    await DB.exec(`INSERT INTO ${at} VALUES ('a'); UPDATE ${at} SET v = 'b'`);
    return rows(DB, `SELECT * FROM ${at}_log`);
  },
  "full-text-search": async ({ DB }, at) => {
    await DB.exec(`CREATE VIRTUAL TABLE ${at} USING fts5(title, body)`);
    await DB.exec(`INSERT INTO ${at} VALUES ('may', 'a fly of one day'), ('june', 'a bug of a month')`);
    const sql = `SELECT title, snippet(${at}, 1, '[', ']', '…', 3) AS s, highlight(${at}, 1, '<', '>') AS h FROM ${at} WHERE ${at} MATCH ?`;
    return [await rows(DB, sql, "fly OR month"), await rows(DB, `SELECT rank < 0 AS r FROM ${at}('fly')`)];
  },
  "full-text-search-of-three-letters": async ({ DB }, at) => {
    await DB.exec(`CREATE VIRTUAL TABLE ${at} USING fts5(v, tokenize = 'trigram')`);
    await DB.exec(`INSERT INTO ${at} VALUES ('butterfly'), ('mayfly')`);
    return rows(DB, `SELECT v FROM ${at} WHERE v LIKE '%terf%'`);
  },
  "json-functions": ({ DB }) =>
    each({
      extract: () => rows(DB, `SELECT json_extract(?1, '$.a[1]') AS v, ?1 ->> '$.b' AS w, ?1 -> 'b' AS x`, '{"a":[1,2],"b":"t"}'),
      each: () => rows(DB, "SELECT key, value, type FROM json_each(?)", '{"x":1,"y":[true]}'),
      tree: () => rows(DB, "SELECT fullkey, atom FROM json_tree(?) WHERE atom IS NOT NULL", '{"x":{"y":[7]}}'),
      group: () => rows(DB, "SELECT json_group_array(value) AS a FROM json_each('[3,1]')"),
      patch: () => rows(DB, `SELECT json_patch('{"a":1}', '{"b":2}') AS v, jsonb('[1]') AS b, json_valid('{') AS no`),
      bad: () => rows(DB, "SELECT json_extract('{no', '$') AS v"),
    }),
  "generated-columns": async ({ DB }, at) => {
    await DB.exec(`CREATE TABLE ${at} (j TEXT, a AS (json_extract(j, '$.a')) STORED, u AS (upper(j)) VIRTUAL)`);
    await DB.prepare(`INSERT INTO ${at} (j) VALUES (?)`).bind('{"a":5}').run();
    return rows(DB, `SELECT * FROM ${at}`);
  },
  "returning-and-upsert": async ({ DB }, at) => {
    await DB.exec(`CREATE TABLE ${at} (k PRIMARY KEY, n)`);
    const sql = `INSERT INTO ${at} VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING *`;
    return [await rows(DB, sql, "a"), await rows(DB, sql, "a"), await DB.prepare(sql).bind("b").first("n")];
  },
  "window-functions-and-views": async ({ DB }, at) => {
    await DB.exec(`CREATE VIEW ${at} AS SELECT value AS v FROM json_each('[3,1,2]')`);
    return rows(DB, `SELECT v, row_number() OVER (ORDER BY v) AS n, sum(v) OVER (ORDER BY v) AS s FROM ${at}`);
  },
  "strict-tables": async ({ DB }, at) => {
    await DB.exec(`CREATE TABLE ${at} (i INTEGER, a ANY) STRICT, WITHOUT ROWID`).catch(() => {});
    await DB.exec(`CREATE TABLE IF NOT EXISTS ${at} (i INTEGER, a ANY) STRICT`);
    await DB.prepare(`INSERT INTO ${at} VALUES (?, ?)`).bind(1, "1").run();
    return rows(DB, `SELECT i, typeof(a) AS a FROM ${at}`);
  },
  "alter-and-drop": async ({ DB }, at) => {
    await DB.exec(`CREATE TABLE ${at} (a, b)`);
    await DB.exec(`ALTER TABLE ${at} ADD COLUMN c DEFAULT 7; ALTER TABLE ${at} DROP COLUMN a; ALTER TABLE ${at} RENAME COLUMN b TO z`);
    const columns = (await rows(DB, `PRAGMA table_info(${at})`)).map(({ name }) => name);
    await DB.exec(`DROP TABLE ${at}; DROP TABLE IF EXISTS ${at}`);
    return [columns, await rows(DB, "SELECT name FROM sqlite_schema WHERE name = ?", at)];
  },
  "autoincrement-never-reuses": async ({ DB }, at) => {
    await DB.exec(`CREATE TABLE ${at} (id INTEGER PRIMARY KEY AUTOINCREMENT, v)`);
    await DB.exec(`INSERT INTO ${at} (v) VALUES (1), (2); DELETE FROM ${at}; INSERT INTO ${at} (v) VALUES (3)`);
    return [await rows(DB, `SELECT id FROM ${at}`), await rows(DB, "SELECT seq FROM sqlite_sequence WHERE name = ?", at)];
  },
};

const functions = {
  "functions-there-are": ({ DB }) =>
    each(
      Object.fromEntries(
        [
          "sqrt(2) > 1",
          "pow(2, 10)",
          "unixepoch('2026-01-01')",
          "strftime('%Y-%m', 0, 'unixepoch')",
          "printf('%05.2f|%q', 3.14159, 'it''s')",
          "iif(1, 'y', 'n')",
          "unicode('🦋')",
          "instr('mayfly', 'fly')",
          "quote(x'00ff')",
          "concat_ws('-', 1, NULL, 2)",
          "length(randomblob(8))",
          "timediff('2026-01-02', '2026-01-01')",
          "unhex('ff')",
          "median(1)",
          "sqlite_version()",
          "sqlite_source_id()",
          "last_insert_rowid() >= 0",
          "total_changes() >= 0",
          "load_extension('x')",
          "soundex('x')",
          "'a' REGEXP 'a'",
          "'mayfly' GLOB 'may*'",
          "likely(1)",
          "zeroblob(3)",
          "typeof(current_timestamp)",
        ].map((expression) => [expression, () => DB.prepare(`SELECT ${expression} AS v`).first("v")]),
      ),
    ),
  "pragmas-there-are": ({ DB }, at) => {
    const pragmas = [
      "user_version",
      "page_size",
      "page_count",
      "encoding",
      "journal_mode",
      "compile_options",
      "database_list",
      "integrity_check",
      "quick_check",
      "foreign_key_check",
      "optimize",
      "case_sensitive_like = on",
      "case_sensitive_like = off",
      "writable_schema = on",
      "recursive_triggers",
      "cache_size",
      `index_list(${at})`,
      `table_xinfo(${at})`,
      `foreign_key_list(${at})`,
      "function_list",
      "synchronous = off",
      "trusted_schema",
      "max_page_count = 5",
    ];
    const count = async (pragma) => {
      const found = await rows(DB, `PRAGMA ${pragma}`);
      return found.length > 3 ? "many rows" : found;
    };
    return each(Object.fromEntries(pragmas.map((pragma) => [pragma, () => count(pragma)])));
  },
  "schema-shows-no-tables-of-others": async ({ DB2 }, at) => {
    await DB2.exec(`CREATE TABLE ${at} (v)`);
    return rows(DB2, "SELECT name FROM sqlite_schema WHERE name LIKE '%cf%' OR name LIKE '%mayfly%'");
  },
  "explain-query-plan": async ({ DB }, at) => {
    await DB.exec(`CREATE TABLE ${at} (id INTEGER PRIMARY KEY)`);
    return (await rows(DB, `EXPLAIN QUERY PLAN SELECT * FROM ${at} WHERE id = 1`)).map(({ detail }) => detail);
  },
};

const limits = {
  "limits-of-statements": ({ DB }, at) => {
    const list = (count, text) => Array.from({ length: count }, (_, index) => text.replaceAll("#", String(index + 1))).join(", ");
    const asked = (sql, ...values) => rows(DB, sql, ...values).then((found) => found.length);
    return each({
      "100 parameters": () => asked(`SELECT ${list(100, "?")}`, ...Array(100).fill(1)),
      "101 parameters": () => asked(`SELECT ${list(101, "?")}`, ...Array(101).fill(1)),
      "101 columns": () => asked(`SELECT ${list(101, "# AS c#")}`),
      "table of 101 columns": () => asked(`CREATE TABLE ${at} (${list(101, "c#")})`),
      "2001 columns": () => asked(`SELECT ${list(2001, "# AS c#")}`),
      "32 arguments": () => asked(`SELECT max(${list(32, "#")})`),
      "33 arguments": () => asked(`SELECT max(${list(33, "#")})`),
      "pattern of 50 bytes": () => asked("SELECT 1 WHERE 'a' LIKE ?", "a".repeat(50)),
      "pattern of 51 bytes": () => asked("SELECT 1 WHERE 'a' LIKE ?", "a".repeat(51)),
      "5 selects joined": () => asked(Array(5).fill("SELECT 1").join(" UNION ALL ")),
      "6 selects joined": () => asked(Array(6).fill("SELECT 1").join(" UNION ALL ")),
      "depth of 90": () => asked(`SELECT ${"(".repeat(90)}1${")".repeat(90)}`),
      "depth of 101": () => asked(`SELECT ${Array(101).fill("1").join(" + ")} AS v`),
      "text of 99 kB": () => asked(`SELECT '${"x".repeat(99_000)}' AS v`),
      "parameter of 1 MB": () => asked("SELECT ? AS v", "x".repeat(1_000_000)),
    });
  },
  "limits-of-values": ({ DB }) =>
    each({
      "text of 1.9 MB": async () => (await DB.prepare("SELECT ? AS v").bind("x".repeat(1_900_000)).first("v")).length,
      "text of 2.1 MB": async () => (await DB.prepare("SELECT ? AS v").bind("x".repeat(2_100_000)).first("v")).length,
      "zeroblob of 2.1 MB": () => DB.prepare("SELECT length(zeroblob(2100000)) AS v").first("v"),
    }),
};

export const d1Sql = { ...language, ...functions, ...limits };
