// Reports from a visitor's form to the operator's list, on both databases; and the page over real HTTP.
import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, test } from "node:test";
import { text } from "node:stream/consumers";
import { readAddress } from "../../../src/control/operator/report-pages.ts";
import { closeReport, countOpen, fileReport, listReports, pruneReports, type ReportDraft } from "../../../src/control/operator/reports.ts";
import { openTrail } from "../../../src/control/trail/trail.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import type { Account } from "../../../src/control/store/store.ts";
import { newAccountId, newId, type AccountId, type Subdomain } from "../../../src/kernel/ids.ts";
import { onBothDatabases, type Bench } from "../../fixtures/databases.ts";
import { openDesk, type Desk } from "../../fixtures/desk.ts";
import { openOps } from "../../fixtures/operator.ts";

const DAY_MS = 86_400_000;
const DOMAIN = "mayfly.localhost";

async function newAccount({ store, keys, clock }: Bench): Promise<Account> {
  const id = newAccountId();
  keys.createAccountKey(id);
  const [createdAt, expiresAt] = [clock.now(), clock.now() + 3_600_000];
  return store.transaction((tx) =>
    transitions.create(tx, { id, createdAt, expiresAt, taskId: newId(), taskSealed: null, claimHash: null as never }),
  );
}

const draft = (subdomain: string, more: Partial<ReportDraft> = {}): ReportDraft => ({
  host: `bank--${subdomain}.${DOMAIN}`,
  subdomain: subdomain as Subdomain,
  kind: "phishing",
  page: "/login?step=2",
  text: "It asks for my card.",
  contact: "ada@example.com",
  ...more,
});

const GRACE = { person: "grace", key: "a".repeat(32) };

const deskOf = ({ store, keys }: Bench) => ({ store, keys, trail: openTrail(store.db, keys) });

onBothDatabases("reports", {
  "reach the operator with what was written, and the trail with their kind alone": async (bench) => {
    const desk = deskOf(bench);
    const account = await newAccount(bench);
    await fileReport(desk, draft(account.subdomain));
    const [report] = (await listReports(bench, { account: account.id })).reports;
    assert.ok(report);
    const { id, at, ...rest } = report;
    assert.match(id, /^[0-9a-f]{32}$/);
    assert.equal(at, bench.clock.now());
    assert.deepEqual(rest, {
      account: account.id,
      host: `bank--${account.subdomain}.${DOMAIN}`,
      kind: "phishing",
      state: "open",
      closedAt: null,
      page: "/login?step=2",
      text: "It asks for my card.",
      contact: "ada@example.com",
    });
    const row = await bench.store.db.selectFrom("reports").selectAll().executeTakeFirstOrThrow();
    assert.doesNotMatch(Buffer.from(row.sealed).toString("latin1"), /card|ada@/);
    const [line] = await desk.trail.read(account.id, { limit: 10, offset: 0 });
    assert.deepEqual([line?.action, line?.reason, line?.actors, line?.text], ["report:file", "phishing", ["visitor"], null]);
    assert.doesNotMatch(JSON.stringify(line), /card|ada@|login/);
  },

  "are listed with the latest first, page by page, and counted by account while open": async (bench) => {
    const desk = deskOf(bench);
    const [one, other, third] = [await newAccount(bench), await newAccount(bench), await newAccount(bench)];
    for (const [subdomain, more] of [
      [one.subdomain, {}],
      [one.subdomain, { kind: "spam", host: `ads--${one.subdomain}.${DOMAIN}` }],
      ["no-such-xxxxx", {}],
      [other.subdomain, {}],
    ] as const) {
      await fileReport(desk, draft(subdomain, more));
      bench.clock.advance(1000);
    }
    const listed = [await listReports(bench, { limit: 3 }), await listReports(bench, { limit: 3, offset: 3 })];
    assert.deepEqual(
      listed.map(({ reports }) => reports.map(({ account }) => account)),
      [[other.id, null, one.id], [one.id]],
    );
    assert.deepEqual(
      listed.map(({ total }) => total),
      [4, 4],
    );
    assert.deepEqual((await listReports(bench, { account: one.id })).total, 2);
    const counted = await countOpen(bench.store, [one.id, other.id, third.id]);
    assert.deepEqual(Object.fromEntries(counted), { [one.id]: 2, [other.id]: 1 });
    assert.equal((await countOpen(bench.store, [])).size, 0);
  },

  "about an account that has ended meanwhile find it by its tombstone": async (bench) => {
    const desk = deskOf(bench);
    const account = await newAccount(bench);
    await bench.store.db
      .updateTable("accounts")
      .set({ state: "deleted", end_reason: "expired", deleted_at: 1 })
      .where("id", "=", account.id)
      .execute();
    bench.keys.destroyAccountKey(account.id);
    await fileReport(desk, draft(account.subdomain));
    const { reports } = await listReports(bench, { state: "open" });
    assert.deepEqual(
      reports.map(({ account: id, text }) => [id, text]),
      [[account.id, "It asks for my card."]],
    );
  },

  "are closed once, by name, and then open no more": async (bench) => {
    const desk = deskOf(bench);
    const account = await newAccount(bench);
    await fileReport(desk, draft(account.subdomain));
    const [report] = (await listReports(bench, { state: "open" })).reports;
    const id = report?.id ?? "";
    bench.clock.advance(5000);
    await Promise.all([closeReport(desk, id, GRACE), closeReport(desk, id, GRACE)]);
    assert.equal((await countOpen(bench.store, [account.id])).size, 0);
    const [closed] = (await listReports(bench, { state: "closed" })).reports;
    assert.equal(closed?.closedAt, bench.clock.now());
    const closings = (await desk.trail.read(account.id, { limit: 10, offset: 0 })).filter(({ action }) => action === "report:close");
    assert.deepEqual(
      closings.map(({ actors, token }) => [actors, token]),
      [[["person/grace"], GRACE.key]],
    );
    await assert.rejects(closeReport(desk, newId(), GRACE), { code: "report_not_found" });
  },

  "go after ninety days, and are unreadable once their month's key is gone": async (bench) => {
    const desk = deskOf(bench);
    await fileReport(desk, draft("no-such-xxxxx"));
    bench.clock.advance(90 * DAY_MS);
    await pruneReports(bench.store);
    assert.equal((await listReports(bench)).total, 1);
    bench.keys.dropOperatorKeys(bench.clock.now());
    const [report] = (await listReports(bench)).reports;
    assert.deepEqual([report?.page, report?.text, report?.contact], [null, null, null]);
    bench.clock.advance(1);
    await pruneReports(bench.store);
    assert.deepEqual(await listReports(bench), { reports: [], total: 0 });
  },

  "about one page are a hundred at most, however many arrive at once": async (bench) => {
    const desk = deskOf(bench);
    const account = await newAccount(bench);
    const filed = await Promise.allSettled(Array.from({ length: 110 }, () => fileReport(desk, draft(account.subdomain))));
    assert.equal(filed.filter(({ status }) => status === "fulfilled").length, 100);
    for (const one of filed) if (one.status === "rejected") assert.equal((one.reason as { code: string }).code, "too_many_reports");
    await fileReport(desk, draft("no-such-xxxxx"));
    const [first] = (await listReports(bench, { account: account.id })).reports;
    await closeReport(desk, first?.id ?? "", GRACE);
    await fileReport(desk, draft(account.subdomain));
  },

  "fill no more than their room: closed ones make some, open ones stay": async (bench) => {
    const desk = deskOf(bench);
    const row = (state: "open" | "closed", at: number) => ({
      id: newId(),
      at,
      account_id: null,
      host: `${newId()}.${DOMAIN}`,
      kind: "other" as const,
      sealed: Buffer.from("x"),
      state,
      closed_at: null,
    });
    const now = bench.clock.now();
    const rows = [row("closed", now - 2), row("closed", now - 1), ...Array.from({ length: 9998 }, () => row("open", now - 3))];
    for (let at = 0; at < rows.length; at += 1000)
      await bench.store.db
        .insertInto("reports")
        .values(rows.slice(at, at + 1000))
        .execute();
    await fileReport(desk, draft("no-such-aaaaa"));
    await fileReport(desk, draft("no-such-bbbbb"));
    await assert.rejects(fileReport(desk, draft("no-such-ccccc")), { code: "too_many_reports" });
    const { count } = await bench.store.db
      .selectFrom("reports")
      .select((of) => of.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    assert.equal(count, 10_000);
    assert.equal((await listReports(bench, { state: "closed" })).total, 0);
    const account = await newAccount(bench);
    await fileReport(desk, draft(account.subdomain));
    assert.deepEqual(Object.fromEntries(await countOpen(bench.store, [account.id])), { [account.id]: 1 }, "made-up names keep out nobody");
    assert.equal((await listReports(bench)).total, 10_000);
  },
});

describe("the address of a page", () => {
  test("is read from a URL or a host name, under the edge domain alone", () => {
    const account = { host: `a--b-c-ddddd.${DOMAIN}`, subdomain: "b-c-ddddd" };
    assert.deepEqual(readAddress(`A--B-C-ddddd.${DOMAIN}`, DOMAIN), { ...account, page: "/" });
    assert.deepEqual(readAddress(` https://user:pw@a--b-c-ddddd.${DOMAIN}.:8788/x?y#secret `, DOMAIN), { ...account, page: "/x?y" });
    assert.equal(readAddress(`x--a--b-c-ddddd.${DOMAIN}`, DOMAIN).subdomain, "b-c-ddddd");
    assert.equal(readAddress(`nobody.${DOMAIN}`, DOMAIN).subdomain, null);
    const foreign = [
      "",
      "x",
      DOMAIN,
      `.${DOMAIN}`,
      `a.b.${DOMAIN}`,
      "https://example.com/",
      `https://a--b.${DOMAIN}.evil.example`,
      `javascript:${DOMAIN}`,
    ];
    for (const one of [...foreign, `http://${"a".repeat(64)}.${DOMAIN}`, `http://a.${DOMAIN}/${"x".repeat(1000)}`]) {
      assert.throws(() => readAddress(one, DOMAIN), { code: "invalid_input" }, one);
    }
  });
});

type Answer = { readonly status: number; readonly location: string | undefined; readonly body: string; readonly policy: string };

/** The desk's pages are at the origin that it was told, whatever port it listens on. */
function send(desk: Desk, path: string, form?: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
  const own = {
    host: "localhost:8787",
    ...(form && { origin: "http://localhost:8787", "content-type": "application/x-www-form-urlencoded" }),
  };
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port: desk.port, path, method: form ? "POST" : "GET", headers: { ...own, ...headers } }, (incoming) => {
      const { statusCode: status = 0, headers: came } = incoming;
      text(incoming).then(
        (body) => resolve({ status, body, location: came.location, policy: String(came["content-security-policy"]) }),
        reject,
      );
    })
      .once("error", reject)
      .end(form && new URLSearchParams(form).toString());
  });
}

describe("the page for reports", () => {
  const filled = (host: string): Record<string, string> => ({ host, kind: "malware", text: "bad\r\nthing", contact: "" });

  test("takes one from anybody and says the same whether or not there is such an account", async () => {
    await using desk = await openDesk();
    const { subdomain, id } = await desk.tenant();
    const form = await send(desk, `/report?host=bank--${subdomain}.${DOMAIN}`);
    assert.equal(form.status, 200);
    assert.ok(form.body.includes(`value="bank--${subdomain}.${DOMAIN}"`));
    assert.match(form.policy, /form-action 'self'.*frame-ancestors 'none'/);
    const answers = [];
    for (const name of [subdomain, "no-such-xxxxx"]) answers.push(await send(desk, "/report", filled(`bank--${name}.${DOMAIN}`)));
    assert.deepEqual(answers[0], answers[1]);
    assert.deepEqual([answers[0]?.status, answers[0]?.location], [303, "/report/sent"]);
    assert.match((await send(desk, "/report/sent")).body, /has your report/);
    const { reports } = await listReports(desk.control);
    assert.deepEqual(new Set(reports.map(({ account }) => account)), new Set([id as AccountId, null]));
    assert.equal(reports[0]?.text, "bad\nthing");
  });

  test("says what to correct and keeps what was typed", async () => {
    await using desk = await openDesk();
    const host = `a--no-such-xxxxx.${DOMAIN}`;
    const wrong: [Record<string, string>, RegExp][] = [
      [{ host: "https://example.com" }, /Which page: must be an address of this installation/],
      [{ kind: "nonsense" }, /What is wrong: choose one/],
      [{ kind: "toString" }, /What is wrong: choose one/],
      [{ text: "x".repeat(2001) }, /What you saw: 2000 characters at most/],
      [{ contact: "ada" }, /Your e-mail address/],
      [{ contact: "a@b\nbcc: c@d" }, /Your e-mail address/],
      [{ host: '"><script>alert(1)</script>' }, /Which page/],
    ];
    for (const [fields, told] of wrong) {
      const answer = await send(desk, "/report", { ...filled(host), ...fields });
      assert.equal(answer.status, 400, JSON.stringify(fields));
      assert.match(answer.body, told);
      assert.ok(!answer.body.includes("<script>alert"));
      assert.ok(fields["text"] !== undefined || answer.body.includes("bad"));
    }
    assert.equal((await send(desk, "/report", { ...filled(host), text: "😀".repeat(2000) })).status, 303);
    assert.equal((await listReports(desk.control)).total, 1);
  });

  test("is no other site's to send, and ten an hour from one network", async () => {
    await using desk = await openDesk();
    const form = filled(`a--no-such-xxxxx.${DOMAIN}`);
    assert.equal((await send(desk, "/report", form, { origin: "http://evil.example" })).status, 403);
    assert.equal((await send(desk, "/report", form, { "sec-fetch-site": "cross-site" })).status, 403);
    for (let round = 0; round < 10; round++) assert.equal((await send(desk, "/report", form)).status, 303);
    const late = await send(desk, "/report", form);
    assert.equal(late.status, 429);
    assert.match(late.body, /Too many tries/);
    desk.clock.advance(3_600_000);
    assert.equal((await send(desk, "/report", form)).status, 303);
  });

  test("is sent ten times an hour from an IPv6 /56 and eighty from a /48, however many addresses they hold", async () => {
    await using ops = await openOps();
    const form = filled(`a--no-such-xxxxx.${DOMAIN}`);
    const sent = async (address: string): Promise<number> => (await ops.visit("/report", { cookie: null, form, address })).status;
    const customer = (at: number, host: number): string => `2001:db8:7:${(at * 256 + host).toString(16)}::1`;
    for (let host = 0; host < 10; host++) assert.equal(await sent(customer(0, host)), 303);
    for (let host = 10; host < 110; host++) assert.equal(await sent(customer(0, host)), 429);
    for (let at = 1; at < 8; at++) for (let host = 0; host < 10; host++) assert.equal(await sent(customer(at, host)), 303, "neighbours");
    assert.equal(await sent(customer(8, 0)), 429);
    assert.equal(await sent("2001:db8:8::1"), 303);
  });
});
