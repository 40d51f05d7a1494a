// Whom the edge refuses by the operator's word: at the front door and at no other, by the forwarded address behind a proxy.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { BanList, type Ban } from "../../../src/capsule/bans.ts";
import { followBans } from "../../../src/host/edge/bans.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { testClock } from "../../fixtures/databases.ts";
import { ScriptedControl } from "../../fixtures/capsules.ts";
import { ask, DOMAIN, fakeCapsules, runEdge } from "./running-edge.ts";

const FOREVER = (range: string): Ban => ({ range, untilMs: null });
const log = createLog("test", "silent");

test("a ban acts until its time and not a moment longer, within a wider one too", () => {
  const list = new BanList();
  list.replace([FOREVER("192.0.2.7/32"), { range: "192.0.2.0/24", untilMs: 100 }, { range: "198.51.100.0/24", untilMs: 50 }], 0);
  assert.ok(list.refuses("192.0.2.9", 49) && list.refuses("198.51.100.1", 49));
  assert.ok(!list.refuses("198.51.100.1", 50));
  assert.ok(list.refuses("192.0.2.9", 99));
  assert.ok(!list.refuses("192.0.2.9", 100));
  assert.ok(list.refuses("192.0.2.7", 1_000_000), "the narrow one goes on");
  list.replace([], 0);
  assert.ok(!list.refuses("192.0.2.7", 0));
});

test("ten thousand bans that are told again cost callers next to nothing", () => {
  const list = new BanList();
  const bans = (): Ban[] =>
    Array.from({ length: 10_000 }, (_, at) => FOREVER(`2001:db8:${(at >> 8).toString(16)}:${(at & 255).toString(16)}::/64`));
  const took = (told: readonly Ban[]): number => {
    const began = process.cpuUsage();
    list.replace(told, 0);
    return process.cpuUsage(began).user;
  };
  const first = took(bans());
  const again = Math.min(...Array.from({ length: 5 }, () => took(bans().toReversed())));
  assert.ok(again * 5 < first, `${again} µs after ${first} µs`);
  list.replace(bans().slice(1), 0);
  assert.ok(!list.refuses("2001:db8::1", 0) && list.refuses("2001:db8:0:1::1", 0), "what is lifted is lifted");
  list.replace([FOREVER("192.0.2.0/24")], 0);
  list.replace([{ range: "192.0.2.0/24", untilMs: 50 }], 0);
  assert.ok(list.refuses("192.0.2.1", 49) && !list.refuses("192.0.2.1", 50), "what gets an end ends");
});

test("callers from a banned range get 403, whatever name they ask for", async () => {
  const clock = testClock();
  const control = new ScriptedControl();
  control.banned = [FOREVER("127.0.0.0/8")];
  using bans = followBans({ control, clock, log, everyMs: 5 });
  await awaitUntil(() => bans.refuses("127.0.0.1"), { what: "the list has come" });
  const capsules = fakeCapsules("/nowhere.sock");
  await using running = await runEdge(capsules, { refuses: (address) => bans.refuses(address), trustedProxies: ["127.0.0.1"] });
  const refused = await ask(running.port, "/", { headers: { accept: "application/json" } });
  assert.equal(refused.status, 403);
  assert.deepEqual(JSON.parse(refused.body), {
    error: "address_banned",
    message: (JSON.parse(refused.body) as { message: string }).message,
    address: "127.0.0.1",
  });
  assert.ok(refused.body.includes(String(refused.headers["cf-ray"])), "it can be named to the operator");
  assert.equal(capsules.given, 0, "no process is asked for");
  // Behind a proxy of ours it is the address that it reports.
  capsules.answers.set("hello--a", () => ({ kind: "none" }));
  assert.equal((await ask(running.port, "/", { headers: { "x-forwarded-for": "203.0.113.5" } })).status !== 403, true);
  control.banned = [FOREVER("203.0.113.0/24")];
  await awaitUntil(() => bans.refuses("203.0.113.5"), { what: "the new list has come" });
  assert.equal((await ask(running.port, "/", { headers: { "x-forwarded-for": "203.0.113.5" } })).status, 403);
});

test("while control is away the last list holds, and what expires in it expires", async () => {
  const clock = testClock();
  const control = new ScriptedControl();
  control.banned = [FOREVER("192.0.2.0/24"), { range: "198.51.100.0/24", untilMs: clock.now() + 60_000 }];
  using bans = followBans({ control, clock, log, everyMs: 5 });
  await awaitUntil(() => bans.refuses("192.0.2.1"), { what: "the list has come" });
  control.down = true;
  control.banned = [];
  let asked = 0;
  control.bans = () => {
    asked++;
    return Promise.reject(new Error("away"));
  };
  await awaitUntil(() => asked > 2, { what: "it is asked again" });
  assert.ok(bans.refuses("192.0.2.1") && bans.refuses("198.51.100.1"));
  clock.advance(60_000);
  assert.ok(bans.refuses("192.0.2.1") && !bans.refuses("198.51.100.1"));
});

test("a Worker that calls another is no caller from outside", async () => {
  const capsules = fakeCapsules("/nowhere.sock");
  capsules.answers.set("hello--quiet-otter-x7k2p", () => ({ kind: "none" }));
  await using running = await runEdge(capsules, { refuses: () => true });
  const account = newAccountId();
  const inner = createServer((incoming, outgoing) => running.edge.inner.request(account, incoming, outgoing)).listen(0, "127.0.0.1");
  await once(inner, "listening");
  const { port } = inner.address() as AddressInfo;
  assert.equal((await ask(running.port, "/")).status, 403);
  const through = await ask(port, `http://hello--quiet-otter-x7k2p.${DOMAIN}/`);
  assert.equal(through.status, 404, "it is passed on, and no Worker answers there");
  inner.close();
});
