// Ours around workerd's own D1, in front of the account's databases: each stays below its cap, every statement says how
// long it took, and control asks through an entrypoint that no tenant is bound to. A call stays one transaction.
import bundled, { D1Database as BundledDatabase } from "./bundled.js";
import { WorkerEntrypoint } from "cloudflare:workers";
import { statementsOf } from "./d1-statements.js";
import { giveWay } from "./give-way.js";

/** The hosted original's words; the binding sets `D1_ERROR: ` before them. */
const FULL = "Exceeded maximum DB size";
/** What the bundled module throws for a text of comments alone. */
const EMPTY = "No SQL statements detected.";

export class D1Database extends BundledDatabase {
  async run(queries, bookmarked) {
    await giveWay(this.ctx);
    return this.ctx.storage.transactionSync(() => {
      const answers = queries.flatMap((query) => this.one(query, bookmarked));
      if (answers.length === 0) throw new Error(EMPTY);
      return { results: answers.flatMap(({ results }) => results), bookmark: answers.at(-1).bookmark };
    });
  }

  /** One text, in the caller's transaction; of comments alone it answers nothing. */
  one(query, bookmarked) {
    const { sql } = this.ctx.storage;
    const before = sql.databaseSize;
    const startedAt = Date.now();
    let answer;
    try {
      answer = super.run([query], bookmarked);
    } catch (error) {
      if (error.message === EMPTY) return [];
      throw error;
    }
    const ms = Date.now() - startedAt;
    // A full database still takes what makes it no larger.
    if (sql.databaseSize > this.env.MAX_BYTES && sql.databaseSize > before) throw new Error(FULL);
    for (const { meta } of answer.results) {
      meta.duration = ms;
      meta.timings = { sql_duration_ms: ms };
    }
    return [answer];
  }

  /** The bundled module builds the whole text in memory, many times the database's size. */
  dump() {
    throw new Error("not authorized: SQLITE_AUTH");
  }

  sizes() {
    const { sql } = this.ctx.storage;
    const [{ tables }] = sql
      .exec("SELECT count(*) AS tables FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_cf_*'")
      .toArray();
    return { bytes: sql.databaseSize, tables };
  }
}

const objects = (columns, rows) => rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));

const refusal = (error, status) => Response.json({ error }, { status });

/** What control asks of the database that the props name; a text of several statements has an answer for each. */
export class Control extends WorkerEntrypoint {
  async fetch(request) {
    const database = this.env.DATABASE.get(this.env.DATABASE.idFromName(this.ctx.props.database));
    const { pathname } = new URL(request.url);
    if (pathname === "/sizes") return Response.json(await database.sizes());
    const queries = [];
    for (const { sql, params } of await request.json()) {
      const statements = statementsOf(sql);
      if (statements.length > 1 && params.length > 0)
        return refusal(`params: ${params.length} for a text of ${statements.length} statements`, 400);
      for (const statement of statements) queries.push({ sql: statement, params });
    }
    let answer;
    try {
      answer = await database.run(queries, false);
    } catch (error) {
      return refusal(String(error.message ?? error), 422);
    }
    const raw = pathname === "/raw";
    return Response.json(
      answer.results.map(({ columns, rows, meta }) => ({
        results: raw ? { columns, rows } : objects(columns, rows),
        success: true,
        meta,
      })),
    );
  }
}

export default bundled;
