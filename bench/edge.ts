// What the front door costs: the same Worker asked through the edge and at a bare workerd's own TCP socket, in turns;
// and what a setting adds, by installations that have it and others that have not.
import { awaitUntil } from "../test/fixtures/await-until.ts";
import { freePort } from "../test/fixtures/free-port.ts";
import { edgeRequest, startInstallation, UNCAPPED } from "../test/fixtures/installation.ts";
import { serveBare } from "./bare.ts";
import { askUntil, deployMany, openClient } from "./client.ts";
import { loadTool, type Load, type Target } from "./load.ts";
import { cpuMs, descendants } from "./processes.ts";
import { median, type Group, type Row } from "./report.ts";

const CONNECTIONS = [1, 32] as const;
const ROUNDS = 4;
const SECONDS = 3;
/** What a request costs with everything that logs tell, with the edge's part alone, and with none. */
const LOGS = ["MAYFLY_LOGS=full", "MAYFLY_LOGS=requests", "MAYFLY_LOGS=off"];
const ADDED_AIM_MS = 0.1;
const SHARE_AIM = 0.65;

/** CPU time in microseconds a request. */
type Cost = { readonly host: number; readonly workerd: number; readonly bare: number };
type Round = { readonly edge: Load; readonly bare: Load; readonly cost: Cost };

/** An installation with one Worker that answers. */
type Front = { readonly label: string; readonly target: Target; spent(): { readonly host: number; readonly workerd: number } };

/** Medians over the rounds; ratios and differences are taken within a round, whose parts met the same machine. */
function rows(at: string, connections: number, taken: readonly Round[]): Row[] {
  const of = (read: (round: Round) => number): number => median(taken.map(read));
  const share = of(({ edge, bare }) => edge.perSecond / bare.perSecond);
  const addedMs = of(({ edge, bare }) => edge.p50Ms - bare.p50Ms);
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

async function openFront(stack: AsyncDisposableStack, setting: string): Promise<Front> {
  const [, name = "", value = ""] = /^([A-Z_]+)=(.*)$/.exec(setting) ?? [];
  const installation = stack.use(await startInstallation({ ...UNCAPPED, MAYFLY_LOG_LEVEL: "warn", [name]: value }));
  const client = stack.use(openClient(installation));
  const [account] = await deployMany(client, 1);
  const target = { port: installation.edgePort, host: account?.host ?? "" };
  await askUntil(installation, target.host, "hello");
  const host = installation.pidOf("host") ?? 0;
  const capsule = descendants(host);
  return {
    label: setting,
    target,
    spent: () => ({ host: cpuMs(host), workerd: capsule.reduce((sum, pid) => sum + cpuMs(pid), 0) }),
  };
}

/**
 * @param preferred which client makes the load
 * @param settings `NAME=VALUE` of the environment; an installation each, asked in turns; none: how logs are kept
 */
export const edge =
  (preferred: "node" | undefined, settings: readonly string[]): Group =>
  async (say) => {
    const tool = loadTool(preferred);
    await using stack = new AsyncDisposableStack();
    const fronts: Front[] = [];
    for (const setting of settings.length > 0 ? settings : LOGS) fronts.push(await openFront(stack, setting));
    const bare: Target = { port: await freePort(), host: "hello.example" };
    const bareProcess = stack.use(serveBare(bare.port));
    await awaitUntil(async () => (await edgeRequest(bare.port, bare.host, "/", {})).status === 200, { what: "bare workerd answers" });
    say(`${ROUNDS} rounds of ${SECONDS} s each way at ${CONNECTIONS.join(" and ")} connections, with ${tool.name}`);
    for (const target of [...fronts.map((front) => front.target), bare]) await tool.load(target, 32, 2);
    const result: Row[] = [];
    for (const connections of CONNECTIONS) {
      const taken = new Map<Front, Round[]>(fronts.map((front) => [front, []]));
      for (let round = 0; round < ROUNDS; round++) {
        const bareBefore = cpuMs(bareProcess.pid);
        const plain = await tool.load(bare, connections, SECONDS);
        const bareUs = ((cpuMs(bareProcess.pid) - bareBefore) * 1000) / plain.requests;
        for (const [front, rounds] of taken) {
          const before = front.spent();
          const load = await tool.load(front.target, connections, SECONDS);
          const after = front.spent();
          const each = (of: "host" | "workerd"): number => ((after[of] - before[of]) * 1000) / load.requests;
          rounds.push({ edge: load, bare: plain, cost: { host: each("host"), workerd: each("workerd"), bare: bareUs } });
        }
      }
      for (const [front, rounds] of taken) result.push(...rows(`${front.label}, c=${connections} (${tool.name})`, connections, rounds));
    }
    return result;
  };
