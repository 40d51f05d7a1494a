import assert from "node:assert/strict";
import { test } from "node:test";
import { startReaper } from "../../../src/control/accounts/reaper.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { makeAccount } from "../../fixtures/accounts.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { openBench } from "../../fixtures/databases.ts";

test("sixty endings that fail and one that hangs never hold up the one that falls due next", async () => {
  await using bench = await openBench(null);
  const { store, keys } = bench;
  const stuck = new Set<AccountId>();
  for (let i = 0; i < 61; i++) stuck.add((await makeAccount(bench, 0)).id);
  const [hanging] = stuck;
  const released = Promise.withResolvers<void>();
  let failures = 0;
  const reaper = startReaper({
    store,
    keys,
    log: createLog("test", "silent"),
    ending: {
      begin: async (id) => Boolean(await store.transaction((tx) => transitions.beginEnding(tx, id, "expired", bench.clock.now()))),
      finish: async (id) => {
        if (id === hanging) return released.promise;
        if (stuck.has(id)) {
          failures += 1;
          throw new Error("the disk is gone");
        }
        await store.endingAccount(id, (tx) => transitions.finishEnding(tx, id, bench.clock.now()));
      },
    },
  });
  try {
    await awaitUntil(() => failures >= 60, { what: "every one of the sixty has failed once" });
    const next = await makeAccount(bench, 0);
    const deleted = async () =>
      (await store.db.selectFrom("accounts").select("state").where("id", "=", next.id).executeTakeFirst())?.state === "deleted";
    await awaitUntil(deleted, { what: "the next account is deleted" });
    const seen = failures;
    assert.ok(seen < 60 * 10, `those that fail are tried less and less often (${seen})`);
  } finally {
    released.resolve();
    await reaper[Symbol.asyncDispose]();
  }
});
