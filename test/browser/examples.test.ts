// The two applications of `examples/`, deployed by the real wrangler and used in Chromium by people who click and type.
// Screenshots stay under test/.artifacts/examples.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { awaitUntil } from "../fixtures/await-until.ts";
import { skipBrowser, startBrowser, visitor, type Visitor } from "../fixtures/browser.ts";
import { installExample, type Example } from "../fixtures/example.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";

const SHOTS = fileURLToPath(new URL("../.artifacts/examples/", import.meta.url));
const shot = (page: Page, name: string): Promise<unknown> =>
  page.screenshot({ path: `${SHOTS}${name}.png`, fullPage: true, animations: "disabled" });
const PHONE = { viewport: { width: 360, height: 740 }, colorScheme: "dark" } as const;

const fits = async ({ page }: Visitor): Promise<void> => {
  assert.ok(Number(await page.evaluate("document.documentElement.scrollWidth - innerWidth")) <= 0, "nothing sticks out sideways");
};

async function sign({ page }: Visitor, name: string, message: string): Promise<void> {
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Your message").fill(message);
  await page.getByRole("button", { name: "Sign" }).click();
}

async function enterRoom(someone: Visitor, url: string, name: string): Promise<void> {
  await someone.page.goto(url);
  await someone.page.getByLabel("As").fill(name);
  await someone.page.getByRole("status").filter({ hasText: "Connected" }).waitFor();
}

/** Keeps every state that the status line goes through. */
const watchStatus = ({ page }: Visitor): Promise<unknown> =>
  page.evaluate(`{
    const line = document.querySelector('[role="status"]');
    window.states = [];
    new MutationObserver(() => states.push(line.dataset.state)).observe(line, { attributeFilter: ["data-state"] });
  }`);

/** Says one thing after another until told to stop, then what was said. */
async function talk({ page }: Visitor, name: string, stop: AbortSignal): Promise<string[]> {
  const said: string[] = [];
  while (!stop.aborted) {
    const text = `${name} says ${said.length + 1}`;
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
    said.push(text);
    await delay(80);
  }
  return said;
}

const read = ({ page }: Visitor): Promise<string[]> => page.locator(".log li p").allInnerTexts();

/** Two people talk on while something happens to the room; gives everything said by either. */
async function talkDuring(ada: Visitor, bob: Visitor, round: string, happen: () => Promise<unknown>): Promise<string[]> {
  await Promise.all([watchStatus(ada), watchStatus(bob)]);
  const before = (await read(ada)).length;
  const stop = new AbortController();
  const talks = Promise.all([talk(ada, `Ada ${round}`, stop.signal), talk(bob, `Bob ${round}`, stop.signal)]);
  const cut = ({ page }: Visitor): Promise<unknown> =>
    awaitUntil(() => page.evaluate("states.includes('waiting') && states.at(-1) === 'connected'"), {
      what: "cut off and connected again",
      deadlineMs: 90_000,
    });
  try {
    await awaitUntil(async () => (await read(ada)).length >= before + 10, { what: "the two are in the middle of it" });
    await Promise.all([happen(), cut(ada), cut(bob)]);
    const reconnected = (await read(ada)).length;
    await awaitUntil(async () => (await read(ada)).length >= reconnected + 10, { what: "they go on talking" });
  } finally {
    stop.abort();
    await Promise.allSettled([talks]);
  }
  return (await talks).flat();
}

type Network = {
  cut(): Promise<void>;
  /** Sockets open, and nothing comes through. Holds for the next page. */
  silence(): void;
  mend(): void;
};

/** A visitor's network for WebSockets. */
async function breakable({ page }: Visitor): Promise<Network> {
  let state: "cut" | "silent" | "there" = "there";
  let cutLast = (): Promise<void> => Promise.resolve();
  await page.routeWebSocket(/socket/, async (socket) => {
    cutLast = () => socket.close();
    if (state === "there") socket.connectToServer();
    if (state === "cut") await cutLast();
  });
  return {
    cut: () => {
      state = "cut";
      return cutLast();
    },
    silence: () => void (state = "silent"),
    mend: () => void (state = "there"),
  };
}

/** What the console told, but for sockets that were cut. */
const unexpected = (...visitors: Visitor[]): string[] =>
  visitors.flatMap(({ complaints }) => complaints).filter((line) => !line.includes("WebSocket connection"));

/** Sends texts over a socket of its own, each with its text as its id, and gives the numbers that the room answered. */
const sendRaw = ({ page }: Visitor, texts: readonly string[]): Promise<number[]> =>
  page.evaluate(`new Promise((resolve) => {
    const texts = ${JSON.stringify(texts)};
    const answers = [];
    const socket = new WebSocket(location.href.replace("http", "ws").replace("/r/", "/api/rooms/") + "/socket?after=999999");
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "ready") for (const text of texts) socket.send(JSON.stringify({ id: text, author: "Eve", text }));
      if (frame.type === "messages") answers.push(frame.messages[0].seq);
      if (answers.length < texts.length) return;
      socket.close();
      resolve(answers);
    };
  })`);

describe("the examples in a browser", { skip: skipBrowser }, () => {
  let browser: Browser;
  let installation: Installation;
  before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    if (skipBrowser !== false) return;
    browser = await startBrowser();
    installation = await startInstallation();
  });
  after(async () => {
    await browser?.close();
    await installation?.[Symbol.asyncDispose]();
  });

  test("guestbook: what is signed stays, at an address of its own and after a redeploy", async () => {
    await using guestbook = await installExample("guestbook", installation);
    await guestbook.wrangler("deploy");
    await using ada = await visitor(browser);
    await ada.page.goto(guestbook.origin());
    // A database without its tables: the page says what the API says.
    await ada.page.getByRole("alert").filter({ hasText: "migrations apply" }).waitFor();
    await shot(ada.page, "1-guestbook-before-migrations");
    await guestbook.wrangler("d1", "migrations", "apply", "DB", "--remote");
    await ada.page.getByRole("button", { name: "Try again" }).click();
    await ada.page.getByText("Nobody has signed yet").waitFor();

    await sign(ada, "Ada", "  ");
    await ada.page.getByRole("alert").filter({ hasText: "Please write a message." }).waitFor();
    assert.equal(await ada.page.getByLabel("Your message").getAttribute("aria-invalid"), "true");
    await shot(ada.page, "2-guestbook-refused");
    await sign(ada, "Ada Lovelace", "The kettle whistles in B flat.\n<b>Thank you</b> for the firewood!");
    const entry = ada.page.getByRole("article").filter({ hasText: "B flat" });
    await entry.getByRole("button", { name: "Like, 0 so far" }).click();
    await entry.getByRole("button", { name: "Like, 1 so far" }).waitFor();
    await ada.page.reload();
    await entry.getByRole("button", { name: "Like, 1 so far" }).waitFor();
    assert.match(await entry.innerText(), /<b>Thank you<\/b>/, "text stays text");
    await shot(ada.page, "3-guestbook-signed");

    guestbook.edit("src/app.tsx", "Leave a line before you go.", "Second edition.");
    await guestbook.wrangler("deploy");
    await using bob = await visitor(browser, PHONE);
    await bob.page.goto(`${guestbook.origin()}/entries/1`);
    await bob.page.getByText("Second edition.").waitFor();
    await bob.page.getByText("whistles in B flat").waitFor();
    await fits(bob);
    await shot(bob.page, "4-guestbook-deep-link-dark-phone");
    await bob.page.getByRole("link", { name: "All entries" }).click();
    await sign(bob, "Bob", "A second one, on another version.");
    await bob.page.getByRole("article").nth(1).waitFor();
    assert.deepEqual(await bob.page.locator("article strong").allInnerTexts(), ["Bob", "Ada Lovelace"]);
    await fits(bob);
    await shot(bob.page, "5-guestbook-dark-phone");
    await bob.page.goto(`${guestbook.origin()}/entries/999`);
    await bob.page.getByRole("alert").filter({ hasText: "There is no such entry." }).waitFor();
    // The 503 before the migrations is told on the console too.
    assert.deepEqual([...ada.complaints.filter((line) => !line.includes("status of 503")), ...bob.complaints], []);
  });

  describe("chat", { skip: skipBrowser }, () => {
    let chat: Example;
    before(async () => {
      chat = await installExample("chat", installation);
      await chat.wrangler("deploy");
    });
    after(() => chat?.[Symbol.asyncDispose]());

    test("a redeploy and a crash in the middle of a conversation lose nothing and repeat nothing", async () => {
      await using ada = await visitor(browser);
      await using bob = await visitor(browser, PHONE);
      await ada.page.goto(chat.origin());
      await ada.page.getByLabel("Open a room").fill("Tea Room");
      await ada.page.getByRole("button", { name: "Open" }).click();
      await ada.page.waitForURL("**/r/tea-room");
      await Promise.all([enterRoom(ada, ada.page.url(), "Ada"), enterRoom(bob, ada.page.url(), "Bob")]);
      await ada.page.getByRole("status").filter({ hasText: "2 people here" }).waitFor();
      await ada.page.getByRole("button", { name: "Rename" }).click();
      await ada.page.getByLabel("Topic").fill("Biscuits");
      await ada.page.getByRole("button", { name: "Save" }).click();
      await bob.page.getByText("Biscuits").waitFor();

      chat.edit("worker/index.ts", "There is nothing here.", "Second edition.");
      const first = await talkDuring(ada, bob, "first", () => chat.wrangler("deploy"));
      assert.match((await installation.edge(new URL(chat.origin()).hostname, "/api/nothing")).body, /Second edition/);
      const then = await talkDuring(ada, bob, "then", () => {
        for (const pid of installation.capsules()) process.kill(pid, "SIGKILL");
        return Promise.resolve();
      });

      const said = [...first, ...then];
      const hasAll = async (someone: Visitor): Promise<boolean> =>
        (await read(someone)).length >= said.length && (await someone.page.locator(".outbox li").count()) === 0;
      await awaitUntil(async () => (await hasAll(ada)) && (await hasAll(bob)), { what: "every message is with both" });
      const heard = await read(ada);
      assert.deepEqual(await read(bob), heard, "both have one order");
      assert.deepEqual([...heard].sort(), [...said].sort(), "each message exactly once");
      for (const who of ["Ada", "Bob"]) {
        const own = (text: string): boolean => text.startsWith(who);
        assert.deepEqual(heard.filter(own), said.filter(own), "nobody's own messages change places");
      }
      await fits(bob);
      await shot(ada.page, "6-chat");
      await shot(bob.page, "7-chat-dark-phone");
      await bob.page.goto(chat.origin());
      await bob.page.getByRole("link", { name: "Tea Room Biscuits" }).waitFor();
      await ada.page.getByRole("status").filter({ hasText: "you are alone here" }).waitFor();
      await shot(bob.page, "8-chat-lobby-dark-phone");
      assert.deepEqual(unexpected(ada, bob), []);
    });

    test("who was away gets all that was said, and what was said to nobody is sent later", async () => {
      const study = `${chat.origin()}/r/study`;
      await using ada = await visitor(browser);
      await enterRoom(ada, study, "Ada");
      await using eve = await visitor(browser);
      const network = await breakable(eve);
      await enterRoom(eve, study, "Eve");

      await network.cut();
      const [first, again] = await sendRaw(ada, ["Only once", "Only once"]);
      assert.equal(first, again, "the room knows a message by its id");
      const many = ["Only once", ...Array.from({ length: 250 }, (_, at) => `Missed ${at}`)];
      await sendRaw(ada, many.slice(1));
      network.mend();
      await eve.page.locator(".log").getByText("Missed 249", { exact: true }).waitFor();
      assert.deepEqual(await read(eve), many);

      network.silence();
      await eve.page.reload();
      await eve.page.getByLabel("Message", { exact: true }).fill("Said into a void");
      await eve.page.keyboard.press("Enter");
      await eve.page.getByRole("list", { name: "Being sent" }).getByText("Said into a void").waitFor();
      await shot(eve.page, "9-chat-being-sent");
      network.mend();
      await eve.page.reload();
      await ada.page.locator(".log").getByText("Said into a void").waitFor();
      many.push("Said into a void");
      assert.deepEqual(await read(ada), many);

      await eve.page.reload();
      await eve.page.locator(".log").getByText("Said into a void").waitFor();
      assert.deepEqual(await read(eve), many.slice(-50), "who comes later sees the last fifty");
      await eve.page.getByRole("button", { name: "Older messages" }).click();
      await eve.page.locator("li").nth(50).waitFor();
      assert.deepEqual(await read(eve), many.slice(-100));
      await chat.wrangler("delete");
      await eve.page.getByRole("status").filter({ hasText: "Reconnecting" }).waitFor();
      assert.deepEqual(unexpected(ada, eve), []);
    });
  });
});
