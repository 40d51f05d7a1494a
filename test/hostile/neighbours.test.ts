// Workers that take whatever they can get, beside two that only want to answer. One account's trouble is never
// another's: no request to the others fails, and they are as quick as before once the watchdog has acted.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startInstallation, UNCAPPED, type Installation } from "../fixtures/installation.ts";
import { attack, settle, suspension, trail } from "../fixtures/neighbours.ts";
import { tenantAt, type Tenant } from "../fixtures/tenant.ts";
import { timely, type Figures } from "../fixtures/timely.ts";

/** Bounds that a busy machine keeps too; `npm run bench neighbours` holds the figures against their aims, 100 ms and 5 s. */
const ADDED_P99_MS = 1000;
const ACTED_MS = 15_000;

type Culprit = {
  readonly does: string;
  /** Body of its fetch handler; NEIGHBOUR stands for a host name of another account. */
  readonly code: string;
  /** What the reason says when the watchdog has to act; null where the Worker may go on, doing no harm. */
  readonly reason: RegExp | null;
};

const CULPRITS: readonly Culprit[] = [
  { does: "loops forever", code: "for (;;) {}", reason: /did not answer for [\d.]+ s and was restarted: a loop that never yields/ },
  {
    does: "loops forever in promises",
    code: "for (;;) await null;",
    reason: /did not answer for [\d.]+ s and was restarted: a loop that never yields/,
  },
  {
    does: "fills its heap",
    code: "const held = []; for (;;) held.push({ at: held.length, text: 'x'.repeat(64) + held.length });",
    reason: /JavaScript heap was full|more than 128 MiB of memory|never yields/,
  },
  {
    does: "fills array buffers",
    code: "const held = []; for (;;) { held.push(new Uint8Array(4_000_000).fill(held.length + 1)); await scheduler.wait(0); }",
    reason: /more than 128 MiB of memory/,
  },
  {
    does: "floods console.log and yields",
    code: "for (;;) { for (let i = 0; i < 2000; i++) console.log('x'.repeat(1000)); await scheduler.wait(1); }",
    reason: null,
  },
  { does: "floods console.log without end", code: "for (;;) console.log('x'.repeat(1000));", reason: /a loop that never yields/ },
  {
    does: "opens 200 sockets and 200 requests to its neighbours",
    code: `const { connect } = await import("cloudflare:sockets");
      const sockets = Array.from({ length: 200 }, () => connect({ hostname: "NEIGHBOUR", port: 80 }).opened.catch(String));
      const answers = Array.from({ length: 200 }, () => fetch("http://NEIGHBOUR/slow").then((answer) => answer.status));
      return Response.json({ sockets: await Promise.all(sockets), answers: await Promise.all(answers) });`,
    reason: null,
  },
];

async function check(installation: Installation, neighbours: readonly string[], culprit: Culprit): Promise<Figures> {
  const seen = await attack(installation, neighbours, culprit.code, culprit.reason !== null);
  assert.deepEqual(seen.failures, [], "no request to another account fails");
  if (culprit.reason !== null) await checkReasons(installation, seen.tenant, culprit.reason);
  return { "until the watchdog acted": seen.actedMs, "added to the others' p99": seen.p99Ms - seen.quietMs };
}

async function checkReasons(installation: Installation, tenant: Tenant, reason: RegExp): Promise<void> {
  const lines = await trail(tenant);
  assert.ok(lines.some(({ action }) => action === "account:suspend"));
  for (const line of lines) assert.match(line.reason ?? "", reason);
  const suspended = await suspension(tenant);
  assert.equal(suspended?.by, "watchdog");
  assert.match(suspended?.reason ?? "", reason);
  const page = await installation.edge(tenant.host("culprit"));
  assert.equal(page.status, 503, page.body);
  await tenant.deploy("culprit", `export default { fetch() { return new Response("mended"); } };`);
  assert.equal((await installation.edge(tenant.host("culprit"))).body, "mended", "a deploy of mended code serves again");
  assert.equal(await suspension(tenant), null);
}

describe("one account's trouble is never another's", () => {
  let installation: Installation;
  const neighbours: string[] = [];
  before(async () => {
    installation = await startInstallation({ ...UNCAPPED, MAYFLY_CAPSULE_MEMORY_BYTES: "134217728" });
    neighbours.push(...(await settle(installation)));
  });
  after(() => installation[Symbol.asyncDispose]());
  for (const culprit of CULPRITS) {
    test(`a Worker that ${culprit.does} is ${culprit.reason ? "restarted, then suspended, and " : ""}no trouble to the others`, async () => {
      const limits = { "until the watchdog acted": ACTED_MS, "added to the others' p99": ADDED_P99_MS };
      console.log(culprit.does, await timely(limits, () => check(installation, neighbours, culprit)));
    });
  }

  test("what an account sends to Workers of this installation is bounded in number, and connect() to them is refused", async () => {
    const tenant = await tenantAt(installation);
    const code = (CULPRITS.at(-1)?.code ?? "").replaceAll("NEIGHBOUR", neighbours[0] ?? "");
    await tenant.deploy("culprit", `export default { async fetch() { ${code} } };`);
    const told = JSON.parse((await installation.edge(tenant.host("culprit"))).body) as { sockets: string[]; answers: number[] };
    assert.equal(told.answers.filter((status) => status === 200).length, 32);
    assert.equal(told.answers.filter((status) => status === 508).length, 168);
    assert.ok(
      told.sockets.every((said) => /error|refused|fail/i.test(said)),
      told.sockets[0],
    );
  });
});
