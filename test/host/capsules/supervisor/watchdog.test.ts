// Capsules that come to grief, and many at once: each is dealt with alone, no other account waits for it.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { answering, bench, get, leased, specOf, through, TROUBLE, type Bench } from "../../../fixtures/capsules.ts";

/** Keeps asking and returns how often and how slowly the account answered meanwhile. */
function bystander(b: Bench, label: string): { stop(): Promise<{ answers: number; failures: string[]; slowestMs: number }> } {
  const over = new AbortController();
  const failures: string[] = [];
  let answers = 0;
  let slowestMs = 0;
  const going = (async () => {
    while (!over.signal.aborted) {
      const began = performance.now();
      const body = await get(b.supervisor, label).catch(String);
      if (body === "quiet") answers++;
      else failures.push(body);
      slowestMs = Math.max(slowestMs, performance.now() - began);
      await sleep(20);
    }
  })();
  return {
    async stop() {
      over.abort();
      await going;
      return { answers, failures, slowestMs };
    },
  };
}

/** Sends a request that never returns; resolves once it was cut. */
async function hang(b: Bench, label: string): Promise<void> {
  using lease = leased(await b.supervisor.open(label));
  await assert.rejects(through(lease, "/loop"));
}

describe("the watchdog", () => {
  test("restarts a loop within 5 s while another account answers", async () => {
    await using b = await bench();
    const { label, account } = await b.deploy(TROUBLE);
    const quiet = await b.deploy(answering('"quiet"'));
    assert.equal(await get(b.supervisor, label), "fine");
    const other = bystander(b, quiet.label);
    const began = performance.now();
    await hang(b, label);
    assert.equal(await get(b.supervisor, label), "fine");
    const took = performance.now() - began;
    const { answers, failures } = await other.stop();
    assert.deepEqual(failures, []);
    assert.ok(answers > 10, `${answers} answers`);
    assert.ok(took < 5_000, `${took} ms`);
    const [event] = await b.supervisor.events(0);
    assert.equal(event?.kind, "restarted");
    assert.equal(event.account, account);
    assert.match(event.reason, /^It did not answer for \d\.\d s and was restarted: a loop that never yields, at .+, using \d\.\d s of CPU/);
    const { restarts, cpuMs } = await b.supervisor.usage(account);
    assert.equal(restarts, 1);
    const usedMs = Number(/using (\d\.\d) s/.exec(event.reason)?.[1]) * 1000;
    assert.ok(usedMs >= 500 && cpuMs >= usedMs - 50, `${cpuMs} ms are counted, ${usedMs} ms were used by the loop alone`);
  });

  test("leaves a Worker alone that asks its objects for long, and so waits for the disk", async () => {
    await using b = await bench();
    const source = `import { DurableObject } from "cloudflare:workers";
      export class Count extends DurableObject { async add() { const n = ((await this.ctx.storage.get("n")) ?? 0) + 1; await this.ctx.storage.put("n", n); return n; } }
      export default { async fetch(request, env) {
        const until = Date.now() + 6_000; let n = 0;
        while (Date.now() < until) n = await env.COUNT.getByName("one").add();
        return new Response(String(n > 10));
      } };`;
    const spec = specOf(source);
    const [unit] = spec.units;
    const [service] = unit?.services ?? [];
    assert.ok(unit && service?.kind === "worker");
    const worker = {
      ...service,
      bindings: [{ kind: "objects" as const, name: "COUNT", service: service.id, className: "Count" }],
      objects: { disk: "objects" as const, namespaces: [{ className: "Count", uniqueKey: "c".repeat(32), sql: true }] },
    };
    await b.store(spec.account, source);
    await b.supervisor.apply({ ...spec, units: [{ ...unit, services: [worker] }] });
    assert.equal(await get(b.supervisor, spec.label), "true");
    assert.equal((await b.supervisor.usage(spec.account)).restarts, 0);
  });

  test("suspends what hangs again and again, until newer code is applied", async () => {
    await using b = await bench({ bounds: { tickMs: 100, pingMs: 300, maxMishaps: 3 } });
    const { label, account, subdomain } = await b.deploy(TROUBLE);
    for (let mishap = 0; mishap < 3; mishap++) {
      await awaitUntil(async () => (await get(b.supervisor, label)) === "fine", { what: "the pause is over" });
      await hang(b, label);
    }
    const answer = await b.supervisor.open(label);
    assert.ok(answer.kind === "suspended");
    assert.match(answer.reason, /restarted 3 times within 5 minutes.*did not answer/);
    const events = await b.supervisor.events(0);
    assert.deepEqual(
      events.map((event) => event.kind),
      ["restarted", "restarted", "restarted", "suspend"],
    );
    await b.deploy(answering('"mended"'), { account, subdomain, generation: 2 });
    assert.equal(await get(b.supervisor, label), "mended");
  });

  test("leaves a busy Worker alone that answers", async () => {
    await using b = await bench({ bounds: { tickMs: 50, pingMs: 500 } });
    const { label, account } = await b.deploy(TROUBLE);
    using lease = leased(await b.supervisor.open(label));
    await through(lease, "/slow?ms=1500").then((answer) => answer.resume());
    const usage = await b.supervisor.usage(account);
    assert.equal(usage.restarts, 0);
    assert.equal(usage.starts, 1);
  });

  test("a killed process is started again by the next request", async () => {
    await using b = await bench();
    const { label, account } = await b.deploy(answering('"up"'));
    assert.equal(await get(b.supervisor, label), "up");
    using lease = leased(await b.supervisor.open(label));
    for (const pid of b.sandbox.alive.keys()) process.kill(pid, "SIGKILL");
    await awaitUntil(() => lease.ended.aborted, { what: "the lease is cut" });
    assert.equal(await get(b.supervisor, label), "up");
    const { starts, restarts } = await b.supervisor.usage(account);
    assert.deepEqual({ starts, restarts }, { starts: 2, restarts: 1 });
    const [event] = await b.supervisor.events(0);
    assert.match(event?.reason ?? "", /ended unexpectedly \(SIGKILL\)/);
  });
});

describe("many accounts", () => {
  test("a start storm has few starts at once and serves all", async () => {
    await using b = await bench();
    const specs = await Promise.all(Array.from({ length: 30 }, (_, i) => b.deploy(answering(`"n${i}"`))));
    let starting = 0;
    let most = 0;
    const launch = b.sandbox.launch.bind(b.sandbox);
    b.sandbox.launch = async (request) => {
      most = Math.max(most, ++starting);
      const process = await launch(request);
      // Until it listens the process counts as starting: its first sign of life comes no sooner.
      setTimeout(() => starting--, 5);
      return process;
    };
    const bodies = await Promise.all(specs.map(({ label }) => get(b.supervisor, label)));
    assert.deepEqual(
      bodies,
      specs.map((_, i) => `n${i}`),
    );
    assert.equal(b.sandbox.alive.size, 30);
    assert.ok(most <= 4, `${most} at once`);
  });

  test("code that hangs while it starts does not keep others from starting", async () => {
    await using b = await bench({ bounds: { maxStarting: 1, gateMs: 100, startMs: 1_500 } });
    const hangs = await b.deploy("for (;;) {}");
    const other = await b.deploy(answering('"other"'));
    const hanging = b.supervisor.open(hangs.label);
    await awaitUntil(() => b.sandbox.alive.size === 1, { what: "the hanging start has begun", everyMs: 1 });
    assert.equal(await get(b.supervisor, other.label), "other");
    assert.equal((await hanging).kind, "unavailable");
    assert.equal(b.sandbox.alive.size, 1, "what does not start is killed");
  });

  test("never more processes than allowed, the least recently used idle one makes room", async () => {
    await using b = await bench({ capsulesHot: 2 });
    const [first, second, third] = [await b.deploy(answering('"1"')), await b.deploy(answering('"2"')), await b.deploy(answering('"3"'))];
    await get(b.supervisor, first.label);
    await sleep(5);
    await get(b.supervisor, second.label);
    await sleep(5);
    await get(b.supervisor, first.label);
    assert.equal(await get(b.supervisor, third.label), "3");
    assert.equal(b.sandbox.mostAlive, 2);
    assert.equal((await b.supervisor.usage(first.account)).hot, true);
    assert.equal((await b.supervisor.usage(second.account)).hot, false);
    using _one = leased(await b.supervisor.open(first.label));
    using _three = leased(await b.supervisor.open(third.label));
    assert.equal(await get(b.supervisor, second.label), "unavailable", "what is in use is not stopped");
  });

  test("an idle process is stopped and the next request starts it again", async () => {
    await using b = await bench({ idleMs: 200, bounds: { tickMs: 50 } });
    const { label } = await b.deploy(answering('"up"'));
    assert.equal(await get(b.supervisor, label), "up");
    await awaitUntil(() => b.sandbox.alive.size === 0, { what: "the idle process is stopped" });
    assert.equal(await get(b.supervisor, label), "up");
    assert.equal(b.sandbox.launches, 2);
    assert.deepEqual(await Promise.race([b.supervisor.events(0), sleep(50, [])]), [], "an idle stop is no mishap");
  });

  test("a host that goes down leaves no process", async () => {
    await using b = await bench();
    const specs = await Promise.all(Array.from({ length: 5 }, () => b.deploy(TROUBLE)));
    await Promise.all(specs.map(({ label }) => get(b.supervisor, label)));
    using lease = leased(await b.supervisor.open(specs[0]?.label ?? ""));
    await through(lease, "/stream");
    await b.supervisor[Symbol.asyncDispose]();
    assert.equal(b.sandbox.alive.size, 0);
  });
});
