// A person in Chromium before an unclaimed account's page: asked first, not asked twice, told where to report it.
// Screenshots stay under test/.artifacts/visitors.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { listReports } from "../../src/control/operator/reports.ts";
import { skipBrowser, startBrowser, visitor, type Visitor } from "../fixtures/browser.ts";
import { openVisited, type Visited } from "../fixtures/visited.ts";

const SHOTS = fileURLToPath(new URL("../.artifacts/visitors/", import.meta.url));
const shot = (page: Page, name: string): Promise<unknown> => page.screenshot({ path: `${SHOTS}${name}.png`, fullPage: true });

const SITE = `export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  const type = (kind) => ({ headers: { "content-type": kind, "cache-control": "max-age=31536000, immutable", "access-control-allow-origin": "*" } });
  if (pathname === "/seen") return Response.json({ cookie: request.headers.get("cookie") });
  if (pathname === "/app.js") return new Response('document.body.append("script ran")', type("text/javascript"));
  if (pathname === "/sw.js") return new Response("self.addEventListener('fetch', () => {});", type("text/javascript"));
  if (pathname === "/save") return new Response("saved " + (await request.text()));
  return new Response('<!doctype html><title>The page</title><h1>Hello ' + pathname + '</h1><form method=post action=/save><input name=a value=1><button>Save</button></form><script src=/app.js></script>', type("text/html"));
} };`;

const heading = (page: Page): Promise<string> => page.getByRole("heading", { level: 1 }).innerText();
const ASKED = "This page was made by an AI agent, and nobody has claimed it";

/** What becomes of a registration, in the page's own words. */
const register = (page: Page): Promise<string> =>
  page.evaluate("navigator.serviceWorker.register('/sw.js').then(() => 'registered', (error) => error.name)");

describe("a visitor of an unclaimed account", { skip: skipBrowser }, () => {
  let browser: Browser;
  let visited: Visited;
  before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    if (skipBrowser !== false) return;
    browser = await startBrowser();
    visited = await openVisited();
    await visited.tenant.deploy("page", SITE);
    await visited.tenant.deploy("other", SITE);
  });
  after(async () => {
    await browser?.close();
    await visited?.[Symbol.asyncDispose]();
  });

  const passes = async ({ page }: Visitor, path = "/"): Promise<void> => {
    await page.goto(visited.urlOf("page") + path);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.waitForURL(visited.urlOf("page") + path);
  };

  test("sees who made the page before the page, on a phone and a desk, light and dark, with and without script", async () => {
    for (const [name, width] of [
      ["phone", 390],
      ["desk", 1280],
    ] as const) {
      for (const colorScheme of ["light", "dark"] as const) {
        await using one = await visitor(browser, {
          viewport: { width, height: 844 },
          colorScheme,
          javaScriptEnabled: colorScheme === "light",
        });
        await one.page.goto(`${visited.urlOf("page")}/login`);
        assert.equal(await heading(one.page), ASKED);
        await shot(one.page, `asked-${name}-${colorScheme}`);
        const button = await one.page.getByRole("button", { name: "Continue" }).boundingBox();
        assert.ok(button && button.height >= 44 && button.y + button.height < 844, "in sight and large enough to touch");
        if (colorScheme === "light") assert.equal(await one.page.evaluate(`document.documentElement.scrollWidth <= ${width}`), true);
        await one.page.getByRole("button", { name: "Continue" }).click();
        await one.page.waitForURL("**/login");
        assert.equal(await heading(one.page), "Hello /login");
        assert.deepEqual(one.complaints, []);
      }
    }
  });

  test("is asked once at each host, and neither the page nor its Worker sees the cookie", async () => {
    await using ada = await visitor(browser);
    await passes(ada, "/a?b=c");
    await ada.page.getByText("script ran").waitFor();
    assert.equal(await ada.page.evaluate("document.cookie"), "");
    assert.deepEqual(await ada.page.evaluate("fetch('/seen').then((answer) => answer.json())"), { cookie: null });
    const [cookie] = await ada.context.cookies();
    assert.deepEqual([cookie?.name, cookie?.httpOnly, cookie?.sameSite, cookie?.path], ["mayfly_visit", true, "Lax", "/"]);
    await ada.page.goto(`${visited.urlOf("page")}/b`);
    assert.equal(await heading(ada.page), "Hello /b");
    await ada.page.getByRole("button", { name: "Save" }).click();
    await ada.page.getByText("saved a=1").waitFor();
    await ada.page.goto(visited.urlOf("other"));
    assert.equal(await heading(ada.page), ASKED);
    assert.deepEqual(ada.complaints, []);
  });

  test("sees it in nobody's frame", async () => {
    await using eve = await visitor(browser);
    await passes(eve);
    await eve.page.evaluate(`new Promise((done) => {
      const frame = document.createElement("iframe");
      frame.addEventListener("load", done);
      frame.src = ${JSON.stringify(visited.urlOf("other"))};
      document.body.append(frame);
    })`);
    assert.ok(!(await Promise.all(eve.page.frames().map((frame) => frame.content().catch(() => "")))).join("").includes(ASKED));
    assert.match(eve.complaints.join("\n"), /frame/i);
  });

  test("cannot be sent past it by another page's form", async () => {
    await using eve = await visitor(browser);
    await passes(eve);
    await eve.page.evaluate(`{
      const form = document.createElement("form");
      form.method = "post";
      form.action = ${JSON.stringify(`${visited.urlOf("other")}/cdn-cgi/mayfly/continue?to=/`)};
      document.body.append(form);
      form.submit();
    }`);
    await eve.page.getByText("This form came from elsewhere").first().waitFor();
    assert.equal((await eve.context.cookies(visited.urlOf("other"))).length, 0);
    await eve.page.goto(visited.urlOf("other"));
    assert.equal(await heading(eve.page), ASKED);
  });

  test("is not led past it by what another page has loaded beforehand", async () => {
    const ways = {
      fetch: "(url) => fetch(url).then((answer) => answer.text())",
      prefetch:
        "(url) => new Promise((done) => document.head.append(Object.assign(document.createElement('link'), { rel: 'prefetch', href: url, onload: done, onerror: done })))",
      "prefetch of a document":
        "(url) => new Promise((done) => document.head.append(Object.assign(document.createElement('link'), { rel: 'prefetch', as: 'document', href: url, onload: done, onerror: done })))",
    };
    for (const [way, load] of Object.entries(ways)) {
      await using eve = await visitor(browser);
      await passes(eve);
      const trap = `${visited.urlOf("other")}/trap`;
      await eve.page.evaluate(`(${load})(${JSON.stringify(trap)}).then(() => null)`);
      await eve.page.evaluate(`void (location.href = ${JSON.stringify(trap)})`);
      await eve.page.waitForURL(trap);
      assert.equal(await heading(eve.page), ASKED, way);
    }
  });

  test("gets no service worker that would outlive the account", async () => {
    await using ada = await visitor(browser);
    await passes(ada);
    assert.equal(await register(ada.page), "TypeError");
    assert.equal(await ada.page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)"), 0);
  });

  test("reports the page to the operator from there", async () => {
    await using ada = await visitor(browser, { viewport: { width: 390, height: 844 } });
    await ada.page.goto(`${visited.urlOf("page")}/login`);
    await ada.page.getByRole("link", { name: "Report this page" }).click();
    assert.equal(new URL(ada.page.url()).origin, visited.consoleUrl.origin);
    assert.equal(await ada.page.getByLabel("Which page").inputValue(), visited.tenant.host("page"));
    await ada.page.getByLabel("Phishing").check();
    await ada.page.getByLabel("What you saw").fill("It asks for my card.\nTwice.");
    await shot(ada.page, "report-form-phone");
    await ada.page.setViewportSize({ width: 1280, height: 844 });
    await shot(ada.page, "report-form-desk");
    await ada.page.getByRole("button", { name: "Send the report" }).click();
    await ada.page.getByRole("heading", { name: "Thank you" }).waitFor();
    await shot(ada.page, "report-sent");
    const [report] = (await listReports(visited.house.control)).reports;
    assert.deepEqual([report?.account, report?.kind, report?.text], [visited.tenant.id, "phishing", "It asks for my card.\nTwice."]);
    assert.deepEqual(ada.complaints, []);
  });

  test("is asked nothing any more once a person claimed it, in the very tab; and service workers come", async () => {
    await using ada = await visitor(browser);
    await ada.page.goto(`${visited.urlOf("page")}/x`);
    assert.equal(await heading(ada.page), ASKED);
    await visited.claim();
    await ada.page.goto(`${visited.urlOf("page")}/x`);
    assert.equal(await heading(ada.page), "Hello /x");
    assert.equal(await register(ada.page), "registered");
  });
});

test("what a browser kept of a page is not shown after the end", { skip: skipBrowser }, async () => {
  await using stack = new AsyncDisposableStack();
  const browser = await startBrowser();
  stack.defer(() => browser.close());
  const visited = stack.use(await openVisited());
  await visited.tenant.deploy("page", SITE);
  const ada = stack.use(await visitor(browser));
  await ada.page.goto(visited.urlOf("page"));
  await ada.page.getByRole("button", { name: "Continue" }).click();
  await ada.page.getByText("script ran").waitFor();
  await ada.page.evaluate("localStorage.setItem('kept', 'yes')");
  visited.house.clock.advance(3_600_000);
  await ada.page.goto("about:blank");
  await ada.page.goto(visited.urlOf("page"));
  assert.equal(await heading(ada.page), "This account is gone");
  assert.equal(await ada.page.evaluate("localStorage.getItem('kept')"), null);
});
