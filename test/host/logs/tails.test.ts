// Live readers of an account's log: what a tail and a follower get, and what they cost when they do not read.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { wants } from "../../../src/host/logs/tail-event.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { loggingHouse, following, tailing, type LoggingHouse } from "./logging-house.ts";

let house: LoggingHouse;
before(async () => {
  house = await loggingHouse();
});
after(() => house[Symbol.asyncDispose]());

const TALKER = `export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/say") console.warn("said", { a: 1 });
  if (pathname === "/throw") throw new TypeError("thrown");
  if (pathname === "/many") for (let i = 0; i < 50; i++) console.log("x".repeat(4000));
  return new Response("ok");
} };`;

describe("a tail", () => {
  test("gets every invocation as wrangler prints it", async () => {
    const { account, label } = await house.bench.deploy(TALKER);
    const tail = await tailing(house, { account, worker: "test" });
    const quiet = await house.ask(label, "/", { headers: { authorization: "Bearer x", cookie: "a=b", "x-mine": "1", "x-api-key": "k" } });
    await house.ask(label, "/say?id=0123456789abcdef0123456789abcdef");
    await house.ask(label, "/throw", { method: "POST" });
    await awaitUntil(() => tail.lines.length === 3, { what: "three events" });
    const [plain, said, thrown] = tail.lines;
    assert.equal(plain?.outcome, "ok");
    assert.equal(plain.scriptName, "test");
    assert.deepEqual(plain.scriptVersion, { id: "00000000-0000-0000-0000-000000000000" });
    assert.deepEqual([plain.logs, plain.exceptions], [[], []]);
    assert.ok(plain.wallTime >= 0 && plain.eventTimestamp > Date.now() - 60_000);
    const event = plain.event as {
      request: { url: string; method: string; headers: Record<string, string>; cf: object };
      response: object;
    };
    assert.deepEqual(event.response, { status: 200 });
    assert.equal(event.request.url, `http://${label}.mayfly.localhost/`);
    assert.equal(event.request.method, "GET");
    const { headers } = event.request;
    assert.deepEqual([headers["authorization"], headers["cookie"], headers["x-api-key"]], ["REDACTED", "REDACTED", "REDACTED"]);
    assert.deepEqual([headers["x-mine"], headers["cf-ray"], headers["cf-connecting-ip"]], ["1", quiet.ray, "127.0.0.1"]);
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith("mayfly")),
      [],
    );
    assert.equal((event.request.cf as { colo: string }).colo, "MAY");
    assert.deepEqual(
      said?.logs.map(({ level, message }) => [level, message]),
      [["warn", ["said", { a: 1 }]]],
    );
    assert.ok(JSON.stringify(said?.event).includes("/say?id=REDACTED"));
    assert.equal(thrown?.outcome, "exception");
    assert.deepEqual(
      thrown.exceptions.map(({ name, message }) => [name, message]),
      [["TypeError", "thrown"]],
    );
    tail.stream.destroy();
  });

  test("gets what its filters let through and nothing else", async () => {
    const { account, label } = await house.bench.deploy(`${TALKER}//filters`);
    const of = (query: object) => tailing(house, { account, worker: "test", ...query });
    const tails = {
      other: await of({ worker: "other" }),
      version: await of({ version: "11111111-0000-0000-0000-000000000000" }),
      outcome: await of({ outcomes: ["exception"] }),
      method: await of({ methods: ["POST"] }),
      header: await of({ headers: [{ key: "X-Mine", query: "YES" }] }),
      present: await of({ headers: [{ key: "x-mine" }] }),
      ip: await of({ clientIps: ["127.0.0.1"] }),
      otherIp: await of({ clientIps: ["192.0.2.1"] }),
      query: await of({ query: "SAID" }),
      all: await of({}),
    };
    await house.ask(label, "/say", { headers: { "x-mine": "no" } });
    await house.ask(label, "/throw", { method: "POST" });
    await house.ask(label, "/", { headers: { "x-mine": "oh yes" } });
    await awaitUntil(() => tails.all.lines.length === 3, { what: "three events" });
    await sleep(50);
    const counts = Object.fromEntries(Object.entries(tails).map(([name, { lines }]) => [name, lines.length]));
    assert.deepEqual(counts, {
      other: 0,
      version: 0,
      outcome: 1,
      method: 1,
      header: 1,
      present: 2,
      ip: 3,
      otherIp: 0,
      query: 1,
      all: 3,
    });
    const [event] = tails.all.lines;
    assert.ok(event);
    const sampled = (random: number): boolean => wants({ account, worker: "test", samplingRate: 0.25 }, event, () => random);
    assert.deepEqual([sampled(0), sampled(0.24), sampled(0.25), sampled(0.9)], [true, true, false, false]);
    for (const { stream } of Object.values(tails)) stream.destroy();
  });

  test("that is not read is told once how much it missed, and holds no more than its bound", async () => {
    const { account, label } = await house.bench.deploy(`${TALKER}//unread`);
    const stream = await house.host.tail({ account, worker: "test" });
    await sleep(100);
    for (let at = 0; at < 12; at++) await Promise.all([house.ask(label, "/many"), house.ask(label, "/many")]);
    await sleep(500);
    assert.ok(stream.readableLength <= 1_100_000, `${stream.readableLength} bytes`);
    const read: { event: { type?: string; message?: string } }[] = [];
    let rest = "";
    stream.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      read.push(...lines.map((line) => JSON.parse(line) as (typeof read)[number]));
    });
    await awaitUntil(() => read.some(({ event }) => event.type === "overload-stop"), { what: "the reader caught up" });
    await house.ask(label, "/say");
    await awaitUntil(() => JSON.stringify(read.at(-1)).includes("said"), { what: "an event after it" });
    assert.equal(read.filter(({ event }) => event.type === "overload").length, 1);
    assert.match(read.find(({ event }) => event.type === "overload-stop")?.event.message ?? "", /caught up; \d+ events were left out/);
    stream.destroy();
  });

  test("ends with the account", async () => {
    const { account, label, subdomain } = await house.bench.deploy(`${TALKER}//ends`);
    const tail = await tailing(house, { account, worker: "test" });
    const follower = following(await house.host.follow({ account }));
    await house.ask(label);
    await house.host.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() });
    await Promise.all([tail.ended, follower.ended]);
    await assert.rejects(house.host.tail({ account, worker: "test" }), { code: "account_gone" });
    await assert.rejects(house.host.follow({ account }), { code: "account_gone" });
    await assert.rejects(house.page(account), { code: "account_gone" });
    await assert.rejects(house.host.metrics({ account, sinceMs: 0, untilMs: Date.now() }), { code: "account_gone" });
  });

  test("is refused where too many are open, and let in again when one closes", async () => {
    const { account } = await house.bench.deploy(`${TALKER}//many`);
    const open = [];
    for (let at = 0; at < 20; at++) open.push(await house.host.tail({ account, worker: "test" }));
    await assert.rejects(house.host.tail({ account, worker: "test" }), { code: "quota_exceeded" });
    open.pop()?.destroy();
    await sleep(10);
    open.push(await house.host.tail({ account, worker: "test" }));
    for (const stream of open) stream.destroy();
  });
});

describe("a follower", () => {
  test("gets what it asked for within a second, a thousand lines a second", async () => {
    const source = `export default { fetch() { console.log("at", Date.now()); return new Response() } };`;
    const { account, label } = await house.bench.deploy(source);
    await house.ask(label);
    const latest: number[] = [];
    // Neighbours on this machine may hold one round up; three of them hardly.
    for (let round = 0; round < 3 && latest.every((lateMs) => lateMs >= 1_000); round++) latest.push(await latestOf(account, label));
    assert.ok((latest.at(-1) ?? Infinity) < 1_000, `the latest lines came after ${latest.join(", ")} ms`);
  });
});

/** How late the latest of two thousand lines came that were logged within two seconds. */
async function latestOf(account: AccountId, label: string): Promise<number> {
  const stream = await house.host.follow({ account, kind: "console" });
  const reader = createInterface({ input: stream });
  let count = 0;
  let latestMs = 0;
  reader.on("line", (line) => {
    count++;
    latestMs = Math.max(latestMs, Date.now() - (JSON.parse(line) as { atMs: number }).atMs);
  });
  try {
    const began = performance.now();
    for (let batch = 0; batch < 100; batch++) {
      await Promise.all(Array.from({ length: 20 }, () => house.ask(label)));
      await sleep(Math.max(0, began + batch * 20 - performance.now()));
    }
    await awaitUntil(() => count >= 2_000, { what: "every line" });
    return latestMs;
  } finally {
    stream.destroy();
  }
}
