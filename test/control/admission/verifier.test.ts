// The thread beside the server: the server stays responsive, the queue has an end, and a failure costs one chain.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createVerifier } from "../../../src/control/admission/verifier.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { solveChain } from "../../fixtures/solve-challenge.ts";
import { refusal } from "./open-admission.ts";

const ROOM = { maxChains: 100, maxHashes: 64_000_000 };
const LOG = createLog("test", "silent");

const solve = (work: { k: number; g: number }): Uint8Array<ArrayBuffer> =>
  new Uint8Array(solveChain({ seed: randomBytes(32).toString("base64url"), ...work }));

/** Niceness of every thread of this process. */
function threadPriorities(): number[] {
  return readdirSync("/proc/self/task").map((id) => {
    const stat = readFileSync(`/proc/self/task/${id}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
  });
}

describe("the verifier", () => {
  test("tells right from wrong, each to its own caller", async () => {
    await using verifier = createVerifier(ROOM, LOG);
    const work = { k: 4, g: 10 };
    const wrong = solve(work);
    wrong[4 * 32] = (wrong[4 * 32] ?? 0) ^ 1;
    const verdicts = await Promise.all([solve(work), wrong, solve(work)].map((chain) => verifier.verify(chain, work)));
    assert.deepEqual(
      verdicts.map((verdict) => verdict.wrong),
      [null, 3, null],
    );
    assert.deepEqual({ ...verifier.stats(), computedHashes: 0 }, { waitingChains: 0, waitingHashes: 0, computedHashes: 0 });
  });

  test("keeps the server's thread free: its event loop lags less than 50 ms while 4,000,000 hashes are verified", async () => {
    await using verifier = createVerifier(ROOM, LOG);
    const work = { k: 4000, g: 1000 };
    const chain = solve(work);
    const lagsMs: number[] = [];
    // A busy machine may hold the whole process up; a thread that hashed itself would lag a second every time.
    for (let round = 0; round < 4 && Math.min(Infinity, ...lagsMs) >= 50; round++) {
      await verifier.verify(solve({ k: 1, g: 1 }), { k: 1, g: 1 });
      const lag = monitorEventLoopDelay({ resolution: 5 });
      lag.enable();
      const verdict = await verifier.verify(new Uint8Array(chain), work);
      lag.disable();
      assert.equal(verdict.wrong, null);
      lagsMs.push(lag.max / 1e6);
    }
    assert.ok(Math.min(...lagsMs) < 50, `lagged ${lagsMs.map(Math.round).join(", ")} ms`);
  });

  test("yields the processor: its thread has a lower priority, the server's keeps its own", async (t) => {
    if (process.platform !== "linux") return t.skip("needs Linux: elsewhere threads have no priority of their own");
    const before = getPriority();
    if (before >= 10) return t.skip("needs a process that is not nice itself: run the tests without nice");
    await using verifier = createVerifier(ROOM, LOG);
    await verifier.verify(solve({ k: 1, g: 1 }), { k: 1, g: 1 });
    assert.equal(getPriority(), before);
    assert.equal(threadPriorities().filter((nice) => nice === 10).length, 1);
  });

  test("refuses what finds no room, by count", async () => {
    await using verifier = createVerifier({ maxChains: 2, maxHashes: 64_000_000 }, LOG);
    const work = { k: 100, g: 1000 };
    const taken = [verifier.verify(solve(work), work), verifier.verify(solve(work), work)];
    assert.throws(() => verifier.reserve(work), refusal("verifier_busy"));
    await assert.rejects(verifier.verify(solve(work), work), refusal("verifier_busy"));
    await Promise.all(taken);
    assert.equal((await verifier.verify(solve(work), work)).wrong, null);
  });

  test("refuses what finds no room, by hashes, but takes any one chain", async () => {
    await using verifier = createVerifier({ maxChains: 100, maxHashes: 1000 }, LOG);
    const long = { k: 20, g: 1000 };
    const taken = verifier.verify(solve(long), long);
    await assert.rejects(verifier.verify(solve({ k: 1, g: 1 }), { k: 1, g: 1 }), (error) => {
      assert.ok(error instanceof Error && "retryAfterSeconds" in error && Number(error.retryAfterSeconds) > 0);
      return refusal("verifier_busy")(error);
    });
    assert.equal((await taken).wrong, null);
  });

  test("outlives a failure of its thread, which costs one chain", async () => {
    await using verifier = createVerifier(ROOM, LOG);
    const work = { k: 4, g: 10 };
    // Fewer checkpoints than segments never come from a caller; here they make the thread throw.
    const failing = verifier.verify(new Uint8Array(32), work);
    const waiting = verifier.verify(solve(work), work);
    await assert.rejects(failing, refusal("verifier_busy"));
    assert.equal((await waiting).wrong, null);
    assert.equal(verifier.stats().waitingHashes, 0);
  });

  test("refuses what waits when it is disposed of", async () => {
    const verifier = createVerifier(ROOM, LOG);
    const work = { k: 1000, g: 1000 };
    const chains = [solve(work), solve(work)].map((chain) => verifier.verify(chain, work));
    const outcomes = Promise.allSettled(chains);
    await sleep(50);
    await verifier[Symbol.asyncDispose]();
    for (const outcome of await outcomes) assert.equal(outcome.status, "rejected");
    await assert.rejects(verifier.verify(solve({ k: 1, g: 1 }), { k: 1, g: 1 }), refusal("verifier_busy"));
  });
});
