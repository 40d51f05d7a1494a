// The pages as a client without script and without mercy sees them. test/browser/ plays them in Chromium.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isSecret, newSecret } from "../../../src/kernel/ids.ts";
import { ERRORS } from "../../../src/kernel/errors.ts";
import { openBench } from "../../fixtures/databases.ts";
import { ADA, FormBrowser, tokenIn } from "../../fixtures/form-browser.ts";
import { addWorker, openPages } from "../../fixtures/pages.ts";

describe("the claim's pages", () => {
  test("without script a person claims: paste, sign up, see, confirm, token once", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const { account, link, agentToken } = await pages.waiting();
    await addWorker(bench, account, "landing");
    const browser = new FormBrowser(pages);
    const paste = await browser.send("/claim");
    assert.match(paste.text, /<form method="post" action="\/claim\/open"/);
    const before = await browser.opens(`  ${link}\n`);
    assert.equal(before.status, 200);
    assert.match(before.text, /Written by the agent, unverified/);
    assert.match(before.text, /Build a landing page/);
    assert.match(before.text, /It ends in[\s\S]*60 minutes/);
    assert.doesNotMatch(before.text, /landing--|Claim as/, "before signing in nothing shows of what the account holds");
    assert.ok(!before.text.includes(account.id) && !before.text.includes(account.subdomain));

    const offer = await browser.signsUp();
    assert.match(offer.text, /Claim as Ada Lovelace/);
    assert.ok(offer.text.includes(`http://landing--${account.subdomain}.mayfly.localhost:8788`));
    const claimed = await browser.confirms(account.id);
    assert.equal(claimed.status, 200);
    const token = tokenIn(claimed) ?? "";
    assert.ok(isSecret("mft", token));
    assert.ok(
      claimed.text.includes(
        `export CLOUDFLARE_API_BASE_URL=${pages.url.origin}/client/v4\nexport CLOUDFLARE_ACCOUNT_ID=${account.id}\nexport CLOUDFLARE_API_TOKEN=${token}`,
      ),
    );
    const owner = await pages.tokens.lookUp(token);
    assert.deepEqual([owner.kind, owner.account], ["person", account.id]);
    await assert.rejects(pages.tokens.lookUp(agentToken), /A person claimed this account/);

    for (const again of [await browser.confirms(account.id), await browser.send("/claim/account")]) {
      assert.equal(again.status, 200);
      assert.match(again.text, /This account is yours/);
      assert.equal(tokenIn(again), undefined, "the token is never shown a second time");
    }
    assert.ok(!pages.logged().includes(token));
  });

  test("the link's secret and the owner's token are in no address and no log line", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const { account, link, secret } = await pages.waiting();
    const browser = new FormBrowser(pages);
    await browser.opens(link);
    await browser.signsUp();
    const token = tokenIn(await browser.confirms(account.id)) ?? "";
    await browser.send("/claim/open", { form: { link }, headers: { origin: "http://evil.example" } });
    const seen = pages.requests.join("\n") + pages.logged();
    assert.ok(token.length > 0 && !seen.includes(token) && !seen.includes(secret) && !seen.includes(ADA.password));
  });

  test("a second, a late and a wrong claim are told apart, and give nothing away", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const taken = await pages.waiting();
    await addWorker(bench, taken.account, "secret-name");
    const owner = new FormBrowser(pages);
    await owner.opens(taken.link);
    await owner.signsUp();
    await owner.confirms(taken.account.id);
    const late = await pages.waiting({ lifeMs: 1000 });
    bench.clock.advance(1000);

    const eve = new FormBrowser(pages);
    const expected = [
      [taken.link, 409, /has an owner already/],
      [late.link, 410, /This account is gone/],
      [newSecret("mfc"), 404, /This link opens nothing/],
    ] as const;
    const check = async (): Promise<void> => {
      for (const [link, status, text] of expected) {
        for (const answer of [await eve.opens(link), await eve.confirms(taken.account.id)]) {
          if (answer.status === 303) continue;
          assert.equal(answer.status, status);
          assert.match(answer.text, text);
          for (const telling of [ADA.name, ADA.email, "secret-name", "Build a landing page", taken.account.subdomain, "mft_"]) {
            assert.ok(!answer.text.includes(telling), telling);
          }
        }
      }
    };
    await check();
    assert.equal((await eve.send("/sign-up", { form: { ...ADA, name: "Eve", email: "eve@example.com" } })).status, 303);
    await check();
    const garbled = await eve.send("/claim/open", { form: { link: `${taken.link.slice(0, -1)}?` } });
    assert.equal(garbled.status, 400);
    assert.match(garbled.text, /not a whole link/);
  });

  test("of many who confirm at the same time one gets a token", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const { account, link } = await pages.waiting();
    const browsers = await Promise.all(
      Array.from({ length: 5 }, async (_, at) => {
        const browser = new FormBrowser(pages);
        await browser.opens(link);
        await browser.signsUp({ ...ADA, email: `${at}@example.com` });
        return browser;
      }),
    );
    const answers = await Promise.all(browsers.flatMap((browser) => [browser.confirms(account.id), browser.confirms(account.id)]));
    const tokens = answers.map(tokenIn).filter((token) => token !== undefined);
    assert.equal(tokens.length, 1);
    assert.equal((await pages.tokens.lookUp(tokens[0] ?? "")).account, account.id);
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 200, ...Array<number>(8).fill(409)],
      "the winner's second press says that it is theirs",
    );
  });

  test("what is confirmed is what the person looked at", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const [first, second] = [await pages.waiting(), await pages.waiting()];
    const browser = new FormBrowser(pages);
    await browser.opens(first.link);
    await browser.signsUp();
    await browser.opens(second.link);
    const answer = await browser.confirms(first.account.id);
    assert.equal(answer.status, 409);
    assert.match(answer.text, /You opened another claim link since/);
    assert.ok(answer.text.includes(second.account.id) && tokenIn(answer) === undefined);
  });

  test("claims of one person are capped, with the wait said", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench, { claimsPerDay: 1 });
    const [first, second] = [await pages.waiting(), await pages.waiting({ lifeMs: 7_200_000 })];
    const browser = new FormBrowser(pages);
    await browser.opens(first.link);
    await browser.signsUp();
    assert.ok(tokenIn(await browser.confirms(first.account.id)));
    await browser.opens(second.link);
    const answer = await browser.confirms(second.account.id);
    assert.equal(answer.status, 429);
    assert.match(answer.text, /You have claimed 1 accounts in the last 24 hours/);
    assert.match(answer.text, /Claim as/);
  });

  test("what the agent wrote is text: no markup, nothing invisible, bounded", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const title = `<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202e\u0007\u0000${"y".repeat(2000)}`;
    const browser = new FormBrowser(pages);
    const { text } = await browser.opens(
      (await pages.waiting({ task: { title, agent: "</bdi></dl><h1>Sign in at evil.example</h1>" } })).link,
    );
    assert.ok(text.includes("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&gt;&lt;img src=x onerror=alert(2)&gt;\ufffdyyy"));
    assert.ok(text.includes("&lt;/bdi&gt;&lt;/dl&gt;&lt;h1&gt;Sign in at evil.example&lt;/h1&gt;"));
    assert.doesNotMatch(text, /<script>alert|<img src=x|\u202e|(?!\n)\p{Cc}|y{300}/u);
    const silent = await browser.opens((await pages.waiting({ task: null })).link);
    assert.match(silent.text, /It did not say/);
  });

  test("a mistake in a form shows where it was made, with the fields kept and the password not", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const browser = new FormBrowser(pages);
    await browser.opens((await pages.waiting()).link);
    const short = await browser.send("/claim/sign-up", { form: { ...ADA, name: 'A"><b>', password: "seven77" } });
    assert.equal(short.status, 400);
    assert.match(short.text, /role="alert"[\s\S]*Password: shorter than 8 characters/);
    assert.ok(short.text.includes("A&quot;&gt;&lt;b&gt;") && short.text.includes(ADA.email) && !short.text.includes("seven77"));
    const wrong = await browser.send("/claim/sign-in", { form: ADA });
    assert.equal(wrong.status, 401);
    assert.match(wrong.text, /No one signs in with this e-mail address and password/);
  });

  test("by invitation, the page offers no sign-up, and the invitation's page does", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench, { signUp: "invite" });
    const operatorLink = (await pages.people.operatorLink()) ?? "";
    const operator = new FormBrowser(pages);
    const opened = await operator.send("/operator/open", { form: { link: operatorLink } });
    assert.equal(opened.headers.get("location"), "/operator/sign-up");
    assert.match((await operator.send("/operator/sign-up")).text, /action="\/operator\/sign-up"/);
    assert.equal((await operator.send("/operator/sign-up", { form: ADA })).headers.get("location"), "/");
    const invitation = /http:[^<]+\/invitation#mfi_[0-9a-z]{57}/.exec((await operator.send("/invitations", { form: {} })).text)?.[0] ?? "";
    assert.equal((await operator.send("/operator/sign-up")).status, 404, "the link is used up");

    const guest = new FormBrowser(pages);
    const page = await guest.opens((await pages.waiting()).link);
    assert.doesNotMatch(page.text, /sign-up"/);
    assert.match(page.text, /ask the operator/);
    const closed = await guest.send("/claim/sign-up", { form: { ...ADA, email: "bob@example.com" } });
    assert.equal(closed.status, 403);
    await guest.send("/invitation/open", { form: { link: invitation } });
    assert.equal((await guest.send("/invitation/sign-up", { form: { ...ADA, name: "Bob", email: "bob@example.com" } })).status, 303);
    assert.match((await guest.send("/claim/account")).text, /Claim as Bob/);
    assert.equal((await guest.send("/invitations", { form: {} })).status, 403, "a person who is no operator invites nobody");
  });

  test("a person who signed up before becomes the operator by the link", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const browser = new FormBrowser(pages);
    await browser.send("/sign-up", { form: ADA });
    await browser.send("/operator/open", { form: { link: (await pages.people.operatorLink()) ?? "" } });
    assert.match((await browser.send("/operator/sign-up")).text, /Become operator as Ada Lovelace/);
    assert.equal((await browser.send("/operator/accept", { form: {} })).headers.get("location"), "/");
    assert.match((await browser.send("/")).text, /ada@example.com, operator/);
  });
});

describe("the pages' guard", () => {
  test("pages answer on the exact host alone, and say where they are", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const browser = new FormBrowser(pages);
    await browser.send("/sign-up", { form: ADA });
    for (const host of [`127.0.0.1:${pages.url.port}`, "localhost", "evil.example", `localhost.evil.example:${pages.url.port}`, ""]) {
      const answer = await browser.send("/", { headers: { host } });
      // Node itself refuses a request without any host.
      if (host === "" && answer.status === 400) continue;
      assert.equal(answer.status, 421, host);
      assert.ok(answer.text.includes(`href="${pages.url.origin}/"`));
      assert.ok(!answer.text.includes(ADA.email), "a cookie counts on the exact host alone");
    }
    assert.equal((await browser.send("/", { headers: { host: pages.url.host.toUpperCase() } })).status, 200);
  });

  test("a form is never taken from another site (cross_site), nor in another media type (unsupported_media_type)", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const { account, link } = await pages.waiting();
    const browser = new FormBrowser(pages);
    await browser.opens(link);
    await browser.signsUp();
    const foreign: Record<string, string | undefined>[] = [
      { origin: "http://evil.example" },
      { origin: "null" },
      { origin: `http://app--x.mayfly.localhost:${pages.url.port}` },
      { origin: `https://${pages.url.host}` },
      { origin: `http://localhost:${Number(pages.url.port) + 1}` },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "none", origin: "" },
    ];
    for (const path of [
      "/claim/open",
      "/claim/confirm",
      "/claim/sign-up",
      "/claim/sign-in",
      "/claim/sign-out",
      "/sign-in",
      "/sign-up",
      "/sign-out",
      "/invitations",
      "/operator/open",
      "/operator/accept",
      "/nothing",
    ]) {
      for (const headers of foreign) {
        const answer = await browser.send(path, { form: { account: account.id, link, ...ADA }, headers });
        assert.equal(answer.status, 403, `${path} ${JSON.stringify(headers)}`);
        assert.deepEqual(answer.headers.getSetCookie(), []);
      }
    }
    const json = await browser.send("/claim/confirm", {
      method: "POST",
      headers: { "content-type": "application/json", origin: pages.url.origin },
    });
    assert.equal(json.status, ERRORS.unsupported_media_type.status);
    const silent = await browser.send("/claim/confirm", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    assert.equal(silent.status, 403, "neither Origin nor Sec-Fetch-Site");
    assert.match((await browser.send("/claim/account")).text, /Claim as/, "nothing of it did anything");
  });

  test("every page carries the headers that keep it closed", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const browser = new FormBrowser(pages);
    for (const path of ["/", "/sign-in", "/claim", "/operator", "/nothing"]) {
      const { headers } = await browser.send(path);
      const policy = headers.get("content-security-policy") ?? "";
      for (const part of ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"])
        assert.ok(policy.includes(part));
      const own = path === "/sign-in" ? ` ${pages.url.origin}/passkeys.js` : "";
      assert.match(policy.replace(own, ""), /script-src 'sha256-[A-Za-z0-9+/=]+';/, "our own script, by its whole address, and no other");
      assert.doesNotMatch(policy.replace(own, ""), /unsafe|\*|http:/);
      assert.equal(headers.get("cache-control"), "no-store");
      assert.equal(headers.get("referrer-policy"), "same-origin");
      assert.equal(headers.get("x-content-type-options"), "nosniff");
      assert.equal(headers.get("cross-origin-opener-policy"), "same-origin");
      assert.match(headers.get("content-type") ?? "", /^text\/html/);
    }
  });

  test("bad input is a page with a status of 4xx, never a failure", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const browser = new FormBrowser(pages);
    const type = { origin: pages.url.origin };
    assert.equal(
      (await browser.send("/sign-in", { method: "POST", headers: { ...type, "content-type": "application/json" } })).status,
      415,
    );
    assert.equal((await browser.send("/sign-in", { form: { email: "x".repeat(40_000) } })).status, 413);
    assert.equal((await browser.send("/sign-in", { form: {} })).status, 400);
    assert.equal((await browser.send("/sign-up", { form: { name: "\u0000", email: "\ud800", password: "%" } })).status, 400);
    assert.equal((await browser.send("/claim/open", { form: { link: "mfc_" } })).status, 400);
    assert.equal((await browser.send("/claim/confirm", { form: {} })).headers.get("location"), "/claim");
    assert.equal((await browser.send("/api/auth/sign-in/email", { form: {} })).status, 404, "no endpoint of better-auth's is reachable");
    assert.equal((await browser.send("/api/auth/get-session")).status, 404);
    assert.equal((await browser.send("/%ff%00")).status, 404);
    for (const path of ["/claim/open", "/claim/confirm", "/claim/sign-up", "/sign-up"])
      assert.equal((await browser.send(path)).status, 303, path);
    assert.doesNotMatch(pages.logged(), /"level":[56]0/);
  });
});
