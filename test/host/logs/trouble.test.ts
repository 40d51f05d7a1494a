// Workers that hang, fill their memory or log without end, and a process that has been taken over: what their account
// is told, and what it costs everybody else.
import assert from "node:assert/strict";
import { Agent, createServer } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { LogRecord } from "../../../src/capsule/logs.ts";
import { logRecord } from "../../../src/capsule/logs.ts";
import { readBatch } from "../../../src/host/logs/batch.ts";
import { Logs } from "../../../src/host/logs/logs.ts";
import { heardEvent } from "../../../src/host/logs/tail-event.ts";
import { systemClock } from "../../../src/kernel/clock.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { createLog, type Log } from "../../../src/kernel/log.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { answering, bench, TROUBLE } from "../../fixtures/capsules.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { timely } from "../../fixtures/timely.ts";
import { loggingHouse, tailing, following } from "./logging-house.ts";

const kindsOf = (records: readonly LogRecord[], kind: LogRecord["kind"]): LogRecord[] => records.filter((record) => record.kind === kind);

describe("a process that is killed", () => {
  test("for a loop leaves requests with exceededCpu and the reason, in the log and in tails", async () => {
    await using house = await loggingHouse({ bounds: { tickMs: 100, pingMs: 400 } });
    const { account, label } = await house.bench.deploy(TROUBLE);
    const tail = await tailing(house, { account, worker: "test" });
    const [hung, beside] = await Promise.all([
      house.ask(label, "/loop").catch(() => null),
      house.ask(label, "/slow?ms=9000").catch(() => null),
    ]);
    assert.deepEqual([hung, beside], [null, null]);
    const records = await house.records(account);
    assert.deepEqual(
      kindsOf(records, "request").map((record) => record.kind === "request" && record.outcome),
      ["exceededCpu", "exceededCpu"],
    );
    const thrown = kindsOf(records, "exception");
    assert.equal(thrown.length, 2);
    assert.match(JSON.stringify(thrown[0]), /It did not answer for .* a loop that never yields/);
    assert.deepEqual(
      tail.lines.map(({ outcome, exceptions }) => [outcome, exceptions.length]),
      [
        ["exceededCpu", 1],
        ["exceededCpu", 1],
      ],
    );
    const event = tail.lines[0]?.event as { request: { url: string; headers: Record<string, string>; cf: { colo: string } } };
    assert.match(event.request.url, /\/(loop|slow)/);
    assert.deepEqual([event.request.cf.colo, event.request.headers["mayfly-cf-blob"]], ["MAY", undefined]);
    tail.stream.destroy();
  });

  test("for its heap leaves the request with exceededMemory", async () => {
    await using house = await loggingHouse();
    const source = `let kept = []; export default { fetch() { for (;;) kept.push(new Array(1e5).fill(kept.length)); } };`;
    const { account, label } = await house.bench.deploy(source);
    assert.equal((await house.ask(label)).status, 502);
    await awaitUntil(async () => (await house.records(account)).length === 2, { what: "both records" });
    const records = await house.records(account);
    const [request] = kindsOf(records, "request");
    assert.ok(request?.kind === "request");
    assert.deepEqual([request.outcome, request.status], ["exceededMemory", 502]);
    assert.match(JSON.stringify(kindsOf(records, "exception")), /heap was full/);
  });

  test("without a request in flight leaves the reason", async () => {
    await using house = await loggingHouse();
    const { account, label } = await house.bench.deploy(answering('"x"'));
    await house.ask(label);
    for (const process of house.bench.sandbox.alive.values()) process.kill();
    await awaitUntil(async () => kindsOf(await house.records(account), "exception").length === 1, { what: "the reason" });
    const [thrown] = kindsOf(await house.records(account), "exception");
    assert.match(JSON.stringify(thrown), /ended unexpectedly \(SIGKILL\)/);
  });
});

test("a caller that goes away leaves a canceled request", async () => {
  await using house = await loggingHouse();
  const { account, label } = await house.bench.deploy(TROUBLE);
  await house.ask(label);
  await assert.rejects(house.ask(label, "/slow?ms=5000", { signal: AbortSignal.timeout(200) }));
  const [request] = await house.records(account);
  assert.ok(request?.kind === "request");
  assert.deepEqual([request.outcome, request.status], ["canceled", 0]);
});

test("lines of a Worker that another calls are the callee's", async () => {
  await using b = await loggingHouse();
  const caller = `export default { async fetch(request, env) { console.log("caller"); return env.B.fetch(request) } };`;
  const callee = `export default { fetch() { console.log("callee"); return new Response("from b") } };`;
  const { spec, label } = await b.pair(caller, callee);
  assert.equal((await b.ask(label)).body, "from b");
  const records = await b.records(spec.account);
  const lines = records.flatMap((record) => (record.kind === "console" ? [`${record.worker}: ${record.text}`] : []));
  assert.deepEqual(lines.toSorted(), ["callee: callee", "caller: caller"]);
  assert.deepEqual(
    kindsOf(records, "request").map(({ worker }) => worker),
    ["caller"],
  );
  await awaitUntil(async () => kindsOf(await b.records(spec.account), "invocation").length === 1, { what: "the call between them" });
});

/** What a calm account and this process meet while another logs without end and nobody reads its streams. */
async function flooded(): Promise<{ p90Ms: number; moreBytes: number; queuedBytes: number }> {
  await using house = await loggingHouse();
  const flood = `export default { async fetch(request) {
    const wide = new URL(request.url).pathname === "/wide";
    for (let at = 0; at < (wide ? 2 : 2000); at++) console.log("z".repeat(wide ? 1_000_000 : 100), at);
    return new Response("ok") } };`;
  const [noisy, calm] = [await house.bench.deploy(flood), await house.bench.deploy(answering('"calm"'))];
  const unread = await house.host.tail({ account: noisy.account, worker: "test" });
  const unfollowed = await house.host.follow({ account: noisy.account });
  await house.ask(noisy.label);
  await house.ask(calm.label);
  const before = process.memoryUsage().rss;
  const over = new AbortController();
  const floods = Array.from({ length: 8 }, async (_, at) => {
    while (!over.signal.aborted) await house.ask(noisy.label, at % 2 === 0 ? "/wide" : "/");
  });
  const timesMs: number[] = [];
  let most = 0;
  for (const until = performance.now() + 5_000; performance.now() < until;) {
    const began = performance.now();
    await house.ask(calm.label);
    timesMs.push(performance.now() - began);
    most = Math.max(most, process.memoryUsage().rss);
    await sleep(20);
  }
  over.abort();
  await Promise.all(floods);
  const queuedBytes = unread.readableLength + unfollowed.readableLength;
  unread.destroy();
  unfollowed.destroy();
  assert.equal((await house.records(calm.account, { kind: "console" })).length, 0);
  const p90Ms = timesMs.toSorted((a, b) => a - b)[Math.floor(timesMs.length * 0.9)] ?? 0;
  return { p90Ms, moreBytes: most - before, queuedBytes };
}

describe("a Worker that logs as fast as it can", () => {
  test("keeps this process's memory bounded and other accounts fast", async () => {
    await timely({ p90Ms: 150 }, async () => {
      const { p90Ms, moreBytes, queuedBytes } = await flooded();
      assert.ok(moreBytes < 120_000_000, `${Math.round(moreBytes / 1e6)} MB more`);
      assert.ok(queuedBytes < 2_300_000, `${queuedBytes} bytes wait for readers`);
      return { p90Ms };
    });
  });

  test("is told how much was left out", async () => {
    await using house = await loggingHouse();
    const flood = `export default { async fetch() { for (let at = 0; at < 60; at++) console.log("q".repeat(4000)); return new Response("ok") } };`;
    const { account, label } = await house.bench.deploy(flood);
    const follower = await house.host.follow({ account });
    const { lines } = following(follower);
    await Promise.all(Array.from({ length: 100 }, () => house.ask(label)));
    await awaitUntil(() => lines.some((line) => line.kind === "missed"), { what: "the follower was told" });
    const { dropped } = await house.page(account, { limit: 1 });
    assert.ok(dropped !== null && dropped.records > 0);
    follower.destroy();
  });
});

describe("what a process says that was taken over", () => {
  const origins = new Map([["w1", { script: "mine", version: "v" }]]);

  test("becomes well-formed records or is counted as lost, whatever it is", () => {
    const line = fc.record(
      { level: fc.anything(), atMs: fc.anything(), message: fc.anything(), stacks: fc.anything() },
      { requiredKeys: [] },
    );
    const event = fc.record(
      {
        service: fc.constantFrom("w1", "w2", "__proto__", "mayfly:control", 7),
        outcome: fc.anything(),
        trigger: fc.anything(),
        atMs: fc.anything(),
        ray: fc.oneof(fc.string(), fc.constant("0123456789abcdef-MAY"), fc.anything()),
        logs: fc.oneof(fc.array(line), fc.anything()),
        exceptions: fc.oneof(fc.array(fc.dictionary(fc.string(), fc.anything())), fc.anything()),
        event: fc.oneof(
          fc.record({ request: fc.anything(), response: fc.anything() }),
          fc.record({ rpcMethod: fc.anything(), cron: fc.anything(), queue: fc.anything(), scheduledTime: fc.anything() }),
          fc.anything(),
        ),
        account: fc.string(),
      },
      { requiredKeys: ["service"] },
    );
    const said = fc.oneof(fc.record({ lost: fc.anything(), events: fc.oneof(fc.array(event), fc.anything()) }), fc.anything());
    fc.assert(
      fc.property(said, (value) => {
        const text = JSON.stringify(value) ?? "undefined";
        const batch = readBatch(text, origins, Date.now());
        assert.ok(Number.isInteger(batch.lost) && batch.lost >= 0);
        for (const heard of batch.heard) {
          assert.equal(heard.origin.script, "mine");
          const of = { worker: "mine", version: "v", ray: heard.ray };
          logRecord.parse({ kind: "invocation", ...of, atMs: heard.atMs, trigger: heard.trigger, outcome: heard.outcome });
          for (const { level, atMs, text: words } of heard.lines) logRecord.parse({ kind: "console", ...of, atMs, level, text: words });
          for (const thrown of heard.exceptions) logRecord.parse({ kind: "exception", ...of, ...thrown });
          const event = JSON.parse(JSON.stringify(heardEvent(heard, null))) as ReturnType<typeof heardEvent>;
          for (const time of [event.wallTime, event.cpuTime, event.eventTimestamp]) assert.ok(Number.isInteger(time));
          for (const name of ["rpcMethod", "cron", "queue"]) assert.match(typeof event.event?.[name], /^(string|undefined)$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("is cut where it is nested beyond what can be written", () => {
    const deep = `{"lost":0,"events":[{"service":"w1","logs":[{"message":[${"[".repeat(100_000)}${"]".repeat(100_000)}]}]}]}`;
    const batch = readBatch(deep, origins, Date.now());
    assert.ok(batch.lost + batch.heard.length === 1);
    for (const heard of batch.heard) assert.doesNotThrow(() => JSON.stringify(heardEvent(heard, null)));
  });

  test("is text where it is nested deeper than values are kept, and the value itself where it is not", () => {
    const nested = (levels: number): unknown => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);
    const said = (levels: number) => {
      const logs = [{ level: "log", message: ["first", { deep: nested(levels) }] }];
      const { heard, lost } = readBatch(JSON.stringify({ lost: 0, events: [{ service: "w1", logs }] }), origins, Date.now());
      assert.equal(lost, 0);
      return heard[0]?.lines[0];
    };
    assert.deepEqual(said(63)?.message, ["first", { deep: nested(63) }]);
    const deep = said(64);
    assert.deepEqual(deep?.message, ["first", JSON.stringify({ deep: nested(64) })]);
    assert.equal(deep.text, `first ${JSON.stringify({ deep: nested(64) })}`);
  });

  test("never ends this process, though telling of it fails", async () => {
    const troubles: unknown[] = [];
    await using directory = await temporaryDirectory("logs");
    const account = newAccountId();
    const log = { ...createLog("test", "silent"), error: (entry: { err: unknown }) => void troubles.push(entry.err) } as unknown as Log;
    await using logs = new Logs({
      accountsDirectory: directory.path,
      mode: "full",
      maxBytes: 65_536,
      clock: systemClock,
      log,
      lives: () => true,
    });
    const tail = logs.tail({ account, worker: "mine" });
    const of = {
      account,
      origin: { script: "mine", version: "v" },
      method: "GET",
      url: "http://x/",
      address: "",
      status: 0,
      wallMs: 1,
      cpuMs: null,
    };
    // No such head leaves the edge.
    const head = "GET / HTTP/1.1\r\nmayfly-cf-blob: {no JSON\r\n\r\n";
    const lost = (ray: string): void => logs.passed({ ...of, ray, head, end: "lost" });
    lost("0000000000000001-MAY");
    logs.killed(account, { outcome: "exceededCpu", reason: "It hung." });
    assert.equal(troubles.length, 1, "at a kill");
    lost("0000000000000002-MAY");
    assert.equal(troubles.length, 2, "at a request's end");
    await sleep(1_100);
    lost("0000000000000003-MAY");
    await awaitUntil(() => troubles.length === 3, { what: "the trouble of a tick" });
    lost("0000000000000004-MAY");
    await logs.close(account);
    assert.equal(troubles.length, 4, "at the close");
    assert.ok(troubles.every((error) => error instanceof SyntaxError));
    tail.destroy();
  });

  test("is read no further than its bound, and asked for no more often than at a pace", async (t) => {
    await using b = await bench();
    let calls = 0;
    let sent = 0;
    const server = createServer((_, outgoing) => {
      calls++;
      const more = (): void => {
        while (!outgoing.destroyed) {
          sent += 65_536;
          if (outgoing.write("x".repeat(65_536))) continue;
          outgoing.once("drain", more);
          return;
        }
      };
      more();
    });
    const socketPath = join(b.directory, "hostile.sock");
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    t.after(() => server.close());
    const ended = new AbortController();
    const agent = new Agent({ keepAlive: true });
    const { account } = await b.deploy(answering('"x"'));
    assert.equal(b.logs.hear(newAccountId(), { socketPath, agent }, ended.signal, origins), null, "nobody lives there");
    b.logs.hear(account, { socketPath, agent }, ended.signal, origins);
    await sleep(1_500);
    ended.abort();
    agent.destroy();
    server.closeAllConnections();
    assert.ok(calls >= 1 && calls <= 5, `${calls} calls`);
    assert.ok(sent < calls * 4_000_000, `${sent} bytes`);
  });
});
