// Windows of use: what may be taken within one, what frees, what a restart remembers.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CAP_WINDOW_MS, CAPS, NO_CAPS, type Caps } from "../../../src/capsule/caps.ts";
import { Budget } from "../../../src/host/budgets/budget.ts";
import { Budgets } from "../../../src/host/budgets/budgets.ts";
import { Ledger } from "../../../src/host/budgets/ledger.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { testClock } from "../../fixtures/databases.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const capsOf = (caps: Partial<Caps>): Caps => ({ ...NO_CAPS, ...caps });

describe("a window", () => {
  test("never holds more than the cap, whoever takes how much when, and everything frees at its end", () => {
    const steps = fc.array(fc.record({ waitMs: fc.nat(CAP_WINDOW_MS / 3), amount: fc.integer({ min: 1, max: 40 }) }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), steps, (max, taken) => {
        const clock = testClock();
        const budget = new Budget(capsOf({ requests: max }), clock);
        const granted: { atMs: number; amount: number }[] = [];
        let opensMs = -Infinity;
        for (const { waitMs, amount } of taken) {
          clock.advance(waitMs);
          const now = clock.now();
          if (now >= opensMs + CAP_WINDOW_MS) opensMs = now;
          const over = budget.take("requests", amount);
          if (over === null) granted.push({ atMs: now, amount });
          const inWindow = granted.filter(({ atMs }) => atMs >= opensMs).reduce((sum, one) => sum + one.amount, 0);
          assert.ok(inWindow <= max, "more than the cap within one window");
          if (over === null) continue;
          assert.ok(inWindow + amount > max, "refused though there was room");
          assert.ok(over.freesAtMs === opensMs + CAP_WINDOW_MS && over.retryAfterSeconds <= CAP_WINDOW_MS / 1_000);
        }
        clock.advance(CAP_WINDOW_MS);
        assert.equal(budget.take("requests", max), null, "all of it is there again");
      }),
    );
  });

  test("goes on where a restart at any moment broke it off", () => {
    const steps = fc.array(fc.record({ waitMs: fc.nat(CAP_WINDOW_MS / 4), amount: fc.nat(20), restart: fc.boolean() }), { maxLength: 40 });
    fc.assert(
      fc.property(steps, (all) => {
        const clock = testClock();
        const caps = capsOf({ requests: 60, cpu_ms: 60 });
        const steady = new Budget(caps, clock);
        let restarted = new Budget(caps, clock);
        for (const { waitMs, amount, restart } of all) {
          clock.advance(waitMs);
          assert.deepEqual(restarted.take("requests", amount), steady.take("requests", amount));
          for (const budget of [steady, restarted]) budget.note("cpu_ms", amount);
          if (restart) {
            const kept = JSON.parse(JSON.stringify(restarted.keep())) as ReturnType<Budget["keep"]>;
            restarted = new Budget(caps, clock);
            restarted.resume(kept);
          }
          assert.deepEqual(restarted.over("cpu_ms"), steady.over("cpu_ms"));
          assert.deepEqual(restarted.use, steady.use);
        }
      }),
    );
  });

  test("that a clock set back would hold for days is over", () => {
    const clock = testClock();
    const budget = new Budget(capsOf({ requests: 1 }), clock);
    budget.take("requests");
    assert.notEqual(budget.take("requests"), null);
    clock.advance(-86_400_000);
    assert.equal(budget.take("requests"), null);
  });

  test("counts a name once, remembers none that was refused, and forgets all at its end", () => {
    const clock = testClock();
    const budget = new Budget(capsOf({ egress_hosts: 2 }), clock);
    const takes = (...names: string[]) => names.map((name) => budget.takeOnce("egress_hosts", name) === null);
    assert.deepEqual(takes("a", "b", "a", "c", "c", "b"), [true, true, true, false, false, true]);
    const use = () => budget.use.find(({ cap }) => cap === "egress_hosts");
    assert.deepEqual([use()?.used, use()?.refused], [2, 2]);
    budget.caps = capsOf({ egress_hosts: 3 });
    assert.deepEqual(takes("c", "d", "c"), [true, false, true], "a claim gives more at once");
    clock.advance(CAP_WINDOW_MS);
    assert.deepEqual(takes("d", "a", "b", "c"), [true, true, true, false]);
    const free = new Budget(NO_CAPS, clock);
    for (let i = 0; i < 10_000; i++) assert.equal(free.takeOnce("egress_hosts", `${i}.example`), null);
    assert.equal(free.use.find(({ cap }) => cap === "egress_hosts")?.used, 10_000);
  });

  test("counts without refusing where there is no cap", () => {
    const budget = new Budget(NO_CAPS, testClock());
    for (const cap of CAPS) for (let i = 0; i < 10; i++) assert.equal(budget.take(cap, 1_000_000), null);
    assert.deepEqual(new Set(budget.use.map(({ used }) => used)), new Set([10_000_000]));
  });
});

describe("budgets on disk", () => {
  test("survive a restart, are ours alone to read, and go with the account", async () => {
    await using directory = await temporaryDirectory("budgets");
    const clock = testClock();
    const account = newAccountId();
    const path = join(directory.path, account);
    mkdirSync(path);
    const troubles: unknown[] = [];
    const life = (): Budgets => new Budgets(clock, new Ledger(directory.path, (error) => troubles.push(error)));
    {
      await using budgets = life();
      await budgets.open(account, capsOf({ requests: 3 }));
      for (let i = 0; i < 3; i++) assert.equal(budgets.of(account).take("requests"), null);
      budgets.of(account).measured(4_096);
    }
    assert.equal(statSync(join(path, "caps.json")).mode & 0o777, 0o600);
    await using again = life();
    assert.equal((await again.useOf(account)).find(({ cap }) => cap === "requests")?.used, 3, "told of one that is not held, too");
    assert.equal(again.size, 0);
    await again.open(account, capsOf({ requests: 3 }));
    assert.notEqual(again.of(account).take("requests"), null);
    assert.equal(again.of(account).diskBytes, 4_096);
    await again.open(account, capsOf({ requests: 30 }));
    assert.equal(again.of(account).take("requests"), null, "a claim gives more at once");
    await again.drop(account);
    assert.equal(again.size, 0);
    assert.match(readFileSync(join(path, "caps.json"), "utf8"), /"used":4/);
    await again.open(account, capsOf({ requests: 30 }));
    await again.forget(account);
    assert.equal(again.size, 0);
    assert.deepEqual(troubles, []);
  });

  test("that cannot be read count as nothing used, and an erased account gets no directory again", async () => {
    await using directory = await temporaryDirectory("budgets");
    const troubles: unknown[] = [];
    const account = newAccountId();
    const path = join(directory.path, account);
    mkdirSync(path);
    writeFileSync(join(path, "caps.json"), '{"windows":[{"cap":"moon"');
    await using budgets = new Budgets(testClock(), new Ledger(directory.path, (error) => troubles.push(error)));
    await budgets.open(account, capsOf({ requests: 1 }));
    assert.equal(troubles.length, 1);
    assert.equal(budgets.of(account).take("requests"), null);
    await rm(path, { recursive: true });
    await budgets.drop(account);
    assert.equal(troubles.length, 1);
    assert.throws(() => statSync(path), /ENOENT/);
  });
});
