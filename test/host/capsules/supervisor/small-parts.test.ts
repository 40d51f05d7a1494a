// The small parts of the supervisor, each by itself: seals, user ids, events, labels, lookups, mishaps, timers.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { chown, copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LookupAnswer } from "../../../../src/capsule/messages.ts";
import { BoundedMap } from "../../../../src/host/bounded-map.ts";
import { ping, socketDirectories } from "../../../../src/host/capsules/supervisor/doors.ts";
import { EndTimer } from "../../../../src/host/capsules/supervisor/end-timer.ts";
import { EventLog } from "../../../../src/host/capsules/supervisor/event-log.ts";
import { Lookups } from "../../../../src/host/capsules/supervisor/lookups.ts";
import { runtimeWords } from "../../../../src/host/capsules/workerd/diagnostics.ts";
import { causeOfDeath, hangFate, Mishaps } from "../../../../src/host/capsules/supervisor/mishaps.ts";
import { SpecStore } from "../../../../src/host/capsules/files/spec-store.ts";
import { essentials, subdomainOf } from "../../../../src/host/capsules/supervisor/essentials.ts";
import { UserIds } from "../../../../src/host/capsules/files/user-ids.ts";
import { systemClock } from "../../../../src/kernel/clock.ts";
import { PlatformError } from "../../../../src/kernel/errors.ts";
import { newAccountId, type AccountId } from "../../../../src/kernel/ids.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { answering, specOf } from "../../../fixtures/capsules.ts";
import { temporaryDirectory } from "../../../fixtures/temporary-directory.ts";

describe("sealed specs", () => {
  test("come back as they were, and leave nothing beside them", async () => {
    await using directory = await temporaryDirectory("seal");
    const { label: _, ...spec } = specOf(answering('"x"'), { text: { A: "needle" } });
    await mkdir(join(directory.path, spec.account));
    const store = new SpecStore(directory.path);
    await store.write(spec);
    await store.write({ ...spec, generation: 2 });
    assert.deepEqual(await store.read(spec.account), { ...spec, generation: 2 });
    assert.deepEqual(await readdir(join(directory.path, spec.account)), ["spec.sealed"]);
  });

  test("are never read by another process, changed, or for another account", async () => {
    await using directory = await temporaryDirectory("seal");
    const { label: _, ...spec } = specOf(answering('"x"'));
    const other = newAccountId();
    for (const account of [spec.account, other]) await mkdir(join(directory.path, account));
    const store = new SpecStore(directory.path);
    await store.write(spec);
    await assert.rejects(new SpecStore(directory.path).read(spec.account));
    const path = join(directory.path, spec.account, "spec.sealed");
    await copyFile(path, join(directory.path, other, "spec.sealed"));
    await assert.rejects(store.read(other));
    const bytes = await readFile(path);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await assert.rejects(store.read(spec.account));
  });
});

describe("user ids", () => {
  test("are never shared by two directories, and are the same after a restart", async (t) => {
    if (process.getuid?.() !== 0) return t.skip("needs root: directories are given to other groups");
    await using directory = await temporaryDirectory("uids");
    const accounts = Array.from({ length: 20 }, newAccountId);
    const before = new UserIds(directory.path);
    const uids = accounts.map((account) => before.of(account));
    assert.equal(new Set(uids).size, 20);
    for (const [i, account] of accounts.entries()) {
      await mkdir(join(directory.path, account));
      await chown(join(directory.path, account), 0, uids[i] ?? 0);
    }
    await mkdir(join(directory.path, "lost+found"));
    const after = new UserIds(directory.path);
    assert.ok(!uids.includes(after.of(newAccountId())), "an id whose directory exists is not given again");
    assert.deepEqual(
      accounts.map((account) => after.of(account)),
      uids,
    );
    for (const uid of uids) assert.ok(uid >= 100_000 && uid <= 165_535);
  });
});

describe("events", () => {
  const account = newAccountId();

  test("follow a cursor, and one of another life starts anew", async () => {
    const log = new EventLog(systemClock);
    log.append({ account, kind: "restarted", reason: "one" });
    log.append({ account, kind: "suspend", reason: "two" });
    const all = await log.after(0, 1_000);
    assert.deepEqual(
      all.map((event) => event.reason),
      ["one", "two"],
    );
    assert.deepEqual(await log.after(all[0]?.cursor ?? 0, 1_000), all.slice(1));
    assert.deepEqual(await log.after(Number.MAX_SAFE_INTEGER, 1_000), all);
    assert.deepEqual(await log.after(all[1]?.cursor ?? 0, 10), []);
  });

  test("wake who waits for the first", async () => {
    const log = new EventLog(systemClock);
    const waiting = log.after(0, 20_000);
    log.append({ account, kind: "restarted", reason: "now" });
    assert.equal((await waiting)[0]?.reason, "now");
  });

  test("are bounded", async () => {
    const log = new EventLog(systemClock);
    for (let i = 0; i < 1_100; i++) log.append({ account, kind: "restarted", reason: String(i) });
    const kept = await log.after(0, 1_000);
    assert.equal(kept.length, 1_024);
    assert.equal(kept.at(-1)?.reason, "1099");
  });

  test("of a flood of refusals push out neither a suspension nor an alarm", async () => {
    const log = new EventLog(systemClock);
    const suspended = log.append({ account, kind: "suspend", reason: "" });
    const cold = log.append({ account: newAccountId(), kind: "cold", reason: "", wakeAtMs: 1 });
    for (let i = 0; i < 5_000; i++) log.append({ account, kind: "refused", reason: "", what: "egress", count: 1, hosts: [] });
    const told = await log.after(0, 1_000);
    assert.equal(told.length, 1_024);
    assert.deepEqual([told[0]?.cursor, told[1]?.cursor, told.at(-1)?.kind], [suspended, cold, "refused"]);
  });

  test("tell each account's next alarm until it was taken, however many there are", async () => {
    const log = new EventLog(systemClock);
    const accounts = Array.from({ length: 1_500 }, newAccountId);
    const cold = (each: AccountId, wakeAtMs: number): number => log.append({ account: each, kind: "cold", reason: "", wakeAtMs });
    for (const each of accounts) cold(each, 1);
    const last = cold(accounts[0] ?? account, 2);
    const told = await log.after(0, 1_000);
    assert.equal(new Set(told.map((event) => event.account)).size, 1_500);
    assert.equal(told.length, 1_500, "an alarm that is no longer the next one is not told");
    assert.equal(log.taken(last + 1), log.taken(0), "a cursor of another life has taken nothing");
    log.taken(last);
    log.append({ account, kind: "restarted", reason: "x" });
    assert.equal((await log.after(0, 1_000)).length, 1_024);
  });
});

describe("labels", () => {
  test("name their account after the last two hyphens", () => {
    assert.equal(subdomainOf("app--quiet-otter-x7k2p"), "quiet-otter-x7k2p");
    assert.equal(subdomainOf("12345678--app--quiet-otter-x7k2p"), "quiet-otter-x7k2p");
    for (const bad of ["app", "--x", "app--", "", "a".repeat(64), "App--x", "a--b.c", "a--b/"]) assert.equal(subdomainOf(bad), null);
  });
});

describe("what a process is made from", () => {
  test("end time, kept files and labels of the same services leave the digest alone; anything else changes it", () => {
    const spec = specOf(answering('"x"'));
    const { digest } = essentials(spec);
    const [unit] = spec.units;
    assert.ok(unit !== undefined);
    const [route] = unit.ingress;
    assert.ok(route !== undefined);
    const again = { ...route, label: `alias--${spec.subdomain}` };
    const kept = { ...spec, endsAtMs: null, keep: { code: [], assets: [] }, generation: 9 };
    assert.equal(essentials({ ...kept, units: [{ ...unit, ingress: [...unit.ingress, again] }] }).digest, digest);
    // Off its label, a service keeps its socket, so that switching it on is no reason to restart.
    assert.equal(essentials({ ...kept, units: [{ ...unit, ingress: [] }] }).digest, digest);
    assert.notEqual(essentials({ ...kept, units: [{ ...unit, fronts: [] }] }).digest, digest);
    assert.notEqual(essentials({ ...spec, limits: { ...spec.limits, memoryBytes: 1 } }).digest, digest);
    assert.notEqual(essentials({ ...spec, units: specOf(answering('"y"')).units }).digest, digest);
  });
});

describe("lookups", () => {
  const none: LookupAnswer = { kind: "none" };

  test("share one question, and believe its answer for a moment only", async () => {
    let nowMs = 1_000;
    let asked = 0;
    const control = {
      lookup: async () => {
        asked++;
        await sleep(5);
        return none;
      },
    };
    const lookups = new Lookups(control, async () => {}, { now: () => nowMs }, 1_000);
    await Promise.all(Array.from({ length: 20 }, () => lookups.ask("a--b", () => 1)));
    await lookups.ask("a--b", () => 1);
    assert.equal(asked, 1);
    nowMs += 1_000;
    await lookups.ask("a--b", () => 1);
    assert.equal(asked, 2);
  });

  test("ask a bounded number at once, and do not believe that control is down", async () => {
    let down = true;
    const gate = Promise.withResolvers<void>();
    const control = {
      lookup: async () => {
        await gate.promise;
        if (down) throw new PlatformError("capsule_failed", { message: "down" });
        return none;
      },
    };
    const lookups = new Lookups(control, async () => {}, systemClock, 1_000);
    const asked = Array.from({ length: 65 }, (_, i) => lookups.ask(`l${i}--b`, () => 1));
    assert.deepEqual(await asked[64], { kind: "down" });
    gate.resolve();
    assert.deepEqual(await asked[0], { kind: "down" });
    down = false;
    assert.deepEqual(await lookups.ask("l0--b", () => 1), none);
  });
});

describe("a lookup whose spec takes long to apply", () => {
  test("never keeps others from being asked for", async () => {
    const applied = Promise.withResolvers<void>();
    const lookups = new Lookups({ lookup: async () => ({ kind: "none" }) }, () => applied.promise, systemClock, 1_000);
    const slow = Array.from({ length: 100 }, (_, i) => lookups.ask(`l${i}--slow`, () => 1));
    await sleep(5);
    const other = lookups.ask("app--other", () => 1);
    applied.resolve();
    assert.deepEqual(await other, { kind: "none" });
    await Promise.all(slow);
  });
});

describe("mishaps", () => {
  test("pause longer each time, and are too many at last; old ones are forgotten", () => {
    let nowMs = 0;
    const mishaps = new Mishaps({ maxMishaps: 4, mishapWindowMs: 300_000 }, { now: () => nowMs });
    const pauses: number[] = [];
    const verdicts: boolean[] = [];
    for (let i = 0; i < 4; i++) {
      verdicts.push(mishaps.died());
      pauses.push(mishaps.notBeforeMs - nowMs);
      nowMs += 10_000;
    }
    assert.deepEqual(verdicts, [false, false, false, true]);
    assert.deepEqual(pauses, [0, 1_000, 2_000, 4_000]);
    nowMs += 300_000;
    assert.equal(mishaps.died(), false);
  });

  test("leave no word of a tenant in the log", () => {
    const fatal = "workerd/jsg/setup.c++:44: fatal: V8 fatal error";
    const thrown = "workerd/io/worker.c++:2236: info: uncaught exception; stack = Error: a secret\n    at index.js:1:2";
    assert.equal(runtimeWords(`service w-1: Uncaught Error: a secret\n${thrown}\n${fatal}\n`), fatal);
  });

  test("are told in words with figures", () => {
    const memory = 268_435_456;
    assert.equal(
      causeOfDeath({ code: null, signal: "SIGKILL", outOfMemory: true }, memory, "").reason,
      "It used more than 256 MiB of memory and was restarted.",
    );
    const exit = { code: 1, signal: null, outOfMemory: false };
    assert.match(causeOfDeath(exit, memory, "").reason, /exit code 1/);
    const heap = "workerd/jsg/setup.c++:44: fatal: V8 fatal error; message = : allocation failed: JavaScript heap out of memory";
    assert.deepEqual(causeOfDeath(exit, memory, heap), {
      outcome: "exceededMemory",
      reason: "Its JavaScript heap was full, so it was restarted.",
    });
    assert.equal(
      hangFate({ silentMs: 3_000, cpuMs: 2_900, computes: true }, 0).reason,
      "It did not answer for 3.0 s and was restarted: a loop that never yields, at 1970-01-01T00:00:00.000Z, using 2.9 s of CPU meanwhile.",
    );
    assert.match(hangFate({ silentMs: 10_000, cpuMs: 100, computes: false }, 0).reason, /it was blocked/);
  });
});

describe("bounds of memory and paths", () => {
  test("a bounded map forgets what was set longest ago", () => {
    const map = new BoundedMap<string, number>(2);
    map.set("a", 1);
    map.set("b", 2);
    map.set("a", 3);
    map.set("c", 4);
    assert.deepEqual([map.get("a"), map.get("b"), map.get("c"), map.size], [3, undefined, 4, 2]);
  });

  test("a run directory too long for sockets is refused in words", () => {
    const account = newAccountId();
    const { process, host } = socketDirectories("/run/mayfly-12345678", account, "zzzz");
    for (const path of [process, host]) assert.ok(`${path}/control.sock`.length <= 107);
    assert.throws(() => socketDirectories(`/${"x".repeat(90)}`, account, "1"), /MAYFLY_RUN/);
  });
});

describe("a sign of life", () => {
  test("that never comes to its end is none, however often something of it comes", { timeout: 20_000 }, async () => {
    await using directory = await temporaryDirectory("ping");
    const socketPath = join(directory.path, "s");
    const server = createServer((_, outgoing) => {
      const drip = setInterval(() => outgoing.write("x"), 20);
      outgoing.on("close", () => clearInterval(drip));
    }).listen(socketPath);
    await once(server, "listening");
    assert.equal(await ping(socketPath, 200), false);
    server.close();
    server.closeAllConnections();
  });
});

describe("the end timer", () => {
  test("rings at the end time and not before, by the clock", async () => {
    const endsAtMs = Date.now() + 60;
    let rangAtMs = 0;
    const timer = new EndTimer(systemClock, () => (rangAtMs = Date.now()));
    timer.set(endsAtMs);
    await awaitUntil(() => rangAtMs > 0, { what: "the timer rings" });
    assert.ok(rangAtMs >= endsAtMs);
  });

  test("outlasts the longest wait that setTimeout knows, and can be called off", async () => {
    let rang = 0;
    const timer = new EndTimer(systemClock, () => rang++);
    timer.set(Date.now() + 2 ** 32);
    await sleep(20);
    assert.equal(rang, 0, "a wait that overflows fires at once");
    timer.set(null);
    timer.set(1);
    assert.equal(rang, 1);
  });
});
