// Every door that a passkey opens, over real HTTP: what the script would send, sent by hand.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { authenticator, type Authenticator } from "../../fixtures/authenticator.ts";
import { openBench } from "../../fixtures/databases.ts";
import { ADA, FormBrowser, type Answer } from "../../fixtures/form-browser.ts";
import { openPages, type Pages } from "../../fixtures/pages.ts";

const BOB = { name: "Bob", email: "bob@example.com", password: "battery staple" };

async function ask(browser: FormBrowser, path: string): Promise<object> {
  const asked = await browser.send(path, { form: {} });
  assert.equal(asked.status, 200, asked.text);
  return JSON.parse(asked.text) as object;
}

/** Signs up, adds a passkey and signs out again. */
async function withPasskey(pages: Pages, person = ADA): Promise<Authenticator> {
  const browser = new FormBrowser(pages);
  assert.equal((await browser.send("/sign-up", { form: person })).status, 303);
  const device = authenticator(pages.url.origin);
  const credential = device.create(await ask(browser, "/passkeys/add/options"));
  const added = await browser.send("/passkeys/add", { form: { name: "<b>My</b> laptop", credential } });
  assert.deepEqual([added.status, added.headers.get("location")], [303, "/passkeys"], added.text);
  assert.match((await browser.send("/passkeys")).text, /&lt;b&gt;My&lt;\/b&gt; laptop/);
  await browser.send("/sign-out", { form: {} });
  return device;
}

async function enter(browser: FormBrowser, device: Authenticator, base: string): Promise<Answer> {
  return browser.send(`${base}/passkey`, { form: { credential: device.get(await ask(browser, "/passkeys/sign-in/options")) } });
}

test("removing a passkey signs out every other browser, and the page says so before", async () => {
  await using bench = await openBench(null);
  await using pages = await openPages(bench);
  const device = await withPasskey(pages);
  const [own, thief] = [new FormBrowser(pages), new FormBrowser(pages)];
  await own.send("/sign-in", { form: ADA });
  assert.equal((await enter(thief, device, "")).status, 303);
  const page = await own.send("/passkeys");
  assert.match(page.text, /every browser but this one is signed out/);
  const remove = /action="(\/passkeys\/[0-9a-f]{32}\/remove)"/.exec(page.text)?.[1] ?? "";
  assert.equal((await own.send(remove, { form: {} })).headers.get("location"), "/passkeys");
  assert.doesNotMatch((await own.send("/passkeys")).text, /My<\/b>|laptop/, "gone, and who removed it is still signed in");
  assert.match((await thief.send("/")).text, /href="\/sign-in"/);
});

describe("a passkey opens", () => {
  test("the sign-in page, and sends home", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const device = await withPasskey(pages);
    const browser = new FormBrowser(pages);
    assert.match((await browser.send("/sign-in")).text, /<section class="passkey" hidden>[\s\S]*action="\/passkey"/);
    const entered = await enter(browser, device, "");
    assert.deepEqual([entered.status, entered.headers.get("location")], [303, "/"], entered.text);
    assert.match((await browser.send("/")).text, /You are signed in as[\s\S]*Ada Lovelace/);
  });

  test("the claim of an account", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const device = await withPasskey(pages);
    const { account, link } = await pages.waiting();
    const browser = new FormBrowser(pages);
    assert.match((await browser.opens(link)).text, /action="\/claim\/passkey"/);
    const wrong = await browser.send("/claim/passkey", { form: { credential: "{}" } });
    assert.equal(wrong.status, 400);
    assert.match(wrong.text, /role="alert"[\s\S]*action="\/claim\/passkey"/, "told on the page where it was tried");
    assert.equal((await enter(browser, device, "/claim")).headers.get("location"), "/claim/account");
    assert.match((await browser.send("/claim/account")).text, /Claim as Ada Lovelace/);
    assert.match((await browser.confirms(account.id)).text, /mft_/);
  });

  test("the operator's link, for a person who signed up before", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const device = await withPasskey(pages);
    const browser = new FormBrowser(pages);
    await browser.send("/operator/open", { form: { link: (await pages.people.operatorLink()) ?? "" } });
    assert.match((await browser.send("/operator/sign-up")).text, /action="\/operator\/passkey"/);
    assert.equal((await enter(browser, device, "/operator")).headers.get("location"), "/operator/sign-up");
    assert.match((await browser.send("/operator/sign-up")).text, /Become operator as Ada Lovelace/);
    await browser.send("/operator/accept", { form: {} });
    const home = await browser.send("/");
    assert.match(home.text, /operator/);
    const invited = await browser.send("/invitations", { form: {} });
    const link = /http:\/\/localhost:\d+\/invitation#mfi_[0-9a-z]{57}/.exec(invited.text)?.[0] ?? "";
    const other = await withPasskey(pages, BOB);
    const bob = new FormBrowser(pages);
    await bob.send("/invitation/open", { form: { link } });
    assert.equal((await enter(bob, other, "/invitation")).headers.get("location"), "/invitation/sign-up");
    assert.match((await bob.send("/invitation/sign-up")).text, /you need no invitation/);
    assert.equal(await pages.people.invitation(link.split("#")[1] ?? ""), "person", "it is not used up by somebody who is in already");
  });

  test("nothing for an answer that another browser was asked for, and nothing twice", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const device = await withPasskey(pages);
    const [ada, eve] = [new FormBrowser(pages), new FormBrowser(pages)];
    const credential = device.get(await ask(ada, "/passkeys/sign-in/options"));
    await ask(eve, "/passkeys/sign-in/options");
    const stolen = await eve.send("/passkey", { form: { credential } });
    assert.equal(stolen.status, 401);
    assert.match(stolen.text, /could not be verified/);
    const before = new Map(ada.cookies);
    assert.equal((await ada.send("/passkey", { form: { credential } })).status, 303);
    for (const [name, cookie] of before) eve.cookies.set(name, cookie);
    const replayed = await eve.send("/passkey", { form: { credential } });
    assert.equal(replayed.status, 401);
    assert.match(replayed.text, /too late, or was used before/);
    assert.match((await eve.send("/")).text, /href="\/sign-in"/);
  });

  test("its own page again where adding is refused, with the name kept", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const browser = new FormBrowser(pages);
    await browser.send("/sign-up", { form: ADA });
    for (const [form, status, words] of [
      [{ name: "kept", credential: "" }, 400, /not the answer of a browser/],
      [{ name: "", credential: "{}" }, 400, /name: missing/i],
      [
        { name: "kept", credential: authenticator(pages.url.origin).create({ challenge: "AA", rp: { id: "localhost" } }) },
        400,
        /too late, or was used/,
      ],
    ] as const) {
      const answer = await browser.send("/passkeys/add", { form });
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.text, words);
      assert.ok(answer.text.includes(`value="${form.name}"`));
    }
    for (const path of [
      "/passkeys/add",
      "/passkeys/add/options",
      "/passkeys/sign-in/options",
      "/passkeys/x/remove",
      "/passkey",
      "/claim/passkey",
    ])
      assert.equal((await browser.send(path)).status, 303, path);
    assert.doesNotMatch(pages.logged(), /"level":[56]0/);
  });

  test("nothing after twenty tries from one network, told with the time to wait", async () => {
    await using bench = await openBench(null);
    await using pages = await openPages(bench);
    const browser = new FormBrowser(pages);
    let last: Answer | undefined;
    for (let guess = 0; guess < 21; guess++) last = await browser.send("/passkey", { form: { credential: "{}" } });
    assert.equal(last?.status, 429);
    assert.ok(Number(last.headers.get("retry-after")) > 500);
    assert.match(last.text, /Too many tries/);
  });
});
