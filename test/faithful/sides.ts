// The two sides of the comparison: what a case answers on each, and the files that both run.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ask } from "./ask.ts";

export type Product = "kv" | "d1" | "objects";

/** A case's answer as the Worker told it. */
export type Answer = { readonly value: unknown } | { readonly error: Readonly<Record<string, unknown>> };

export type Side = {
  /** Where a Worker is reached, by name: a port of this machine and the Host header. */
  placeOf(worker: string): Place;
};

export type Place = { readonly port: number; readonly host: string };

export type AskOptions = { readonly method?: string; readonly headers?: Readonly<Record<string, string>> };

export type SideAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
};

export const WORKER = "faithful";
export const COMPATIBILITY_DATE = "2026-06-01";
export const KV_BINDINGS = ["KV", "KV2"];
export const D1_BINDINGS = ["DB", "DB2"];

/** Binding → class; Notes alone keeps keys without SQL. */
export const OBJECTS = { CHAMBER: "Chamber", NOTES: "Notes", LEDGER: "Ledger", BELL: "Bell", LOBBY: "Lobby" } as const;
export const KEY_VALUE_CLASSES: readonly string[] = ["Notes"];

const DIRECTORY = join(import.meta.dirname, "worker");

/** The Worker's files, the first the main module. */
export function workerFiles(): { readonly path: string; readonly contents: string }[] {
  const paths = globSync("**/*.js", { cwd: DIRECTORY }).toSorted((a, b) => Number(b === "index.js") - Number(a === "index.js"));
  return paths.map((path) => ({ path, contents: readFileSync(join(DIRECTORY, path), "utf8") }));
}

/** Names of all cases, by product. */
export async function casesOf(side: Side): Promise<Record<Product, string[]>> {
  return JSON.parse((await ask(side, WORKER, "/cases")).body.toString()) as Record<Product, string[]>;
}

/** Cases of one database or namespace run one after the other, objects at once: each has its own. */
const AT_ONCE: Readonly<Record<Product, number>> = { kv: 1, d1: 1, objects: 12 };

/** @param run a mark of fixed length, new for each run on a side @returns answers by case */
export async function answersOf(side: Side, product: Product, names: readonly string[], run: string): Promise<Map<string, Answer>> {
  const waiting = [...names];
  const answers = new Map<string, Answer>();
  const lane = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const { status, body } = await ask(side, WORKER, `/run/${product}/${name}?run=${run}`);
      if (status !== 200) throw new Error(`${product}/${name}: ${status} ${body.toString().slice(0, 2000)}`);
      answers.set(name, JSON.parse(body.toString()) as Answer);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE[product] }, lane));
  return answers;
}
