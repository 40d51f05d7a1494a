// Ten thousand attempts at accounts from a few networks, in every dishonest way there is, against one running server:
// honest callers from elsewhere get theirs at the base price, the API goes on answering, nothing is had unpaid.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { test } from "node:test";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { addressPrefix } from "../../src/kernel/address-prefix.ts";
import { signChallenge } from "../../src/control/admission/challenge.ts";
import { openKeys } from "../../src/control/keys/keys.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { solveChain, solveChallenge, type Work } from "../fixtures/solve-challenge.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const ATTEMPTS = 10_000;
const AT_ONCE = 24;
const HONEST = 10;
const BASE = 2000;
const CEILING = 64_000;
const PER_ADDRESS = 3;
const ADDRESSES = 40;
const HOARDED = 40;
const OVERSIZED_BYTES = 300_000;
const MASTER_KEY = "ab".repeat(32);

const CODE = {
  ok: 0,
  invalid: 71410,
  expired: 71411,
  spent: 71412,
  tooLarge: 71413,
  wrong: 71414,
  tooMany: 71429,
  busy: 71430,
  challenges: 71482,
  reset: -1,
} as const;

type Challenge = Work & { readonly challengeToken: string };
type Answer<T> = { readonly code: number; readonly result: T };

type Caller = {
  post<T>(from: string, path: string, body: string): Promise<Answer<T>>;
  get(path: string, token: string): Promise<number>;
} & Disposable;

function openCaller({ apiPort }: Installation): Caller {
  const agent = new Agent({ keepAlive: true });
  const send = (method: string, path: string, headers: Record<string, string>, body?: string) =>
    new Promise<string>((resolve, reject) => {
      request({ host: "127.0.0.1", port: apiPort, method, path: `/client/v4${path}`, agent, headers }, (answer) => {
        text(answer).then(resolve, reject);
      })
        .on("error", reject)
        .end(body);
    });
  return {
    post: async <T>(from: string, path: string, body: string): Promise<Answer<T>> => {
      const headers = { host: `localhost:${apiPort}`, "x-forwarded-for": from, "content-length": String(Buffer.byteLength(body)) };
      try {
        const { errors, result } = JSON.parse(await send("POST", path, headers, body)) as { errors: { code: number }[]; result: T };
        return { code: errors[0]?.code ?? CODE.ok, result };
      } catch (error) {
        // A server that will not read a body to its end closes the connection.
        if (error instanceof Error && "code" in error && ["ECONNRESET", "EPIPE"].includes(String(error.code))) {
          return { code: CODE.reset, result: undefined as T };
        }
        throw error;
      }
    },
    get: async (path, token) => {
      const startedMs = performance.now();
      const answer = JSON.parse(await send("GET", path, { host: `localhost:${apiPort}`, authorization: `Bearer ${token}` })) as {
        success: boolean;
      };
      assert.ok(answer.success, JSON.stringify(answer));
      return performance.now() - startedMs;
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

const bodyOf = (challengeToken: string, checkpoints: string): string =>
  JSON.stringify({ acceptTermsOfService: "yes", challengeToken, solution: { checkpoints } });

const ask = (caller: Caller, from: string) => caller.post<Challenge>(from, "/provisioning/previews/challenge", "{}");
const answer = (caller: Caller, from: string, token: string, checkpoints: string) =>
  caller.post<{ account: { id: string; apiToken: string } }>(from, "/provisioning/previews", bodyOf(token, checkpoints));

/** Right from the seed through half of the segments, or none, then another chain's. */
function spliced(challenge: Challenge, old: Buffer, share: number): string {
  const paid = solveChain({ ...challenge, k: Math.floor(challenge.k * share) });
  return Buffer.concat([paid, old.subarray(paid.length, 32 * (challenge.k + 1))]).toString("base64");
}

type Spent = { accepted: number; dearest: number };
type Attempt = (from: string) => Promise<number>;
type Kind = { readonly attempt: Attempt; readonly may: readonly number[] };

/** Asks, and answers with what `solve` makes of the challenge. */
const asked =
  (caller: Caller, spent: Spent, solve: (challenge: Challenge) => string): Attempt =>
  async (from) => {
    const { code, result } = await ask(caller, from);
    if (code === CODE.ok) spent.dearest = Math.max(spent.dearest, result.k * result.g);
    return code === CODE.ok ? (await answer(caller, from, result.challengeToken, solve(result))).code : code;
  };

/** Kind i comes from 198.18.i.0/24, every second attempt from one address. */
const fromOf = (kind: number, turn: number): string => `198.18.${kind}.${turn % 2 ? 0 : (turn / 2) % ADDRESSES}`;

async function attacks(caller: Caller, spent: Spent): Promise<readonly Kind[]> {
  await using directory = await temporaryDirectory("flood-keys");
  const keys = openKeys({ data: directory.path, masterKey: MASTER_KEY });
  const signing = keys.signing("challenge");
  const old = solveChain({ seed: randomBytes(32).toString("base64url"), k: 300, g: 300 });
  const late = (from: string): Challenge => {
    const work = { seed: randomBytes(32).toString("base64url"), k: 4, g: 4 };
    const given = {
      ...work,
      id: randomBytes(8).toString("hex"),
      expiresAtMs: Date.now() - 1,
      addressHash: keys.lookupHash(`address ${addressPrefix(from)}`),
    };
    return { ...work, challengeToken: signChallenge(signing, given) };
  };
  const took = async (answered: Promise<Answer<unknown>>): Promise<number> => {
    const { code } = await answered;
    if (code === CODE.ok) spent.accepted++;
    return code;
  };
  const used = fromOf(3, 1);
  const { result: replayed } = await ask(caller, used);
  const replayedAnswer = solveChallenge(replayed);
  assert.equal(await took(answer(caller, used, replayed.challengeToken, replayedAnswer)), CODE.ok);
  const hoard: { from: string; challenge: Challenge }[] = [];
  for (let at = 0; at < HOARDED; at++) {
    const from = fromOf(5, 2 * at);
    hoard.push({ from, challenge: (await ask(caller, from)).result });
  }
  const refused = [CODE.wrong, CODE.tooMany, CODE.busy, CODE.challenges];
  return [
    { attempt: async (from) => (await ask(caller, from)).code, may: [CODE.ok, CODE.challenges] },
    {
      attempt: async (from) => (await answer(caller, from, `mfp1.e30.${randomBytes(32).toString("base64url")}`, "AAAA")).code,
      may: [CODE.invalid],
    },
    { attempt: asked(caller, spent, (challenge) => spliced(challenge, old, 0)), may: refused },
    {
      attempt: async (from) => (await answer(caller, from, replayed.challengeToken, replayedAnswer)).code,
      may: [CODE.invalid, CODE.spent],
    },
    { attempt: asked(caller, spent, (challenge) => spliced(challenge, old, 0.5)), may: refused },
    {
      attempt: async (from) => {
        const given = hoard.pop() ?? { from, challenge: null };
        const challenge = given.challenge ?? (await ask(caller, from)).result;
        if (!challenge) return CODE.tooMany;
        return took(answer(caller, given.from, challenge.challengeToken, solveChallenge(challenge)));
      },
      may: [CODE.ok, CODE.tooMany, CODE.busy],
    },
    {
      attempt: async (from) => {
        const challenge = late(from);
        return (await answer(caller, from, challenge.challengeToken, solveChallenge(challenge))).code;
      },
      may: [CODE.expired],
    },
    { attempt: async (from) => (await answer(caller, from, "x", "A".repeat(OVERSIZED_BYTES))).code, may: [CODE.tooLarge, CODE.reset] },
  ];
}

/** Memory of a process in MiB. */
const residentMiB = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

async function figures({ apiPort }: Installation): Promise<(name: string) => number> {
  const lines = (await (await fetch(`http://127.0.0.1:${apiPort}/metrics`)).text()).split("\n");
  return (name) =>
    Number(
      lines
        .find((line) => line.startsWith(`${name} `))
        ?.split(" ")
        .at(-1) ?? 0,
    );
}

test("a flood of ten thousand attempts keeps nobody honest out, gets nothing unpaid, and leaves the API answering", async (t) => {
  await using installation = await startInstallation({
    MAYFLY_MASTER_KEY: MASTER_KEY,
    MAYFLY_TRUSTED_PROXIES: "127.0.0.1",
    MAYFLY_POW_HASHES: String(BASE),
    MAYFLY_POW_MAX_HASHES: String(CEILING),
    MAYFLY_ACCOUNTS_PER_HOUR_PER_IP: String(PER_ADDRESS),
  });
  using attacker = openCaller(installation);
  using bystander = openCaller(installation);
  const spent: Spent = { accepted: 0, dearest: 0 };
  const kinds = await attacks(attacker, spent);
  const codes = kinds.map(() => new Map<number, number>());
  const honest: Promise<{ price: number; code: number; token: string }>[] = [];
  const callHonestly = async (from: string) => {
    const { code, result } = await ask(bystander, from);
    assert.equal(code, CODE.ok, from);
    const made = await answer(bystander, from, result.challengeToken, solveChallenge(result));
    return { price: result.k * result.g, code: made.code, token: made.result?.account.apiToken };
  };
  const first = await callHonestly("203.0.200.7");
  const control = installation.pidOf("control") ?? 0;
  const [probesMs, memoryMiB] = [[] as number[], [] as number[]];
  let next = 0;
  const startedMs = performance.now();
  const flood = Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next < ATTEMPTS) {
        const at = next++;
        if (at % (ATTEMPTS / HONEST) === 500) honest.push(callHonestly(`203.0.${honest.length}.7`));
        if (at % (ATTEMPTS / 4) === ATTEMPTS / 4 - 1) memoryMiB.push(residentMiB(control));
        const kind = at % kinds.length;
        const code = (await kinds[kind]?.attempt(fromOf(kind, Math.floor(at / kinds.length)))) ?? Number.NaN;
        codes[kind]?.set(code, (codes[kind].get(code) ?? 0) + 1);
      }
    }),
  );
  const over = flood.then(() => true);
  while (!(await Promise.race([over, sleep(40, false)]))) probesMs.push(await bystander.get("/accounts", first.token));
  const tookMs = performance.now() - startedMs;
  const served = await Promise.all(honest);

  const seen = codes.map((each) => Object.fromEntries(each));
  const p99 = probesMs.toSorted((a, b) => a - b)[Math.floor(probesMs.length * 0.99)] ?? Infinity;
  t.diagnostic(
    `${Math.round(tookMs)} ms; ${spent.accepted} accounts paid, dearest challenge ${spent.dearest} hashes; codes ${JSON.stringify(seen)}; p99 of ${probesMs.length} calls ${Math.round(p99)} ms; RSS ${memoryMiB.map(Math.round).join(", ")} MiB`,
  );
  for (const [kind, { may }] of kinds.entries()) {
    assert.deepEqual(
      [...(codes[kind]?.keys() ?? [])].filter((code) => !may.some((each) => each === code)),
      [],
      `kind ${kind}`,
    );
  }
  assert.deepEqual(
    served.map(({ price, code }) => ({ price, code })),
    Array.from({ length: HONEST }, () => ({ price: BASE, code: CODE.ok })),
  );
  assert.ok(p99 < 1000, `p99 of other calls is ${p99} ms`);

  const now = await figures(installation);
  assert.equal(now('mayfly_accounts{state="temporary"}'), spent.accepted + HONEST + 1);
  // The replayed one is of a network of its own; the right answers' network has eight times an address's.
  assert.equal(spent.accepted, 1 + 8 * PER_ADDRESS);
  assert.ok(now("mayfly_admission_admitted_total") >= spent.accepted + HONEST + 1);
  assert.equal(now("mayfly_admission_price_hashes"), BASE);
  assert.equal(now("mayfly_admission_pressure_ratio"), (spent.accepted + HONEST + 1) / 5000);
  assert.equal(now("mayfly_admission_waiting_chains"), 0);
  for (const reason of ["address_challenges", "network_challenges", "unproven"]) {
    assert.ok(now(`mayfly_admission_refused_total{reason="${reason}"}`) > 0, reason);
  }
  assert.ok(spent.dearest >= 8 * BASE, `the dearest challenge of the flood's networks was ${spent.dearest} hashes`);
  const [before = 0, after = 0] = [memoryMiB[0], memoryMiB.at(-1)];
  // The bodies that are too large are more together.
  assert.ok(after - before < 256, `control grew from ${before} to ${after} MiB`);
});
