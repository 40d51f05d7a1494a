// Accounts one after another: the database path, where the proof of work is next to nothing, and the default work
// with what its verification costs.
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { hash } from "node:crypto";
import { join } from "node:path";
import { verifyChain } from "../src/control/admission/chain.ts";
import { nodeHasher, simdHasher, type SegmentHasher } from "../src/control/admission/segments.ts";
import { solveChain } from "../test/fixtures/solve-challenge.ts";
import { startInstallation, type Installation } from "../test/fixtures/installation.ts";
import { openClient } from "./client.ts";
import { cpuMs } from "./processes.ts";
import { median, spread, type Group, type Row } from "./report.ts";

const ROUTE = "POST /provisioning/previews";
const WARM_UP = 30;
const ACCOUNTS = 300;
const FSYNCS = 100;
const PROVEN = 10;
const VERIFIED = { k: 400, g: 1000 };
const VERIFIER_ROUNDS = 7;

/** Time and number of the requests that control itself counted. */
async function served({ apiPort }: Installation): Promise<{ ms: number; count: number }> {
  const figures = await (await fetch(`http://127.0.0.1:${apiPort}/metrics`)).text();
  const read = (what: string): number => {
    const line = figures.split("\n").find((line) => line.startsWith(`mayfly_api_request_seconds_${what}{route="${ROUTE}"}`));
    return Number(line?.split(" ").at(-1) ?? 0);
  };
  return { ms: read("sum") * 1000, count: read("count") };
}

/** What the disk asks for making one page durable; an account needs several of these. */
function fsyncTimes(directory: string): number[] {
  const page = Buffer.alloc(4096, 1);
  const fd = openSync(join(directory, "fsync"), "w");
  try {
    return Array.from({ length: FSYNCS }, () => {
      const startedMs = performance.now();
      writeSync(fd, page);
      fsyncSync(fd);
      return performance.now() - startedMs;
    });
  } finally {
    closeSync(fd);
  }
}

async function databasePath(): Promise<Row[]> {
  await using installation = await startInstallation();
  using client = openClient(installation);
  for (let at = 0; at < WARM_UP; at++) await client.provision();
  const before = await served(installation);
  const times: number[] = [];
  for (let at = 0; at < ACCOUNTS; at++) times.push((await client.provision()).ms);
  const after = await served(installation);
  const disk = fsyncTimes(installation.data);
  return [
    {
      name: "provisioning, 1,000 hashes",
      unit: "ms",
      values: spread(times),
      aim: { value: "p50", atMost: 5 },
    },
    { name: "… of it in the server", unit: "ms", values: { mean: (after.ms - before.ms) / (after.count - before.count) } },
    { name: "… one 4 KiB write and fsync, same disk", unit: "ms", values: spread(disk) },
  ];
}

async function defaultWork(): Promise<Row[]> {
  await using installation = await startInstallation({ MAYFLY_POW_HASHES: "1000000" });
  using client = openClient(installation);
  const control = installation.pidOf("control");
  if (control === undefined) throw new Error("There is no control process.");
  await client.provision();
  const times: number[] = [];
  const startedCpuMs = cpuMs(control);
  for (let at = 0; at < PROVEN; at++) times.push((await client.provision()).ms);
  const usedMs = (cpuMs(control) - startedCpuMs) / PROVEN;
  return [
    { name: "provisioning, 1,000,000 hashes", unit: "ms", values: spread(times) },
    { name: "… CPU of control an account", unit: "ms CPU", values: { mean: usedMs } },
  ];
}

/** The verifier's arithmetic on this thread, in turns with Node's own hash in the ways that Node has. */
function verifierRates(): Row[] {
  const chain = new Uint8Array(solveChain({ seed: Buffer.alloc(32).toString("base64url"), ...VERIFIED }));
  const hashes = VERIFIED.k * VERIFIED.g;
  const through = (hasher: SegmentHasher) => (): void => {
    if (verifyChain(chain, VERIFIED, hasher).wrong !== null) throw new Error("A right chain was found wrong.");
  };
  const digests = (): void => {
    let h = Buffer.alloc(32);
    for (let i = 0; i < hashes; i++) h = hash("sha256", h, "buffer");
  };
  const simd = simdHasher();
  const ways = { "Node's hash, as text": through(nodeHasher()), "Node's hash": digests, ...(simd && { "four lanes": through(simd) }) };
  const times = Object.entries(ways).map(([name, run]) => ({ name, run, ms: [] as number[] }));
  for (let round = 0; round < VERIFIER_ROUNDS; round++) {
    for (const way of times) {
      const startedMs = performance.now();
      way.run();
      way.ms.push(performance.now() - startedMs);
    }
  }
  const rates = times.map(({ name, ms }) => ({ name, rate: (hashes / median(ms)) * 1000 }));
  const peer = rates[0]?.rate ?? Number.NaN;
  return rates.map(({ name, rate }) => ({
    name: `verifier, ${name}`,
    unit: "hash/s",
    values: { p50: rate, n: VERIFIER_ROUNDS },
    ...(name === "four lanes" && { aim: { value: "p50", atLeast: 10_000_000 }, ratio: { peer: "Node's hash", value: rate / peer } }),
  }));
}

export const provisioning: Group = async (say) => {
  say(`${ACCOUNTS} accounts with 1,000 hashes`);
  const rows = await databasePath();
  say(`${PROVEN} accounts with 1,000,000 hashes`);
  rows.push(...(await defaultWork()));
  say(`the verifier, ${VERIFIER_ROUNDS} times ${VERIFIED.k * VERIFIED.g} hashes each way`);
  return [...rows, ...verifierRates()];
};
