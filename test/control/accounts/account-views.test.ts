import assert from "node:assert/strict";
import { test } from "node:test";
import { inPermissionWords } from "../../../src/control/accounts/account-views.ts";
import { ACTIONS, GRANTS, OWNER_ACTIONS } from "../../../src/control/permissions/actions.ts";
import { onWholeAccount } from "../../../src/control/permissions/authorize.ts";

test("a token's permissions are told in the words by which it was made, and any others one by one", () => {
  assert.equal(inPermissionWords(onWholeAccount(GRANTS.everything)), "Everything");
  assert.equal(inPermissionWords(onWholeAccount(GRANTS.deploy)), "Deploy and read");
  assert.equal(inPermissionWords(onWholeAccount(GRANTS.read).toReversed()), "Read only");
  assert.equal(inPermissionWords([]), "Nothing");
  assert.equal(inPermissionWords(onWholeAccount(["workers:write", "account:read"])), "account:read, workers:write");
  const [first, ...rest] = onWholeAccount(GRANTS.everything);
  assert.ok(first);
  const narrowed = [{ ...first, resource: { product: "workers" as const, id: "hello" } }, ...rest];
  assert.notEqual(inPermissionWords(narrowed), "Everything", "on one Worker is not everything");
  assert.match(inPermissionWords(narrowed), /on some resources only/);
  assert.match(inPermissionWords([{ ...first, conditions: [{ kind: "hours" }] }, ...rest]), /on some resources only/);
});

test("what an owner can grant is never more than the owner holds; less than everything ends no account and makes no token", () => {
  for (const [grant, actions] of Object.entries(GRANTS)) {
    for (const action of actions) assert.ok(OWNER_ACTIONS.includes(action), `${grant} ${action}`);
  }
  for (const action of ["account:end", "tokens:write", "members:write"] as const) {
    assert.ok(GRANTS.everything.includes(action));
    assert.ok(!GRANTS.deploy.includes(action) && !GRANTS.read.includes(action), action);
  }
  assert.deepEqual(
    GRANTS.read,
    ACTIONS.filter((action) => !/:(write|end)$/.test(action)),
  );
});
