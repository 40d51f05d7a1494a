// Two hundred accounts asked for at once while two others serve; and hundreds of deploys, of which nothing is left.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newAccountId, newSubdomain } from "../../../../src/kernel/ids.ts";
import { BOUNDS } from "../../../../src/host/capsules/supervisor/parts.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { answering, get, specOf } from "../../../fixtures/capsules.ts";
import { walled, type Walled } from "../../../fixtures/walled.ts";
import { mountsBelow, processesWith } from "../sandbox/site.ts";

const COLD = 200;
const ACCOUNTS = 10;
const DEPLOYS_EACH = 30;

const LINUX = process.platform === "linux";

/** Milliseconds of requests to the account, one after another, until told to stop. */
async function steady({ supervisor }: Walled, label: string, over: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  while (!over.aborted) {
    const startedMs = performance.now();
    assert.equal(await get(supervisor, label), "hot");
    times.push(performance.now() - startedMs);
    await sleep(5);
  }
  return times.sort((a, b) => a - b);
}

describe("a storm of starts", () => {
  test("ends with every account served, none started twice, few starting at once", { timeout: 240_000 }, async (t) => {
    // Starts that take long on a busy machine count among them all the same, and nobody is sent away.
    await using w = await walled(COLD + 10, { gateMs: 120_000, waitMs: 200_000 });
    const hot = [await w.deploy(answering('"hot"')), await w.deploy(answering('"hot"'))];
    for (const { label } of hot) await get(w.supervisor, label);
    const source = answering('"cold"');
    const cold = await Promise.all(
      Array.from({ length: COLD }, async () => {
        const spec = specOf(source);
        await w.store(spec.account, source);
        await w.supervisor.apply(spec);
        return spec;
      }),
    );
    let [starting, mostStarting] = [0, 0];
    const { launch } = w.sandbox;
    w.sandbox.launch = async (request) => {
      mostStarting = Math.max(mostStarting, ++starting);
      return launch(request).finally(() => starting--);
    };
    const over = new AbortController();
    const times = Promise.all(hot.map(({ label }) => steady(w, label, over.signal)));
    const startedMs = performance.now();
    const bodies = await Promise.all(cold.flatMap(({ label }) => [get(w.supervisor, label), get(w.supervisor, label)]));
    const tookMs = performance.now() - startedMs;
    over.abort();
    assert.deepEqual([new Set(bodies), bodies.length], [new Set(["cold"]), 2 * COLD]);
    const usages = await Promise.all(cold.map(({ account }) => w.supervisor.usage(account)));
    assert.ok(usages.every(({ hot: isHot, starts, restarts }) => isHot && starts === 1 && restarts === 0));
    assert.ok(mostStarting > 1 && mostStarting <= BOUNDS.maxStarting, `${mostStarting} at once`);
    for (const sorted of await times) {
      const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1);
      t.diagnostic(`${COLD} starts in ${(tookMs / 1_000).toFixed(1)} s; a hot account meanwhile: p50 ${at(0.5)}, p99 ${at(0.99)} ms`);
    }
  });
});

type Left = { readonly processes: number; readonly descriptors: number; readonly groups: number; readonly mounts: number };

function left({ site }: Walled): Left {
  const groups = readFileSync(join(site.runDirectory, "groups"), "utf8").split("\n").filter(Boolean);
  const below = (directory: string): number =>
    readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory()).length;
  return {
    processes: processesWith(site.runDirectory).filter((pid) => pid !== process.pid).length,
    descriptors: readdirSync("/proc/self/fd").length,
    groups: groups.map(below).reduce((sum, count) => sum + count, 0),
    mounts: mountsBelow(site.runDirectory).length,
  };
}

describe("three hundred deploys", () => {
  test("leave no process, descriptor, group, mount, socket or directory behind", { timeout: 240_000 }, async (t) => {
    if (!LINUX) return t.skip("needs Linux, to look");
    await using w = await walled(50);
    // What is opened once, and the processes that wait for trials.
    await w.supervisor.end({ ...(await w.deploy(answering('"first"'))), reason: "owner", endedAtMs: Date.now() });
    const rest = async (): Promise<Left> => {
      await sleep(400);
      return left(w);
    };
    const before = await rest();
    const accounts = Array.from({ length: ACCOUNTS }, () => ({ account: newAccountId(), subdomain: newSubdomain() }));
    await Promise.all(
      accounts.map(async (who) => {
        for (let generation = 1; generation <= DEPLOYS_EACH; generation++) {
          const { label } = await w.deploy(answering(`"v${generation}"`), { ...who, generation });
          assert.equal(await get(w.supervisor, label), `v${generation}`);
        }
      }),
    );
    assert.equal(w.supervisor.hot, ACCOUNTS);
    for (const { account, subdomain } of accounts) {
      w.supervisor.expect(account);
      await Promise.all([w.supervisor.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() }), w.trials.end(account)]);
      await w.supervisor.erase(account);
    }
    assert.equal(w.supervisor.hot, 0);
    let after = await rest();
    await awaitUntil(
      async () => {
        after = left(w);
        return JSON.stringify(after) === JSON.stringify(before);
      },
      { what: `${JSON.stringify(after)} becomes ${JSON.stringify(before)}`, deadlineMs: 10_000, everyMs: 200 },
    );
    for (const { account } of accounts) assert.equal(existsSync(join(w.site.runDirectory, "c", account.slice(0, 16))), false);
    assert.ok(!readdirSync(w.site.accountsDirectory).some((name) => accounts.some(({ account }) => account === name)));
  });
});
