// Where nobody can say whether a token stands, nothing goes on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openWatch } from "../../../src/control/logs/watch.ts";
import { onWholeAccount } from "../../../src/control/permissions/authorize.ts";
import { openTokens } from "../../../src/control/tokens/tokens.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { makeAccount } from "../../fixtures/accounts.ts";
import { openBench, type Bench } from "../../fixtures/databases.ts";

async function tokenIn(bench: Bench): Promise<string> {
  const { id: account } = await makeAccount(bench);
  const permissions = onWholeAccount(["logs:read"]);
  const issued = await bench.store.transaction((tx) =>
    openTokens(bench).issue(tx, { account, person: null, name: "t", permissions, task: null, epoch: 1, expiresAtMs: null }),
  );
  return issued.id;
}

const watchOf = (bench: Bench) => openWatch({ tokens: openTokens(bench), clock: bench.clock, log: createLog("test", "silent") });

test("what a token holds open ends within five seconds of the database's silence", async () => {
  await using bench = await openBench(null);
  using watch = watchOf(bench);
  const ended = Promise.withResolvers<string>();
  using guard = await watch.guard({ token: await tokenIn(bench), epoch: 1 }, (why, how) => ended.resolve(`${how}: ${why}`));
  assert.equal(await guard.check(), true);
  const startedAt = performance.now();
  await bench.store[Symbol.asyncDispose]();
  assert.match(await ended.promise, /^renew: Whether the token still stands could not be learned/);
  assert.ok(performance.now() - startedAt < 7000, "five, on a busy machine seven");
});

test("a token of another epoch, or of none, is not guarded at all", async () => {
  await using bench = await openBench(null);
  using watch = watchOf(bench);
  const token = await tokenIn(bench);
  for (const holder of [
    { token, epoch: 2 },
    { token: "nobody's", epoch: 1 },
  ]) {
    await assert.rejects(
      watch.guard(holder, () => undefined),
      (error) => error instanceof PlatformError && error.code === "token_refused",
    );
  }
});

test("no word leaves after the last moment, without a look at the database", async () => {
  await using bench = await openBench(null);
  using watch = watchOf(bench);
  const ends: string[] = [];
  using guard = await watch.guard({ token: await tokenIn(bench), epoch: 1 }, (why, how) => ends.push(`${how}: ${why}`));
  bench.clock.advance(59_999);
  assert.equal(guard.isOver(), false);
  bench.clock.advance(1);
  assert.equal(guard.isOver(), true);
  assert.deepEqual(ends, ["final: The time of the token or its account is over."]);
});
