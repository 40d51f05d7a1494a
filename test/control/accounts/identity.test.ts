// What an account's own token may do to the account, and where a claim has come between.
import assert from "node:assert/strict";
import { identityRoutes } from "../../../src/control/accounts/identity-routes.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import { createEnding } from "../../../src/control/accounts/ending.ts";
import { createApi } from "../../../src/control/http/api.ts";
import { AGENT_ACTIONS } from "../../../src/control/permissions/actions.ts";
import { onWholeAccount } from "../../../src/control/permissions/authorize.ts";
import { openTokens } from "../../../src/control/tokens/tokens.ts";
import { openTrail } from "../../../src/control/trail/trail.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { makeAccount, type MadeAccount } from "../../fixtures/accounts.ts";
import { onBothDatabases, type Bench } from "../../fixtures/databases.ts";
import { MemoryHost } from "../../fixtures/memory-host.ts";

const log = createLog("test", "silent");

/** The API of one account; `between` runs after the token was looked up and before the handler. */
async function openApi(bench: Bench, made: MadeAccount, between: () => Promise<unknown>) {
  const { store, keys } = bench;
  const trail = openTrail(store.db, keys);
  const tokens = openTokens({ store, keys });
  const ending = createEnding({ store, keys, trail, host: new MemoryHost(), products: [], log });
  const { secret } = await store.transaction((tx) =>
    tokens.issue(tx, {
      account: made.id,
      person: null,
      name: "agent",
      permissions: onWholeAccount(AGENT_ACTIONS),
      task: null,
      epoch: made.account.auth_epoch,
      expiresAtMs: null,
    }),
  );
  const api = createApi({
    routes: identityRoutes({
      store,
      trail,
      ending,
      urlOf: (label) => `http://${label}.example`,
      limitsOf: () => Promise.resolve([]),
      origin: "http://localhost",
    }),
    lookUp: async (given) => {
      const principal = await tokens.lookUp(given);
      await between();
      return principal;
    },
    refused: () => undefined,
    addressOf: () => "127.0.0.1",
    observe: () => undefined,
    origin: "http://localhost",
    log,
  });
  return async (method: string, path: string) => {
    const response = await api.fetch(
      new Request(`http://localhost${path}`, { method, headers: { authorization: `Bearer ${secret}` } }),
      {},
    );
    return { status: response.status, text: await response.text() };
  };
}

const stateOf = async ({ store }: Bench, { id }: MadeAccount) =>
  (await store.db.selectFrom("accounts").select("state").where("id", "=", id).executeTakeFirstOrThrow()).state;

onBothDatabases("DELETE /accounts/{id}", {
  "never ends an account that a person claimed while the agent's request was on its way": async (bench) => {
    const made = await makeAccount(bench);
    const claim = () => bench.store.transaction((tx) => transitions.claim(tx, made.account.claim_hash ?? "", "ada", bench.clock.now()));
    const call = await openApi(bench, made, claim);
    const answer = await call("DELETE", `/accounts/${made.id}`);
    assert.equal(answer.status, 401, answer.text);
    assert.match(answer.text, /claimed/);
    assert.equal(await stateOf(bench, made), "claimed");
  },
  "ends the account at once, and answers the same when another end came first": async (bench) => {
    for (const first of [() => Promise.resolve(), "another end"] as const) {
      const made = await makeAccount(bench);
      const end = () => bench.store.transaction((tx) => transitions.beginEnding(tx, made.id, "operator", bench.clock.now()));
      const call = await openApi(bench, made, typeof first === "string" ? end : first);
      assert.equal((await call("DELETE", `/accounts/${made.id}`)).status, 200);
      assert.equal(await stateOf(bench, made), "deleted");
    }
  },
});
