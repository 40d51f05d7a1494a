// The whole way of an operator: the first link, who is heavy, suspend, release, ban, end, a key for a script. Then every
// page in both sizes, light and dark. Screenshots stay under test/.artifacts/operator.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { awaitUntil } from "../fixtures/await-until.ts";
import { skipBrowser, startBrowser, visitor, type Visitor } from "../fixtures/browser.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { newTenant, tenantAt, type Tenant } from "../fixtures/tenant.ts";

const SHOTS = fileURLToPath(new URL("../.artifacts/operator/", import.meta.url));
const shot = ({ page }: Visitor, name: string): Promise<unknown> => page.screenshot({ path: `${SHOTS}${name}.png`, fullPage: true });

const CALLER = "203.0.113.9";
const HEAVY = `export default { fetch() { const until = Date.now() + 300; let n = 0; for (let i = 0; i < 3e7; i++) n += i; return new Response(String(n && until)); } };`;

async function becomeOperator({ page }: Visitor, installation: Installation): Promise<void> {
  const link = /http:\S+\/operator#mfo_\S+/.exec(installation.output())?.[0] ?? assert.fail("no link was printed");
  assert.ok(installation.output().includes(`${installation.origin}/operations`), "start prints where the operator's page is");
  await page.goto(link);
  await page.getByLabel("Your name").fill("Olga");
  await page.getByLabel("E-mail address").first().fill("olga@example.com");
  await page.getByLabel("New password").fill("correct horse");
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.getByRole("link", { name: "Operations" }).waitFor();
}

/** In both sizes, light and dark, and nothing sticks out sideways. */
async function looks({ page }: Visitor, name: string): Promise<void> {
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${SHOTS}look-${name}-${width}-${colorScheme}.png`, fullPage: true });
    }
    const content = Number(await page.evaluate("document.documentElement.scrollWidth"));
    assert.ok(content <= width, `${name} is ${content} px wide on ${width}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

test("an operator sees the heavy account, suspends and releases it, bans its maker and ends it", { skip: skipBrowser }, async () => {
  mkdirSync(SHOTS, { recursive: true });
  await using installation = await startInstallation({ MAYFLY_TRUSTED_PROXIES: "127.0.0.1" });
  const made = (address: string): Promise<Tenant> =>
    newTenant((path, init) => {
      const headers = { ...(init.headers as Record<string, string>), "x-forwarded-for": address };
      return fetch(installation.api + path, { ...init, headers });
    });
  const [calm, heavy] = [await made("198.51.100.7"), await made(CALLER)];
  await calm.deploy("calm", "export default { fetch: () => new Response('calm') };");
  await heavy.deploy("miner", HEAVY);
  const [calmHost, heavyHost] = [calm.host("calm"), heavy.host("miner")];
  assert.equal((await installation.edge(calmHost)).body, "calm");
  for (let at = 0; at < 10; at++) assert.equal((await installation.edge(heavyHost)).status, 200);

  await using browser = await startBrowser();
  await using olga = await visitor(browser, { viewport: { width: 1280, height: 900 } });
  const { page } = olga;
  await becomeOperator(olga, installation);
  await shot(olga, "1-home");
  await page.getByRole("link", { name: "Operations" }).click();
  const first = page.locator("#accounts .things > li").first();
  await awaitUntil(
    async () => {
      await page.reload();
      return (await first.innerText()).includes(heavy.subdomain);
    },
    { what: "the heavy account comes first", deadlineMs: 30_000, everyMs: 500 },
  );
  await shot(olga, "2-overview");
  await looks(olga, "overview");

  await first.getByRole("link").click();
  await page.getByRole("heading", { level: 1, name: heavy.subdomain }).waitFor();
  assert.match(await page.locator("main").innerText(), /Made from\s+203\.0\.113\.9/);
  await page.getByLabel("Why").first().fill("It mines coins.");
  await page.getByRole("button", { name: "Suspend" }).click();
  await page.getByText("suspended by operator").waitFor();
  await shot(olga, "3-suspended");
  const stopped = await installation.edge(heavyHost);
  assert.equal(stopped.status, 503);
  assert.match(stopped.body, /It mines coins\./);
  assert.equal((await installation.edge(calmHost)).status, 200, "nobody else is touched");
  const deploy = await heavy.upload("miner", HEAVY);
  assert.equal(deploy.status, 403, "a deploy lifts nothing");
  assert.equal((await installation.edge(heavyHost)).status, 503);
  await page.getByRole("button", { name: "Release" }).click();
  await page.getByText("suspended by operator").waitFor({ state: "hidden" });
  assert.equal((await installation.edge(heavyHost)).status, 200, "it serves again");

  await page.getByText("Ban whoever made it").click();
  await looks(olga, "account");
  await page.getByLabel("Whom").selectOption("203.0.113.0/24");
  await page.getByRole("button", { name: "Ban", exact: true }).click();
  await page.getByText("203.0.113.0/24 is banned").waitFor();
  await shot(olga, "4-banned");
  await looks(olga, "banned");
  const from = (address: string) => ({ "x-forwarded-for": address });
  await awaitUntil(async () => (await installation.edge(calmHost, "/", from(CALLER))).status === 403, { what: "the ban acts at the edge" });
  assert.equal((await installation.edge(calmHost, "/", from("198.51.100.7"))).status, 200);
  const challenge = await fetch(`${installation.api}/provisioning/previews/challenge`, {
    method: "POST",
    body: "{}",
    headers: from(CALLER),
  });
  assert.equal(challenge.status, 403);
  assert.match(await challenge.text(), /address_banned/);
  await page.getByLabel("Type").fill("203.0.113.0/24");
  await page.getByRole("button", { name: "End 1 account" }).click();
  await page.getByRole("heading", { level: 1, name: "1 account of 203.0.113.0/24 ended" }).waitFor();
  assert.equal((await installation.edge(heavyHost)).status, 410);
  await page.getByRole("link", { name: "Bans" }).last().click();
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByText("Nobody is banned").waitFor();
  await awaitUntil(async () => (await installation.edge(calmHost, "/", from(CALLER))).status === 200, {
    what: "the ban is over at the edge",
  });

  await page.goto(`${installation.origin}/operations?search=${calmHost}`);
  await page.getByRole("link", { name: calm.subdomain }).click();
  await page.getByText("End this account").click();
  await page.getByLabel("Type").fill("something-else");
  await page.getByRole("button", { name: "End it and erase everything" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Type").fill(calm.subdomain);
  await page.getByRole("button", { name: "End it and erase everything" }).click();
  await page.getByRole("heading", { level: 1, name: "has ended" }).waitFor();
  assert.equal((await installation.edge(calmHost)).status, 410);

  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByRole("link", { name: "Keys" }).click();
  await page.getByLabel("Name").fill("a script");
  await looks(olga, "keys");
  await page.getByRole("button", { name: "Make a key" }).click();
  const key = (await page.locator("#key").innerText()).trim();
  await shot(olga, "5-key");
  const listed = await fetch(`${installation.api}/operator/accounts?filter=ended`, { headers: { authorization: `Bearer ${key}` } });
  const { result } = (await listed.json()) as { result: { id: string; end_reason: string }[] };
  assert.deepEqual(
    result.map(({ id, end_reason }) => `${id} ${end_reason}`).toSorted(),
    [calm.id, heavy.id].map((id) => `${id} operator`).toSorted(),
  );
  await page.getByRole("link", { name: "All keys" }).click();
  await page.getByRole("link", { name: "Caps" }).click();
  await page.getByRole("heading", { level: 1, name: "Caps" }).waitFor();
  await looks(olga, "caps");
  assert.deepEqual(olga.complaints, []);
  assert.ok(!installation.output().includes(key));
});

test("the same pages without script", { skip: skipBrowser }, async () => {
  mkdirSync(SHOTS, { recursive: true });
  await using installation = await startInstallation();
  const tenant = await tenantAt(installation);
  await tenant.deploy("app", "export default { fetch: () => new Response('app') };");
  await using browser = await startBrowser();
  await using olga = await visitor(browser, { javaScriptEnabled: false, viewport: { width: 390, height: 800 }, colorScheme: "dark" });
  const { page } = olga;
  await page.goto(`${installation.origin}/operations`);
  await page.getByRole("heading", { level: 1, name: "There is no such page" }).waitFor();
  const link = /http:\S+\/operator#mfo_\S+/.exec(installation.output())?.[0] ?? "";
  await page.goto(`${installation.origin}/operator`);
  await page.getByLabel("Link").fill(link);
  await page.getByRole("button", { name: "Open" }).click();
  await page.getByLabel("Your name").fill("Olga");
  await page.getByLabel("E-mail address").first().fill("olga@example.com");
  await page.getByLabel("New password").fill("correct horse");
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.getByRole("link", { name: "Operations" }).click();
  await page.getByRole("link", { name: tenant.subdomain }).click();
  await page.getByLabel("Why").first().fill("A look first.");
  await page.getByRole("button", { name: "Suspend" }).click();
  await page.getByText("suspended by operator").waitFor();
  assert.equal((await installation.edge(tenant.host("app"))).status, 503);
  await page.goto(`${installation.origin}/operations/bans`);
  await page.getByLabel("Address or CIDR").fill("127.0.0.0/8");
  await page.getByLabel("Why").fill("to see");
  await page.getByRole("button", { name: "Ban", exact: true }).click();
  await page.getByRole("alert").waitFor();
  await shot(olga, "6-confirm-dark-phone");
  await page.getByLabel("The range once more").fill("127.0.0.0/8");
  await page.getByRole("button", { name: "Ban", exact: true }).click();
  await page.getByText("127.0.0.0/8 is banned").waitFor();
  await awaitUntil(async () => (await installation.edge(tenant.host("app"))).status === 403, { what: "the ban acts at the edge" });
  await page.goto(`${installation.origin}/operations/bans`);
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByText("Nobody is banned").waitFor();
  assert.deepEqual(olga.complaints, []);
});
