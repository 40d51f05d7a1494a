import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openKeys, WrongMasterKey } from "../../../src/control/keys/keys.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

test("what was sealed for an account opens after a restart, for it alone and in its context alone", async () => {
  await using directory = await temporaryDirectory();
  const options = { data: directory.path, masterKey: null };
  const [mine, theirs] = [newAccountId(), newAccountId()];
  const first = openKeys(options);
  first.createAccountKey(mine);
  first.createAccountKey(theirs);
  const box = first.sealFor(mine, "task", "write a poem");
  const again = openKeys(options);
  assert.equal(again.openFor(mine, "task", box), "write a poem");
  assert.throws(() => again.openFor(theirs, "task", box));
  assert.throws(() => again.openFor(mine, "trail", box));
  assert.equal(box.includes("poem"), false);
});

test("after its key is destroyed nothing of an account can be read, and its file is gone", async () => {
  await using directory = await temporaryDirectory();
  const keys = openKeys({ data: directory.path, masterKey: null });
  const account = newAccountId();
  keys.createAccountKey(account);
  const box = keys.sealFor(account, "task", "write a poem");
  keys.destroyAccountKey(account);
  keys.destroyAccountKey(account);
  const gone = (error: unknown): boolean => error instanceof PlatformError && error.code === "account_gone";
  assert.throws(() => keys.openFor(account, "task", box), gone);
  assert.throws(() => keys.sealFor(account, "task", "more"), gone);
  assert.deepEqual(keys.accountsWithKeys(), []);
});

test("no key lies in the clear: a sealing key's file differs from the key, and the master key's is 0600", async () => {
  await using directory = await temporaryDirectory();
  const keys = openKeys({ data: directory.path, masterKey: null });
  keys.createAccountKey(newAccountId());
  assert.equal(statSync(join(directory.path, "master.key")).mode & 0o777, 0o600);
  for (const file of readdirSync(join(directory.path, "keys", "accounts"))) {
    assert.equal(statSync(join(directory.path, "keys", "accounts", file)).mode & 0o777, 0o600);
    assert.equal(readFileSync(join(directory.path, "keys", "accounts", file)).length, 12 + 32 + 16);
  }
});

test("a crash while a key is written leaves none, and the next start clears what it left", async () => {
  await using directory = await temporaryDirectory();
  const operator = join(directory.path, "keys", "operator");
  openKeys({ data: directory.path, masterKey: null });
  const now = Date.UTC(2026, 5, 10);
  writeFileSync(join(operator, "2026-06.key.new"), "half");
  const keys = openKeys({ data: directory.path, masterKey: null });
  assert.deepEqual(readdirSync(operator), []);
  assert.equal(keys.openForOperator(now, keys.sealForOperator(now, "192.0.2.1")), "192.0.2.1");
});

test("another master key opens nothing, and a start with it is refused while nothing is lost", async () => {
  await using directory = await temporaryDirectory();
  const account = newAccountId();
  const given = { data: directory.path, masterKey: "11".repeat(32) };
  const box = openKeys(given).sealForOperator(0, "x");
  openKeys(given).createAccountKey(account);
  assert.throws(() => openKeys({ ...given, masterKey: "22".repeat(32) }), WrongMasterKey);
  assert.throws(() => openKeys({ ...given, masterKey: null }), WrongMasterKey, "nor with a fresh one in place of a lost file");
  assert.equal(openKeys(given).openForOperator(0, box), "x");
  await using elsewhere = await temporaryDirectory();
  const other = openKeys({ data: elsewhere.path, masterKey: "22".repeat(32) });
  assert.notEqual(openKeys(given).lookupHash("s"), other.lookupHash("s"));
});

test("what is sealed for the operator opens until its month's key is dropped", async () => {
  await using directory = await temporaryDirectory();
  const keys = openKeys({ data: directory.path, masterKey: null });
  const then = Date.UTC(2026, 5, 10);
  const box = keys.sealForOperator(then, "192.0.2.1");
  assert.equal(keys.openForOperator(then, box), "192.0.2.1");
  keys.dropOperatorKeys(Date.UTC(2026, 6, 1));
  assert.throws(() => keys.openForOperator(then, box), PlatformError);
});
