// `npm run fuzz [-- --inputs 100000 --seed N --from N --only recordings,edge --at-once 8]`: bad input of every kind against one
// running installation. The same seed and number give the same input. Exits with 1 when an answer was not as it must be.
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { fuzz, type Report, type Weight } from "./campaign.ts";
import { KINDS, type Kind } from "./input.ts";
import { shrink } from "./shrink.ts";

const MIB = 1_048_576;
/** Live objects that stay for good reasons: metrics by route, compiled code, caches with a bound. */
const HEAP_MAY_GROW_BYTES = 24 * MIB;

const { values } = parseArgs({
  options: {
    inputs: { type: "string", default: "100000" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    from: { type: "string", default: "0" },
    only: { type: "string", default: KINDS.join(",") },
    "at-once": { type: "string", default: "8" },
    "rest-seconds": { type: "string", default: "90" },
  },
});

const mib = (weight: Weight | undefined): string =>
  weight === undefined ? "?" : `control ${Math.round(weight.control / MIB)}, host ${Math.round(weight.host / MIB)}`;

function tell({ sent, seconds, kinds, failures, transients, rss, heap, descriptors, logged }: Report): void {
  console.log(`\n${sent} inputs in ${Math.round(seconds)} s, ${Math.round(sent / seconds)} a second, ${failures.length} failed`);
  for (const [kind, { count, statuses, slowestMs, slowest }] of kinds) {
    const told = [...statuses].toSorted(([a], [b]) => a - b).map(([status, times]) => `${status === 0 ? "closed" : status} ${times}`);
    console.log(
      `${kind.padEnd(11)} ${String(count).padStart(7)}  ${told.join(", ")}\n${" ".repeat(21)}slowest ${Math.round(slowestMs)} ms: ${slowest.slice(0, 120)}`,
    );
  }
  const along = [0, 0.25, 0.5, 0.75].map((share) => mib(rss[Math.floor(share * (rss.length - 1))]));
  console.log(`resident MiB: ${[...along, mib(rss.at(-1))].join(" → ")}`);
  console.log(`live MiB after a collection: ${heap.map(mib).join(" → ")}`);
  console.log(`descriptors: ${descriptors.map(({ control, host }) => `control ${control}, host ${host}`).join(" → ")}`);
  for (const told of transients) console.log(`went well at the second try: ${told}`);
  const words = Map.groupBy(logged, (line) => /"msg":"([^"]*)"/.exec(line)?.[1] ?? line.slice(0, 120));
  for (const [told, lines] of words) console.log(`logged as an error ${lines.length} times: ${told}\n  ${(lines[0] ?? "").slice(0, 1500)}`);
}

function grown(heap: readonly Weight[]): string[] {
  // The first is of a process that has compiled little of its code yet: some ten MiB by the next.
  const [before, after] = [heap.at(1), heap.at(-1)];
  if (before === undefined || after === undefined) return [];
  return (["control", "host"] as const).filter((wing) => after[wing] - before[wing] > HEAP_MAY_GROW_BYTES);
}

const seed = Number(values.seed);
const only = values.only.split(",") as Kind[];
const strange = only.filter((kind) => !KINDS.includes(kind));
if (strange.length > 0) throw new Error(`There is no kind ${strange.join(", ")}; there are ${KINDS.join(", ")}.`);
console.log(`seed ${seed}`);
const options = {
  seed,
  from: Number(values.from),
  inputs: Number(values.inputs),
  only,
  atOnce: Number(values["at-once"]),
  restMs: Number(values["rest-seconds"]) * 1000,
  say: console.log,
};
const report = await fuzz(options, async (scene, { failures }) => {
  const small = [];
  for (const failure of failures.slice(0, 10)) small.push({ ...failure, shrunk: await shrink(scene, failure, options) });
  if (small.length === 0) return;
  const folder = new URL("../.artifacts/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`fuzz-${seed}.json`, folder), JSON.stringify([...small, ...failures.slice(10)], null, 1));
  writeFileSync(new URL(`fuzz-${seed}.log`, folder), scene.installation.output());
  for (const { problem, shrunk } of small) console.log(`\n${problem}, made smaller:\n${shrunk}`);
});
tell(report);
const leaks = grown(report.heap);
if (leaks.length > 0) console.log(`FAILED: live memory of ${leaks.join(" and ")} grew by more than ${HEAP_MAY_GROW_BYTES / MIB} MiB.`);
process.exitCode = report.failures.length + leaks.length > 0 ? 1 : 0;
