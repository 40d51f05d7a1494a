// Scratch processes that wait: each is given once, a dead one never, and none is left.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Sandboxed } from "../../../../src/host/contract.ts";
import { StandBy } from "../../../../src/host/capsules/trials/stand-by.ts";
import { createTrials } from "../../../../src/host/capsules/trials/trial.ts";
import { systemClock } from "../../../../src/kernel/clock.ts";
import { newAccountId } from "../../../../src/kernel/ids.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { PlainSandbox } from "../../../fixtures/plain-sandbox.ts";
import { Upload } from "../../../fixtures/upload.ts";

const upload = new Upload();

/** @param uids of the processes that live */
function standBy(sandbox: PlainSandbox, count: number, uids = new Set<number>()) {
  const launch = async (uid: number): Promise<Sandboxed> => {
    assert.ok(!uids.has(uid), `the user id ${uid} twice at once`);
    uids.add(uid);
    const process = await sandbox.launch({
      uid,
      directory: null,
      socketDirectory: null,
      args: ["test", "--experimental", "--binary", "-", "judge"],
      stdin: null,
      limits: { memoryBytes: 1, cpuWeight: 1, maxProcesses: 1 },
      collectStdout: true,
    });
    void process.exited.finally(() => uids.delete(uid));
    return process;
  };
  return new StandBy({ launch, firstUid: 500, count, pauseMs: 20 });
}

const full = (sandbox: PlainSandbox, count: number): Promise<true> =>
  awaitUntil(() => sandbox.alive.size === count, { what: `${count} waiting processes`, everyMs: 5 });

describe("processes that wait for a trial", () => {
  test("are given once each, with user ids of their own, and replaced after a moment", async () => {
    const sandbox = new PlainSandbox();
    await using waiting = standBy(sandbox, 2);
    await full(sandbox, 2);
    const taken = await Promise.all([waiting.take(), waiting.take(), waiting.take()]);
    assert.equal(new Set(taken).size, 3);
    assert.equal(sandbox.launches, 3, "the third was started for its taker");
    await full(sandbox, 5);
    for (const process of taken) process.kill();
    await Promise.all(taken.map(({ exited }) => exited));
    assert.equal(sandbox.alive.size, 2);
  });

  test("that died meanwhile are never given", async () => {
    const sandbox = new PlainSandbox();
    await using waiting = standBy(sandbox, 1);
    await full(sandbox, 1);
    for (const process of sandbox.alive.values()) process.kill();
    await full(sandbox, 0);
    const process = await waiting.take();
    assert.deepEqual([...sandbox.alive.values()], [process]);
    process.kill();
    await process.exited;
  });

  test("are gone when nobody needs them any more, and no more are started", async () => {
    const sandbox = new PlainSandbox();
    const waiting = standBy(sandbox, 2);
    await full(sandbox, 2);
    await waiting[Symbol.asyncDispose]();
    assert.equal(sandbox.alive.size, 0);
    const process = await waiting.take();
    process.kill();
    await process.exited;
    assert.equal(sandbox.alive.size, 0);
  });

  test("try an upload as a fresh one would, and no process tries two", async () => {
    const sandbox = new PlainSandbox();
    const fed = new Map<Sandboxed, number>();
    const launch = sandbox.launch.bind(sandbox);
    sandbox.launch = async (request) => {
      const process = await launch(request);
      const { feed } = process;
      return Object.assign(process, {
        feed(stdin: Uint8Array) {
          fed.set(process, (fed.get(process) ?? 0) + 1);
          feed(stdin);
        },
      });
    };
    await using trials = createTrials({ sandbox, files: upload, clock: systemClock, waiting: 2, refillAfterMs: 10 });
    await full(sandbox, 2);
    const tried = (source: string) => trials.validate({ account: newAccountId(), worker: upload.worker(source) });
    for (let round = 0; round < 4; round++) {
      const [good, bad] = await Promise.all([tried("export default { fetch() {} }"), tried("throw new Error('no')")]);
      assert.deepEqual([good.ok, bad.ok], [true, false]);
    }
    assert.deepEqual(new Set(fed.values()), new Set([1]));
    assert.equal(fed.size, 8);
  });
});
