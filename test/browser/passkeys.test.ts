// A person with an authenticator in Chromium: the password first, a passkey beside it, and then the passkey alone.
// Screenshots stay under test/.artifacts/passkeys.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { authenticator, openLink, skipBrowser, startBrowser, visitor, type Visitor } from "../fixtures/browser.ts";
import { openBench, type Bench } from "../fixtures/databases.ts";
import { addWorker, openPages, type Pages } from "../fixtures/pages.ts";

const SHOTS = fileURLToPath(new URL("../.artifacts/passkeys/", import.meta.url));
const shot = (page: Page, name: string): Promise<unknown> => page.screenshot({ path: `${SHOTS}${name}.png`, fullPage: true });

async function signUp({ page }: Visitor, name: string): Promise<void> {
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("E-mail address").first().fill(`${name.toLowerCase()}@example.com`);
  await page.getByLabel("New password").fill("correct horse");
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.getByRole("button", { name: `Claim as ${name}` }).waitFor();
}

async function addPasskey({ page }: Visitor, pages: Pages, name: string): Promise<void> {
  await page.goto(`${pages.url.origin}/passkeys`);
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByRole("listitem").filter({ hasText: name }).waitFor();
}

const fits = async ({ page }: Visitor): Promise<void> => {
  assert.ok(Number(await page.evaluate("document.documentElement.scrollWidth - innerWidth")) <= 0, "nothing sticks out sideways");
};

const deeds = async ({ store }: Bench): Promise<string[]> =>
  (await store.db.selectFrom("trail").selectAll().orderBy("at").execute()).map((row) =>
    `${row.action} ${row.outcome} ${row.reason ?? ""}`.trim(),
  );

describe("a passkey in a browser", { skip: skipBrowser }, () => {
  let browser: Browser;
  before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    if (skipBrowser === false) browser = await startBrowser();
  });
  after(() => browser?.close());

  const stage = async (): Promise<{ bench: Bench; pages: Pages } & AsyncDisposable> => {
    await using stack = new AsyncDisposableStack();
    const bench = stack.use(await openBench(null));
    const pages = stack.use(await openPages(bench));
    const kept = stack.move();
    return { bench, pages, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  };

  test("added after signing up, it signs its person in alone, and claims", async () => {
    await using scene = await stage();
    const { bench, pages } = scene;
    const { account, link } = await pages.waiting();
    await addWorker(bench, account, "landing-page");
    await using ada = await visitor(browser);
    await authenticator(ada);
    await openLink(ada, link);
    await signUp(ada, "Ada");
    await ada.page.goto(`${pages.url.origin}/passkeys`);
    await shot(ada.page, "1-no-passkey-yet");
    await addPasskey(ada, pages, "My laptop");
    await shot(ada.page, "2-added");

    await ada.page.getByRole("link", { name: "Home" }).click();
    await ada.page.getByRole("button", { name: "Sign out" }).click();
    await openLink(ada, link);
    await shot(ada.page, "3-claim-before-signing-in");
    bench.clock.advance(1000);
    await ada.page.getByRole("button", { name: "Sign in with a passkey" }).click();
    await ada.page.getByRole("button", { name: "Claim as Ada" }).click();
    assert.equal((await pages.tokens.lookUp(await ada.page.locator("#token").innerText())).account, account.id);

    await ada.page.goto(`${pages.url.origin}/passkeys`);
    assert.match(await ada.page.getByRole("listitem").innerText(), /My laptop[\s\S]*last used/);
    assert.deepEqual(
      (await deeds(bench)).filter((deed) => deed.startsWith("person:")).map((deed) => deed.replace(/[0-9a-f]{32}$/, "<id>")),
      ["person:sign-up done", "person:passkey-add done passkey/<id>", "person:sign-out done", "person:sign-in done passkey/<id>"],
    );
    assert.deepEqual(ada.complaints, [], "nothing violates the page's own policy");
  });

  test("the sign-in page offers it, on a phone in the dark too, and says what went wrong", async () => {
    await using scene = await stage();
    const { bench, pages } = scene;
    await using ada = await visitor(browser, { viewport: { width: 360, height: 740 }, colorScheme: "dark", deviceScaleFactor: 2 });
    const device = await authenticator(ada);
    await openLink(ada, (await pages.waiting()).link);
    await signUp(ada, "Ada");
    await addPasskey(ada, pages, "A phone with a rather long name that somebody gave it");
    await shot(ada.page, "4-added-dark-phone");
    await fits(ada);
    await ada.page.goto(pages.url.origin);
    await shot(ada.page, "5-home-dark-phone");
    await fits(ada);
    await ada.page.getByRole("button", { name: "Sign out" }).click();
    await ada.page.goto(`${pages.url.origin}/sign-in`);
    await shot(ada.page, "6-sign-in-dark-phone");
    await fits(ada);

    // A device without a passkey for this place, or whose owner turns the question down.
    await device.cdp.send("WebAuthn.setUserVerified", { authenticatorId: device.id, isUserVerified: false });
    const { credentials } = await device.cdp.send("WebAuthn.getCredentials", { authenticatorId: device.id });
    await device.cdp.send("WebAuthn.clearCredentials", { authenticatorId: device.id });
    await ada.page.getByRole("button", { name: "Sign in with a passkey" }).click();
    await ada.page.getByRole("alert").filter({ hasText: "No passkey was used" }).waitFor();
    await shot(ada.page, "7-cancelled-dark-phone");

    // The same passkey on a copy that counts anew.
    const [credential] = credentials;
    assert.ok(credential);
    await device.cdp.send("WebAuthn.setUserVerified", { authenticatorId: device.id, isUserVerified: true });
    await device.cdp.send("WebAuthn.addCredential", { authenticatorId: device.id, credential: { ...credential, signCount: 40 } });
    await ada.page.getByRole("button", { name: "Sign in with a passkey" }).click();
    await ada.page.getByText("You are signed in as").waitFor();
    await ada.page.getByRole("button", { name: "Sign out" }).click();
    await device.cdp.send("WebAuthn.clearCredentials", { authenticatorId: device.id });
    await device.cdp.send("WebAuthn.addCredential", { authenticatorId: device.id, credential: { ...credential, signCount: 2 } });
    await ada.page.goto(`${pages.url.origin}/sign-in`);
    await ada.page.getByRole("button", { name: "Sign in with a passkey" }).click();
    await ada.page.getByText("there may be a copy of it").waitFor();
    await shot(ada.page, "8-copied-dark-phone");
    await fits(ada);
    assert.ok((await deeds(bench)).some((deed) => deed.startsWith("person:sign-in refused passkey-counter passkey/")));
    assert.deepEqual(ada.complaints, []);
  });

  test("one that was removed signs nobody in, and the page asks before it removes", async () => {
    await using scene = await stage();
    const { pages } = scene;
    await using ada = await visitor(browser);
    await authenticator(ada);
    await openLink(ada, (await pages.waiting()).link);
    await signUp(ada, "Ada");
    await addPasskey(ada, pages, "Old key");
    // The same device is not asked to hold two.
    await ada.page.getByLabel("Name").fill("Again");
    await ada.page.getByRole("button", { name: "Add a passkey" }).click();
    await ada.page.getByRole("alert").filter({ hasText: "holds a passkey of yours already" }).waitFor();
    await shot(ada.page, "9-held-already");
    assert.ok(!(await ada.page.getByRole("button", { name: "Remove this passkey" }).isVisible()));
    await ada.page.getByText("Remove", { exact: true }).click();
    await shot(ada.page, "10-remove");
    await ada.page.getByRole("button", { name: "Remove this passkey" }).click();
    await ada.page.getByRole("listitem").waitFor({ state: "detached" });
    await ada.page.goto(pages.url.origin);
    await ada.page.getByRole("button", { name: "Sign out" }).click();
    await ada.page.goto(`${pages.url.origin}/sign-in`);
    await ada.page.getByRole("button", { name: "Sign in with a passkey" }).click();
    await ada.page.getByText("This passkey is not known here").waitFor();
    await shot(ada.page, "11-unknown");
    assert.deepEqual(ada.complaints, []);
  });

  test("where the browser cannot, or script is off, no button promises it and the password works", async () => {
    await using scene = await stage();
    const { pages } = scene;
    await using plain = await visitor(browser, { javaScriptEnabled: false });
    await plain.page.goto(`${pages.url.origin}/sign-in`);
    assert.ok(!(await plain.page.getByRole("button", { name: "Sign in with a passkey" }).isVisible()));
    await using old = await visitor(browser);
    await old.page.addInitScript("delete window.PublicKeyCredential");
    await openLink(old, (await pages.waiting()).link);
    await signUp(old, "Ada");
    await old.page.goto(`${pages.url.origin}/passkeys`);
    assert.ok(!(await old.page.getByRole("button", { name: "Add a passkey" }).isVisible()));
    assert.ok(await old.page.getByText("wants a browser that knows passkeys").isVisible());
    await shot(old.page, "12-without");
    assert.deepEqual([...plain.complaints, ...old.complaints], []);
  });
});
