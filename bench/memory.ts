// Memory of fifty hot accounts: their processes with the wrappers around them, and what the two wings take meanwhile.
import { startInstallation, UNCAPPED } from "../test/fixtures/installation.ts";
import { askUntil, deployMany, openClient } from "./client.ts";
import { descendants, pssMiB, rssMiB } from "./processes.ts";
import type { Group } from "./report.ts";

const ACCOUNTS = 50;

export const memory: Group = async (say) => {
  await using installation = await startInstallation({ ...UNCAPPED, MAYFLY_IDLE_SECONDS: "600" });
  using client = openClient(installation);
  say(`${ACCOUNTS} hot accounts`);
  for (const { host } of await deployMany(client, ACCOUNTS)) await askUntil(installation, host, "hello");
  const [host, control] = [installation.pidOf("host"), installation.pidOf("control")];
  if (host === undefined || control === undefined) throw new Error("A wing is not there.");
  const all = descendants(host).reduce((sum, pid) => sum + pssMiB(pid), 0);
  return [
    {
      name: `PSS per hot account, wrapper included`,
      unit: "MiB",
      values: { mean: all / ACCOUNTS, accounts: ACCOUNTS },
      aim: { value: "mean", atMost: 20 },
    },
    { name: "… RSS of the wings beside them", unit: "MiB", values: { host: rssMiB(host), control: rssMiB(control) } },
  ];
};
