// Ours, trusted: where the data points of an account's Workers go, and where they are asked for. workerd posts each point
// as JSON, text as arrays of bytes; the binding's props name the dataset. The oldest points go first at the bound.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

const MAX_POINTS = 100_000;
/** So many go at once, so that not every point pays for it. */
const MARGIN = 1_000;
const MAX_ROWS = 10_000;
/** Of all values of an answer. */
const MAX_CHARS = 4_194_304;
const FIELDS = 20;
const NUMBERS = Array.from({ length: FIELDS }, (_, at) => at + 1);
const COLUMNS = ["index1", ...NUMBERS.map((n) => `blob${n}`), ...NUMBERS.map((n) => `double${n}`)];

const decoder = new TextDecoder();
const text = (bytes) => (bytes === undefined ? "" : decoder.decode(new Uint8Array(bytes)));

export default class extends WorkerEntrypoint {
  async fetch(request) {
    const point = await request.json();
    const values = COLUMNS.map((name) => (name.startsWith("double") ? (point[name] ?? 0) : text(point[name])));
    await this.env.POINTS.getByName("points").write(this.ctx.props.dataset, values);
    return new Response(null, { status: 204 });
  }
}

/** For control: POST of a query's SQL. */
export class Control extends WorkerEntrypoint {
  async fetch(request) {
    return Response.json(await this.env.POINTS.getByName("points").query(await request.text()));
  }
}

/** Bytes as SQLite's own `hex()` has them: JSON knows none. */
const shown = (value) => (value instanceof ArrayBuffer ? new Uint8Array(value).toHex().toUpperCase() : value);

/** What undoes a query, whatever it did. */
class Undo extends Error {}

export class Points extends DurableObject {
  #sql;
  #writes = 0;

  constructor(ctx, env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    const types = COLUMNS.map((name) => `${name} ${name.startsWith("double") ? "REAL" : "TEXT"} NOT NULL`);
    // No dataset can have a name with a space.
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS "all points" (id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, timestamp TEXT NOT NULL, ${types.join(", ")})`,
    );
    this.#sql.exec('CREATE INDEX IF NOT EXISTS "by dataset" ON "all points" (dataset, timestamp)');
  }

  write(dataset, values) {
    const at = new Date().toISOString().slice(0, 19).replace("T", " ");
    this.#view(dataset);
    const marks = values.map(() => "?").join(", ");
    this.#sql.exec(`INSERT INTO "all points" (dataset, timestamp, ${COLUMNS.join(", ")}) VALUES (?, ?, ${marks})`, dataset, at, ...values);
    if (this.#writes++ % MARGIN === 0) this.#forget();
  }

  /** The dataset as queries name it. */
  #view(dataset) {
    this.#sql.exec(
      `CREATE VIEW IF NOT EXISTS "${dataset}" AS SELECT dataset, timestamp, 1 AS _sample_interval, ${COLUMNS.join(", ")} FROM "all points" WHERE dataset = '${dataset}'`,
    );
  }

  #forget() {
    this.#sql.exec('DELETE FROM "all points" WHERE id <= (SELECT max(id) FROM "all points") - ?', MAX_POINTS);
  }

  /** Names and rows, or what is wrong with the SQL. Nothing that it changes stays. */
  query(sql) {
    let answer;
    try {
      this.ctx.storage.transactionSync(() => {
        const cursor = this.#sql.exec(sql);
        const names = cursor.columnNames;
        const rows = [];
        let chars = 0;
        for (const row of cursor.raw()) {
          if (rows.length === MAX_ROWS) throw new Error(`More than ${MAX_ROWS} rows: add a LIMIT.`);
          const values = row.map(shown);
          for (const value of values) chars += String(value).length;
          if (chars > MAX_CHARS) throw new Error(`More than ${MAX_CHARS} characters: select fewer columns, or add a LIMIT.`);
          rows.push(values);
        }
        answer = { names, rows };
        throw new Undo();
      });
    } catch (error) {
      if (!(error instanceof Undo)) return { error: String(error.message).slice(0, 1_000) };
    }
    return answer;
  }
}
