// What an agent waits for: the unmodified `wrangler deploy --temporary` as a whole, in a home of its own each time, beside
// `wrangler --version` in the same minute. The proof of work is next to nothing here; its time is under provisioning.
import { startInstallation } from "../test/fixtures/installation.ts";
import { startAgent, type Agent } from "../test/fixtures/wrangler.ts";
import { hello } from "./client.ts";
import { spread, type Group } from "./report.ts";

const ROUNDS = 10;
const AIM_MS = 500;

async function took({ wrangler }: Agent, args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  const { code, output } = await wrangler(args);
  if (code !== 0) throw new Error(`wrangler ${args.join(" ")}: ${output}`);
  return performance.now() - startedMs;
}

function write(agent: Agent, answer: string): void {
  agent.write("index.js", hello(answer));
  agent.write("wrangler.json", JSON.stringify({ name: "hello", main: "index.js", compatibility_date: "2026-01-01" }));
}

export const wrangler: Group = async (say) => {
  await using installation = await startInstallation();
  const [version, first, again]: [number[], number[], number[]] = [[], [], []];
  say(`${ROUNDS} agents deploy twice each`);
  for (let round = -1; round < ROUNDS; round++) {
    await using agent = await startAgent(installation.api);
    write(agent, "one");
    const alone = await took(agent, ["--version"]);
    const deployed = await took(agent, ["deploy", "--temporary"]);
    write(agent, "two");
    const deployedAgain = await took(agent, ["deploy", "--temporary"]);
    if (round < 0) continue;
    version.push(alone);
    first.push(deployed);
    again.push(deployedAgain);
  }
  const above = (whole: readonly number[]) => spread(whole.map((ms, round) => ms - (version[round] ?? 0)));
  return [
    {
      name: "wrangler deploy --temporary, above wrangler --version",
      unit: "ms",
      values: above(first),
      aim: { value: "p50", atMost: AIM_MS },
    },
    { name: "… a second deploy, above wrangler --version", unit: "ms", values: above(again) },
    { name: "… wrangler --version", unit: "ms", values: spread(version) },
  ];
};
