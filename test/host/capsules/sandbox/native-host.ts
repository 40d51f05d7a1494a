// A host of its own process, root's or an ordinary user's, that launches a native program in workerd's place on one rung:
// a line of JSON in for each launch, a line of JSON out with how it ended.
import { createInterface } from "node:readline";
import type { LaunchRequest, Rung } from "../../../../src/host/contract.ts";
import { sweepGroups } from "../../../../src/host/capsules/sandbox/cgroups.ts";
import { prepare } from "../../../../src/host/capsules/sandbox/forms.ts";
import { launcher } from "../../../../src/host/capsules/sandbox/launch.ts";
import { unstage } from "../../../../src/host/capsules/sandbox/mounts.ts";

/** What a line in holds. */
export type Asked = Pick<LaunchRequest, "uid" | "directory" | "socketDirectory" | "args" | "limits">;

const [rung = "none", runDirectory = "", accountsDirectory = "", workerd = ""] = process.argv.slice(2);
const form = await prepare(rung as Rung, { runDirectory, accountsDirectory, workerd }, true);
const launch = launcher(form, () => {});
const tell = (told: unknown): void => void process.stdout.write(`${JSON.stringify(told)}\n`);
tell({ controllers: [...form.groups.controllers] });
for await (const line of createInterface({ input: process.stdin })) {
  const launched = await launch({ ...(JSON.parse(line) as Asked), stdin: new Uint8Array(), collectStdout: true });
  const exit = await launched.exited;
  tell({ out: launched.stdout() + launched.stderr(), ...exit });
}
await unstage(runDirectory);
await sweepGroups(form.groups.directories, true);
