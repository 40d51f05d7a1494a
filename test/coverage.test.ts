// The tests check themselves: what the closed tables list must be provoked by some test.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ERRORS } from "../src/kernel/errors.ts";

const files = globSync("**/*.test.ts", { cwd: import.meta.dirname }).filter((file) => file !== "coverage.test.ts");
const tests = files.map((file) => readFileSync(join(import.meta.dirname, file), "utf8")).join("\n");

/** A code that is an English word counts only in quotes or as the table's key. */
const mentions = (code: string): boolean =>
  code.includes("_") ? new RegExp(`\\b${code}\\b`).test(tests) : new RegExp(`["'\`]${code}["'\`]|ERRORS\\.${code}\\b`).test(tests);

test("a number of our own stands for one error code", () => {
  const own = Object.entries(ERRORS).filter(([, { number }]) => number >= 71_000 && number < 72_000);
  const shared = [...Map.groupBy(own, ([, { number }]) => number)].filter(([, rows]) => rows.length > 1);
  assert.ok(own.length > 20);
  assert.deepEqual(
    shared.map(([number, rows]) => `${number}: ${rows.map(([code]) => code).join(", ")}`),
    [],
  );
});

test("every error code is provoked by a test", () => {
  const missing = Object.keys(ERRORS).filter((code) => !mentions(code));
  assert.deepEqual(missing, [], `No test names ${missing.join(", ")}.`);
});
