// D1 where it refuses: each case ends in the error itself.
const run = (db, sql, ...values) =>
  db
    .prepare(sql)
    .bind(...values)
    .run();

const binds = {
  "refuses-undefined": ({ DB }) => run(DB, "SELECT ? AS v", undefined),
  "refuses-a-bigint": ({ DB }) => run(DB, "SELECT ? AS v", 1n),
  "refuses-a-date": ({ DB }) => run(DB, "SELECT ? AS v", new Date(0)),
  "refuses-an-object": ({ DB }) => run(DB, "SELECT ? AS v", { a: 1 }),
  "refuses-a-function": ({ DB }) => run(DB, "SELECT ? AS v", () => 1),
  "refuses-a-symbol": ({ DB }) => run(DB, "SELECT ? AS v", Symbol("s")),
  "refuses-an-array-of-arrays": ({ DB }) => run(DB, "SELECT ? AS v", [[1]]),
  "refuses-too-few-parameters": ({ DB }) => run(DB, "SELECT ? AS v, ? AS w", 1),
  "refuses-too-many-parameters": ({ DB }) => run(DB, "SELECT ? AS v", 1, 2),
  "refuses-a-parameter-where-there-is-none": ({ DB }) => run(DB, "SELECT 1", 1),
  "refuses-a-missing-bind": ({ DB }) => DB.prepare("SELECT ? AS v").first(),
  "refuses-too-few-parameters-in-a-batch": ({ DB }) => DB.batch([DB.prepare("SELECT 1"), DB.prepare("SELECT ?, ?").bind(1)]),
};

const text = {
  "refuses-bad-syntax": ({ DB }) => run(DB, "SELEKT 1"),
  "refuses-an-unfinished-text": ({ DB }) => run(DB, "SELECT (1"),
  "refuses-an-open-quote": ({ DB }) => run(DB, "SELECT 'a"),
  "refuses-a-missing-table": ({ DB }, at) => run(DB, `SELECT * FROM ${at}`),
  "refuses-a-missing-column": ({ DB }) => run(DB, "SELECT nocolumn"),
  "refuses-a-missing-function": ({ DB }) => run(DB, "SELECT nofunction(1)"),
  "refuses-an-empty-text": ({ DB }) => run(DB, ""),
  "refuses-a-text-of-spaces": ({ DB }) => run(DB, "  \n "),
  "refuses-a-text-of-comments": ({ DB }) => run(DB, "-- nothing"),
  "refuses-a-text-of-semicolons": ({ DB }) => run(DB, ";;"),
  "refuses-a-text-that-is-none": ({ DB }) => run(DB, undefined),
  "refuses-a-text-of-110-kb": ({ DB }) => run(DB, `SELECT '${"x".repeat(110_000)}' AS v`),
  "refuses-a-table-twice": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (v)`);
    await run(DB, `CREATE TABLE ${at} (v)`);
  },
  "refuses-two-values-for-one-column": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (v)`);
    await run(DB, `INSERT INTO ${at} VALUES (1, 2)`);
  },
};

const constraints = {
  "refuses-a-second-unique-value": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (v UNIQUE)`);
    await run(DB, `INSERT INTO ${at} VALUES (1), (1)`);
  },
  "refuses-a-second-primary-key": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (id INTEGER PRIMARY KEY)`);
    await run(DB, `INSERT INTO ${at} VALUES (1), (1)`);
  },
  "refuses-null-where-not-null": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (v NOT NULL)`);
    await run(DB, `INSERT INTO ${at} VALUES (?)`, null);
  },
  "refuses-what-a-check-refuses": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (v CHECK (v > 1))`);
    await run(DB, `INSERT INTO ${at} VALUES (1)`);
  },
  "refuses-a-missing-parent": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (id INTEGER PRIMARY KEY, parent REFERENCES ${at})`);
    await run(DB, `INSERT INTO ${at} VALUES (1, 2)`);
  },
  "refuses-text-in-a-strict-integer": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (i INTEGER) STRICT`);
    await run(DB, `INSERT INTO ${at} VALUES ('x')`);
  },
  "refuses-text-as-row-id": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (id INTEGER PRIMARY KEY)`);
    await run(DB, `INSERT INTO ${at} VALUES ('x')`);
  },
  "refuses-what-a-trigger-raises": async ({ DB }, at) => {
    await run(DB, `CREATE TABLE ${at} (v)`);
    await run(DB, `CREATE TRIGGER ${at}_t BEFORE INSERT ON ${at} BEGIN SELECT raise(ABORT, 'not today'); END`);
    await run(DB, `INSERT INTO ${at} VALUES (1)`);
  },
  "refuses-an-overflow": ({ DB }) => run(DB, "SELECT abs(-9223372036854775808) AS v"),
};

const forbidden = {
  "refuses-begin": ({ DB }) => run(DB, "BEGIN TRANSACTION"),
  "refuses-commit": ({ DB }) => run(DB, "COMMIT"),
  "refuses-savepoint": ({ DB }) => run(DB, "SAVEPOINT a"),
  "refuses-attach": ({ DB }) => run(DB, "ATTACH DATABASE ':memory:' AS other"),
  "refuses-vacuum": ({ DB }) => run(DB, "VACUUM"),
  "refuses-a-table-of-the-system": ({ DB }) => run(DB, "CREATE TABLE _cf_mine (v)"),
  "refuses-to-read-a-table-of-the-system": ({ DB }) => run(DB, "SELECT * FROM _cf_KV"),
  "refuses-to-change-the-schema-by-hand": ({ DB }) => run(DB, "DELETE FROM sqlite_schema"),
  "refuses-a-temporary-table": ({ DB }, at) => run(DB, `CREATE TEMP TABLE ${at} (v)`),
  "refuses-an-unknown-module": ({ DB }, at) => run(DB, `CREATE VIRTUAL TABLE ${at} USING nomodule(v)`),
  "refuses-begin-in-exec": ({ DB }) => DB.exec("BEGIN; SELECT 1; COMMIT"),
};

const calls = {
  "refuses-first-of-no-column": ({ DB }) => DB.prepare("SELECT 1 AS v").first("nocolumn"),
  "refuses-dump": ({ DB }) => DB.dump(),
  "refuses-an-empty-batch": ({ DB }) => DB.batch([]),
  "refuses-a-batch-of-text": ({ DB }) => DB.batch(["SELECT 1"]),
  "refuses-a-batch-that-fails": async ({ DB }, at) => DB.batch([DB.prepare("SELECT 1"), DB.prepare(`SELECT * FROM ${at}`)]),
  "refuses-exec-of-bad-syntax": ({ DB }) => DB.exec("SELECT 1\nSELEKT 2"),
  "refuses-exec-of-a-statement-over-lines": ({ DB }, at) => DB.exec(`CREATE TABLE ${at} (\n  v\n)`),
  "refuses-exec-of-nothing": ({ DB }) => DB.exec(""),
  "refuses-exec-of-no-text": ({ DB }) => DB.exec(undefined),
  "refuses-exec-of-a-parameter": ({ DB }) => DB.exec("SELECT ?"),
  "an-unknown-bookmark": ({ DB }) => DB.withSession("no bookmark at all").prepare("SELECT 1 AS v").first(),
  "refuses-a-bookmark-that-is-no-text": ({ DB }) => DB.withSession(7).prepare("SELECT 1 AS v").first(),
  "refuses-a-read-that-errs-midway": ({ DB }) => run(DB, "SELECT json_extract(value, '$') FROM json_each('[\"1\",\"{\"]')"),
};

export const d1Errors = { ...binds, ...text, ...constraints, ...forbidden, ...calls };
