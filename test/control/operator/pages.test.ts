// The operator's pages as a browser without script sees them, and as everybody else does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { amount } from "../../../src/control/operator/views.ts";
import { loadOf, openOps, type Ops } from "../../fixtures/operator.ts";

const PATHS = ["", "/bans", "/keys", "/caps", "/reports", `/accounts/${"a".repeat(32)}`] as const;
const DEEDS = [
  "/bans",
  "/keys",
  "/bans/x/remove",
  "/bans/x/end-accounts",
  "/keys/x/end",
  "/reports/x/close",
  "/accounts/x/suspend",
  "/accounts/x/release",
  "/accounts/x/end",
];

const shapeOf = (text: string): string =>
  text.replaceAll(/\/operations[^ <]*?(?=\.? *<|\. )/g, "PATH").replaceAll(/\/nothing[^ <]*?(?=\.? *<|\. )/g, "PATH");

test("nobody but an operator can tell them from pages that do not exist", async () => {
  await using ops = await openOps();
  const stranger = await ops.stranger();
  for (const cookie of [null, stranger]) {
    const nothing = await ops.visit("/nothing", { cookie });
    for (const path of PATHS) {
      const page = await ops.visit(`/operations${path}`, { cookie });
      assert.equal(page.status, 404, path);
      assert.equal(shapeOf(page.text), shapeOf(nothing.text), path);
      assert.match(page.text, new RegExp(`There is nothing at /operations${path}\\.`));
    }
    for (const path of DEEDS) assert.equal((await ops.visit(`/operations${path}`, { cookie, form: {} })).status, 404, path);
  }
  for (const path of PATHS.slice(0, 5)) assert.equal((await ops.visit(`/operations${path}`)).status, 200, path);
  assert.ok(!(await ops.visit("/", { cookie: stranger })).text.includes("/operations"));
  assert.match((await ops.visit("/")).text, /<a href="\/operations">Operations<\/a>/);
});

test("a form from elsewhere does nothing, with the operator's own session too", async () => {
  await using ops = await openOps();
  const { id } = await ops.tenant();
  for (const path of DEEDS) {
    for (const headers of [{ origin: "https://evil.example" }, { origin: "null" }, { "sec-fetch-site": "same-site" }]) {
      const sent = await ops.visit(`/operations${path.replace("/x/", `/${id}/`)}`, { form: { reason: "x", range: "192.0.2.1" }, headers });
      assert.equal(sent.status, 403, path);
      assert.match(sent.text, /This form came from elsewhere/);
    }
  }
  assert.deepEqual(await ops.control.store.db.selectFrom("bans").selectAll().execute(), []);
});

const alone = (ops: Ops, id: string) => ops.visit(`/operations/accounts/${id}`);

test("who hurts whom is seen at a glance, stopped, let go and ended with a click each", async () => {
  await using ops = await openOps();
  const [heavy, calm] = [await ops.tenant({ "mayfly-task": '{"title":"<script>x</script>"}' }), await ops.tenant()];
  await heavy.deploy("app", "export default { fetch: () => new Response('x') };");
  const caps = [
    { cap: "requests", used: 54_000, refused: 12, freesAtMs: ops.clock.now() + 60_000 },
    { cap: "cpu_ms", used: 5000, refused: 0, freesAtMs: null },
  ] as const;
  ops.host.onLoads = () => Promise.resolve([loadOf(heavy.id, { cpuMsPerMinute: 41_000, pssBytes: 134_217_728, caps: [...caps] })]);
  const first = await ops.visit("/operations");
  assert.match(first.text, /on 2 cores[\s\S]*4 GiB[\s\S]*of 8 GiB/);
  assert.match(first.text, /Price of an account[\s\S]*20 hashes[\s\S]*Admitted[\s\S]*2/);
  const { result } = await ops.call<{ admission: Record<string, unknown> }>("GET", "/operator/overview", {
    bearer: await ops.makeKey("read"),
  });
  const { price_hashes, pressure, accounts_in_hour, live_accounts } = result.admission;
  assert.deepEqual([price_hashes, pressure, accounts_in_hour, live_accounts], [20, 2 / 1_000_000, 2, 2]);
  assert.match(
    first.text,
    /Temporary accounts[\s\S]*2 <span class="quiet">of 1,000,000[\s\S]*Accounts made within the hour[\s\S]*2 <span class="quiet">of 1,000,000/,
  );
  assert.ok(first.text.indexOf(heavy.subdomain) < first.text.indexOf(calm.subdomain), "the heavy one comes first");
  assert.match(first.text, /41 s\/min[\s\S]*128 MiB[\s\S]*Requests 54,000[\s\S]*12 refused[\s\S]*CPU 5 s/);
  const found = await ops.visit(`/operations?search=${calm.subdomain}`);
  assert.ok(found.text.includes(calm.id) && !found.text.includes(heavy.id));
  assert.match((await ops.visit("/operations?search=%3Cb%3E&from=x&sort=nonsense")).text, /value="&lt;b&gt;"[\s\S]*None\./);

  const detail = await alone(ops, heavy.id);
  assert.match(detail.text, /Made from[\s\S]*<code>127\.0\.0\.1<\/code>/);
  assert.match(detail.text, /app[\s\S]*[0-9a-f]{64}/);
  assert.match(detail.text, /account:create[\s\S]*address: 127\.0\.0\.1/);
  const unreasoned = await ops.visit(`/operations/accounts/${heavy.id}/suspend`, { form: { reason: " " } });
  assert.equal(unreasoned.status, 400);
  assert.match(unreasoned.text, /Reason: missing: say why/);
  const why = "It <b>mines</b> coins.";
  assert.equal((await ops.visit(`/operations/accounts/${heavy.id}/suspend`, { form: { reason: why } })).status, 303);
  assert.equal(ops.host.specs.get(heavy.id)?.suspended, why);
  assert.match((await alone(ops, heavy.id)).text, /suspended by operator[\s\S]*It &lt;b&gt;mines&lt;\/b&gt; coins\.[\s\S]*Release/);
  assert.match((await ops.visit("/operations?filter=suspended")).text, /suspended by operator/);
  assert.equal((await ops.visit(`/operations/accounts/${heavy.id}/release`, { form: {} })).status, 303);
  assert.equal(ops.host.specs.get(heavy.id)?.suspended, null);
  const twice = await ops.visit(`/operations/accounts/${heavy.id}/release`, { form: {} });
  assert.equal(twice.status, 409);
  assert.match(twice.text, /This account is not suspended/, "there is no form any more beside which it could be said");
  const mistyped = await ops.visit(`/operations/accounts/${heavy.id}/end`, { form: { subdomain: calm.subdomain } });
  assert.equal(mistyped.status, 400);
  assert.match(mistyped.text, /Nothing was ended/);
  const ended = await ops.visit(`/operations/accounts/${heavy.id}/end`, { form: { subdomain: heavy.subdomain } });
  assert.match(ended.text, /has ended[\s\S]*Everything in it has been erased/);
  const remains = await alone(ops, heavy.id);
  assert.match(remains.text, /deleted \(operator\)[\s\S]*Ban whoever made it[\s\S]*account:deleted/);
  assert.ok(!remains.text.includes("<script>x"));
  for (const deed of ["suspend", "release", "end"]) {
    const asked = await ops.visit(`/operations/accounts/${calm.id}/${deed}`);
    assert.deepEqual([asked.status, asked.headers.get("location")], [303, `/operations/accounts/${calm.id}`]);
  }
});

test("many accounts and a long trail come in pages", async () => {
  await using ops = await openOps();
  const tenant = await ops.tenant();
  const { db } = ops.control.store;
  const [account, entry] = [
    await db.selectFrom("accounts").selectAll().executeTakeFirstOrThrow(),
    await db.selectFrom("trail").selectAll().where("action", "=", "account:create").executeTakeFirstOrThrow(),
  ];
  for (let at = 0; at < 60; at++) {
    const id = at.toString(16).padStart(32, "0");
    await db
      .insertInto("accounts")
      .values({ ...account, id: id as never, subdomain: `made-up-${at}` as never, claim_hash: id, created_at: account.created_at - at - 1 })
      .execute();
    await db
      .insertInto("trail")
      .values({ ...entry, id, at: entry.at + at, action: "workers:deploy", sealed: null })
      .execute();
  }
  const first = await ops.visit("/operations?sort=age");
  assert.match(first.text, /1\s+to\s+25\s+of 61/);
  const next = /<a rel="next" href="([^"]+)"/.exec(first.text)?.[1]?.replaceAll("&amp;", "&") ?? "";
  const second = await ops.visit(next);
  assert.match(second.text, /26\s+to\s+50\s+of 61[\s\S]*rel="prev"/);
  assert.ok(second.text.includes("made-up-24") && !second.text.includes("made-up-23<"));
  assert.match((await alone(ops, tenant.id)).text, /1\s+to\s+50\s+of 61/);
  assert.match((await ops.visit(`/operations/accounts/${tenant.id}?from=50`)).text, /51\s+to\s+61\s+of 61[\s\S]*rel="prev"/);
});

test("without host and its loads the pages say so, and stand", async () => {
  await using ops = await openOps();
  const { id } = await ops.tenant();
  const away = () => Promise.reject(new Error("away"));
  Object.assign(ops.host, { onLoads: away, capacity: away, usage: away });
  assert.match((await ops.visit("/operations")).text, /runs Workers does not answer/);
  assert.match((await alone(ops, id)).text, /Disk[\s\S]*unknown/);
});

test("amounts are written as people read them", () => {
  assert.deepEqual(
    [amount("cpu_ms", 1234), amount("cpu_ms", 120_000), amount("served_bytes", 2048), amount("requests", 60_000)],
    ["1.2 s", "120 s", "2 KiB", "60,000"],
  );
});
