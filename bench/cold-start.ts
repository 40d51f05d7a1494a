// A request that finds no process: accounts that were never asked, and accounts whose process was stopped as idle.
// After each of them a bare workerd starts, so that both meet the same machine.
import { awaitUntil } from "../test/fixtures/await-until.ts";
import { startInstallation, UNCAPPED, type Installation } from "../test/fixtures/installation.ts";
import { bareStartMs } from "./bare.ts";
import { askUntil, deployMany, openClient } from "./client.ts";
import { median, spread, type Group } from "./report.ts";

const ACCOUNTS = 20;
const ROUNDS = 3;

const allStopped = (installation: Installation): Promise<true> =>
  awaitUntil(() => installation.capsules().length === 0, { what: "idle processes are stopped", deadlineMs: 60_000, everyMs: 200 });

export const coldStart: Group = async (say) => {
  await using installation = await startInstallation({ ...UNCAPPED, MAYFLY_IDLE_SECONDS: "1" });
  using client = openClient(installation);
  const accounts = await deployMany(client, ACCOUNTS);
  await askUntil(installation, (await deployMany(client, 1))[0]?.host ?? "", "hello");
  const [ours, bare]: number[][] = [[], []];
  say(`${ACCOUNTS} accounts, ${ROUNDS} times each`);
  for (let round = 0; round < ROUNDS; round++) {
    await allStopped(installation);
    for (const { host } of accounts) {
      ours?.push((await askUntil(installation, host, "hello")).ms);
      bare?.push(await bareStartMs());
    }
  }
  if (!ours || !bare) return [];
  return [
    {
      name: "cold start → first response",
      unit: "ms",
      values: spread(ours),
      aim: { value: "p50", atMost: 50 },
      ratio: { peer: "bare", value: median(ours) / median(bare) },
    },
    { name: "… bare workerd start → first response", unit: "ms", values: spread(bare) },
  ];
};
