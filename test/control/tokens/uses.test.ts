import assert from "node:assert/strict";
import { newId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { openTokens } from "../../../src/control/tokens/tokens.ts";
import { openTokenUses } from "../../../src/control/tokens/uses.ts";
import { makeAccount } from "../../fixtures/accounts.ts";
import { onBothDatabases } from "../../fixtures/databases.ts";

onBothDatabases("the last uses of tokens", {
  "are written by the flush, the youngest of each, and for nobody else": async (bench) => {
    const { store, clock } = bench;
    await using uses = openTokenUses({ store, log: createLog("test", "silent") });
    const tokens = openTokens({ ...bench, used: uses.note });
    const { id } = await makeAccount(bench);
    const secrets = await store.transaction(async (tx) => {
      const made = [];
      for (let at = 0; at < 250; at++) {
        const rest = { person: null, permissions: [], task: null, epoch: 1, expiresAtMs: null };
        made.push((await tokens.issue(tx, { account: id, name: `token ${at}`, ...rest })).secret);
      }
      return made;
    });
    const [idle, ...used] = secrets;
    for (const secret of used) await tokens.lookUp(secret);
    clock.advance(1000);
    const again = await tokens.lookUp(used[0] ?? "");
    await assert.rejects(tokens.lookUp(`${idle?.slice(0, -1)}x`));
    uses.note(newId());
    assert.equal(uses.pending(again.token), clock.now());
    await uses.flush();
    assert.equal(uses.pending(again.token), null);
    const rows = await store.db.selectFrom("tokens").select(["id", "name", "last_used_at"]).where("name", "like", "token %").execute();
    const byUse = (at: number | null): number => rows.filter(({ last_used_at }) => last_used_at === at).length;
    assert.deepEqual([byUse(null), byUse(clock.now() - 1000), byUse(clock.now())], [1, 248, 1]);
    assert.equal(rows.find(({ last_used_at }) => last_used_at === clock.now())?.id, again.token);
  },
});
