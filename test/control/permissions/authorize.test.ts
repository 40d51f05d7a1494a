import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ACTIONS, AGENT_ACTIONS, PRODUCTS } from "../../../src/control/permissions/actions.ts";
import { authorize, onWholeAccount, permission, type Principal } from "../../../src/control/permissions/authorize.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";

const account = newAccountId();
const principal = (permissions: Principal["permissions"]): Principal => ({
  kind: "agent",
  account,
  token: "t",
  lineage: [],
  actors: ["agent"],
  task: null,
  epoch: 1,
  expiresAtMs: null,
  permissions,
});

const anyAction = fc.constantFrom(...ACTIONS);
const anyResource = fc.record({ account: fc.constant(account), product: fc.constantFrom(...PRODUCTS), id: fc.string() });

test("what is not granted is denied, whatever is asked", () => {
  fc.assert(fc.property(anyAction, anyResource, (action, resource) => !authorize(principal([]), action, resource).allowed));
});

test("no permission reaches another account", () => {
  const other = newAccountId();
  fc.assert(
    fc.property(anyAction, anyResource, (action, resource) => {
      const decision = authorize(principal(onWholeAccount(ACTIONS)), action, { ...resource, account: other });
      return !decision.allowed && decision.reason === "other-account";
    }),
  );
});

test("a grant on one resource covers that one alone", () => {
  fc.assert(
    fc.property(anyAction, anyResource, fc.string(), (action, resource, id) => {
      const granted = { action, resource: { product: resource.product, id: resource.id }, conditions: [] };
      if (resource.id === "*") return true;
      return authorize(principal([granted]), action, { ...resource, id }).allowed === (id === resource.id);
    }),
  );
});

test("a condition that this code does not know denies", () => {
  const granted = permission.parse({ action: "workers:read", resource: { product: "*", id: "*" }, conditions: [{ kind: "until-noon" }] });
  assert.equal(authorize(principal([granted]), "workers:read", { account, product: "workers", id: "w" }).allowed, false);
});

test("an agent's token never makes tokens, members or accounts", () => {
  for (const action of ["tokens:write", "members:write"] as const) {
    assert.equal(AGENT_ACTIONS.includes(action), false);
    assert.equal(authorize(principal(onWholeAccount(AGENT_ACTIONS)), action, { account, product: "account", id: "*" }).allowed, false);
  }
});
