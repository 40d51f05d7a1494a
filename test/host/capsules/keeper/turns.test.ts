import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { Turns } from "../../../../src/host/capsules/keeper/turns.ts";

const BOUNDS = { atOnce: 3, longAtOnce: 2, waiting: 2, waitingOfOne: 2 };

/** Whether the turn has come. */
async function has(turn: Promise<unknown>): Promise<boolean> {
  let settled = false;
  turn.then(
    () => (settled = true),
    () => {},
  );
  await tick();
  return settled;
}

test("few at once, fewer long ones: a quick job always finds room beside them", async () => {
  const turns = new Turns(BOUNDS);
  const first = await turns.take({ account: "a", long: true });
  await turns.take({ account: "b", long: true });
  const third = turns.take({ account: "c", long: true });
  assert.equal(await has(third), false);
  assert.equal(await has(turns.take({ account: "d", long: false })), true);
  first[Symbol.dispose]();
  assert.equal(await has(third), true);
});

test("jobs of one account never meet", async () => {
  const turns = new Turns(BOUNDS);
  const first = await turns.take({ account: "a", long: false });
  const second = turns.take({ account: "a", long: false });
  assert.equal(await has(second), false);
  assert.equal(await has(turns.take({ account: "b", long: false })), true);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assert.equal(await has(second), true);
});

test("the crowd that waits is bounded, and who aborts leaves it", async () => {
  const turns = new Turns(BOUNDS);
  await turns.take({ account: "a", long: false });
  const abort = new AbortController();
  const second = turns.take({ account: "a", long: false }, abort.signal);
  const third = turns.take({ account: "a", long: false });
  assert.equal(await has(third), false);
  await assert.rejects(turns.take({ account: "a", long: false }), { code: "capsule_failed" });
  abort.abort(new Error("gone"));
  await assert.rejects(second, { message: "gone" });
  assert.equal(await has(turns.take({ account: "a", long: false })), false);
  await assert.rejects(turns.take({ account: "b", long: false }, abort.signal), { message: "gone" });
});

test("one account's crowd keeps no other out", async () => {
  const turns = new Turns({ ...BOUNDS, waiting: 10 });
  for (const account of ["a", "b"]) await turns.take({ account, long: true });
  for (const _ of [1, 2]) assert.equal(await has(turns.take({ account: "a", long: true })), false);
  await assert.rejects(turns.take({ account: "a", long: true }), { code: "capsule_failed", message: /for this account/ });
  const quick = await turns.take({ account: "c", long: false });
  assert.equal(await has(turns.take({ account: "d", long: true })), false);
  quick[Symbol.dispose]();
});
