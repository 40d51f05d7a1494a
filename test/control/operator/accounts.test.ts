// Accounts as an operator's script sees them, and what it does about them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { wanted } from "../../../src/control/operator/sight.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { onBothDatabases } from "../../fixtures/databases.ts";
import { deedsOf, loadOf, openOps, type Ops } from "../../fixtures/operator.ts";
import type { Tenant } from "../../fixtures/tenant.ts";

type Line = {
  readonly id: string;
  readonly subdomain: string;
  readonly state: string;
  readonly hot: boolean;
  readonly cpu_ms_per_minute: number;
  readonly memory_bytes: number;
  readonly refusals: number;
  readonly caps: readonly { cap: string; used: number; max: number | null; refused: number }[];
  readonly suspended: { by: string; reason: string } | null;
};

const WORKER = "export default { fetch: () => new Response('hello') };";
const BUSY = [{ cap: "requests", used: 30, refused: 4, freesAtMs: null }] as const;

async function ids(ops: Ops, bearer: string, query: string): Promise<string[]> {
  const listed = await ops.call<Line[]>("GET", `/operator/accounts?${query}`, { bearer });
  assert.equal(listed.status, 200, listed.message);
  return listed.result.map(({ id }) => id);
}

onBothDatabases("an operator's script", {
  "sees the heaviest first, in pages, and finds an account by id, subdomain or host name": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("read");
    const tenants: Tenant[] = [];
    for (let at = 0; at < 4; at++) {
      tenants.push(await ops.tenant());
      ops.clock.advance(1000);
    }
    const [a, b, c, d] = tenants as [Tenant, Tenant, Tenant, Tenant];
    ops.host.onLoads = () =>
      Promise.resolve([
        loadOf(b.id, { cpuMsPerMinute: 900, pssBytes: 10, caps: [...BUSY] }),
        loadOf(a.id, { cpuMsPerMinute: 5000, pssBytes: 5, hot: false }),
      ]);
    assert.deepEqual(await ids(ops, bearer, ""), [a.id, b.id, d.id, c.id], "by load, the rest by age");
    assert.deepEqual(await ids(ops, bearer, "sort=memory"), [b.id, a.id, d.id, c.id]);
    assert.deepEqual(await ids(ops, bearer, "sort=age"), [d.id, c.id, b.id, a.id]);
    assert.deepEqual(await ids(ops, bearer, "sort=refusals&limit=1"), [b.id]);
    assert.deepEqual(await ids(ops, bearer, "filter=hot"), [b.id]);
    // Nothing is shown twice or left out while loads stand still, whatever the page's size.
    for (const limit of [1, 2, 3]) {
      const seen: string[] = [];
      for (let cursor = "", more = true; more;) {
        const page = await ops.call<Line[]>("GET", `/operator/accounts?limit=${limit}&cursor=${cursor}`, { bearer });
        assert.equal(page.info.total_count, 4);
        seen.push(...page.result.map(({ id }) => id));
        cursor = page.info.cursor ?? "";
        more = cursor !== "";
      }
      assert.deepEqual(seen, [a.id, b.id, d.id, c.id]);
    }
    for (const search of [
      c.id,
      c.subdomain,
      c.subdomain.slice(0, -1),
      `http://${c.host("app")}:8788/x?y`,
      `HELLO--${c.subdomain}.elsewhere`,
    ])
      assert.deepEqual(await ids(ops, bearer, `search=${encodeURIComponent(search)}`), [c.id], search);
    for (const search of ["%", "nothing-like-it", "a'b", "_"])
      assert.deepEqual(await ids(ops, bearer, `search=${encodeURIComponent(search)}`), []);
    const [line] = (await ops.call<Line[]>("GET", "/operator/accounts?sort=refusals", { bearer })).result;
    assert.deepEqual([line?.hot, line?.cpu_ms_per_minute, line?.memory_bytes, line?.refusals], [true, 900, 10, 4]);
    assert.deepEqual(line?.caps, [{ cap: "requests", used: 30, max: null, refused: 4, frees_at: null }]);
    ops.host.onLoads = () => Promise.reject(new Error("away"));
    assert.equal((await ids(ops, bearer, "")).length, 4, "without host the rows are there all the same");
  },

  "counts refusals of the last hour, and caps' once": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("read");
    const [one, other] = [await ops.tenant(), await ops.tenant()];
    for (let at = 0; at < 3; at++) await one.call("GET", `/accounts/${other.id}`);
    const { store } = ops.control;
    await store.db
      .updateTable("trail")
      .set({ count: 7 })
      .where("outcome", "=", "refused")
      .where("account_id", "=", one.id as AccountId)
      .execute();
    const row = await store.db.selectFrom("trail").selectAll().where("outcome", "=", "refused").executeTakeFirstOrThrow();
    await store.db
      .insertInto("trail")
      .values({ ...row, id: "f".repeat(32), action: "caps:requests", count: 100 })
      .execute();
    const refusals = async () => (await ops.call<Line>("GET", `/operator/accounts/${one.id}`, { bearer })).result.refusals;
    assert.equal(await refusals(), 7);
    assert.deepEqual((await ids(ops, bearer, "sort=refusals"))[0], one.id);
    ops.clock.advance(3_600_000 - 1);
    assert.equal(await refusals(), 7);
    ops.clock.advance(1);
    assert.equal(await refusals(), 0);
  },

  "suspends with a reason that everybody reads, which no deploy lifts, and releases": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("full");
    const tenant = await ops.tenant();
    await tenant.deploy("app", WORKER);
    const spec = () => ops.host.specs.get(tenant.id);
    const suspended = await ops.call<Line>("POST", `/operator/accounts/${tenant.id}/suspend`, {
      bearer,
      json: { reason: "It sends spam." },
    });
    assert.equal(suspended.status, 200, suspended.message);
    assert.deepEqual([suspended.result.suspended?.by, suspended.result.suspended?.reason], ["operator", "It sends spam."]);
    assert.equal(spec()?.suspended, "It sends spam.", "host is told");
    const own = await tenant.call<{ mayfly: { suspended: { by: string; reason: string } } }>("GET", `/accounts/${tenant.id}`);
    assert.deepEqual([own.result.mayfly.suspended.by, own.result.mayfly.suspended.reason], ["operator", "It sends spam."]);
    const deploy = await tenant.upload("app", WORKER.replace("hello", "again"));
    assert.deepEqual([deploy.status, deploy.code], [403, 71403], deploy.message);
    assert.match(deploy.message, /It sends spam/);
    assert.equal(spec()?.suspended, "It sends spam.");
    const left = (await ops.call<{ left_seconds: number }>("GET", `/operator/accounts/${tenant.id}`, { bearer })).result.left_seconds;
    ops.clock.advance(60_000);
    const later = (await ops.call<{ left_seconds: number }>("GET", `/operator/accounts/${tenant.id}`, { bearer })).result.left_seconds;
    assert.equal(left - later, 60, "its clock runs on");
    const released = await ops.call<Line>("POST", `/operator/accounts/${tenant.id}/release`, { bearer });
    assert.deepEqual([released.status, released.result.suspended], [200, null]);
    assert.equal(spec()?.suspended, null);
    await tenant.deploy("app", WORKER.replace("hello", "third"));
    const again = await ops.call("POST", `/operator/accounts/${tenant.id}/release`, { bearer });
    assert.deepEqual([again.status, again.code], [409, "precondition_failed"]);
    const [deed] = await deedsOf(ops, "account:suspend");
    assert.deepEqual([deed?.actors, deed?.resource, deed?.reason], [[`person/${ops.person}`], `account/${tenant.id}`, "It sends spam."]);
    assert.match(deed?.token ?? "", /^[0-9a-f]{32}$/, "the key's id");
    assert.deepEqual(
      (await deedsOf(ops, "account:release")).map(({ actors, outcome }) => [actors, outcome]),
      [[[`person/${ops.person}`], "done"]],
    );
  },

  "replaces the watchdog's suspension, which a deploy would lift": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("full");
    const tenant = await ops.tenant();
    await tenant.deploy("app", WORKER);
    const { store } = ops.control;
    const watchdog = () =>
      store.transaction((tx) => transitions.suspend(tx, tenant.id as AccountId, "watchdog", "It died ten times.", store.clock.now()));
    assert.ok(await watchdog());
    await tenant.deploy("app", WORKER.replace("hello", "mended"));
    const state = async () => (await ops.call<Line>("GET", `/operator/accounts/${tenant.id}`, { bearer })).result.suspended;
    assert.equal(await state(), null, "a deploy lifts the watchdog's");
    assert.ok(await watchdog());
    await ops.call("POST", `/operator/accounts/${tenant.id}/suspend`, { bearer, json: { reason: "Enough." } });
    assert.deepEqual([(await state())?.by, (await state())?.reason], ["operator", "Enough."]);
    assert.equal((await tenant.upload("app", WORKER)).status, 403);
    assert.equal(await watchdog(), undefined, "and the watchdog does not replace the operator's");
    assert.equal((await state())?.by, "operator");
    await ops.call("POST", `/operator/accounts/${tenant.id}/release`, { bearer });
    assert.ok(await watchdog());
    await ops.call("POST", `/operator/accounts/${tenant.id}/release`, { bearer });
    assert.equal(await state(), null, "the operator releases what the watchdog stopped, too");
  },

  "ends an account at once, whoever owns it, and still sees what remains": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("full");
    const tenant = await ops.tenant();
    await tenant.deploy("app", WORKER);
    const before = await ops.call<{
      code: { sha256: string; file: string }[];
      workers: { name: string; url: string }[];
      made_from: string;
    }>("GET", `/operator/accounts/${tenant.id}`, { bearer });
    assert.equal(before.result.made_from, "127.0.0.1");
    assert.match(before.result.code[0]?.sha256 ?? "", /^[0-9a-f]{64}$/);
    assert.deepEqual(
      before.result.workers.map(({ name }) => name),
      ["app"],
    );
    const ended = await ops.call<{ id: string; erased: boolean }>("DELETE", `/operator/accounts/${tenant.id}`, { bearer });
    assert.deepEqual([ended.status, ended.result], [200, { id: tenant.id, erased: true }]);
    assert.equal((await tenant.call("GET", "/accounts")).status, 401);
    const again = await ops.call("DELETE", `/operator/accounts/${tenant.id}`, { bearer });
    assert.deepEqual([again.status, again.code], [410, "account_gone"]);
    const suspend = await ops.call("POST", `/operator/accounts/${tenant.id}/suspend`, { bearer, json: { reason: "late" } });
    assert.deepEqual([suspend.status, suspend.code], [410, "account_gone"]);
    const after = await ops.call<{
      state: string;
      end_reason: string;
      made_from: string;
      trail: { action: string; text: string | null }[];
    }>("GET", `/operator/accounts/${tenant.id}`, { bearer });
    assert.deepEqual([after.result.state, after.result.end_reason, after.result.made_from], ["deleted", "operator", "127.0.0.1"]);
    const created = after.result.trail.find(({ action }) => action === "account:create");
    assert.deepEqual(JSON.parse(created?.text ?? "{}"), { address: "127.0.0.1" });
    assert.deepEqual(await ids(ops, bearer, ""), []);
    assert.deepEqual(await ids(ops, bearer, "filter=ended"), [tenant.id]);
    const [deed] = await deedsOf(ops, "account:ending");
    assert.deepEqual([deed?.actors, deed?.reason], [[`person/${ops.person}`], "operator"]);
    assert.match(deed?.token ?? "", /^[0-9a-f]{32}$/);
    ops.control.keys.dropOperatorKeys(Date.now() + 40 * 86_400_000);
    const forgotten = await ops.call<typeof after.result>("GET", `/operator/accounts/${tenant.id}`, { bearer });
    assert.equal(forgotten.result.made_from, null, "gone with its month's key");
  },
});

test("what an operator pastes leads to the account", () => {
  for (const pasted of [
    "quiet-otter-x7k2p",
    " https://app--quiet-otter-x7k2p.mayfly.localhost:8788/a?b ",
    "v1--app--quiet-otter-x7k2p",
    "APP--Quiet-Otter-x7k2p.",
  ])
    assert.equal(wanted(pasted), "quiet-otter-x7k2p", pasted);
  assert.equal(wanted("A".repeat(32)), "a".repeat(32));
});

test("bad questions are refused by the field's name, unknown accounts by theirs", async () => {
  await using ops = await openOps();
  const bearer = await ops.makeKey("full");
  const tenant = await ops.tenant();
  for (const [query, field] of [
    ["sort=size", "sort"],
    ["filter=x", "filter"],
    ["limit=0", "limit"],
    ["cursor=zzz", "cursor"],
  ] as const) {
    const answer = await ops.call("GET", `/operator/accounts?${query}`, { bearer });
    assert.deepEqual([answer.status, answer.code], [400, "invalid_input"], query);
    assert.ok(answer.message.startsWith(`${field}: `), answer.message);
  }
  for (const json of [
    {},
    { reason: "" },
    { reason: "x".repeat(301) },
    { reason: "a\u202eb" },
    { reason: "a\0b" },
    { reason: "x", more: 1 },
    { reason: 5 },
  ]) {
    const answer = await ops.call("POST", `/operator/accounts/${tenant.id}/suspend`, { bearer, json });
    assert.deepEqual([answer.status, answer.code], [400, "invalid_input"], JSON.stringify(json));
  }
  for (const id of ["f".repeat(32), "x", "%00", "..%2f"]) {
    for (const [method, path, json] of [
      ["GET", "", undefined],
      ["POST", "/suspend", { reason: "x" }],
      ["POST", "/release", undefined],
      ["DELETE", "", undefined],
    ] as const) {
      const answer = await ops.call(method, `/operator/accounts/${id}${path}`, { bearer, json });
      assert.ok([400, 404].includes(answer.status), `${method} ${id}${path}: ${answer.status} ${answer.message}`);
    }
  }
});

test("a deed is saved while host is away, and says so", async () => {
  await using ops = await openOps();
  const bearer = await ops.makeKey("full");
  const tenant = await ops.tenant();
  ops.host.failure = new PlatformError("capsule_failed", { message: "away" });
  const answer = await ops.call("POST", `/operator/accounts/${tenant.id}/suspend`, { bearer, json: { reason: "Spam." } });
  assert.deepEqual([answer.status, answer.code], [503, "capsule_failed"]);
  assert.match(answer.message, /This is saved/);
  ops.host.failure = null;
  const own = await ops.call<Line>("GET", `/operator/accounts/${tenant.id}`, { bearer });
  assert.equal(own.result.suspended?.reason, "Spam.");
});
