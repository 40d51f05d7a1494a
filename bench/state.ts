// What state costs: one Worker that does an operation a request, behind the edge and on Miniflare, asked in turns; and a
// hundred operations in one request, which leaves out whatever stands before the Worker. Logs are kept as by default.
import { readFile } from "node:fs/promises";
import { edgeRequest, startInstallation, UNCAPPED } from "../test/fixtures/installation.ts";
import { temporaryDirectory } from "../test/fixtures/temporary-directory.ts";
import { tenantAt } from "../test/fixtures/tenant.ts";
import { loadTool, type Load, type Target } from "./load.ts";
import { startMiniflare, type Deployed } from "./miniflare.ts";
import { cpuMs, descendants } from "./processes.ts";
import { median, type Group, type Row } from "./report.ts";

const WORKER = new URL("state-worker.js", import.meta.url);
const OPERATIONS = {
  "kv-get": "KV get",
  "kv-put": "KV put",
  "d1-query": "D1 point query",
  "d1-insert": "D1 insert",
  "object-call": "object call",
};
const FILE = "file.txt";
const IN_A_ROW = 100;
const ROUNDS = 4;
const SECONDS = 1;
const CONNECTIONS = 32;

type Settings = Readonly<Record<string, string>>;
type Side = { readonly target: Target; readonly pids: { readonly front: readonly number[]; readonly workers: readonly number[] } };
/** Of one round; CPU in microseconds an operation. */
type Taken = { readonly load: Load; readonly frontUs: number; readonly workersUs: number };
type Round = { readonly mayfly: Taken; readonly miniflare: Taken };
type Cell = { readonly name: string; readonly path: string; readonly connections: number; readonly operations: number };

const CELLS: readonly Cell[] = [
  ...Object.entries(OPERATIONS).flatMap(([path, name]) => [
    { name: `${name}, c=1`, path: `/${path}/1`, connections: 1, operations: 1 },
    { name: `${name}, c=${CONNECTIONS}`, path: `/${path}/1`, connections: CONNECTIONS, operations: 1 },
    { name: `${name}, ${IN_A_ROW} a request`, path: `/${path}/${IN_A_ROW}`, connections: 1, operations: IN_A_ROW },
  ]),
  { name: "static asset, c=1", path: `/${FILE}`, connections: 1, operations: 1 },
  { name: `static asset, c=${CONNECTIONS}`, path: `/${FILE}`, connections: CONNECTIONS, operations: 1 },
];

async function openMayfly(stack: AsyncDisposableStack, settings: Settings, { code, compatibilityDate, files }: Deployed): Promise<Side> {
  const installation = stack.use(await startInstallation({ ...UNCAPPED, MAYFLY_LOG_LEVEL: "warn", ...settings }));
  const tenant = await tenantAt(installation);
  const post = async <T>(path: string, body: unknown): Promise<T> => {
    const { status, message, result } = await tenant.call<T>("POST", `/accounts/${tenant.id}${path}`, JSON.stringify(body));
    if (status >= 300) throw new Error(`${path}: ${status} ${message}`);
    return result;
  };
  const namespace = await post<{ id: string }>("/storage/kv/namespaces", { title: "bench" });
  const database = await post<{ uuid: string }>("/d1/database", { name: "bench" });
  const jwt = await tenant.uploadAssets("state", Object.fromEntries(Object.entries(files).map(([name, content]) => [`/${name}`, content])));
  await tenant.deploy("state", code, {
    metadata: {
      compatibility_date: compatibilityDate,
      assets: { jwt, config: {} },
      migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Box"] }] },
      bindings: [
        { type: "kv_namespace", name: "KV", namespace_id: namespace.id },
        { type: "d1", name: "DB", id: database.uuid },
        { type: "durable_object_namespace", name: "BOX", class_name: "Box" },
      ],
    },
  });
  const host = installation.pidOf("host") ?? 0;
  const target = { port: installation.edgePort, host: tenant.host("state") };
  await seed(target);
  return { target, pids: { front: [host], workers: descendants(host) } };
}

async function seed({ port, host }: Target): Promise<void> {
  const { status, body } = await edgeRequest(port, host, "/seed", {});
  if (status !== 200 || body !== "seeded") throw new Error(`${host} could not be seeded: ${status} ${body}`);
}

async function openMiniflare(stack: AsyncDisposableStack, deployed: Deployed): Promise<Side> {
  const directory = stack.use(await temporaryDirectory("miniflare"));
  const { target, pids } = stack.use(await startMiniflare(directory.path, deployed));
  await seed(target);
  return { target, pids: { front: [], workers: pids } };
}

/** Requests one after another, for at least so long that one of them is whole. */
async function series({ port, host, path = "/" }: Target): Promise<Load> {
  const times: number[] = [];
  const startedMs = performance.now();
  let atMs = startedMs;
  while (atMs - startedMs < SECONDS * 1000) {
    const { status, body } = await edgeRequest(port, host, path, {});
    if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
    const nowMs = performance.now();
    times.push(nowMs - atMs);
    atMs = nowMs;
  }
  return { requests: times.length, perSecond: (times.length * 1000) / (atMs - startedMs), p50Ms: median(times) };
}

/** Medians over the rounds; the ratio is taken within a round, whose parts met the same machine. */
function rows({ name, connections, operations }: Cell, taken: readonly Round[]): Row[] {
  const of = (read: (round: Round) => number): number => median(taken.map(read));
  const aim = { value: "ratio", atLeast: 1 };
  const rate = (side: "mayfly" | "miniflare"): number => of((round) => round[side].load.perSecond * operations);
  const measured: Row =
    connections === 1 && operations === 1
      ? {
          name: `${name}, p50`,
          unit: "ms",
          values: {
            mayfly: of(({ mayfly }) => mayfly.load.p50Ms),
            miniflare: of(({ miniflare }) => miniflare.load.p50Ms),
            ratio: of(({ mayfly, miniflare }) => miniflare.load.p50Ms / mayfly.load.p50Ms),
          },
          aim,
        }
      : {
          name,
          unit: "op/s",
          values: {
            mayfly: rate("mayfly"),
            miniflare: rate("miniflare"),
            ratio: of(({ mayfly, miniflare }) => mayfly.load.perSecond / miniflare.load.perSecond),
          },
          aim,
        };
  const cpu = {
    host: of(({ mayfly }) => mayfly.frontUs),
    capsule: of(({ mayfly }) => mayfly.workersUs),
    miniflare: of(({ miniflare }) => miniflare.workersUs),
    ratio: of(({ mayfly, miniflare }) => miniflare.workersUs / (mayfly.frontUs + mayfly.workersUs)),
  };
  return [measured, { name: "… CPU an operation", unit: "µs CPU", values: cpu }];
}

/**
 * @param preferred which client makes the load
 * @param given `NAME=VALUE` of the environment of the installation
 */
export const state =
  (preferred: "node" | undefined, given: readonly string[]): Group =>
  async (say) => {
    const tool = loadTool(preferred);
    const settings: Settings = Object.fromEntries(given.map((setting) => [setting.split("=", 1)[0], setting.replace(/^[^=]*=/, "")]));
    await using stack = new AsyncDisposableStack();
    const deployed = { code: await readFile(WORKER, "utf8"), compatibilityDate: "2026-06-01", files: { [FILE]: "static ".repeat(100) } };
    const [mayfly, miniflare] = [await openMayfly(stack, settings, deployed), await openMiniflare(stack, deployed)];
    const spent = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
    const ask = async ({ target, pids }: Side, { path, connections, operations }: Cell): Promise<Taken> => {
      const before = [spent(pids.front), spent(pids.workers)] as const;
      const load = operations > 1 ? await series({ ...target, path }) : await tool.load({ ...target, path }, connections, SECONDS);
      const each = (ms: number): number => (ms * 1000) / load.requests / operations;
      return { load, frontUs: each(spent(pids.front) - before[0]), workersUs: each(spent(pids.workers) - before[1]) };
    };
    say(`${ROUNDS} rounds of ${SECONDS} s each way of ${CELLS.length} rows, with ${tool.name}`);
    for (const side of [mayfly, miniflare]) for (const { path } of CELLS.slice(1, 3)) await tool.load({ ...side.target, path }, 8, 1);
    const result: Row[] = [];
    for (const cell of CELLS) {
      const taken: Round[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const both = { mayfly: await ask(mayfly, cell), miniflare: await ask(miniflare, cell) };
        if (both.mayfly.load.requests > 0 && both.miniflare.load.requests > 0) taken.push(both);
      }
      if (taken.length < ROUNDS) say(`${cell.name}: ${ROUNDS - taken.length} rounds without an answer are left out`);
      result.push(...rows(cell, taken));
    }
    return result;
  };
