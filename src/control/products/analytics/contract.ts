// The wire of Analytics Engine: a dataset's name in a binding, SQL in a query, rows in the hosted original's JSON.
import { z } from "zod";
import type { Fields } from "../product.ts";

const DATASET = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

export const datasetFields = z.object({
  dataset: z.string().regex(DATASET, "is not the name of a dataset: a letter, then up to 63 letters, digits and underscores"),
}) satisfies z.ZodType<Fields>;

/** What the process answers to a query. */
export const queryAnswer = z.union([
  z.object({ names: z.array(z.string()).max(2_000), rows: z.array(z.array(z.union([z.string(), z.number(), z.null()]))) }),
  z.object({ error: z.string().max(2_000) }),
]);
export type QueryAnswer = z.infer<typeof queryAnswer>;

const INTERVAL = /\bNOW\(\)(?:\s*([-+])\s*INTERVAL\s*'?(\d+)'?\s*(SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|YEAR)S?)?/gi;

/** Without `FORMAT JSON` and a semicolon. No expression looks for white space from each place of a long run of it. */
function withoutEnding(sql: string): string {
  const text = sql.trimEnd().replace(/;$/, "").trimEnd();
  const before = text.replace(/\bFORMAT\s+JSON$/i, "");
  return before.trimEnd() === before ? text : before.trimEnd();
}

/**
 * The few words of the hosted original's dialect that every example uses, in SQLite's: NOW(), with or without an interval,
 * and toDateTime(…). Everything else is SQLite's own.
 */
export function toSqlite(sql: string): string {
  return withoutEnding(sql)
    .replaceAll(INTERVAL, (_, sign: string | undefined, count: string, unit: string) => {
      if (sign === undefined) return "datetime('now')";
      const week = unit.toUpperCase() === "WEEK";
      return `datetime('now', '${sign}${week ? Number(count) * 7 : count} ${week ? "day" : unit.toLowerCase()}')`;
    })
    .replaceAll(/\btoDateTime\(/gi, "datetime(");
}

/** The type of a column as the hosted original names it. */
function typeOf(rows: readonly (readonly unknown[])[], column: number): string {
  const value = rows.find((row) => row[column] !== null)?.[column];
  return typeof value === "number" ? "Float64" : "String";
}

export function rowsOnWire({ names, rows }: Extract<QueryAnswer, { names: string[] }>) {
  return {
    meta: names.map((name, column) => ({ name, type: typeOf(rows, column) })),
    data: rows.map((row) => Object.fromEntries(names.map((name, column) => [name, row[column]]))),
    rows: rows.length,
    rows_before_limit_at_least: rows.length,
  };
}
