// The whole way of an owner: sign up, a passkey, out and in with it, claim, a token that wrangler deploys with, and
// its end. Screenshots stay under test/.artifacts/tokens.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { authenticator, openLink, skipBrowser, startBrowser, visitor, type Visitor } from "../fixtures/browser.ts";
import { openBench } from "../fixtures/databases.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { addWorker, openPages } from "../fixtures/pages.ts";
import { startAgent } from "../fixtures/wrangler.ts";

const SHOTS = fileURLToPath(new URL("../.artifacts/tokens/", import.meta.url));
const shot = ({ page }: Visitor, name: string): Promise<unknown> => page.screenshot({ path: `${SHOTS}${name}.png`, fullPage: true });

async function signUp({ page }: Visitor): Promise<void> {
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await page.getByLabel("E-mail address").first().fill("ada@example.com");
  await page.getByLabel("New password").fill("analytical engine");
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.getByRole("button", { name: "Claim as Ada Lovelace" }).waitFor();
}

async function makeToken({ page }: Visitor, name: string, grant: string): Promise<string> {
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByLabel(grant).check();
  await page.getByLabel("Expires").selectOption({ label: "in 1 day" });
  await page.getByRole("button", { name: "Make a token" }).click();
  await page.getByRole("heading", { level: 1, name: "A token for" }).waitFor();
  return (await page.locator("#token").innerText()).trim();
}

type Answer = { readonly status: number; readonly errors: string };

async function call({ api }: Installation, token: string, path: string, method = "GET"): Promise<Answer> {
  const response = await fetch(`${api}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, errors: JSON.stringify(((await response.json()) as { errors: unknown }).errors) };
}

const worker = (says: string): string => `export default { fetch: () => new Response(${JSON.stringify(says)}) };`;
const CONFIG = JSON.stringify({ name: "hello", main: "index.js", compatibility_date: "2026-06-01" });

test("an owner replaces a lost token, works with the new one, and ends it", { skip: skipBrowser }, async () => {
  mkdirSync(SHOTS, { recursive: true });
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  agent.write("index.js", worker("made by an agent"));
  agent.write("wrangler.jsonc", CONFIG);
  const deployed = await agent.wrangler(["deploy", "--temporary"]);
  assert.equal(deployed.code, 0, deployed.output);
  const link = /Claim URL: (\S+)/.exec(deployed.output)?.[1] ?? "";
  const [host, { id }] = [agent.target(), agent.account()];

  await using browser = await startBrowser();
  await using ada = await visitor(browser);
  const { page } = ada;
  await authenticator(ada);
  await openLink(ada, link);
  await signUp(ada);
  await page.goto(`${installation.origin}/passkeys`);
  await page.getByLabel("Name").fill("This laptop");
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByRole("listitem").waitFor();
  await page.getByRole("link", { name: "Home" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await openLink(ada, link);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByRole("button", { name: "Claim as Ada Lovelace" }).click();
  const lost = (await page.locator("#token").innerText()).trim();
  await page.goto(installation.origin);
  await shot(ada, "1-home");
  await page.getByRole("link", { name: host.split("--")[1]?.split(".")[0] ?? "", exact: true }).click();
  await shot(ada, "2-account");

  const reading = await makeToken(ada, "a dashboard", "Read only");
  await shot(ada, "3-made");
  await page.getByRole("link", { name: "All tokens of this account" }).click();
  const deploying = await makeToken(ada, "the next agent", "Deploy and read");
  await page.getByRole("link", { name: "All tokens of this account" }).click();

  for (const token of [reading, deploying, lost]) assert.equal((await call(installation, token, "/accounts")).status, 200);
  assert.equal((await call(installation, reading, `/accounts/${id}/workers/scripts`)).status, 200);
  for (const [token, path, method] of [
    [reading, `/accounts/${id}/workers/scripts/hello`, "DELETE"],
    [reading, `/accounts/${id}`, "DELETE"],
    [deploying, `/accounts/${id}`, "DELETE"],
  ] as const) {
    const refused = await call(installation, token, path, method);
    assert.equal(refused.status, 403, refused.errors);
  }
  await using next = await startAgent(installation.api);
  next.write("index.js", worker("by the next agent"));
  next.write("wrangler.jsonc", CONFIG);
  const environment = { env: { CLOUDFLARE_API_TOKEN: deploying, CLOUDFLARE_ACCOUNT_ID: id } };
  const again = await next.wrangler(["deploy"], environment);
  assert.equal(again.code, 0, again.output);
  assert.equal((await installation.edge(host)).body, "by the next agent");
  const reader = await next.wrangler(["deploy"], { env: { ...environment.env, CLOUDFLARE_API_TOKEN: reading } });
  assert.notEqual(reader.code, 0);
  assert.match(reader.output, /does not hold workers:write/);

  await page.reload();
  const item = page.getByRole("listitem").filter({ hasText: "the next agent" });
  assert.match(await item.innerText(), /Deploy and read[\s\S]*last used/);
  await item.getByText("End this token").click();
  await shot(ada, "4-ending");
  await item.getByRole("button", { name: "End it now" }).click();
  await item.waitFor({ state: "hidden" });
  await page.getByText("Tokens that work no more").click();
  await shot(ada, "5-ended");
  const dead = await call(installation, deploying, "/accounts");
  assert.equal(dead.status, 401);
  assert.match(dead.errors, /This token was ended.*Ask the account's owner for a new token/);
  const late = await next.wrangler(["deploy"], environment);
  assert.notEqual(late.code, 0);
  assert.match(late.output, /This token was ended/);
  assert.equal((await call(installation, lost, "/accounts")).status, 200, "the others go on");

  await page.getByText("End this account").click();
  await page.getByLabel("Type").fill(host.split("--")[1]?.split(".")[0] ?? "");
  await shot(ada, "6-ending-the-account");
  await page.getByRole("button", { name: "End it and erase everything" }).click();
  await page.getByRole("heading", { level: 1, name: "has ended" }).waitFor();
  await shot(ada, "7-account-ended");
  assert.match(await page.locator("main").innerText(), /Everything in it has been erased/);
  assert.equal((await call(installation, lost, "/accounts")).status, 401);
  assert.equal((await installation.edge(host)).status, 410);
  await page.getByRole("link", { name: "Home" }).click();
  assert.equal(await page.getByText("Your accounts").count(), 0);
  assert.deepEqual(ada.complaints, []);
  for (const secret of [lost, reading, deploying]) assert.ok(!installation.output().includes(secret));
});

test("the same pages on a phone in the dark, without script", { skip: skipBrowser }, async () => {
  mkdirSync(SHOTS, { recursive: true });
  await using bench = await openBench(null);
  await using pages = await openPages(bench);
  await using browser = await startBrowser();
  const look = { viewport: { width: 360, height: 740 }, colorScheme: "dark", deviceScaleFactor: 2, javaScriptEnabled: false } as const;
  await using ada = await visitor(browser, look);
  const { page } = ada;
  const fits = async (): Promise<void> => {
    const width = await page.evaluate("document.documentElement.scrollWidth");
    assert.ok(Number(width) <= look.viewport.width, "nothing sticks out sideways");
  };
  for (const name of ["first", "a-worker-with-a-rather-long-name-for-a-phone"]) {
    const { account, link } = await pages.waiting();
    await addWorker(bench, account, name);
    await page.goto(`${pages.url.origin}/claim`);
    await page.getByLabel("Link").fill(link);
    await page.getByRole("button", { name: "Open" }).click();
    if (name === "first") await signUp(ada);
    await page.getByRole("button", { name: "Claim as Ada Lovelace" }).click();
    bench.clock.advance(3 * 3_600_000);
  }
  await page.goto(pages.url.origin);
  await shot(ada, "8-home-dark-phone");
  await fits();
  await page.getByRole("link", { name: "Your passkeys" }).click();
  await shot(ada, "9-passkeys-without-script");
  await fits();
  await page.goto(pages.url.origin);
  await page
    .getByRole("listitem")
    .filter({ hasText: "a-worker-with" })
    .getByRole("link", { name: /^[a-z]+-[a-z]+-[a-z0-9]{5}$/ })
    .click();
  const secret = await makeToken(ada, "for an agent with a very long name ".repeat(2).trim(), "Everything");
  await shot(ada, "10-made-dark-phone");
  await fits();
  assert.equal((await pages.tokens.lookUp(secret)).kind, "person");
  await page.getByRole("link", { name: "All tokens of this account" }).click();
  await page.getByText("End this token").first().click();
  await shot(ada, "11-account-dark-phone");
  await fits();
  await page.getByRole("button", { name: "End it now" }).first().click();
  await assert.rejects(pages.tokens.lookUp(secret), /ended/);
  await page.getByText("End this account").click();
  await page.getByLabel("Type").fill("something-else");
  await page.getByRole("button", { name: "End it and erase everything" }).click();
  await page.getByRole("alert").waitFor();
  await shot(ada, "12-mistyped-dark-phone");
  await fits();
  assert.deepEqual(ada.complaints, []);
});
