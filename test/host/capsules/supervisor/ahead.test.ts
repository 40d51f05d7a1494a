// Processes that wait for a deploy: used for it and nothing else, given up first, and never left.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { CapsuleSpec } from "../../../../src/capsule/spec.ts";
import { newAccountId, newSubdomain } from "../../../../src/kernel/ids.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { answering, bench, get, leased, specOf, type Bench } from "../../../fixtures/capsules.ts";

const alive = (b: Bench, count: number): Promise<true> =>
  awaitUntil(() => b.sandbox.alive.size === count, { what: `${count} processes, now ${b.sandbox.alive.size}`, everyMs: 2 });

const hot = (b: Bench, { account }: CapsuleSpec): Promise<true> =>
  awaitUntil(async () => (await b.supervisor.usage(account)).hot, { what: "the account is hot", everyMs: 2 });

const endOf = ({ account, subdomain }: CapsuleSpec) => ({ account, subdomain, reason: "owner" as const, endedAtMs: Date.now() });

/** An account, and what must be the same for its next generation. */
const someone = () => ({ account: newAccountId(), subdomain: newSubdomain() });

describe("a process that waits for a deploy", () => {
  test("serves the new generation of a hot account, without another start", async () => {
    await using b = await bench();
    const before = await b.deploy(answering('"old"'));
    assert.equal(await get(b.supervisor, before.label), "old");
    b.supervisor.expect(before.account);
    b.supervisor.expect(before.account);
    await alive(b, 2);
    assert.equal(await get(b.supervisor, before.label), "old", "what waits disturbs nobody");
    await b.deploy(answering('"new"'), { ...before, generation: 2 });
    assert.equal(await get(b.supervisor, before.label), "new");
    assert.deepEqual([b.sandbox.launches, b.sandbox.alive.size], [2, 1]);
    await awaitUntil(async () => (await readdir(join(b.directory, "run", "c", before.account.slice(0, 16)))).length === 2, {
      what: "the old process's socket directories go",
    });
  });

  test("makes a first deploy hot before anyone asks", async () => {
    await using b = await bench();
    await b.deploy(answering('"another account, whose limits are the usual ones"'));
    const first = someone();
    b.supervisor.expect(first.account);
    const spec = await b.deploy(answering('"first"'), first);
    await hot(b, spec);
    assert.equal(await get(b.supervisor, spec.label), "first");
    assert.equal(b.sandbox.launches, 1);
  });

  test("waits on while the Worker has no label yet, and serves once it is made public", async () => {
    await using b = await bench();
    await b.deploy(answering('"another"'));
    const source = answering('"public"');
    const spec = specOf(source);
    b.supervisor.expect(spec.account);
    await b.store(spec.account, source);
    const [unit] = spec.units;
    assert.ok(unit !== undefined);
    await b.supervisor.apply({ ...spec, units: [{ ...unit, ingress: [] }] });
    await alive(b, 1);
    assert.equal((await b.supervisor.usage(spec.account)).hot, false);
    await b.supervisor.apply({ ...spec, generation: 2 });
    await hot(b, spec);
    assert.equal(await get(b.supervisor, spec.label), "public");
    assert.equal(b.sandbox.launches, 1);
  });

  test("is killed when no deploy comes, and when the host goes down", async () => {
    await using b = await bench({ bounds: { aheadMs: 150 } });
    const { account } = await b.deploy(answering('"x"'));
    b.supervisor.expect(account);
    await alive(b, 1);
    await alive(b, 0);
    assert.equal(b.supervisor.hot, 0, "its place is free");
    b.supervisor.expect(account);
    await alive(b, 1);
    await b.supervisor[Symbol.asyncDispose]();
    assert.equal(b.sandbox.alive.size, 0);
    b.supervisor.expect(account);
    assert.equal(b.sandbox.alive.size, 0);
  });

  test("dies with its account, whether or not the host knew it, and none comes after the end", async () => {
    await using b = await bench();
    const known = await b.deploy(answering('"x"'));
    const unknown = specOf(answering('"y"'));
    for (const spec of [known, unknown]) {
      b.supervisor.expect(spec.account);
      // In the instant of its start, and when it has long been waiting.
      if (spec === known) await alive(b, 1);
      await b.supervisor.end(endOf(spec));
      assert.equal(b.sandbox.alive.size, 0);
      await b.supervisor.erase(spec.account);
      b.supervisor.expect(spec.account);
    }
    assert.equal(b.sandbox.alive.size, 0);
    assert.deepEqual(await readdir(b.accounts), []);
    assert.deepEqual(await readdir(join(b.directory, "run", "c")), []);
  });

  test("is not used under limits that it was not started with", async () => {
    await using b = await bench();
    const { account } = await b.deploy(answering('"x"'));
    const source = answering('"larger"');
    const spec = { ...specOf(source, { account, generation: 2 }) };
    b.supervisor.expect(account);
    await alive(b, 1);
    await b.store(account, source);
    await b.supervisor.apply({ ...spec, limits: { ...spec.limits, memoryBytes: 2 * spec.limits.memoryBytes } });
    assert.equal(await get(b.supervisor, spec.label), "larger");
    assert.deepEqual([b.sandbox.launches, b.sandbox.alive.size], [2, 1]);
  });

  test("that died is replaced by a fresh one, and is nobody's mishap", async () => {
    await using b = await bench();
    const { account, subdomain } = await b.deploy(answering('"x"'));
    b.supervisor.expect(account);
    await alive(b, 1);
    for (const process of b.sandbox.alive.values()) process.kill();
    await alive(b, 0);
    const { label } = await b.deploy(answering('"y"'), { account, subdomain, generation: 2 });
    assert.equal(await get(b.supervisor, label), "y");
    assert.equal((await b.supervisor.usage(account)).restarts, 0);
  });

  test("is not one of many that come up at once, and not one that is counted as hot", async () => {
    await using b = await bench();
    await b.deploy(answering('"usual limits"'));
    for (let count = 0; count < 8; count++) b.supervisor.expect(newAccountId());
    await alive(b, 2);
    const spec = await b.deploy(answering('"in the ordinary way"'));
    assert.equal(await get(b.supervisor, spec.label), "in the ordinary way");
    assert.deepEqual([b.sandbox.launches, b.supervisor.hot], [3, 1]);
    assert.match(await b.supervisor.measures.registry.metrics(), /^mayfly_capsules_hot 1$/m);
    for (let count = 0; count < 8; count++) b.supervisor.expect(newAccountId());
    await alive(b, 5);
  });

  test("takes a place only where one is free, and gives it up before anyone who serves", async () => {
    await using b = await bench({ capsulesHot: 2 });
    const [serving, waiting, asked] = [
      await b.deploy(answering('"serving"')),
      await b.deploy(answering('"w"')),
      await b.deploy(answering('"asked"')),
    ];
    assert.equal(await get(b.supervisor, serving.label), "serving");
    b.supervisor.expect(waiting.account);
    await alive(b, 2);
    b.supervisor.expect(asked.account);
    assert.deepEqual([b.supervisor.hot, b.sandbox.alive.size], [1, 2], "no place is left for a third");
    assert.equal(await get(b.supervisor, asked.label), "asked");
    assert.deepEqual(await Promise.all([serving, asked, waiting].map(async ({ account }) => (await b.supervisor.usage(account)).hot)), [
      true,
      true,
      false,
    ]);
    assert.equal(b.sandbox.mostAlive, 2);
  });
});

describe("where the machine's memory is short", () => {
  test("the least recently used idle processes are stopped, one in use never", async () => {
    let most = 10;
    const b: Bench = await bench({ bounds: { tickMs: 20 }, memoryIsShort: () => b.sandbox.alive.size > most });
    await using _b = b;
    const specs = [await b.deploy(answering('"0"')), await b.deploy(answering('"1"')), await b.deploy(answering('"2"'))];
    for (const { label } of specs) await get(b.supervisor, label);
    using _inUse = leased(await b.supervisor.open(specs[0]?.label ?? ""));
    most = 2;
    await alive(b, 2);
    assert.deepEqual(await Promise.all(specs.map(async ({ account }) => (await b.supervisor.usage(account)).hot)), [true, false, true]);
    most = 0;
    await alive(b, 1);
    assert.equal((await b.supervisor.usage(specs[0]?.account ?? newAccountId())).hot, true);
  });

  test("a start waits for idle ones to go, is told when to come back where none is, and none is started ahead", async () => {
    let most = 1;
    const b: Bench = await bench({ memoryIsShort: () => b.sandbox.alive.size >= most });
    await using _b = b;
    const [first, second] = [await b.deploy(answering('"first"')), await b.deploy(answering('"second"'))];
    assert.equal(await get(b.supervisor, first.label), "first");
    b.supervisor.expect(second.account);
    assert.equal(b.sandbox.alive.size, 1);
    assert.equal(await get(b.supervisor, second.label), "second", "the idle first one made room");
    using lease = leased(await b.supervisor.open(second.label));
    const answer = await b.supervisor.open(first.label);
    assert.ok(answer.kind === "unavailable" && answer.retryAfterSeconds >= 1 && /memory/.test(answer.reason), JSON.stringify(answer));
    assert.equal(await get(b.supervisor, second.label), "second", "who runs is not disturbed");
    lease[Symbol.dispose]();
    most = 2;
    await awaitUntil(async () => (await get(b.supervisor, first.label)) === "first", { what: "memory is there again", deadlineMs: 5_000 });
  });
});
