// What a figure is, how a table of figures looks and where it is kept. A figure that misses its aim says so; nothing fails.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

export type Row = {
  readonly name: string;
  readonly unit: "ms" | "ms CPU" | "µs CPU" | "req/s" | "op/s" | "hash/s" | "MiB" | "open" | "bytes" | "ratio";
  readonly values: Readonly<Record<string, number>>;
  /** Which of the values is held against a limit, and whether it must stay under or over it. */
  readonly aim?: { readonly value: string; readonly atMost?: number; readonly atLeast?: number };
  /** This figure divided by the same one of a peer that ran beside it. */
  readonly ratio?: { readonly peer: string; readonly value: number };
};

/** A named part of the benchmark. Says what it is doing with `say`, and gives its rows. */
export type Group = (say: (line: string) => void) => Promise<Row[]>;

/** The value below which `share` (0 to 1) of the samples lie, by nearest rank. @throws Error without samples */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (found === undefined) throw new Error("There are no samples.");
  return found;
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

/** The values that a row of durations has. */
export const spread = (samples: readonly number[]) => ({ p50: median(samples), p99: quantile(samples, 0.99), n: samples.length });

/** Whether the row misses its aim; null when it has none. */
export function missed({ aim, values }: Row): boolean | null {
  const value = aim && values[aim.value];
  if (!aim || value === undefined) return null;
  return value > (aim.atMost ?? Infinity) || value < (aim.atLeast ?? -Infinity);
}

function number(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return String(Math.round(value));
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

function cells(row: Row): string[] {
  const { aim, ratio } = row;
  const verdict = missed(row);
  return [
    row.name,
    Object.entries(row.values)
      .map(([name, value]) => `${name} ${number(value)}`)
      .join("  "),
    row.unit,
    aim ? `${aim.value} ${aim.atMost === undefined ? `≥ ${aim.atLeast}` : `≤ ${aim.atMost}`}` : "",
    verdict === null ? "" : verdict ? "missed" : "met",
    ratio ? `${number(ratio.value)} × ${ratio.peer}` : "",
  ];
}

/** Rows as columns of text. */
export function table(rows: readonly Row[]): string {
  const lines = [["", "", "unit", "aim", "", "beside"], ...rows.map(cells)];
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export type Machine = ReturnType<typeof machine>;

/** What the figures were taken on. */
export const machine = () => ({
  cpus: cpus().length,
  model: cpus()[0]?.model ?? "unknown",
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  /** Of the last minute, the benchmark's own beginning included. */
  load: loadavg()[0] ?? 0,
});

/** Writes the figures as JSON beside this file and answers the path. */
export function save(rows: readonly Row[], on: Machine): string {
  const directory = fileURLToPath(new URL("results/", import.meta.url));
  mkdirSync(directory, { recursive: true });
  const at = new Date().toISOString();
  const path = `${directory}${at.slice(0, 19).replaceAll(":", "-")}Z.json`;
  const judged = rows.map((row) => ({ ...row, missed: missed(row) }));
  writeFileSync(path, `${JSON.stringify({ at, machine: on, rows: judged }, null, 2)}\n`);
  return path;
}
