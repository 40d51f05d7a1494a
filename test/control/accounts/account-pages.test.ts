// The pages of a claimed account as its owner's browser without script sees them, and as everybody else's does.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../../src/kernel/ids.ts";
import { onBothDatabases, openBench, type Bench } from "../../fixtures/databases.ts";
import { ADA, FormBrowser, tokenIn, type Answer } from "../../fixtures/form-browser.ts";
import { addWorker, openPages, type Pages } from "../../fixtures/pages.ts";
import type { Account } from "../../../src/control/store/store.ts";
import { OVER_KEPT } from "../../../src/control/tokens/owner-tokens.ts";

const EVE = { name: "Eve", email: "eve@example.com", password: "battery staple" };

type Owned = { readonly browser: FormBrowser; readonly account: Account; readonly token: string };

/** Somebody who has just claimed an account. */
async function owner(pages: Pages, person = ADA): Promise<Owned> {
  const { account, link } = await pages.waiting();
  const browser = new FormBrowser(pages);
  await browser.opens(link);
  await browser.signsUp(person);
  const claimed = await browser.confirms(account.id);
  return { browser, account, token: tokenIn(claimed) ?? assert.fail(claimed.text) };
}

const drawn = (page: Answer): string => /name="form" value="([0-9a-f]{32})"/.exec(page.text)?.[1] ?? assert.fail(page.text);

async function make({ browser, account }: Owned, fields: Record<string, string> = {}): Promise<Answer> {
  const form = drawn(await browser.send(`/accounts/${account.id}`));
  return browser.send(`/accounts/${account.id}/tokens`, { form: { form, name: "CI", grant: "deploy", life: "30d", ...fields } });
}

const deeds = async ({ store }: Bench, account: Account): Promise<string[]> =>
  (await store.db.selectFrom("trail").selectAll().where("account_id", "=", account.id).orderBy("at").execute()).map(
    (row) => `${row.action} ${row.outcome}`,
  );

onBothDatabases("the page of an account", {
  "lists its tokens, makes one that is shown once, and ends it at once": async (bench) => {
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const { browser, account } = ada;
    await addWorker(bench, account, "landing");
    const home = await browser.send("/");
    assert.match(home.text, new RegExp(`<a href="/accounts/${account.id}">${account.subdomain}</a>`));
    assert.ok(home.text.includes(`http://landing--${account.subdomain}.mayfly.localhost:8788`));

    bench.clock.advance(60_000);
    const made = await make(ada, { name: "CI of <b>mine</b>", life: "1h" });
    assert.equal(made.status, 200, made.text);
    assert.equal(made.headers.get("cache-control"), "no-store");
    const secret = tokenIn(made) ?? "";
    assert.ok(made.text.includes(`export CLOUDFLARE_ACCOUNT_ID=${account.id}\nexport CLOUDFLARE_API_TOKEN=${secret}`));
    assert.ok(made.text.includes("CI of &lt;b&gt;mine&lt;/b&gt;"));
    const principal = await pages.tokens.lookUp(secret);
    assert.deepEqual([principal.account, principal.kind, principal.expiresAtMs], [account.id, "person", bench.clock.now() + 3_600_000]);

    const page = await browser.send(`/accounts/${account.id}`);
    assert.ok(!page.text.includes(secret), "shown once");
    const grants = [...page.text.matchAll(/name="grant" value="(\w+)"[\s\S]*?<small>([\s\S]*?)<\/small>/g)];
    const speak = grants.filter(([, , words]) => /logs[\s\S]*whole address/.test(words ?? "")).map(([, grant]) => grant);
    assert.deepEqual(speak, ["deploy", "read"], "both hold logs:read short of everything, and say what that is");
    assert.match(page.text, /CI of &lt;b&gt;mine&lt;\/b&gt;[\s\S]*?Deploy and read[\s\S]*?last used[\s\S]*?expires/);
    assert.match(page.text, /owner<\/bdi[\s\S]*?Everything[\s\S]*?not used yet,\s+never expires/);
    assert.match(page.text, /The agent.{1,6}s<\/bdi>:\s+ended when you claimed the account/);

    bench.clock.advance(1000);
    const ended = await browser.send(`/accounts/${account.id}/tokens/${principal.token}/end`, { form: {} });
    assert.deepEqual([ended.status, ended.headers.get("location")], [303, `/accounts/${account.id}`]);
    await assert.rejects(pages.tokens.lookUp(secret), /This token was ended/);
    await browser.send(`/accounts/${account.id}/tokens/${principal.token}/end`, { form: {} });
    assert.match((await browser.send(`/accounts/${account.id}`)).text, /CI of[^:]*:\s+ended/);
    assert.deepEqual(await deeds(bench, account), ["account:claim done", "token:issue done", "token:end done"]);
    const [, issued] = await bench.store.db.selectFrom("trail").selectAll().where("account_id", "=", account.id).orderBy("at").execute();
    assert.equal(issued?.resource, `token/${principal.token}`);
    assert.match(issued?.actors ?? "", /person\/[0-9a-f]{32}/);
    assert.ok(![...pages.requests, pages.logged()].join("\n").includes(secret));
  },

  "a lost token is replaced after the claim's own link was opened again": async (bench) => {
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const again = await ada.browser.send("/claim/account");
    assert.match(again.text, /This account is yours/);
    assert.ok(again.text.includes(`href="/accounts/${ada.account.id}"`));
    const lost = (await pages.tokens.lookUp(ada.token)).token;
    const secret = tokenIn(await make(ada, { grant: "everything", life: "never" })) ?? "";
    await ada.browser.send(`/accounts/${ada.account.id}/tokens/${lost}/end`, { form: {} });
    await assert.rejects(pages.tokens.lookUp(ada.token), /ended/);
    assert.equal((await pages.tokens.lookUp(secret)).expiresAtMs, null);
  },

  "is nothing to anybody else: the same answer as for an account that does not exist": async (bench) => {
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const eve = await owner(pages, EVE);
    const temporary = (await pages.waiting()).account;
    const form = drawn(await eve.browser.send(`/accounts/${eve.account.id}`));
    const ada0 = (await pages.tokens.lookUp(ada.token)).token;
    const answers = new Set<string>();
    for (const id of [ada.account.id, temporary.id, newId(), "0", "..%2f"]) {
      for (const [path, fields] of [
        ["", undefined],
        ["/tokens", { form, name: "mine now", grant: "everything", life: "never" }],
        [`/tokens/${ada0}/end`, {}],
        ["/end", { subdomain: ada.account.subdomain }],
        ["/end", undefined],
      ] as const) {
        const answer = await eve.browser.send(`/accounts/${id}${path}`, fields && { form: fields });
        assert.equal(answer.status, 404, `${id}${path}`);
        answers.add(answer.text);
      }
    }
    assert.equal(answers.size, 1, "not a word tells one from another");
    // With the right account in the path and another's token behind it, nothing ends.
    await eve.browser.send(`/accounts/${eve.account.id}/tokens/${ada0}/end`, { form: {} });
    assert.equal((await pages.tokens.lookUp(ada.token)).account, ada.account.id);
    assert.deepEqual(await deeds(bench, ada.account), ["account:claim done"]);
    assert.doesNotMatch((await eve.browser.send("/")).text, new RegExp(ada.account.subdomain));
  },

  "fifty tokens live at once, however they are asked for; ended and expired ones make room": async (bench) => {
    await using pages = await openPages(bench);
    const { account, token } = await owner(pages);
    const person = (await bench.store.db.selectFrom("person").select("id").executeTakeFirstOrThrow()).id;
    const ask = (life: string) =>
      pages.ownerTokens.make({ account: account.id, person }, { form: newId(), name: "one of many", grant: "read", life });
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, (_, at) => ask(at % 2 ? "1h" : "1d")));
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 49, "and the one of the claim");
    for (const outcome of outcomes)
      if (outcome.status === "rejected") assert.equal((outcome.reason as { code: string }).code, "token_limit");
    await pages.ownerTokens.end({ account: account.id, person }, (await pages.tokens.lookUp(token)).token);
    await ask("never");
    await assert.rejects(ask("never"), /has 50 tokens/);
    bench.clock.advance(3_600_000);
    await ask("never");
    const { live, over } = await pages.ownerTokens.list(await pages.ownerTokens.account(account.id, person));
    assert.ok(live.length < 50 && over.length === 20);
    assert.ok(over.every((line) => line.endedAtMs !== null || (line.expiresAtMs ?? Infinity) <= bench.clock.now()));
  },

  "keeps rows of the youngest 200 tokens that are over, the agent's, and those that live": async (bench) => {
    await using pages = await openPages(bench);
    const { account } = await owner(pages);
    const person = (await bench.store.db.selectFrom("person").select("id").executeTakeFirstOrThrow()).id;
    const by = { account: account.id, person };
    const ask = () => pages.ownerTokens.make(by, { form: newId(), name: "one of many", grant: "read", life: "never" });
    for (let made = 0; made < 205; made++) {
      bench.clock.advance(1);
      const { token } = await pages.tokens.lookUp((await ask()).secret);
      await pages.ownerTokens.end(by, token);
    }
    const last = await ask();
    const rows = await bench.store.db.selectFrom("tokens").select(["person_id", "ended_at", "created_at"]).execute();
    const over = rows.filter(({ person_id, ended_at }) => person_id !== null && ended_at !== null);
    assert.deepEqual([rows.length, over.length], [203, OVER_KEPT], "with the agent's, the claim's and the last");
    assert.equal(Math.min(...over.map(({ created_at }) => created_at)), bench.clock.now() - 199);
    assert.equal((await pages.tokens.lookUp(last.secret)).account, account.id);
    assert.equal((await deeds(bench, account)).filter((deed) => deed === "token:issue done").length, 206, "the trail keeps all");
  },

  "a NUL in a path or a field is refused with the field's name, before any query": async (bench) => {
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const path = `/accounts/${ada.account.id}`;
    for (const [to, words] of [
      [`${path}/tokens/%00/end`, /path: holds a NUL/],
      ["/accounts/%00/tokens", /path: holds a NUL/],
      ["/passkeys/%00/remove", /path: holds a NUL/],
    ] as const) {
      const answer = await ada.browser.send(to, { form: {} });
      assert.equal(answer.status, 400, to);
      assert.match(answer.text, words, to);
    }
    const named = await make(ada, { name: "C\0I" });
    assert.equal(named.status, 400);
    assert.match(named.text, /name: holds a NUL/);
    for (const to of ["/sign-in", "/sign-up", "/passkey", "/claim/open", "/claim/confirm", `${path}/end`])
      for (const field of ["email", "password", "name", "credential", "link", "account", "subdomain"])
        assert.equal((await ada.browser.send(to, { form: { [field]: "a\0b" } })).status, 400, `${to} ${field}`);
    const turned = await make(ada, { name: "CI \u202e\u0007" });
    assert.equal(turned.status, 400);
    assert.match(turned.text, /Name: holds characters that cannot be shown/);
    assert.doesNotMatch(pages.logged(), /"code":"(unexpected|store_failed)"/);
  },

  "is ended by its owner, who types its name, and is gone from the list": async (bench) => {
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const { browser, account, token } = ada;
    const wrong = await browser.send(`/accounts/${account.id}/end`, { form: { subdomain: "another-name" } });
    assert.equal(wrong.status, 400);
    assert.match(wrong.text, /Nothing was ended/);
    assert.equal((await pages.tokens.lookUp(token)).account, account.id);
    const ended = await browser.send(`/accounts/${account.id}/end`, { form: { subdomain: ` ${account.subdomain} ` } });
    assert.equal(ended.status, 200, ended.text);
    // The host is away in these tests, as it may be: the end stands all the same.
    assert.match(ended.text, /has ended[\s\S]*could not be erased at once/);
    await assert.rejects(pages.tokens.lookUp(token), /has ended \(owner\)/);
    assert.equal((await browser.send(`/accounts/${account.id}`)).status, 404);
    assert.match((await browser.send("/")).text, new RegExp(`${account.subdomain}</strong>: ended[\\s\\S]*being erased`));
    const row = await bench.store.db.selectFrom("accounts").selectAll().where("id", "=", account.id).executeTakeFirstOrThrow();
    assert.deepEqual([row.state, row.end_reason], ["ending", "owner"]);
    assert.deepEqual(await deeds(bench, account), ["account:claim done", "account:ending done"]);
    const entry = await bench.store.db.selectFrom("trail").selectAll().where("action", "=", "account:ending").executeTakeFirstOrThrow();
    assert.match(entry.actors, /person\//);
    assert.equal(entry.token_id, null);
  },
});

describe("the page of an account", () => {
  test("like every other has its visitor's name at the top, no more of it than there is room for", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const { browser, account } = await owner(pages, { ...ADA, name: `<i>${"a".repeat(70)}` });
    for (const path of ["/", "/passkeys", `/accounts/${account.id}`, "/claim/account"])
      assert.ok((await browser.send(path)).text.includes(`<bdi class="who">&lt;i&gt;${"a".repeat(36)}…</bdi>`), path);
  });

  test("sixty tokens are made in ten minutes, and then the page says how long to wait, with what was filled in", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    for (let made = 0; made < 60; made++) await make(ada, { grant: "none" });
    const refused = await make(ada, { name: "kept name" });
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get("retry-after")) > 500);
    assert.match(refused.text, /Too many tries; wait 10 minutes[\s\S]*value="kept name"/);
    bench.clock.advance(600_001);
    assert.equal((await make(ada)).status, 200);
  });

  test("a form that is sent again makes no second token and shows none", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const form = drawn(await ada.browser.send(`/accounts/${ada.account.id}`));
    const fields = { form, name: "CI", grant: "deploy", life: "1d" };
    const twice = await Promise.all([1, 2, 3].map(() => ada.browser.send(`/accounts/${ada.account.id}/tokens`, { form: fields })));
    assert.equal(twice.filter((answer) => tokenIn(answer) !== undefined).length, 1);
    assert.equal(twice.filter(({ status }) => status === 409).length, 2);
    assert.match(twice.find(({ status }) => status === 409)?.text ?? "", /made already[\s\S]*value="CI"/);
  });

  test("bad fields are named where they stand, with the rest kept", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const wrong: [Record<string, string>, RegExp][] = [
      [{ name: " " }, /Name: missing/],
      [{ name: "x".repeat(101) }, /Name: longer than 100/],
      [{ grant: "root" }, /Grant: choose what the token may do/],
      [{ life: "forever" }, /Life: choose when the token ends/],
      [{ form: "x" }, /Form: not as the page had it/],
    ];
    for (const [fields, words] of wrong) {
      const answer = await make(ada, fields);
      assert.equal(answer.status, 400);
      assert.match(answer.text, words);
    }
    assert.match((await make(ada, { grant: "root", name: "kept name" })).text, /value="kept name"/);
    assert.equal((await bench.store.db.selectFrom("tokens").select("id").execute()).length, 2, "the agent's and the claim's");
  });

  test("without a session, after signing out, and from another site nothing is shown or done", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const path = `/accounts/${ada.account.id}`;
    const fields = { form: drawn(await ada.browser.send(path)), name: "CI", grant: "deploy", life: "1d" };
    for (const headers of [
      { origin: "http://evil.example" },
      { origin: "null" },
      { origin: pages.url.origin, "sec-fetch-site": "same-site" },
    ]) {
      for (const post of [
        `${path}/tokens`,
        `${path}/end`,
        `${path}/tokens/${newId()}/end`,
        "/passkeys/add",
        "/passkeys/add/options",
        "/passkey",
      ]) {
        assert.equal((await ada.browser.send(post, { form: { ...fields, subdomain: ada.account.subdomain }, headers })).status, 403, post);
      }
    }
    const before = new Map(ada.browser.cookies);
    await ada.browser.send("/sign-out", { form: {} });
    for (const [name, cookie] of before) ada.browser.cookies.set(name, cookie);
    for (const sent of [
      () => ada.browser.send(path),
      () => ada.browser.send(`${path}/tokens`, { form: fields }),
      () => ada.browser.send(`${path}/end`, { form: { subdomain: ada.account.subdomain } }),
      () => ada.browser.send("/passkeys"),
      () => ada.browser.send("/passkeys/add", { form: { name: "x", credential: "{}" } }),
      () => new FormBrowser(pages).send(path),
    ]) {
      const answer = await sent();
      assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/sign-in"]);
    }
    assert.equal((await ada.browser.send("/passkeys/add/options", { form: {} })).status, 401);
    assert.deepEqual(await deeds(bench, ada.account), ["account:claim done"]);
  });

  test("where there can be no passkeys, no page speaks of them, and all the rest works", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench, { hostname: "mayfly.example" });
    const ada = await owner(pages);
    for (const path of ["/", "/sign-in", "/claim", `/accounts/${ada.account.id}`, "/operator"]) {
      const page = await ada.browser.send(path);
      assert.doesNotMatch(page.text, /passkey/i, path);
      assert.doesNotMatch(page.headers.get("content-security-policy") ?? "", /passkeys|connect-src/);
    }
    const page = await ada.browser.send("/passkeys");
    assert.equal(page.status, 404);
    assert.match(page.text, /they want https, or the name localhost[\s\S]*Sign in with your password/);
    for (const path of ["/passkey", "/claim/passkey", "/passkeys/sign-in/options", "/passkeys/add/options"])
      assert.equal((await ada.browser.send(path, { form: { credential: "{}" } })).status, 404, path);
  });

  test("the script of passkeys is one file of ours, and no page names another", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const script = await ada.browser.send("/passkeys.js");
    assert.match(script.headers.get("content-type") ?? "", /^text\/javascript/);
    assert.equal(script.headers.get("x-content-type-options"), "nosniff");
    for (const [path, count] of [
      ["/passkeys", 1],
      ["/", 0],
      [`/accounts/${ada.account.id}`, 0],
    ] as const) {
      const { text, headers } = await ada.browser.send(path);
      assert.equal(
        [...text.matchAll(/<script src="([^"]+)"/g)].filter(([, src]) => src === `${pages.url.origin}/passkeys.js`).length,
        count,
      );
      assert.equal([...text.matchAll(/<script src=/g)].length, count);
      assert.equal(/script-src [^;]*passkeys\.js/.test(headers.get("content-security-policy") ?? ""), count === 1);
      assert.doesNotMatch(text, / on[a-z]+=|javascript:/);
    }
    const asked = await ada.browser.send("/passkeys/sign-in/options", { form: {} });
    assert.equal(asked.headers.get("content-type"), "application/json");
    assert.equal((JSON.parse(asked.text) as { rpId: string }).rpId, "localhost");
  });

  test("the last use is written once a minute, and shown before that", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const ada = await owner(pages);
    const used = async () =>
      (await bench.store.db.selectFrom("tokens").select("last_used_at").where("name", "=", "owner").executeTakeFirst())?.last_used_at;
    for (let look = 0; look < 50; look++) await pages.tokens.lookUp(ada.token);
    assert.equal(await used(), null);
    assert.match((await ada.browser.send(`/accounts/${ada.account.id}`)).text, /owner<\/bdi>[\s\S]*?last used/);
    await pages.uses.flush();
    assert.equal(await used(), bench.clock.now());
  });
});
