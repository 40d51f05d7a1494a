// The main job as its people see it: wrangler prints a link, a person opens it in Chromium and keeps the account.
// Screenshots stay under test/.artifacts/loop.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openLink, skipBrowser, startBrowser, visitor } from "../fixtures/browser.ts";
import { startInstallation } from "../fixtures/installation.ts";
import { startAgent } from "../fixtures/wrangler.ts";

const SHOTS = fileURLToPath(new URL("../.artifacts/loop/", import.meta.url));

test("from the link that wrangler printed to a claimed account whose Worker answers at the same URL", { skip: skipBrowser }, async () => {
  mkdirSync(SHOTS, { recursive: true });
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  agent.write("index.js", "export default { fetch: () => new Response('made by an agent') };");
  agent.write("wrangler.jsonc", JSON.stringify({ name: "hello", main: "index.js", compatibility_date: "2026-06-01" }));
  const task = JSON.stringify({ "Mayfly-Task": JSON.stringify({ title: "Say hello", agent: "a test" }) });
  const deployed = await agent.wrangler(["deploy", "--temporary"], { env: { CLOUDFLARE_API_HEADERS: task } });
  assert.equal(deployed.code, 0, deployed.output);
  const link = /Claim URL: (\S+)/.exec(deployed.output)?.[1] ?? "";
  const host = agent.target();

  await using browser = await startBrowser();
  await using ada = await visitor(browser);
  const { page } = ada;
  await openLink(ada, link);
  const before = await page.locator("body").innerText();
  assert.match(before, /Say hello/);
  assert.ok(!before.includes(host), "what the account holds is not shown before signing in");
  await page.screenshot({ path: `${SHOTS}1-link.png`, fullPage: true });
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await page.getByLabel("E-mail address").first().fill("ada@example.com");
  await page.getByLabel("New password").fill("analytical engine");
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.getByRole("button", { name: "Claim as Ada Lovelace" }).waitFor();
  assert.ok((await page.locator("body").innerText()).includes(host));
  await page.screenshot({ path: `${SHOTS}2-holds.png`, fullPage: true });
  await page.getByRole("button", { name: "Claim as Ada Lovelace" }).click();
  const token = (await page.locator("#token").innerText()).trim();
  await page.screenshot({ path: `${SHOTS}3-claimed.png`, fullPage: true });
  assert.deepEqual(ada.complaints, []);

  // The same URL, in the person's own browser: *.localhost resolves there.
  await page.goto(`http://${host}:${installation.edgePort}/`);
  assert.equal((await page.locator("body").innerText()).trim(), "made by an agent");
  await page.screenshot({ path: `${SHOTS}4-worker.png` });

  await using person = await startAgent(installation.api);
  person.write("index.js", "export default { fetch: () => new Response('kept by Ada') };");
  person.write("wrangler.jsonc", JSON.stringify({ name: "hello", main: "index.js", compatibility_date: "2026-06-01" }));
  const again = await person.wrangler(["deploy"], { env: { CLOUDFLARE_API_TOKEN: token } });
  assert.equal(again.code, 0, again.output);
  assert.equal(person.target(), host);
  assert.equal((await installation.edge(host)).body, "kept by Ada");

  const late = await agent.wrangler(["deploy", "--temporary"]);
  assert.notEqual(late.code, 0);
  assert.match(late.output, /A person claimed this account/);
  assert.ok(
    !installation.output().includes(token) && !installation.output().includes(link.split("#")[1] ?? ""),
    "no secret is in the logs",
  );
});
