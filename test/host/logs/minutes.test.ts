// Minutes that are hard to keep: more Workers than are told apart, and a disk that takes nothing for a while.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { OTHER_WORKERS } from "../../../src/capsule/logs.ts";
import { Minutes } from "../../../src/host/logs/minutes.ts";
import { limitFiles } from "../../fixtures/file-limit.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const MINUTE_MS = 60_000;

async function place(t: TestContext): Promise<string> {
  const directory = await temporaryDirectory("minutes");
  t.after(() => directory[Symbol.asyncDispose]());
  return join(directory.path, "logs");
}

function open(directory: string): { minutes: Minutes; troubles: unknown[] } {
  const troubles: unknown[] = [];
  return { minutes: new Minutes(directory, Promise.resolve(), (error) => void troubles.push(error)), troubles };
}

describe("minutes", () => {
  test("tell 64 Workers apart and count the requests of all others as one's", async (t) => {
    const { minutes } = open(await place(t));
    for (let round = 0; round < 2; round++) for (let at = 0; at < 70; at++) minutes.count(`w${at}`, 1, 5, at === 69);
    const told = await minutes.read(0, MINUTE_MS, MINUTE_MS);
    assert.equal(told.length, 65);
    const { requests, errors, wallMs } = told.find(({ worker }) => worker === OTHER_WORKERS) ?? assert.fail("no such row");
    assert.deepEqual([requests, errors], [12, 2]);
    assert.ok(wallMs !== null && Math.abs(wallMs.p50 - 5) <= 0.25);
    assert.equal(
      told.reduce((sum, one) => sum + one.requests, 0),
      140,
    );
  });

  test("tell every time to within 5 %", async (t) => {
    const { minutes } = open(await place(t));
    const times = Array.from({ length: 400 }, (_, at) => 0.06 * 1.037 ** at);
    for (const [at, wallMs] of times.entries()) minutes.count(`w${at % 60}`, at * MINUTE_MS, wallMs, false);
    const told = await minutes.read(0, 400 * MINUTE_MS, 400 * MINUTE_MS);
    assert.equal(told.length, 400);
    for (const [at, { wallMs }] of told.entries()) {
      const ratio = (wallMs?.p50 ?? 0) / (times[at] ?? 0);
      assert.ok(Math.abs(ratio - 1) <= 0.05, `${times[at]} ms is told as ${wallMs?.p50}`);
    }
  });

  test(
    "that the disk does not take are kept for the next try, and the operator is told once",
    { skip: process.platform !== "linux" },
    async (t) => {
      const directory = await place(t);
      const { minutes, troubles } = open(directory);
      const counts = async (of: Minutes): Promise<number[]> =>
        (await of.read(0, 9 * MINUTE_MS, 9 * MINUTE_MS)).map(({ requests }) => requests);
      minutes.count("w", 0, 5, false);
      minutes.count("w", MINUTE_MS, 5, false);
      await minutes.read(0, 0, 0);
      {
        using _full = limitFiles(130);
        for (const minute of [2, 3, 4]) for (let at = 0; at < minute; at++) minutes.count("w", minute * MINUTE_MS, 5, false);
        assert.deepEqual(await counts(minutes), [1, 1, 2, 3, 4]);
      }
      assert.deepEqual(
        troubles.map((error) => (error as { code: string }).code),
        ["EFBIG"],
      );
      await minutes.close();
      assert.deepEqual(await counts(open(directory).minutes), [1, 1, 2, 3, 4]);
    },
  );
});
