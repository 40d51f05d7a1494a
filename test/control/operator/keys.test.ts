// Operators' keys: what each opens, and everything that keeps one from opening it. Every route of the API against every
// kind of secret.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../../src/kernel/errors.ts";
import { newSecret } from "../../../src/kernel/ids.ts";
import { onBothDatabases } from "../../fixtures/databases.ts";
import { deedsOf, openOps, type Ops } from "../../fixtures/operator.ts";

const drawn = (text: string): string => /name="form" value="([0-9a-f]{32})"/.exec(text)?.[1] ?? assert.fail(text);
const keyIn = (text: string): string | undefined => /mfk_[0-9a-z]{57}/.exec(text)?.[0];

async function make(ops: Ops, fields: Record<string, string> = {}) {
  const form = drawn((await ops.visit("/operations/keys")).text);
  return ops.visit("/operations/keys", { form: { form, name: "CI", access: "read", life: "1d", ...fields } });
}

test("every route of the operator wants an operator's key, and a full one to change anything", async () => {
  await using ops = await openOps();
  const [read, full, tenant] = [await ops.makeKey("read"), await ops.makeKey("full"), await ops.tenant()];
  const routes = ops.control.routes.filter(({ path }) => path.startsWith("/operator/"));
  assert.ok(routes.length >= 10);
  for (const { method, path, access } of ops.control.routes)
    assert.equal(access.kind === "operator", path.startsWith("/operator/"), `${method} ${path}`);
  for (const { method, path, access } of routes) {
    assert.ok(access.kind === "operator");
    assert.equal(access.full, method !== "GET", `${method} ${path}: whatever changes something wants a full key`);
    const asked = path.replace(":id", "f".repeat(32));
    const as = async (bearer?: string) => {
      const { status, code } = await ops.call(method, asked, bearer === undefined ? {} : { bearer });
      return [status, code];
    };
    assert.deepEqual(await as(), [401, "unauthenticated"], path);
    assert.deepEqual(await as("nonsense"), [401, "operator_key_refused"], path);
    assert.deepEqual(await as(newSecret("mfk")), [401, "operator_key_refused"], path);
    assert.deepEqual(await as(tenant.token), [403, "forbidden"], "an account's token");
    const [status, code] = await as(read);
    if (access.full) assert.deepEqual([status, code], [403, "forbidden"], `${method} ${path} with a key that reads`);
    else assert.ok(status === 200 || code === "account_not_found", `${method} ${path}: ${status} ${code}`);
    assert.notEqual((await as(full))[0], 403, path);
    assert.notEqual((await as(full))[0], 401, path);
  }
});

test("an operator's key opens no route of an account, nor any about a token", async () => {
  await using ops = await openOps();
  const [full, tenant] = [await ops.makeKey("full"), await ops.tenant()];
  for (const { method, path, access } of ops.control.routes) {
    if (access.kind !== "action" && access.kind !== "holder") continue;
    const asked = path.replace(":account", tenant.id).replaceAll(/:\w+/g, "x");
    const { status, code } = await ops.call(method, asked, { bearer: full });
    assert.deepEqual([status, code], [403, "forbidden"], `${method} ${path}`);
  }
});

onBothDatabases("an operator's key", {
  "is shown once, listed with its last use, and dead from its end on": async (bench) => {
    await using ops = await openOps(bench);
    const made = await make(ops, { name: "dash <b>board</b>", access: "full" });
    const secret = keyIn(made.text) ?? assert.fail(made.text);
    assert.equal(made.headers.get("cache-control"), "no-store");
    const { hash, id } = await ops.control.store.db.selectFrom("operator_keys").selectAll().executeTakeFirstOrThrow();
    assert.ok(hash !== secret && !hash.includes(secret.slice(4, 20)));
    const list = async () => (await ops.visit("/operations/keys")).text;
    assert.ok(!(await list()).includes(secret));
    assert.match(await list(), /dash &lt;b&gt;board&lt;\/b&gt;[\s\S]*not used yet/);
    assert.equal((await ops.call("GET", "/operator/overview", { bearer: secret })).status, 200);
    assert.match(await list(), /last used/);
    assert.equal((await ops.visit(`/operations/keys/${id}/end`, { form: {} })).status, 303);
    const dead = await ops.call("GET", "/operator/overview", { bearer: secret });
    assert.deepEqual([dead.status, dead.code], [401, "operator_key_refused"]);
    assert.match(dead.message, /was ended/);
    await ops.visit(`/operations/keys/${id}/end`, { form: {} });
    assert.match(await list(), /Keys that work no more/);
    assert.deepEqual(
      [...(await deedsOf(ops, "operator-key:issue")), ...(await deedsOf(ops, "operator-key:end"))].map(({ actors, resource, reason }) => [
        actors,
        resource,
        reason,
      ]),
      [
        [[`person/${ops.person}`], `operator-key/${id}`, "full"],
        [[`person/${ops.person}`], `operator-key/${id}`, null],
      ],
    );
  },

  "expires, and falls with its person's role": async (bench) => {
    await using ops = await openOps(bench);
    const [short, long] = [keyIn((await make(ops)).text) ?? "", keyIn((await make(ops, { life: "90d" })).text) ?? ""];
    ops.clock.advance(86_400_000);
    assert.match((await ops.call("GET", "/operator/overview", { bearer: short })).message, /has expired/);
    assert.equal((await ops.call("GET", "/operator/overview", { bearer: long })).status, 200);
    await ops.control.store.db.updateTable("person").set({ role: "person" }).where("id", "=", ops.person).execute();
    const demoted = await ops.call("GET", "/operator/overview", { bearer: long });
    assert.deepEqual([demoted.status, demoted.code], [401, "operator_key_refused"]);
    assert.match(demoted.message, /runs this installation no more/);
    assert.equal((await ops.visit("/operations")).status, 404);
  },

  "exists ten times at most, each from a form of its own": async (bench) => {
    await using ops = await openOps(bench);
    const form = drawn((await ops.visit("/operations/keys")).text);
    const send = () => ops.visit("/operations/keys", { form: { form, name: "CI", access: "read", life: "1d" } });
    assert.equal((await send()).status, 200);
    const again = await send();
    assert.equal(again.status, 409);
    assert.match(again.text, /made already/);
    for (let at = 1; at < 10; at++) assert.equal((await make(ops)).status, 200);
    const full = await make(ops, { name: "one more" });
    assert.equal(full.status, 409);
    assert.match(full.text, /10 operator(&#39;|')s keys[\s\S]*value="one more"/);
    assert.ok(full.text.includes(ERRORS["operator_key_limit"].next.replace("'", "&#39;")));
    ops.clock.advance(86_400_000);
    assert.equal((await make(ops)).status, 200, "those that expired make room");
    for (const wrong of [{ name: "" }, { access: "all" }, { life: "never" }, { form: "x" }, { name: "a\u202eb" }])
      assert.equal((await make(ops, wrong)).status, 400, JSON.stringify(wrong));
  },
});

test("a change that is tried with a key that reads is in the trail, the first of a minute and then a count", async () => {
  await using ops = await openOps();
  const [bearer, tenant] = [await ops.makeKey("read"), await ops.tenant()];
  for (let at = 0; at < 3; at++) await ops.call("DELETE", `/operator/accounts/${tenant.id}`, { bearer });
  const deeds = await deedsOf(ops, "operator:write");
  assert.deepEqual(
    deeds.map(({ actors, outcome, reason, account }) => [actors, outcome, reason, account]),
    [[[`person/${ops.person}`], "refused", "DELETE /operator/accounts/:id", null]],
  );
});

test("a key that did something is known on the account's page and on that of keys by the same mark", async () => {
  await using ops = await openOps();
  const bearer = await ops.makeKey("full");
  const { id } = await ops.tenant();
  assert.equal((await ops.call("POST", `/operator/accounts/${id}/suspend`, { bearer, json: { reason: "spam" } })).status, 200);
  const [, mark = ""] = /account:suspend[\s\S]*?with ([0-9a-f]{8})</.exec((await ops.visit(`/operations/accounts/${id}`)).text) ?? [];
  const keys = (await ops.visit("/operations/keys")).text;
  const [, key = ""] = /keys\/([0-9a-f]{32})\/end/.exec(keys) ?? [];
  assert.ok(mark !== "" && key.startsWith(mark));
  assert.match(keys, new RegExp(`to full[\\s\\S]*<code>${mark}</code>`));
});
