// A person in Chromium: from the link with its secret in the fragment to a claimed account, and what everybody
// else sees. Screenshots stay under test/.artifacts/claim.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { openLink, skipBrowser, startBrowser, visitor, type Visitor } from "../fixtures/browser.ts";
import { openBench } from "../fixtures/databases.ts";
import { addWorker, openPages, type Pages } from "../fixtures/pages.ts";
import { newSecret } from "../../src/kernel/ids.ts";

const SHOTS = fileURLToPath(new URL("../.artifacts/claim/", import.meta.url));
const shot = (page: Page, name: string): Promise<unknown> => page.screenshot({ path: `${SHOTS}${name}.png`, fullPage: true });

async function signUp({ page }: Visitor, name: string, email: string): Promise<void> {
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("E-mail address").first().fill(email);
  await page.getByLabel("New password").fill("correct horse");
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.getByRole("button", { name: `Claim as ${name}` }).waitFor();
}

const press = ({ page }: Visitor): Promise<void> => page.getByRole("button", { name: /^Claim as/ }).click();
const heading = ({ page }: Visitor): Promise<string> => page.getByRole("heading", { level: 1 }).innerText();

describe("a person claims in a browser", { skip: skipBrowser }, () => {
  let browser: Browser;
  before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    if (skipBrowser === false) browser = await startBrowser();
  });
  after(() => browser?.close());

  const stage = async (): Promise<{ bench: Awaited<ReturnType<typeof openBench>>; pages: Pages } & AsyncDisposable> => {
    await using stack = new AsyncDisposableStack();
    const bench = stack.use(await openBench(null));
    const pages = stack.use(await openPages(bench));
    const kept = stack.move();
    return { bench, pages, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  };

  test("from the agent's link to the owner's token, which is shown once", async () => {
    await using scene = await stage();
    const { bench, pages } = scene;
    const { account, link, secret, agentToken } = await pages.waiting();
    await addWorker(bench, account, "landing-page");
    await using ada = await visitor(browser);
    await openLink(ada, link);
    assert.equal(await heading(ada), "An agent made an account and asks you to keep it");
    assert.equal(await ada.page.evaluate("location.hash"), "", "the secret is out of the address bar");
    await shot(ada.page, "1-before-signing-in");
    await signUp(ada, "Ada Lovelace", "ada@example.com");
    assert.ok((await ada.page.getByRole("link", { name: /landing-page--/ }).getAttribute("href"))?.includes(account.subdomain));
    await shot(ada.page, "2-what-it-holds");
    await press(ada);
    const token = await ada.page.locator("#token").innerText();
    await shot(ada.page, "3-claimed");
    assert.equal((await pages.tokens.lookUp(token)).account, account.id);
    await assert.rejects(pages.tokens.lookUp(agentToken));
    // Selecting one character of it selects the whole, for those who copy without script.
    await ada.page.locator("#token").click();
    assert.equal(await ada.page.evaluate("getSelection().toString().trim()"), token);

    await ada.page.reload();
    assert.equal(await heading(ada), "This account is yours");
    assert.ok(!(await ada.page.content()).includes(token), "a reload does not show the token again");
    await shot(ada.page, "4-after-a-reload");
    await ada.page.goBack();
    assert.ok(!(await ada.page.content()).includes(token));
    await openLink(ada, link);
    assert.equal(await heading(ada), "This account is yours");

    assert.deepEqual(ada.complaints, [], "nothing violates the page's own policy");
    // The page's own fragment is the only place; no request carries it, nor does a Referer.
    const sent = [...pages.requests, ...ada.addresses.map((address) => address.replace(/#\S*/, "")), pages.logged()].join("\n");
    assert.ok(!sent.includes(secret) && !sent.includes(token));
    for (const cookie of await ada.context.cookies()) {
      assert.ok(cookie.httpOnly && cookie.sameSite === "Lax" && !cookie.value.includes(secret), cookie.name);
    }
    assert.equal(await ada.page.evaluate("document.cookie"), "");
  });

  test("a second person, a late link and a wrong one are told so kindly", async () => {
    await using scene = await stage();
    const { bench, pages } = scene;
    const first = await pages.waiting();
    await using ada = await visitor(browser);
    await openLink(ada, first.link);
    await signUp(ada, "Ada Lovelace", "ada@example.com");
    await press(ada);
    await ada.page.locator("#token").waitFor();

    await using eve = await visitor(browser, { viewport: { width: 390, height: 700 } });
    await openLink(eve, first.link);
    assert.equal(await heading(eve), "This account has an owner already");
    assert.doesNotMatch(await eve.page.locator("main").innerText(), /Ada|landing/);
    await shot(eve.page, "5-taken");
    const late = await pages.waiting({ lifeMs: 1000 });
    bench.clock.advance(1001);
    await openLink(eve, late.link);
    assert.equal(await heading(eve), "This account is gone");
    await shot(eve.page, "6-late");
    await openLink(eve, `${pages.url.origin}/claim#${newSecret("mfc")}`);
    assert.equal(await heading(eve), "This link opens nothing");
    await shot(eve.page, "7-wrong");
    await eve.page.goto("about:blank");
    await eve.page.goto(`${first.link.slice(0, -3)}xyz`);
    await eve.page.getByRole("alert").waitFor();
    assert.match(await eve.page.getByRole("alert").innerText(), /not a whole link/);
    assert.deepEqual([...ada.complaints, ...eve.complaints], []);
  });

  test("two persons press at once: one gets the token, and a double press of one shows it", async () => {
    await using scene = await stage();
    const { pages } = scene;
    const { account, link } = await pages.waiting();
    await using ada = await visitor(browser);
    await using bob = await visitor(browser);
    for (const [person, name] of [
      [ada, "Ada"],
      [bob, "Bob"],
    ] as const) {
      await openLink(person, link);
      await signUp(person, name, `${name}@example.com`);
    }
    const double = ({ page }: Visitor) => page.getByRole("button", { name: /^Claim as/ }).dblclick();
    await Promise.all([double(ada), double(bob)]);
    for (const { page } of [ada, bob])
      await page.getByRole("heading", { level: 1, name: /The account is yours|has an owner already/ }).waitFor();
    const tokens = (await Promise.all([ada, bob].map(({ page }) => page.locator("#token").allInnerTexts()))).flat();
    assert.equal(tokens.length, 1);
    assert.equal((await pages.tokens.lookUp(tokens[0] ?? "")).account, account.id);
  });

  test("what the agent wrote stays text, in the dark and on a phone too", async () => {
    await using scene = await stage();
    const { bench, pages } = scene;
    const title = `<script>document.title="owned"</script><img src=x onerror="document.title='owned'">\u202e gnirts\u0000 ${"long ".repeat(380)}`;
    const { account, link } = await pages.waiting({ task: { title, agent: "<a href=//evil.example>sign in here</a>" } });
    await addWorker(bench, account, "a-worker-with-a-rather-long-name-for-a-phone");
    await using ada = await visitor(browser, { viewport: { width: 360, height: 740 }, colorScheme: "dark", deviceScaleFactor: 2 });
    await openLink(ada, link);
    await shot(ada.page, "8-hostile-dark-phone");
    await signUp(ada, "Ada", "ada@example.com");
    await shot(ada.page, "9-offer-dark-phone");
    assert.equal(await ada.page.title(), "Claim this account? · Mayfly");
    assert.equal(await ada.page.locator("main img, main script, .stranger a").count(), 0);
    const written = await ada.page.locator(".stranger").innerText();
    assert.match(written, /<script>document\.title="owned"<\/script>/);
    assert.doesNotMatch(written, /\u202e|(?!\n)\p{Cc}/u);
    assert.ok(written.length < 600, "bounded");
    const overflow = await ada.page.evaluate("document.documentElement.scrollWidth - innerWidth");
    assert.ok(Number(overflow) <= 0, "nothing sticks out sideways");
    await press(ada);
    await ada.page.locator("#token").waitFor();
    await shot(ada.page, "10-claimed-dark-phone");
    assert.ok(Number(await ada.page.evaluate("document.documentElement.scrollWidth - innerWidth")) <= 0);
    assert.deepEqual(ada.complaints, []);
  });

  test("without script the same person pastes the link and claims", async () => {
    await using scene = await stage();
    const { pages } = scene;
    const { account, link } = await pages.waiting();
    await using ada = await visitor(browser, { javaScriptEnabled: false });
    await ada.page.goto(link);
    await ada.page.getByLabel("Link").fill(link);
    await shot(ada.page, "11-paste-without-script");
    await ada.page.getByRole("button", { name: "Open" }).click();
    await signUp(ada, "Ada", "ada@example.com");
    await press(ada);
    const token = await ada.page.locator("#token").innerText();
    assert.equal((await pages.tokens.lookUp(token)).account, account.id);
    assert.deepEqual(ada.complaints, []);
  });

  test("the operator signs up by the printed link and invites", async () => {
    await using scene = await stage();
    const { pages } = scene;
    await using ada = await visitor(browser);
    await ada.page.goto((await pages.people.operatorLink()) ?? "");
    await ada.page.waitForURL("**/operator/sign-up");
    await shot(ada.page, "12-operator");
    await ada.page.getByLabel("Your name").fill("Ada");
    await ada.page.getByLabel("E-mail address").first().fill("ada@example.com");
    await ada.page.getByLabel("New password").fill("correct horse");
    await ada.page.getByRole("button", { name: "Sign up" }).click();
    await ada.page.getByRole("button", { name: "Make an invitation" }).click();
    const invitation = await ada.page.locator("pre").innerText();
    await shot(ada.page, "13-invitation");
    await using bob = await visitor(browser);
    await bob.page.goto(invitation);
    await bob.page.getByText("invites you").waitFor();
    const seen = [...pages.requests, pages.logged()].join("\n");
    assert.ok(!seen.includes(invitation.split("#")[1] ?? ""));
    assert.deepEqual([...ada.complaints, ...bob.complaints], []);
  });

  test("a page of another site cannot send a form, and at another name of this machine there is only the way home", async () => {
    await using scene = await stage();
    const { pages } = scene;
    const { account, link } = await pages.waiting();
    await using ada = await visitor(browser);
    await openLink(ada, link);
    await signUp(ada, "Ada", "ada@example.com");
    await ada.page.route("http://evil.example/", (route) =>
      route.fulfill({
        contentType: "text/html",
        body: `<form method="post" action="${pages.url.origin}/claim/confirm"><input name="account" value="${account.id}"></form><script>document.forms[0].submit()</script>`,
      }),
    );
    await ada.page.goto("http://evil.example/");
    await ada.page.waitForURL("**/claim/confirm");
    assert.equal(await heading(ada), "This form came from elsewhere");
    await ada.page.goto(`http://127.0.0.1:${pages.url.port}/claim`);
    assert.equal(await heading(ada), "Not at this address");
    await ada.page.getByRole("link", { name: pages.url.origin }).click();
    assert.match(await ada.page.locator("main").innerText(), /You are signed in as Ada/);
  });
});
