import assert from "node:assert/strict";
import { onWholeAccount, type Principal } from "../../../src/control/permissions/authorize.ts";
import { openRefusals } from "../../../src/control/tokens/refusals.ts";
import { openTrail } from "../../../src/control/trail/trail.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { makeAccount } from "../../fixtures/accounts.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { onBothDatabases } from "../../fixtures/databases.ts";

onBothDatabases("refusals", {
  "are the first of a minute, then a count, and what the caller asked for dies with the account's key": async (bench) => {
    const { store, keys } = bench;
    const { id } = await makeAccount(bench);
    const trail = openTrail(store.db, keys);
    const refusals = openRefusals({ store, trail, log: createLog("test", "silent") });
    const principal: Principal = {
      kind: "agent",
      account: id,
      token: "t",
      lineage: [],
      actors: ["agent"],
      task: null,
      epoch: 1,
      expiresAtMs: null,
      permissions: onWholeAccount([]),
    };
    const lines = () => trail.read(id, { limit: 10, offset: 0 });
    for (let i = 0; i < 5; i++) refusals.record(principal, "workers:write", "workers/planted-name", "no-permission");
    await awaitUntil(async () => (await lines()).length === 1, { what: "the first is written at once" });
    await refusals.flush();
    const [, ...rest] = (await lines()).toSorted((a, b) => a.count - b.count);
    assert.deepEqual(
      (await lines()).map(({ count }) => count).toSorted((a, b) => a - b),
      [1, 4],
    );
    assert.equal(rest[0]?.resource, "workers");
    assert.equal(rest[0]?.text, "workers/planted-name");
    assert.doesNotMatch(JSON.stringify(await store.db.selectFrom("trail").selectAll().execute()), /planted-name/);

    refusals.record(principal, "account:end", "account/late", "no-permission");
    await awaitUntil(async () => (await lines()).length === 3, { what: "another action has its own entry" });
    refusals.record(principal, "account:end", "account/late", "no-permission");
    keys.destroyAccountKey(id);
    await refusals[Symbol.asyncDispose]();
    const left = await lines();
    assert.equal(left.length, 4, "a refusal counted before the end is written after it");
    assert.deepEqual(new Set(left.map(({ text }) => text)), new Set([null]), "and nothing of what was asked can be read");
  },
});
