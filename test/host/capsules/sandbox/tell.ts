// A host of its own process, for tests that end one: builds a sandbox, starts capsules, prints what it did as one JSON line
// and waits for the end of standard input.
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Rung } from "../../../../src/host/contract.ts";
import { workerdBinary } from "../../../../src/host/capsules/sandbox/binary.ts";
import { createSandbox } from "../../../../src/host/capsules/sandbox/sandbox.ts";
import { createLog } from "../../../../src/kernel/log.ts";
import { IS_ROOT, ownUsers, run } from "./site.ts";

/** The line. */
export type Told = { readonly rung: Rung; readonly missing: readonly string[]; readonly pids: readonly number[]; readonly answer: string };

const [rung = "auto", runDirectory = "", accountsDirectory = "", count = "1"] = process.argv.slice(2);
const sandbox = await createSandbox({
  runDirectory,
  accountsDirectory,
  workerd: workerdBinary(),
  rung: rung as "auto" | Rung,
  log: createLog("tell", "silent"),
});
const pids: number[] = [];
let answer = "";
for (let i = 0; i < Number(count); i++) {
  const uid = 310_000 + i;
  const directory = join(accountsDirectory, `t${i}`);
  const socketDirectory = join(runDirectory, `t${i}`);
  for (const path of [directory, join(directory, "assets"), join(directory, "state"), socketDirectory]) mkdirSync(path, { mode: 0o750 });
  if (IS_ROOT && ownUsers(sandbox.rung)) {
    for (const path of [directory, join(directory, "assets")]) chownSync(path, 0, uid);
    for (const path of [join(directory, "state"), socketDirectory]) chownSync(path, uid, uid);
  }
  const running = await run(sandbox, { uid, directory, socketDirectory });
  pids.push(running.process.pid);
  answer = await running.ask();
}
const told: Told = { rung: sandbox.rung, missing: sandbox.missing, pids, answer };
process.stdout.write(`${JSON.stringify(told)}\n`);
for await (const _ of process.stdin);
await sandbox[Symbol.asyncDispose]();
