// `npm test [-- PATH… --fail-on-skip]`: every test file in a process of its own, two at a time, none longer than its time limit.
// Says what failed and why, then each skipped test with its reason; the last line is `N passed, N failed, N skipped`.
import { existsSync, globSync } from "node:fs";
import { delimiter, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { run } from "node:test";

const ROOT = join(import.meta.dirname, "..");
const FILES_AT_ONCE = 2;
const FILE_LIMIT_MS = 480_000;
/** Folders whose files take longest start first, so that the end is not spent waiting for one of them. */
const LONGEST_FIRST = ["test/faults/", "test/hostile/", "test/clients/", "test/browser/", "test/faithful/"];
/** The one reason that a machine with every package installed may give. */
const EXCUSED = /\.\.\/shared/;

type Skip = { readonly test: string; readonly reason: string };
type Failure = { readonly test: string; readonly report: string };
type Outcome = {
  readonly file: string;
  readonly passed: number;
  readonly failures: Failure[];
  readonly skips: Skip[];
  readonly lines: string[];
};

/** Test files, longest first, below one of `prefixes`; all of them where there are none. */
function testFiles(prefixes: readonly string[]): string[] {
  const wanted = prefixes.map((prefix) => relative(ROOT, join(process.cwd(), prefix)));
  const rank = (file: string): number => LONGEST_FIRST.findIndex((folder) => file.startsWith(folder)) >>> 0;
  return globSync("test/**/*.test.ts", { cwd: ROOT })
    .filter((file) => wanted.length === 0 || wanted.some((prefix) => file.startsWith(prefix)))
    .toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** The assertion with its place, without the runner's own wrapping and frames. */
function describeError(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  const further = cause instanceof Error && cause.cause !== undefined ? `\ncaused by ${describeError(cause.cause)}` : "";
  return text.replaceAll(/\n\s+at (async )?[^\n]*node:internal[^\n]*/g, "").replaceAll(`file://${ROOT}/`, "") + further;
}

/** Runs one file in its own process, which is ended at the time limit: `timeout` of node:test would leave a leaked handle running. */
async function runFile(file: string): Promise<Outcome> {
  const outcome: Outcome & { passed: number } = { file, passed: 0, failures: [], skips: [], lines: [] };
  const output: string[] = [];
  const path: string[] = [];
  const limit = AbortSignal.timeout(FILE_LIMIT_MS);
  for await (const event of run({ files: [join(ROOT, file)], isolation: "process", concurrency: 1, cwd: ROOT, signal: limit })) {
    if (event.type === "test:stdout" || event.type === "test:stderr") output.push(event.data.message);
    if (event.type === "test:start") path.splice(event.data.nesting, Infinity, event.data.name);
    if (event.type !== "test:pass" && event.type !== "test:fail") continue;
    const { data } = event;
    const reason = data.skip === undefined || data.skip === false ? undefined : String(data.skip === true ? "no reason given" : data.skip);
    const isGroup = data.details.type === "suite" || ("error" in data.details && failureType(data.details.error) === "subtestsFailed");
    if (isGroup && reason === undefined && !(event.type === "test:fail" && failureType(event.data.details.error) !== "subtestsFailed"))
      continue;
    const name = [...path.slice(0, data.nesting), data.name].join(" › ").replace(`${ROOT}/`, "");
    if (event.type === "test:fail" && !data.todo) {
      const why = limit.aborted ? `It did not end within ${FILE_LIMIT_MS / 1000} s: something it started is still running.` : "";
      outcome.failures.push({ test: name, report: why || describeError(event.data.details.error) });
      outcome.lines.push(`  ✗ ${name}`);
    } else if (reason !== undefined) {
      outcome.skips.push({ test: name, reason });
      outcome.lines.push(`  - ${name} (skipped: ${reason})`);
    } else if (name === file) {
      // node:test reports a file without tests as one that passed.
      outcome.failures.push({ test: name, report: "It holds no test." });
    } else {
      outcome.passed += 1;
      outcome.lines.push(`  ✓ ${name} (${Math.round(data.details.duration_ms)} ms)`);
    }
  }
  if (outcome.failures.length > 0 && output.length > 0) outcome.lines.push("  what it printed:", ...output.join("").trimEnd().split("\n"));
  return outcome;
}

function failureType(error: unknown): unknown {
  return error instanceof Error && "failureType" in error ? error.failureType : undefined;
}

/** Runs all files, FILES_AT_ONCE at a time, and prints each one's lines when it is done. */
async function runAll(files: readonly string[]): Promise<Outcome[]> {
  const waiting = [...files];
  const outcomes: Outcome[] = [];
  const lane = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const startedAt = performance.now();
      const outcome = await runFile(file);
      outcomes.push(outcome);
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      console.log([`${file} (${seconds} s)`, ...outcome.lines].join("\n"));
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, lane));
  return outcomes;
}

const { values, positionals } = parseArgs({ options: { "fail-on-skip": { type: "boolean", default: false } }, allowPositionals: true });
// Tests start programs by name, as npm scripts would: the bundled Node before the machine's.
process.env["PATH"] = [join(ROOT, "node_modules/.bin"), process.env["PATH"]].join(delimiter);
const files = testFiles(positionals);
if (files.length === 0) {
  console.error(`No test file lies under ${positionals.filter((path) => !existsSync(path)).join(", ") || "test/"}.`);
  process.exit(2);
}
const outcomes = await runAll(files);
const failures = outcomes.flatMap((outcome) => outcome.failures.map((failure) => ({ ...failure, file: outcome.file })));
const skips = outcomes.flatMap((outcome) => outcome.skips.map((skip) => ({ ...skip, file: outcome.file })));
const refused = values["fail-on-skip"] ? skips.filter((skip) => !EXCUSED.test(skip.reason)) : [];

for (const { file, test, report } of failures) console.log(`\nFAILED ${file}: ${test}\n${report}`);
if (skips.length > 0) console.log("\nSkipped:");
for (const { file, test, reason } of skips) console.log(`  ${file}: ${test}: ${reason}`);
if (refused.length > 0) console.log(`\n${refused.length} of these skips count as failures here (--fail-on-skip).`);
const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
console.log(`\n${passed} passed, ${failures.length + refused.length} failed, ${skips.length - refused.length} skipped`);
process.exitCode = failures.length + refused.length > 0 ? 1 : 0;
