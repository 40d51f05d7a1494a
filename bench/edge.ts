// What the front door costs: the same Worker asked through the edge and at a bare workerd's own TCP socket, in turns.
import { awaitUntil } from "../test/fixtures/await-until.ts";
import { freePort } from "../test/fixtures/free-port.ts";
import { edgeRequest, startInstallation } from "../test/fixtures/installation.ts";
import { serveBare } from "./bare.ts";
import { askUntil, deployMany, openClient } from "./client.ts";
import { loadTool, type Load, type Target } from "./load.ts";
import { cpuMs, descendants } from "./processes.ts";
import { median, type Group, type Row } from "./report.ts";

const CONNECTIONS = [1, 32] as const;
const ROUNDS = 4;
const SECONDS = 3;
const ADDED_AIM_MS = 0.15;
const SHARE_AIM = 0.6;

/** CPU time in microseconds a request. */
type Cost = { readonly host: number; readonly workerd: number; readonly bare: number };
type Round = { readonly edge: Load; readonly bare: Load; readonly cost: Cost };

/** Medians over the rounds; ratios and differences are taken within a round, whose halves met the same machine. */
function rows(connections: number, taken: readonly Round[], tool: string): Row[] {
  const of = (read: (round: Round) => number): number => median(taken.map(read));
  const share = of(({ edge, bare }) => edge.perSecond / bare.perSecond);
  const addedMs = of(({ edge, bare }) => edge.p50Ms - bare.p50Ms);
  const at = `c=${connections} (${tool})`;
  return [
    {
      name: `edge, ${at}`,
      unit: "req/s",
      values: { edge: of(({ edge }) => edge.perSecond), bare: of(({ bare }) => bare.perSecond), share },
      ...(connections > 1 && { aim: { value: "share", atLeast: SHARE_AIM } }),
      ratio: { peer: "bare", value: share },
    },
    {
      name: `… p50, ${at}`,
      unit: "ms",
      values: { edge: of(({ edge }) => edge.p50Ms), bare: of(({ bare }) => bare.p50Ms), added: addedMs },
      ...(connections === 1 && { aim: { value: "added", atMost: ADDED_AIM_MS } }),
    },
    {
      name: `… CPU a request, ${at}`,
      unit: "µs CPU",
      values: { host: of(({ cost }) => cost.host), workerd: of(({ cost }) => cost.workerd), bare: of(({ cost }) => cost.bare) },
    },
  ];
}

/** @param preferred which client makes the load */
export const edge =
  (preferred?: "node"): Group =>
  async (say) => {
    const tool = loadTool(preferred);
    await using installation = await startInstallation({ MAYFLY_LOG_LEVEL: "warn" });
    using client = openClient(installation);
    const [account] = await deployMany(client, 1);
    const port = await freePort();
    await using bareProcess = serveBare(port);
    await awaitUntil(async () => (await edgeRequest(port, "hello.example", "/", {})).status === 200, { what: "bare workerd answers" });
    await askUntil(installation, account?.host ?? "", "hello");
    const targets: { edge: Target; bare: Target } = {
      edge: { port: installation.edgePort, host: account?.host ?? "" },
      bare: { port, host: "hello.example" },
    };
    say(`${ROUNDS} rounds of ${SECONDS} s each way at ${CONNECTIONS.join(" and ")} connections, with ${tool.name}`);
    for (const target of Object.values(targets)) await tool.load(target, 32, 2);
    const host = installation.pidOf("host") ?? 0;
    const capsule = descendants(host);
    const spent = () => ({ host: cpuMs(host), workerd: capsule.reduce((sum, pid) => sum + cpuMs(pid), 0), bare: cpuMs(bareProcess.pid) });
    const result: Row[] = [];
    for (const connections of CONNECTIONS) {
      const taken: Round[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const before = spent();
        const edge = await tool.load(targets.edge, connections, SECONDS);
        const bare = await tool.load(targets.bare, connections, SECONDS);
        const after = spent();
        const each = (of: keyof Cost, { requests }: Load): number => ((after[of] - before[of]) * 1000) / requests;
        taken.push({ edge, bare, cost: { host: each("host", edge), workerd: each("workerd", edge), bare: each("bare", bare) } });
      }
      result.push(...rows(connections, taken, tool.name));
    }
    return result;
  };
