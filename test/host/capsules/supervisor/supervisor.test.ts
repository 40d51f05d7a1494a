// Capsules over real workerd: cold to hot, redeploy, end and everything that must never answer.
import assert from "node:assert/strict";
import { access, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { NO_CAPS } from "../../../../src/capsule/caps.ts";
import { newAccountId, newSubdomain } from "../../../../src/kernel/ids.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { answering, bench, get, leased, specOf, through, TROUBLE } from "../../../fixtures/capsules.ts";

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

describe("a capsule", () => {
  test("starts with its first request and serves through leases", async () => {
    await using b = await bench();
    const { label, account } = await b.deploy(answering('"hello " + env.NAME'), { text: { NAME: "world" } });
    assert.equal(b.sandbox.alive.size, 0, "a deploy to a cold capsule starts nothing");
    assert.equal(await get(b.supervisor, label), "hello world");
    assert.equal(await get(b.supervisor, label), "hello world");
    assert.equal(b.sandbox.launches, 1);
    const usage = await b.supervisor.usage(account);
    assert.equal(usage.hot, true);
    assert.equal(usage.starts, 1);
    assert.ok(usage.pssBytes > 1_000_000 && usage.cpuMs >= 0 && usage.diskBytes > 0);
  });

  test("answers none at labels that it does not have, and without asking twice", async () => {
    await using b = await bench();
    const { subdomain } = await b.deploy(answering('"x"'));
    assert.equal(await get(b.supervisor, `other--${subdomain}`), "none");
    assert.equal(await get(b.supervisor, `other--${subdomain}`), "none");
    assert.equal(await get(b.supervisor, "no-account-part"), "none");
    assert.deepEqual(b.control.asked, [`other--${subdomain}`]);
  });

  test("many first callers share one start", async () => {
    await using b = await bench();
    const { label } = await b.deploy(answering('"one"'));
    const bodies = await Promise.all(Array.from({ length: 40 }, () => get(b.supervisor, label)));
    assert.deepEqual(new Set(bodies), new Set(["one"]));
    assert.equal(b.sandbox.launches, 1);
  });

  test("callers past the bound are told to come back, not held", async () => {
    await using b = await bench({ bounds: { maxWaiting: 3 } });
    const { label } = await b.deploy(answering('"one"'));
    const kinds = await Promise.all(Array.from({ length: 5 }, () => get(b.supervisor, label)));
    assert.deepEqual(kinds.sort(), ["one", "one", "one", "unavailable", "unavailable"]);
  });

  test("never has more requests in flight than its process has descriptors for", async () => {
    await using b = await bench({ bounds: { maxInFlight: 2 } });
    const { label } = await b.deploy(answering('"one"'));
    const first = leased(await b.supervisor.open(label));
    using second = leased(await b.supervisor.open(label));
    assert.equal(second.account, first.account);
    assert.equal((await b.supervisor.open(label)).kind, "unavailable");
    first[Symbol.dispose]();
    assert.equal(await get(b.supervisor, label), "one");
  });

  test("that cannot start is unavailable with a wait, and starts once it is mended", async () => {
    await using b = await bench();
    const spec = await b.deploy("throw new Error('top');");
    const answer = await b.supervisor.open(spec.label);
    assert.equal(answer.kind, "unavailable");
    assert.equal(await get(b.supervisor, spec.label), "unavailable");
    assert.equal(b.sandbox.launches, 1, "the second caller comes within the pause");
    await b.deploy(answering('"mended"'), { account: spec.account, subdomain: spec.subdomain, generation: 2 });
    assert.equal(await get(b.supervisor, spec.label), "mended");
  });

  test("a spec at rest shows nothing of what is in it", async () => {
    await using b = await bench();
    const { account, label } = await b.deploy(answering("env.SECRET"), { text: { SECRET: "planted-needle-7" } });
    assert.equal(await get(b.supervisor, label), "planted-needle-7");
    const sealed = await readFile(join(b.accounts, account, "spec.sealed"));
    for (const needle of ["planted-needle-7", account, "SECRET", "main.js"]) assert.equal(sealed.includes(needle), false);
  });
});

test("an account's disk is measured at the pace of the machine, however often it is asked for", async () => {
  await using b = await bench();
  const { account } = await b.deploy(answering('"x"'));
  const other = newAccountId();
  let [walks, walking] = [0, 0];
  b.files.diskBytes = async (of) => {
    if (of === other) return 7;
    walks++;
    assert.equal(++walking, 1, "one at a time");
    await sleep(100);
    walking--;
    return walks;
  };
  const ask = async (of = account): Promise<number> => (await b.supervisor.usage(of)).diskBytes;
  const first = ask();
  await awaitUntil(() => walks === 1, { what: "it is being measured" });
  const meanwhile = Promise.all(Array.from({ length: 50 }, () => ask()));
  assert.equal(await ask(other), 7, "others are measured meanwhile");
  assert.equal(await first, 1);
  const began = performance.now();
  assert.deepEqual(new Set(await meanwhile), new Set([2]), "those who asked meanwhile are told what was found afterwards");
  assert.ok(performance.now() - began > 700, "at most a tenth of the time is spent");
  b.files.diskBytes = () => Promise.reject(new Error("unreadable"));
  await assert.rejects(ask(), /unreadable/);
  b.files.diskBytes = () => Promise.resolve(3);
  assert.equal(await ask(), 3, "a walk that failed stands in nobody's way");
});

describe("a redeploy", () => {
  test("loses no request and reaches new code only", async () => {
    await using b = await bench();
    const { label, account, subdomain } = await b.deploy(answering('"v1"'));
    const seen: { sent: number; body: string }[] = [];
    let applied = 0;
    const over = new AbortController();
    const caller = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const sent = applied;
        seen.push({ sent, body: await get(b.supervisor, label) });
      }
    };
    const callers = Array.from({ length: 8 }, caller);
    for (let generation = 2; generation <= 5; generation++) {
      await sleep(100);
      await b.deploy(answering(`"v${generation}"`), { account, subdomain, generation });
      applied = generation;
    }
    await sleep(100);
    over.abort();
    await Promise.all(callers);
    assert.ok(seen.length > 20);
    for (const { sent, body } of seen) {
      assert.match(body, /^v\d$/);
      assert.ok(Number(body.slice(1)) >= sent, `${body} after generation ${sent} was serving`);
    }
    assert.equal(b.sandbox.mostAlive, 1, "two processes never share one state directory");
  });

  test("lets a request in flight finish and cuts its sockets at once", async () => {
    await using b = await bench();
    const { label, account, subdomain } = await b.deploy(TROUBLE);
    using lease = leased(await b.supervisor.open(label));
    const slow = through(lease, "/slow?ms=700")
      .then((answer) => text(answer))
      .finally(() => lease[Symbol.dispose]());
    const applied = b.deploy(answering('"new"'), { account, subdomain, generation: 2 });
    await awaitUntil(() => lease.replaced.aborted, { what: "the sockets are cut" });
    assert.equal(await slow, "slow done");
    await applied;
    assert.equal(await get(b.supervisor, label), "new");
  });

  test("does not wait longer than the drain for a request without end", async () => {
    await using b = await bench({ bounds: { drainMs: 200, graceMs: 200 } });
    const { label, account, subdomain } = await b.deploy(TROUBLE);
    using lease = leased(await b.supervisor.open(label));
    const stream = await through(lease, "/stream");
    const cut = text(stream).then(
      () => "ended",
      () => "cut",
    );
    await b.deploy(answering('"new"'), { account, subdomain, generation: 2 });
    assert.equal(await cut, "cut");
    assert.equal(await get(b.supervisor, label), "new");
  });

  test("with which its account reaches a cap tells those who waited meanwhile, and keeps nobody else waiting", async () => {
    await using b = await bench({ bounds: { tickMs: 60_000, waitMs: 5_000 } });
    // What it takes to start is more, and is found when the process goes.
    const limits = { caps: { ...NO_CAPS, cpu_ms: 1 } };
    const { label, account, subdomain } = await b.deploy(TROUBLE, { limits });
    using slow = leased(await b.supervisor.open(label));
    const answer = through(slow, "/slow?ms=500");
    const applied = b.deploy(answering('"new"'), { account, subdomain, generation: 2, limits });
    await awaitUntil(() => slow.replaced.aborted, { what: "it is being replaced" });
    const waiting = b.supervisor.open(label);
    const again = b.supervisor.open(label, { again: true });
    await text(await answer);
    slow[Symbol.dispose]();
    await applied;
    const began = performance.now();
    await sleep(1);
    assert.ok(performance.now() - began < 2_000, "other accounts' requests go on");
    assert.deepEqual([(await waiting).kind, (await again).kind], ["capped", "capped"]);
    assert.equal((await b.supervisor.open(label, { again: true })).kind, "capped");
  });

  test("of a lower or equal generation changes nothing", async () => {
    await using b = await bench();
    const { label, account, subdomain } = await b.deploy(answering('"five"'), { generation: 5 });
    for (const generation of [4, 5]) {
      await b.store(account, answering('"other"'));
      assert.deepEqual(await b.supervisor.apply(specOf(answering('"other"'), { account, subdomain, generation })), { serving: 5 });
    }
    assert.equal(await get(b.supervisor, label), "five");
  });

  test("that changes nothing about the process does not restart it", async () => {
    await using b = await bench();
    const source = answering('"same"');
    const { label, account, subdomain } = await b.deploy(source);
    assert.equal(await get(b.supervisor, label), "same");
    await b.deploy(source, { account, subdomain, generation: 2, endsAtMs: Date.now() + 7_200_000 });
    assert.equal(await get(b.supervisor, label), "same");
    assert.equal(b.sandbox.launches, 1);
  });

  test("that does not start is reported, and the next one serves", async () => {
    await using b = await bench();
    const { label, account, subdomain } = await b.deploy(answering('"v1"'));
    assert.equal(await get(b.supervisor, label), "v1");
    await assert.rejects(b.deploy("throw new Error('top');", { account, subdomain, generation: 2 }), { code: "capsule_failed" });
    assert.equal(await get(b.supervisor, label), "unavailable");
    await b.deploy(answering('"v3"'), { account, subdomain, generation: 3 });
    assert.equal(await get(b.supervisor, label), "v3");
  });

  test("without its files is refused and leaves the old one serving", async () => {
    await using b = await bench();
    const { label, account, subdomain } = await b.deploy(answering('"v1"'));
    const spec = specOf(answering('"v2"'), { account, subdomain, generation: 2 });
    spec.units[0]?.services.push({
      kind: "assets",
      id: "a1",
      origin: null,
      files: [{ path: "/x", hash: "0".repeat(64) }],
      config: "{}",
      worker: null,
    });
    await assert.rejects(b.supervisor.apply(spec), { code: "capsule_failed" });
    assert.equal(await get(b.supervisor, label), "v1");
  });
});

describe("nothing outlives its account", () => {
  test("an end cuts requests, kills the process and answers gone at once", async () => {
    await using b = await bench();
    const spec = await b.deploy(TROUBLE);
    using lease = leased(await b.supervisor.open(spec.label));
    const stream = await through(lease, "/stream");
    const cut = text(stream).then(
      () => "ended",
      () => "cut",
    );
    const { account, subdomain, label } = spec;
    const ending = b.supervisor.end({ account, subdomain, reason: "task-done", endedAtMs: Date.now() });
    const answer = await b.supervisor.open(label);
    assert.equal(answer.kind === "gone" && answer.tombstone.reason, "task-done");
    await ending;
    assert.equal(lease.ended.aborted, true);
    assert.equal(await cut, "cut");
    assert.equal(b.sandbox.alive.size, 0);
    await b.supervisor.erase(account);
    await b.supervisor.erase(account);
    assert.deepEqual(await readdir(b.accounts), []);
    assert.deepEqual(await readdir(join(b.directory, "run", "c")), []);
  });

  test("an end during the start, or during a drain, leaves no process", async () => {
    await using b = await bench();
    const cold = await b.deploy(answering('"x"'));
    const opening = b.supervisor.open(cold.label);
    await awaitUntil(() => b.sandbox.alive.size === 1, { what: "the process was launched", everyMs: 1 });
    await b.supervisor.end({ account: cold.account, subdomain: cold.subdomain, reason: "owner", endedAtMs: Date.now() });
    assert.equal((await opening).kind, "gone");
    assert.equal(b.sandbox.alive.size, 0);

    const busy = await b.deploy(TROUBLE);
    using lease = leased(await b.supervisor.open(busy.label));
    const { account, subdomain } = busy;
    const redeploy = assert.rejects(b.deploy(answering('"y"'), { account, subdomain, generation: 2 }), { code: "account_gone" });
    await awaitUntil(() => lease.replaced.aborted, { what: "the drain has begun" });
    const began = performance.now();
    await b.supervisor.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() });
    assert.ok(performance.now() - began < 5_000, "the drain is not waited for");
    await redeploy;
    assert.equal(b.sandbox.alive.size, 0);
  });

  test("what arrives late for an ended account is refused and leaves no directory", async () => {
    await using b = await bench();
    const spec = await b.deploy(answering('"x"'));
    await b.supervisor.end({ account: spec.account, subdomain: spec.subdomain, reason: "expired", endedAtMs: Date.now() });
    await b.supervisor.erase(spec.account);
    await assert.rejects(b.supervisor.apply({ ...spec, generation: 9 }), { code: "account_gone" });
    await assert.rejects(b.store(spec.account, answering('"late"')), { code: "account_gone" });
    assert.equal(await exists(join(b.accounts, spec.account)), false);
    assert.equal(await get(b.supervisor, spec.label), "gone");
  });

  test("a directory is never erased while its account lives here", async () => {
    await using b = await bench();
    const { account, label } = await b.deploy(answering('"alive"'));
    await assert.rejects(b.supervisor.erase(account), { code: "capsule_failed" });
    assert.equal(await get(b.supervisor, label), "alive");
  });

  test("nothing expired ever answers, with control down", async () => {
    await using b = await bench();
    b.control.down = true;
    const { label } = await b.deploy(TROUBLE, { endsAtMs: Date.now() + 1_500 });
    using lease = leased(await b.supervisor.open(label));
    const stream = await through(lease, "/stream");
    const cut = text(stream).then(
      () => "ended",
      () => "cut",
    );
    assert.equal(await cut, "cut");
    await awaitUntil(() => b.sandbox.alive.size === 0, { what: "the process is killed" });
    const answer = await b.supervisor.open(label);
    assert.equal(answer.kind === "gone" && answer.tombstone.reason, "expired");
  });

  test("a life that control has made longer goes on", async () => {
    await using b = await bench();
    const source = answering('"on"');
    const spec = await b.deploy(source, { endsAtMs: Date.now() + 300 });
    await sleep(400);
    b.control.answers.set(spec.label, { kind: "spec", spec: { ...spec, generation: 2, endsAtMs: Date.now() + 60_000 } });
    assert.equal(await get(b.supervisor, spec.label), "on");
  });

  test("a suspended account serves nothing, keeps its files, and comes back", async () => {
    await using b = await bench();
    const source = answering('"on"');
    const { label, account, subdomain } = await b.deploy(source);
    assert.equal(await get(b.supervisor, label), "on");
    await b.deploy(source, { account, subdomain, generation: 2, suspended: "too loud" });
    const answer = await b.supervisor.open(label);
    assert.equal(answer.kind === "suspended" && answer.reason, "too loud");
    assert.equal(b.sandbox.alive.size, 0);
    await b.deploy(source, { account, subdomain, generation: 3 });
    assert.equal(await get(b.supervisor, label), "on");
  });
});

describe("control and the host", () => {
  test("a host that restarts knows nothing and refills by lookup", async () => {
    await using first = await bench();
    const spec = await first.deploy(answering('"kept"'));
    assert.equal(await get(first.supervisor, spec.label), "kept");
    await first.supervisor[Symbol.asyncDispose]();
    await using second = await bench({ directory: first.directory });
    second.control.down = true;
    assert.equal(await get(second.supervisor, spec.label), "unavailable");
    second.control.down = false;
    second.control.answers.set(spec.label, { kind: "spec", spec });
    const bodies = await Promise.all(Array.from({ length: 10 }, () => get(second.supervisor, spec.label)));
    assert.deepEqual(new Set(bodies), new Set(["kept"]));
    assert.equal(second.control.asked.length, 2, "one question for all callers");
  });

  test("a preview that is not held is asked for, and unavailable where it cannot be had or control is away", async () => {
    await using b = await bench({ bounds: { lookupMs: 60_000 } });
    const spec = await b.deploy(answering('"live"'));
    const preview = `12345678--${spec.label}`;
    assert.equal(await get(b.supervisor, preview), "none");
    b.control.down = true;
    const alias = `pr-1--${spec.label}`;
    const away = await b.supervisor.open(alias);
    assert.ok(away.kind === "unavailable");
    assert.match(away.reason, /cannot be looked up/);
    // A Worker's own label is known here, and so is that nothing answers at another.
    assert.equal(await get(b.supervisor, `other--${spec.subdomain}`), "none");
    b.control.down = false;
    b.control.answers.set(alias, { kind: "unavailable", reason: "ten others run", retryAfterSeconds: 7 });
    assert.deepEqual(await b.supervisor.open(alias), { kind: "unavailable", reason: "ten others run", retryAfterSeconds: 7 });
    // Believed until the account changes, which it does at once for whoever asks here.
    const [unit] = spec.units;
    const [route] = unit?.ingress ?? [];
    assert.ok(unit && route);
    const woken = { ...spec, generation: 2, units: [{ ...unit, ingress: [route, { ...route, label: preview }] }] };
    b.control.answers.set(alias, { kind: "spec", spec: { ...woken, generation: 3 } });
    await b.supervisor.apply(woken);
    assert.equal(await get(b.supervisor, preview), "live");
    assert.equal(await get(b.supervisor, alias), "none");
    assert.equal(b.control.asked.filter((label) => label === alias).length, 3);
  });

  test("a tombstone found by lookup answers gone", async () => {
    await using b = await bench();
    const spec = specOf(answering('"x"'), { subdomain: newSubdomain() });
    const { account, subdomain } = spec;
    b.control.answers.set(spec.label, { kind: "tombstone", tombstone: { account, subdomain, reason: "operator", endedAtMs: 5 } });
    assert.equal(await get(b.supervisor, spec.label), "gone");
  });

  test("what host holds is made what control wants", async () => {
    await using b = await bench({ bounds: { heldMs: 50 } });
    const newer = await b.deploy(answering('"old"'));
    const over = await b.deploy(answering('"over"'));
    const unknown = await b.deploy(answering('"unknown"'));
    for (const { label } of [newer, over, unknown]) await get(b.supervisor, label);
    const fresh = answering('"fresh"');
    await b.store(newer.account, fresh);
    b.control.onHeld = async (held) =>
      held.map(({ account }) => {
        if (account === newer.account) return { kind: "spec", spec: specOf(fresh, { ...newer, generation: 2 }) };
        if (account === unknown.account) return { kind: "none" };
        return { kind: "tombstone", tombstone: { account, subdomain: over.subdomain, reason: "expired", endedAtMs: Date.now() } };
      });
    await awaitUntil(async () => (await get(b.supervisor, newer.label)) === "fresh", { what: "the newer spec serves" });
    await awaitUntil(async () => (await get(b.supervisor, over.label)) === "gone", { what: "the ended account is gone" });
    await awaitUntil(async () => (await get(b.supervisor, unknown.label)) === "none", { what: "the unknown account is dropped" });
    assert.equal(await exists(join(b.accounts, unknown.account)), true, "dropping erases nothing");
  });
});
