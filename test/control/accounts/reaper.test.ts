// What the sweep of keys at start destroys, and what it never touches.
import assert from "node:assert/strict";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sweepKeys } from "../../../src/control/accounts/reaper.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { makeAccount } from "../../fixtures/accounts.ts";
import { openBench } from "../../fixtures/databases.ts";

const log = createLog("test", "silent");

test("a start destroys the key of an account that was never committed, and keeps those of accounts", async () => {
  await using bench = await openBench(null);
  const { id } = await makeAccount(bench);
  bench.keys.createAccountKey(newAccountId());
  await sweepKeys(bench.store, bench.keys, log);
  assert.deepEqual(bench.keys.accountsWithKeys(), [id]);
});

test("a start on another database never destroys the keys of the accounts that it does not know", async () => {
  await using bench = await openBench(null);
  const foreign = newAccountId();
  bench.keys.createAccountKey(foreign);
  const box = bench.keys.sealFor(foreign, "task", "kept");
  const yesterday = (bench.clock.now() - 86_400_000) / 1000;
  utimesSync(join(bench.data, "keys", "accounts", `${foreign}.key`), yesterday, yesterday);
  await sweepKeys(bench.store, bench.keys, log);
  assert.equal(bench.keys.openFor(foreign, "task", box), "kept");
});
