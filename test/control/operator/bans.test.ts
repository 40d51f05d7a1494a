// Ranges that an operator bans: how they are written, where they act, whom they never lock out.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { KyselyPlugin } from "kysely";
import { openBans } from "../../../src/control/operator/bans.ts";
import { openTrail } from "../../../src/control/trail/trail.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { onBothDatabases, openBench } from "../../fixtures/databases.ts";
import { loadOf, openOps, type Ops } from "../../fixtures/operator.ts";
import { solveChallenge } from "../../fixtures/solve-challenge.ts";

type Ban = { readonly id: string; readonly range: string; readonly reason: string; readonly expires_at: string | null };
type Made = Ban & { readonly unclaimed_accounts_of_the_hour: number };

const BAD = "203.0.113.9";
const GOOD = "198.51.100.1";

const add = (ops: Ops, bearer: string, json: Record<string, unknown>, address?: string) =>
  ops.call<Made>("POST", "/operator/bans", { bearer, json: { reason: "abuse", ...json }, ...(address !== undefined && { address }) });

/** An account as a caller from that address gets it. */
async function provision(ops: Ops, address: string): Promise<{ id: string; token: string; claim: string }> {
  const asked = await ops.call<Parameters<typeof solveChallenge>[0] & { challengeToken: string }>(
    "POST",
    "/provisioning/previews/challenge",
    { address, json: {} },
  );
  const json = {
    acceptTermsOfService: "yes",
    challengeToken: asked.result.challengeToken,
    solution: { checkpoints: solveChallenge(asked.result) },
  };
  const made = await ops.call<{ account: { id: string; apiToken: string }; claim: { url: string } }>("POST", "/provisioning/previews", {
    address,
    json,
  });
  assert.equal(made.status, 200, made.message);
  const { account, claim } = made.result;
  return { id: account.id, token: account.apiToken, claim: claim.url.split("#")[1] ?? "" };
}

onBothDatabases("a ban", {
  "has one written form, an end, a reason, and is listed until it is removed": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("full");
    const first = await add(ops, bearer, { range: "203.0.113.77/24" });
    assert.deepEqual([first.status, first.result.range, first.result.expires_at], [200, "203.0.113.0/24", null], first.message);
    const twice = await add(ops, bearer, { range: "203.0.113.0/24" });
    assert.deepEqual([twice.status, twice.code], [409, "precondition_failed"]);
    ops.clock.advance(1000);
    const ends = new Date(ops.clock.now() + 60_000).toISOString();
    const second = await add(ops, bearer, { range: "2001:DB8::1/48", expires_at: ends });
    assert.deepEqual([second.result.range, second.result.expires_at], ["2001:db8::/48", ends]);
    const listed = async () => (await ops.call<Ban[]>("GET", "/operator/bans", { bearer })).result.map(({ range }) => range);
    assert.deepEqual(await listed(), ["2001:db8::/48", "203.0.113.0/24"]);
    assert.deepEqual(await ops.control.capsuleControl.bans(), [
      { range: "203.0.113.0/24", untilMs: null },
      { range: "2001:db8::/48", untilMs: Date.parse(ends) },
    ]);
    ops.clock.advance(60_000);
    assert.deepEqual(await listed(), ["203.0.113.0/24"], "one that is over is not shown");
    assert.equal((await ops.control.capsuleControl.bans()).length, 1);
    assert.equal((await add(ops, bearer, { range: "2001:db8::/48" })).status, 200, "and may be made anew");
    const removed = await ops.call("DELETE", `/operator/bans/${first.result.id}`, { bearer });
    assert.equal(removed.status, 200);
    for (const method of ["DELETE", "POST"]) {
      const path = `/operator/bans/${first.result.id}${method === "POST" ? "/end-accounts" : ""}`;
      const gone = await ops.call(method, path, { bearer });
      assert.deepEqual([gone.status, gone.code], [404, "ban_not_found"]);
    }
    const rows = await ops.control.store.db.selectFrom("trail").selectAll().where("action", "like", "ban:%").orderBy("at").execute();
    assert.deepEqual(
      rows.map(({ action, actors }) => [action, JSON.parse(actors)]),
      ["ban:add", "ban:add", "ban:add", "ban:remove"].map((action) => [action, [`person/${ops.person}`]]),
    );
    assert.ok(rows.every(({ resource, reason, token_id }) => !`${resource}${reason}`.includes("203.0") && token_id !== null));
  },

  "offers to end what its callers made within the hour, and ends no other": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("full");
    const old = await provision(ops, BAD);
    ops.clock.advance(3_600_000 - 60_000);
    const [young, younger, other] = [await provision(ops, BAD), await provision(ops, "203.0.113.200"), await provision(ops, GOOD)];
    ops.clock.advance(60_000);
    const made = await add(ops, bearer, { range: "203.0.113.0/24" });
    assert.equal(made.result.unclaimed_accounts_of_the_hour, 2);
    assert.equal(
      (await ops.call("GET", "/accounts", { bearer: young.token, address: GOOD })).status,
      200,
      "they go on unless they are ended",
    );
    const ended = await ops.call<{ ended: string[]; left: number }>("POST", `/operator/bans/${made.result.id}/end-accounts`, { bearer });
    assert.deepEqual([ended.result.ended.toSorted(), ended.result.left], [[young.id, younger.id].toSorted(), 0]);
    assert.equal((await ops.call("GET", "/accounts", { bearer: young.token, address: GOOD })).status, 401);
    assert.equal((await ops.call("GET", "/accounts", { bearer: other.token, address: GOOD })).status, 200);
    const states = await ops.control.store.db.selectFrom("accounts").select(["id", "state", "end_reason"]).execute();
    assert.equal(states.find(({ id }) => id === old.id)?.end_reason === "operator", false);
    assert.ok(states.filter(({ id }) => [young.id, younger.id].includes(id)).every(({ end_reason }) => end_reason === "operator"));
  },

  "ends no account that is claimed while its neighbours are ended": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("full");
    const older = await provision(ops, BAD);
    ops.clock.advance(1000);
    const younger = await provision(ops, BAD);
    const made = await add(ops, bearer, { range: BAD });
    assert.equal(made.result.unclaimed_accounts_of_the_hour, 2);
    // The youngest goes first; the other is claimed meanwhile.
    ops.host.end = async () => void (await ops.control.claims.take(older.claim, { id: ops.person }));
    const ended = await ops.call<{ ended: string[]; left: number }>("POST", `/operator/bans/${made.result.id}/end-accounts`, { bearer });
    assert.deepEqual([ended.status, ended.result], [200, { ended: [younger.id], left: 0 }], ended.message);
    const kept = ops.control.store.db
      .selectFrom("accounts")
      .selectAll()
      .where("id", "=", older.id as never);
    const { state, owner_id } = await kept.executeTakeFirstOrThrow();
    assert.deepEqual([state, owner_id], ["claimed", ops.person]);
  },
});

test("a range that is wide, or holds its maker or this machine, is to be named twice", async () => {
  await using ops = await openOps();
  const bearer = await ops.makeKey("full");
  const cases: [string, string, RegExp][] = [
    ["1.0.0.0/7", GOOD, /wider than \/8/],
    ["0.0.0.0/0", GOOD, /wider than \/8/],
    ["2000::/15", GOOD, /wider than \/16/],
    ["198.51.100.0/24", GOOD, /holds the address from which you call, 198\.51\.100\.1/],
    ["127.0.0.0/8", GOOD, /this machine's own/],
    ["::1", GOOD, /this machine's own/],
  ];
  for (const [range, address, why] of cases) {
    const doubted = await add(ops, bearer, { range }, address);
    assert.deepEqual([doubted.status, doubted.code], [409, "ban_unconfirmed"], range);
    assert.match(doubted.message, why);
    const canonical = /range: (\S+) /.exec(doubted.message)?.[1] ?? "";
    assert.equal((await add(ops, bearer, { range, confirm: "yes" }, address)).code, "ban_unconfirmed");
    const sure = await add(ops, bearer, { range, confirm: canonical }, address);
    assert.equal(sure.status, 200, `${range}: ${sure.message}`);
    assert.equal(
      (await ops.call("DELETE", `/operator/bans/${sure.result.id}`, { bearer, address })).status,
      200,
      "with a key one is never locked out",
    );
  }
  for (const range of ["9.0.0.0/8", "2001::/16", BAD]) assert.equal((await add(ops, bearer, { range }, GOOD)).status, 200, range);
  for (const json of [{ range: "x" }, { range: "1.2.3.4/33" }, { range: "" }, {}, { range: BAD, reason: "" }, { range: BAD, more: 1 }]) {
    const wrong = await ops.call("POST", "/operator/bans", { bearer, json: { reason: "abuse", ...json } });
    assert.deepEqual([wrong.status, wrong.code], [400, "invalid_input"], JSON.stringify(json));
  }
  for (const expires_at of ["tomorrow", "2020-01-01T00:00:00Z", 5]) {
    const wrong = await add(ops, bearer, { range: "192.0.2.1", expires_at });
    assert.deepEqual([wrong.status, wrong.code], [400, "invalid_input"]);
    assert.match(wrong.message, /^expires_at: /);
  }
});

test("callers from it get nothing from the API nor a page, and are told how to object", async () => {
  await using ops = await openOps();
  const bearer = await ops.makeKey("full");
  const { token } = await provision(ops, BAD);
  const stranger = await ops.stranger();
  const made = await add(ops, bearer, { range: "203.0.113.0/24", expires_at: new Date(ops.clock.now() + 60_000).toISOString() });
  const refused = async (method: string, path: string, asked: Parameters<Ops["call"]>[2]) => {
    const answer = await ops.call(method, path, { address: BAD, ...asked });
    assert.deepEqual([answer.status, answer.code], [403, "address_banned"], path);
    assert.match(answer.message, /203\.0\.113\.9.*tell the operator/);
  };
  await refused("POST", "/provisioning/previews/challenge", { json: {} });
  await refused("POST", "/provisioning/previews", { json: {} });
  await refused("GET", "/accounts", { bearer: token });
  for (const address of [BAD, `::ffff:${BAD}`]) {
    const page = await ops.visit("/sign-in", { cookie: null, address });
    assert.equal(page.status, 403);
    assert.match(page.text, /Calls from your network are refused[\s\S]*tell the operator/);
  }
  const form = { email: "eve@example.com", password: "battery staple", name: "Eve" };
  for (const path of ["/sign-up", "/sign-in"]) assert.equal((await ops.visit(path, { cookie: null, form, address: BAD })).status, 403);
  assert.equal((await ops.visit("/", { cookie: stranger, address: BAD })).status, 403, "a session that is no operator's");
  assert.equal((await ops.visit("/operations", { address: BAD })).status, 200, "an operator who is signed in is never locked out");
  assert.equal((await ops.call("GET", "/operator/overview", { bearer, address: BAD })).status, 200);
  assert.equal((await ops.call("GET", "/accounts", { bearer: token, address: GOOD })).status, 200);
  const opening = (remoteAddress: string) =>
    ops.control.upgrades.wants({ url: "/client/v4/tails/x", headers: { upgrade: "websocket" }, socket: { remoteAddress } } as never);
  assert.deepEqual([opening(GOOD), opening(BAD)], [true, false], "nor a tail");
  ops.clock.advance(60_000);
  assert.equal((await ops.call("GET", "/accounts", { bearer: token, address: BAD })).status, 200, "it ends by the clock");
  const again = await add(ops, bearer, { range: "203.0.113.9" });
  await refused("GET", "/accounts", { bearer: token });
  await ops.call("DELETE", `/operator/bans/${again.result.id}`, { bearer });
  assert.equal((await ops.call("GET", "/accounts", { bearer: token, address: BAD })).status, 200);
  const machine = await add(ops, bearer, { range: "127.0.0.0/8", confirm: "127.0.0.0/8" });
  assert.equal(machine.status, 200, made.message);
  assert.equal((await ops.visit("/sign-in", { cookie: null })).status, 200, "nor does this machine lock out itself");
});

test("a page of bans: made, confirmed, ended with what it made, removed", async () => {
  await using ops = await openOps();
  ops.host.onLoads = () => Promise.resolve([loadOf("a".repeat(32))]);
  const { id } = await provision(ops, BAD);
  const detail = await ops.visit(`/operations/accounts/${id}`);
  assert.match(detail.text, /<option value="203\.0\.113\.9\/32">[\s\S]*<option value="203\.0\.113\.0\/24">/);
  const form = { range: "203.0.113.9/1", reason: "<i>mine</i>", life: "1d" };
  const doubted = await ops.visit("/operations/bans", { form });
  assert.equal(doubted.status, 409);
  assert.match(doubted.text, /128\.0\.0\.0\/1 is wider than \/8[\s\S]*name="confirm"/);
  const wrong = await ops.visit("/operations/bans", { form: { ...form, range: "somewhere" } });
  assert.equal(wrong.status, 400);
  assert.match(wrong.text, /Range: neither an address nor a CIDR[\s\S]*value="somewhere"/);
  assert.equal((await ops.visit("/operations/bans", { form: { ...form, life: "x" } })).status, 400);
  const made = await ops.visit("/operations/bans", { form: { ...form, range: "203.0.113.9/24" } });
  assert.equal(made.status, 303, made.text);
  const offer = await ops.visit(made.headers.get("location") ?? "");
  assert.match(offer.text, /203\.0\.113\.0\/24 is banned[\s\S]*made 1 account within the hour/);
  assert.match(offer.text, /&lt;i&gt;mine&lt;\/i&gt;/);
  const ban = /bans\/([0-9a-f]{32})\/end-accounts/.exec(offer.text)?.[1] ?? "";
  const mistyped = await ops.visit(`/operations/bans/${ban}/end-accounts`, { form: { range: "203.0.113.0" } });
  assert.equal(mistyped.status, 400);
  assert.match(mistyped.text, /Nothing was ended/);
  const ended = await ops.visit(`/operations/bans/${ban}/end-accounts`, { form: { range: "203.0.113.0/24" } });
  assert.match(ended.text, /1 account of 203\.0\.113\.0\/24 ended/);
  assert.match((await ops.visit(`/operations/accounts/${id}`)).text, /deleted \(operator\)/);
  assert.equal((await ops.visit(`/operations/bans/${ban}/remove`, { form: {} })).status, 303);
  assert.match((await ops.visit("/operations/bans")).text, /Nobody is banned/);
  assert.equal((await ops.visit(`/operations/bans?made=${ban}`)).status, 404);
});

test("there are only so many bans", async () => {
  await using ops = await openOps();
  const bearer = await ops.makeKey("full");
  const { db } = ops.control.store;
  const row = (at: number) => ({
    id: String(at),
    range: `10.${at >> 8}.${at & 255}.0/24`,
    reason: "r",
    created_by: ops.person,
    created_at: 1,
    expires_at: null,
  });
  for (let from = 0; from < 10_000; from += 1000)
    await db
      .insertInto("bans")
      .values(Array.from({ length: 1000 }, (_, at) => row(from + at)))
      .execute();
  const full = await add(ops, bearer, { range: BAD });
  assert.deepEqual([full.status, full.code], [400, "quota_exceeded"]);
  assert.match(full.message, /10000 bans/);
});

test("one that was acknowledged acts, though a reading of the list that began before it ends later", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  await using bench = await openBench(null);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let [hold, held, over] = [false, false, false];
  const slow: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      if (hold) {
        [hold, held] = [false, true];
        await released;
        over = true;
      }
      return result;
    },
  };
  const store = { ...bench.store, db: bench.store.db.withPlugin(slow) };
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise((resolve) => setImmediate(resolve));
  };
  await using bans = await openBans({ store, trail: openTrail(bench.store.db, bench.keys), log: createLog("test", "silent") });
  hold = true;
  t.mock.timers.tick(5000);
  await until(() => held);
  await bans.add({ person: "olga", key: null }, { range: BAD, reason: "abuse" }, GOOD);
  assert.ok(bans.refuses(BAD));
  release();
  await until(() => over);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(bans.refuses(BAD));
});
