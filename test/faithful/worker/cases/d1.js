// D1 where it answers: parameters and columns of each type, the ways to read, meta, batch, exec, sessions, what SQL there is.
import { each } from "../show.js";

/** A table of this case alone. */
async function table(db, at, columns = "id INTEGER PRIMARY KEY, v") {
  await db.exec(`CREATE TABLE ${at} (${columns})`);
  return at;
}

/** A table of three rows. */
async function three(db, at) {
  await table(db, at);
  await db.batch(["a", "b", "c"].map((v) => db.prepare(`INSERT INTO ${at} (v) VALUES (?)`).bind(v)));
  return at;
}

/** The members of meta that tell of the deed and not of who did it. */
const deed = ({ meta }) => ({ changes: meta.changes, rowId: meta.last_row_id, changed: meta.changed_db, written: meta.rows_written });

const asked = (db, sql, ...values) =>
  db
    .prepare(sql)
    .bind(...values)
    .first();

const parameters = {
  "params-of-each-type": ({ DB }) => {
    const values = {
      integer: 7,
      negativeZero: -0,
      float: 1.5,
      wholeFloat: 3e10,
      beyond53: 2 ** 53 + 2,
      beyond63: 1e19,
      null: null,
      true: true,
      false: false,
      text: "é🦋",
      empty: "",
      nul: "a\u0000b",
      halfSurrogate: "\ud800",
      buffer: new Uint8Array([1, 2]).buffer,
      view: new Uint8Array([9, 1, 2]).subarray(1),
      emptyBuffer: new ArrayBuffer(0),
      numbers: [1, 2, 255],
    };
    const sql = "SELECT ?1 AS v, typeof(?1) AS type, hex(?1) AS hex";
    return each(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, () => asked(DB, sql, value)])));
  },
  "params-beyond-a-byte": ({ DB }) =>
    each({
      over: () => asked(DB, "SELECT hex(?) AS v", [256, -1]),
      fraction: () => asked(DB, "SELECT hex(?) AS v", [1.5]),
      text: () => asked(DB, "SELECT hex(?) AS v", ["a"]),
      none: () => asked(DB, "SELECT hex(?) AS v, typeof(?1) AS type", []),
      floats: () => asked(DB, "SELECT hex(?) AS v", new Float64Array([1])),
      dataView: () => asked(DB, "SELECT hex(?) AS v", new DataView(new Uint8Array([5]).buffer)),
    }),
  "params-not-finite": ({ DB }) =>
    each({
      nan: () => asked(DB, "SELECT ?1 AS v, typeof(?1) AS type", NaN),
      infinity: () => asked(DB, "SELECT ?1 AS v, typeof(?1) AS type", Infinity),
      negative: () => asked(DB, "SELECT ?1 AS v, typeof(?1) AS type", -Infinity),
    }),
  "params-numbered": ({ DB }) => asked(DB, "SELECT ?2 AS second, ?1 AS first, ?2 AS again", "one", "two"),
  "params-numbered-with-a-gap": ({ DB }) => asked(DB, "SELECT ?1 AS one, ?3 AS three", 1, 2, 3),
  "params-named": ({ DB }) => each({ one: () => asked(DB, "SELECT :a AS v", 1), two: () => asked(DB, "SELECT @a AS v, $b AS w", 1, 2) }),
  "bind-makes-another-statement": async ({ DB }) => {
    const statement = DB.prepare("SELECT ? AS v");
    const [one, two] = [statement.bind(1), statement.bind(2)];
    return [statement === one, await one.first("v"), await two.first("v"), await one.bind(3).first("v")];
  },
  "columns-of-each-type": async ({ DB }, at) => {
    await table(DB, at, "i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, a ANY");
    await DB.prepare(`INSERT INTO ${at} VALUES ('12', 3, 4, x'00ff', '5.0', NULL)`).run();
    return DB.prepare(`SELECT *, typeof(i), typeof(r), typeof(t), typeof(n) FROM ${at}`)
      .all()
      .then(({ results }) => results);
  },
  "integers-beyond-53-bits": ({ DB }) => asked(DB, "SELECT 9007199254740993 AS v, 9223372036854775807 AS max, -9223372036854775808 AS min"),
  "infinity-as-a-result": ({ DB }) => asked(DB, "SELECT 9e999 AS v, -9e999 AS w"),
};

const reading = {
  "all-answers": async ({ DB }, at) => {
    const { results, success, meta, ...rest } = await DB.prepare(`SELECT * FROM ${await three(DB, at)}`).all();
    return { results, success, rest, meta: Object.keys(meta).toSorted() };
  },
  "run-answers-rows-too": async ({ DB }, at) => (await DB.prepare(`SELECT * FROM ${await three(DB, at)}`).run()).results,
  "first-row": async ({ DB }, at) => DB.prepare(`SELECT * FROM ${await three(DB, at)} ORDER BY id DESC`).first(),
  "first-column": async ({ DB }, at) => DB.prepare(`SELECT * FROM ${await three(DB, at)}`).first("v"),
  "first-of-none": async ({ DB }, at) => {
    const none = DB.prepare(`SELECT * FROM ${await table(DB, at)}`);
    return [await none.first(), await none.first("v"), await none.first("nocolumn")];
  },
  "raw-rows": async ({ DB }, at) => DB.prepare(`SELECT * FROM ${await three(DB, at)}`).raw(),
  "raw-with-column-names": async ({ DB }, at) => DB.prepare(`SELECT id, v AS "a b" FROM ${await three(DB, at)}`).raw({ columnNames: true }),
  "raw-of-none-with-column-names": async ({ DB }, at) => DB.prepare(`SELECT * FROM ${await table(DB, at)}`).raw({ columnNames: true }),
  "two-columns-of-one-name": async ({ DB }) => {
    const statement = DB.prepare("SELECT 1 AS a, 2 AS a, 3 AS b");
    return [await statement.first(), await statement.raw({ columnNames: true }), (await statement.all()).results];
  },
  "column-named-like-a-prototype": ({ DB }) => DB.prepare("SELECT 1 AS __proto__, 2 AS constructor").first(),
  "blob-comes-as-numbers": ({ DB }) => DB.prepare("SELECT x'00ff10' AS b, x'' AS none").first(),
  "many-rows": async ({ DB }) => {
    const sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n";
    const { results, meta } = await DB.prepare(sql).all();
    return [results.length, results.at(-1), meta.rows_read];
  },
  "statement-read-twice": async ({ DB }, at) => {
    const count = DB.prepare(`SELECT count(*) AS n FROM ${await three(DB, at)}`);
    return [await count.first("n"), await count.first("n")];
  },
};

const meta = {
  "meta-of-an-insert": async ({ DB }, at) => deed(await DB.prepare(`INSERT INTO ${await table(DB, at)} (v) VALUES (1), (2)`).run()),
  "meta-of-an-update": async ({ DB }, at) => deed(await DB.prepare(`UPDATE ${await three(DB, at)} SET v = 'z' WHERE id > 1`).run()),
  "meta-of-an-update-of-none": async ({ DB }, at) => {
    const { meta } = await DB.prepare(`UPDATE ${await three(DB, at)} SET v = 'z' WHERE id > 9`).run();
    return [meta.changes, meta.rows_written, meta.changed_db];
  },
  "meta-of-a-delete": async ({ DB }, at) => deed(await DB.prepare(`DELETE FROM ${await three(DB, at)}`).run()),
  "meta-of-a-select": async ({ DB }, at) => {
    const { meta } = await DB.prepare(`SELECT * FROM ${await three(DB, at)}`).all();
    return { changes: meta.changes, read: meta.rows_read, written: meta.rows_written, changed: meta.changed_db };
  },
  "meta-of-an-index": async ({ DB }, at) => {
    await three(DB, at);
    const { meta } = await DB.prepare(`CREATE INDEX ${at}_i ON ${at} (v)`).run();
    const looked = await DB.prepare(`SELECT * FROM ${at} WHERE v = 'b'`).all();
    return [meta.changed_db, meta.rows_written, looked.meta.rows_read];
  },
  "meta-counts-what-triggers-do": async ({ DB }, at) => {
    await table(DB, at);
    await table(DB, `${at}_log`);
    await DB.prepare(`CREATE TRIGGER ${at}_t AFTER INSERT ON ${at} BEGIN INSERT INTO ${at}_log (v) VALUES (new.v); END`).run();
    return deed(await DB.prepare(`INSERT INTO ${at} (v) VALUES (1)`).run());
  },
  "meta-types": async ({ DB }, at) => {
    const { meta } = await DB.prepare(`INSERT INTO ${await table(DB, at)} (v) VALUES (1)`).run();
    const members = Object.keys(meta).toSorted();
    return Object.fromEntries(members.map((key) => [key, typeof meta[key]]));
  },
  "meta-names-who-served": async ({ DB }) => {
    const { meta } = await DB.prepare("SELECT 1").all();
    return [meta.served_by, meta.served_by_primary, meta.served_by_region, meta.total_attempts];
  },
  "meta-size-grows": async ({ DB }, at) => {
    const before = (await DB.prepare(`INSERT INTO ${await table(DB, at)} (v) VALUES (1)`).run()).meta.size_after;
    const after = (await DB.prepare(`INSERT INTO ${at} (v) VALUES (randomblob(100000))`).run()).meta.size_after;
    // Pages that lay free may be used again.
    return [before > 0, Math.round((after - before) / 50_000), after % 4096];
  },
};

const together = {
  "batch-answers-in-order": async ({ DB }, at) => {
    await three(DB, at);
    const answers = await DB.batch([
      DB.prepare(`INSERT INTO ${at} (v) VALUES (?)`).bind("d"),
      DB.prepare(`SELECT count(*) AS n FROM ${at}`),
      DB.prepare(`DELETE FROM ${at} WHERE id = 1`),
    ]);
    return answers.map(({ results, success, meta }) => ({ results, success, changes: meta.changes }));
  },
  "batch-that-fails-leaves-nothing": async ({ DB }, at) => {
    await table(DB, at, "v UNIQUE");
    const insert = DB.prepare(`INSERT INTO ${at} VALUES (?)`);
    const failed = await DB.batch([insert.bind(1), insert.bind(2), insert.bind(1)]).catch((error) => error);
    return [failed, await DB.prepare(`SELECT count(*) AS n FROM ${at}`).first("n")];
  },
  "several-statements-in-one-text": async ({ DB }, at) => {
    await table(DB, at);
    const last = await DB.prepare(`INSERT INTO ${at} (v) VALUES (1); INSERT INTO ${at} (v) VALUES (2); SELECT * FROM ${at}`).all();
    return last.results;
  },
  "exec-counts-lines": async ({ DB }, at) => {
    const { count, duration, ...rest } = await DB.exec(
      `CREATE TABLE ${at} (v)\nINSERT INTO ${at} VALUES (1); INSERT INTO ${at} VALUES (2);\n\nSELECT * FROM ${at}`,
    );
    return { count, duration: typeof duration, rest, rows: await DB.prepare(`SELECT count(*) AS n FROM ${at}`).first("n") };
  },
  "exec-that-fails-in-its-second-line": async ({ DB }, at) => {
    await table(DB, at);
    const failed = await DB.exec(`INSERT INTO ${at} (v) VALUES (1)\nINSERT INTO ${at}_none VALUES (1)`).catch((error) => error);
    return [failed, await DB.prepare(`SELECT count(*) AS n FROM ${at}`).first("n")];
  },
  "text-with-comments": ({ DB }) =>
    each({
      before: () => DB.prepare("-- before\nSELECT 1 AS v").first(),
      after: () => DB.prepare("SELECT 1 AS v -- after").first(),
      block: () => DB.prepare("/* a; b */ SELECT /* ' */ 1 AS v; /* end */ ;").first(),
      quoted: () => DB.prepare("SELECT '-- ; /*' AS v").first(),
    }),
};

const sessions = {
  "session-reads-its-writes": async ({ DB }, at) => {
    await table(DB, at);
    const session = DB.withSession("first-primary");
    const before = session.getBookmark();
    await session.prepare(`INSERT INTO ${at} (v) VALUES (?)`).bind("s").run();
    const bookmark = session.getBookmark();
    return [before, typeof bookmark, await session.prepare(`SELECT v FROM ${at}`).first("v"), session.getBookmark() >= bookmark];
  },
  "session-by-bookmark": async ({ DB }, at) => {
    await three(DB, at);
    const one = DB.withSession();
    await one.prepare(`UPDATE ${at} SET v = 'x'`).run();
    const two = DB.withSession(one.getBookmark());
    return [await two.prepare(`SELECT v FROM ${at}`).first("v"), typeof two.getBookmark()];
  },
  "session-kinds": async ({ DB }) => {
    const kinds = {};
    for (const kind of ["first-primary", "first-unconstrained", undefined, null, ""]) {
      const session = DB.withSession(kind);
      kinds[String(kind)] = [session.getBookmark(), await session.prepare("SELECT 1 AS v").first("v"), typeof session.getBookmark()];
    }
    return kinds;
  },
  "session-batch": async ({ DB }, at) => {
    await three(DB, at);
    const session = DB.withSession("first-unconstrained");
    const [one, two] = await session.batch([session.prepare(`SELECT count(*) AS n FROM ${at}`), session.prepare("SELECT 2 AS n")]);
    return [one.results, two.results, Object.getOwnPropertyNames(Object.getPrototypeOf(session)).toSorted()];
  },
  "bookmark-form": async ({ DB }, at) => {
    const session = DB.withSession("first-primary");
    await session.prepare(`INSERT INTO ${await table(DB, at)} (v) VALUES (1)`).run();
    return session.getBookmark().replaceAll(/[0-9a-f]/g, "h");
  },
  "databases-are-apart": async ({ DB, DB2 }, at) => {
    await three(DB, at);
    return DB2.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = ?").bind(at).first("n");
  },
};

export const d1 = { ...parameters, ...reading, ...meta, ...together, ...sessions };
