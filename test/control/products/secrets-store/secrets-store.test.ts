// Stores and secrets on both databases: sealed in the rows, never in an answer, and in the process for who binds them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AGENT_ACTIONS } from "../../../../src/control/permissions/actions.ts";
import { onWholeAccount } from "../../../../src/control/permissions/authorize.ts";
import { onBothDatabases, openBench } from "../../../fixtures/databases.ts";
import { deploy, openShop, type Client, type Json } from "../../../fixtures/products.ts";

const STORES = "/secrets_store/stores";
const VALUE = "a value that nobody is told";
const secret = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  value: VALUE,
  scopes: ["workers"],
  comment: "mine",
  ...more,
});

async function open(client: Client): Promise<{ store: string; secrets: string; made: Json }> {
  const store = await client.call("POST", STORES, { json: { name: "keys" } });
  assert.equal(store.status, 200, store.message);
  const secrets = `${STORES}/${store.result.id}/secrets`;
  const made = await client.call("POST", secrets, { json: [secret("API_KEY")] });
  assert.equal(made.status, 200, made.message);
  return { store: store.result.id as string, secrets, made: made.result[0] };
}
const bound = (store: string, name = "API_KEY") => ({
  bindings: [{ type: "secrets_store_secret", name: "KEY", store_id: store, secret_name: name }],
});

onBothDatabases("A secrets store", {
  "holds secrets whose values are in no answer and in no row": async (bench) => {
    const client = await openShop(bench).client();
    const { store, secrets, made } = await open(client);
    assert.deepEqual(Object.keys(made).toSorted(), ["comment", "created", "id", "modified", "name", "scopes", "status", "store_id"]);
    assert.deepEqual([made.name, made.comment, made.scopes, made.status, made.store_id], ["API_KEY", "mine", ["workers"], "active", store]);
    const one = `${secrets}/${made.id}`;
    bench.clock.advance(1000);
    const edited = await client.call("PATCH", one, { json: { value: `${VALUE} 2`, comment: "yours" } });
    assert.deepEqual([edited.result.comment, edited.result.scopes], ["yours", ["workers"]]);
    assert.ok(edited.result.modified > edited.result.created);
    const copy = await client.call("POST", `${one}/duplicate`, { json: { name: "COPY", scopes: ["workers"] } });
    assert.deepEqual([copy.status, copy.result.name, copy.result.comment], [200, "COPY", ""]);
    assert.deepEqual((await client.call("GET", one)).result, edited.result);
    assert.deepEqual((await client.call("GET", "/secrets_store/quota")).result, { secrets: { quota: 100, usage: 2 } });
    const names = async (query: string) =>
      (await client.call("GET", `${secrets}?${query}`)).result.map(({ name }: { name: string }) => name);
    assert.deepEqual(await names("order=name&direction=desc"), ["COPY", "API_KEY"]);
    assert.deepEqual(await names("search=yours"), ["API_KEY"]);
    assert.deepEqual(await names("scopes=dex"), []);
    assert.deepEqual(await names("page=2&per_page=2"), []);
    const rows = await bench.store.db.selectFrom("secrets").selectAll().execute();
    assert.ok(!rows.some((row) => Buffer.from(row.sealed).includes("nobody")));
    assert.equal((await client.call("DELETE", `${secrets}/${copy.result.id}`)).result, null);
    assert.equal((await client.call("GET", `${secrets}/${copy.result.id}`)).code, "store_secret_not_found");
    assert.equal((await client.call("DELETE", secrets, { json: [{ id: made.id }] })).status, 200);
    assert.deepEqual(await names(""), []);
    assert.equal((await client.call("DELETE", `${STORES}/${store}`)).status, 200);
    assert.equal((await client.call("GET", `${STORES}/${store}`)).code, "secret_store_not_found");
    assert.equal((await client.call("GET", secrets)).code, "secret_store_not_found");
    assert.deepEqual((await client.call("GET", STORES)).result, []);
  },

  "is counted without the key that opens it": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    await open(client);
    bench.keys.destroyAccountKey(client.id);
    const limits = await shop.products.find(({ name }) => name === "secrets-store")?.limits?.(bench.store.db, client.account);
    assert.deepEqual(
      limits?.map(({ name, used }) => [name, used]),
      [
        ["secrets_store.stores", 1],
        ["secrets_store.secrets", 1],
      ],
    );
  },

  "is one for an account, and no two secrets of it have one name": async (bench) => {
    const client = await openShop(bench).client();
    const { secrets } = await open(client);
    assert.equal((await client.call("POST", STORES, { json: { name: "keys" } })).code, "store_name_taken");
    assert.equal((await client.call("POST", STORES, { json: { name: "more" } })).code, "quota_exceeded");
    assert.equal((await client.call("POST", secrets, { json: [secret("NEW"), secret("API_KEY")] })).code, "store_name_taken");
    assert.equal((await client.call("GET", secrets)).result.length, 1, "all of them or none");
    const many = Array.from({ length: 100 }, (_, n) => secret(`S${n}`));
    assert.equal((await client.call("POST", secrets, { json: many })).code, "quota_exceeded");
  },

  "gives a Worker the text by its binding, as long as it is there": async (bench) => {
    const client = await openShop(bench).client();
    const { store, secrets, made } = await open(client);
    const unknown = await deploy(client, "w", bound(store, "NOPE"));
    assert.deepEqual([unknown.status, unknown.code], [400, "invalid_upload"]);
    assert.match(unknown.message, /the secret "NOPE" is not in a secrets store/);
    assert.equal((await deploy(client, "w", bound(store))).status, 200);
    const props = (): string => {
      const services = client.spec().units[0]?.services ?? [];
      assert.ok(services.some(({ id }) => id === "secrets-store"));
      const [binding] = services.flatMap((service) => (service.kind === "worker" ? service.bindings : []));
      assert.ok(binding?.kind === "service" && binding.service === "secrets-store");
      return binding.props ?? "";
    };
    assert.equal(props(), JSON.stringify({ name: "API_KEY", value: VALUE }));
    await client.call("PATCH", `${secrets}/${made.id}`, { json: { value: "new" } });
    assert.equal(props(), JSON.stringify({ name: "API_KEY", value: "new" }));
    await client.call("DELETE", `${secrets}/${made.id}`);
    assert.equal(props(), JSON.stringify({ name: "API_KEY" }));
    const settings = await client.call("GET", "/workers/scripts/w/settings");
    assert.deepEqual(settings.result.bindings, [{ type: "secrets_store_secret", name: "KEY", store_id: store, secret_name: "API_KEY" }]);
    await client.call("POST", secrets, { json: [secret("AI", { scopes: ["ai_gateway"] })] });
    assert.match((await deploy(client, "w", bound(store, "AI"))).message, /has not the scope workers/);
    assert.equal((await deploy(client, "w")).status, 200);
    assert.ok(!client.spec().units[0]?.services.some(({ id }) => id === "secrets-store"));
  },

  "is bound by those alone who may write it, since a binding reads what the API does not tell": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const { store } = await open(client);
    const token = await shop.issue(client, onWholeAccount(AGENT_ACTIONS.filter((action) => action !== "secrets-store:write")));
    const reader: Client = { ...client, call: (method, path, sent = {}) => client.call(method, path, { ...sent, token }) };
    assert.equal((await reader.call("GET", STORES)).status, 200);
    assert.equal((await deploy(reader, "w", bound(store))).code, "forbidden");
  },
});

type Bad = readonly [what: string, method: string, path: string, json: unknown, message: RegExp];

const BAD: readonly Bad[] = [
  ["a store without a name", "POST", STORES, {}, /^name: missing/],
  ["a store with a space", "POST", STORES, { name: "a b" }, /^name: must be letters/],
  ["secrets that are no list", "POST", ":secrets", secret("A"), /^body: /],
  ["no secrets", "POST", ":secrets", [], /^body: is empty/],
  ["a secret without a name", "POST", ":secrets", [secret("A", { name: undefined })], /^0\.name: missing/],
  ["a secret without a value", "POST", ":secrets", [secret("A", { value: undefined })], /^0\.value: missing/],
  ["an empty value", "POST", ":secrets", [secret("A", { value: "" })], /^0\.value: is empty/],
  ["a value that is too long", "POST", ":secrets", [secret("A", { value: "x".repeat(65_537) })], /^0\.value: is longer than 65536/],
  ["a scope that there is not", "POST", ":secrets", [secret("A", { scopes: ["moon"] })], /^0\.scopes\.0: /],
  ["no scope", "POST", ":secrets", [secret("A", { scopes: [] })], /^0\.scopes: is empty/],
  ["a long comment", "POST", ":secrets", [secret("A", { comment: "c".repeat(1025) })], /^0\.comment: is longer/],
  ["a change of nothing", "PATCH", ":secrets/x", {}, /^body: changes nothing/],
  ["a copy without a name", "POST", ":secrets/x/duplicate", { scopes: ["workers"] }, /^name: missing/],
  ["a deletion of no ids", "DELETE", ":secrets", [], /^body: is empty/],
  ["an order that there is not", "GET", `${STORES}?order=size`, undefined, /^order/],
  ["a search in a scope that there is not", "GET", ":secrets?scopes=moon", undefined, /^0: /],
];

describe("A secrets store refuses by name", () => {
  test("what cannot be", async (t) => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    const { secrets } = await open(client);
    for (const [what, method, path, json, message] of BAD) {
      await t.test(what, async () => {
        const answer = await client.call(method, path.replace(":secrets", secrets), { json });
        assert.deepEqual([answer.status, answer.code], [400, "invalid_input"], answer.message);
        assert.match(answer.message, message);
      });
    }
  });
});
