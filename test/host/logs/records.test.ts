// What an account's log holds of what its Workers do, on the real runtime.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { LogRecord } from "../../../src/capsule/logs.ts";
import { answering } from "../../fixtures/capsules.ts";
import { newSecret } from "../../../src/kernel/ids.ts";
import { loggingHouse, type LoggingHouse } from "./logging-house.ts";

let house: LoggingHouse;
before(async () => {
  house = await loggingHouse();
});
after(() => house[Symbol.asyncDispose]());

type Of<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;
const only = <K extends LogRecord["kind"]>(records: readonly LogRecord[], kind: K): Of<K>[] =>
  records.filter((record): record is Of<K> => record.kind === kind);

const TALKER = `export default { async fetch(request, env, ctx) {
  const { pathname } = new URL(request.url);
  if (pathname === "/levels") for (const level of ["log", "info", "warn", "error", "debug"]) console[level](level, "says", 1);
  if (pathname === "/values") console.log("text", 7, { a: [1, { b: null }] }, undefined, 10n, new Error("an argument"));
  if (pathname === "/throw") throw new RangeError("out of range");
  if (pathname === "/late") ctx.waitUntil((async () => { await scheduler.wait(20); throw new Error("after the answer"); })());
  return new Response("ok", { status: pathname === "/teapot" ? 418 : 200 });
} };`;

describe("an account's log", () => {
  test("has a record of every request, with what the edge knows", async () => {
    const { account, label } = await house.bench.deploy(TALKER);
    const { ray } = await house.ask(label, "/teapot?x=1", { method: "POST" });
    const [record] = only(await house.records(account), "request");
    assert.ok(record);
    const { atMs, wallMs, cpuMs, ...rest } = record;
    assert.ok(Math.abs(atMs - Date.now()) < 5_000 && wallMs > 0 && wallMs < 5_000);
    assert.deepEqual(rest, {
      kind: "request",
      worker: "test",
      version: "00000000-0000-0000-0000-000000000000",
      ray,
      method: "POST",
      url: `http://${label}.mayfly.localhost/teapot?x=1`,
      status: 418,
      outcome: "ok",
    });
    assert.ok(cpuMs === null || (cpuMs > 0 && cpuMs < 1_000), String(cpuMs));
  });

  test("has console lines of every level, each with its request's ray", async () => {
    const { account, label } = await house.bench.deploy(`${TALKER}//levels`);
    const { ray } = await house.ask(label, "/levels");
    const lines = only(await house.records(account), "console").toReversed();
    assert.deepEqual(
      lines.map(({ level, text }) => [level, text]),
      ["log", "info", "warn", "error", "debug"].map((level) => [level, `${level} says 1`]),
    );
    assert.ok(lines.every((line) => line.ray === ray && line.worker === "test"));
  });

  test("has no secrets of ours, whoever wrote them where", async () => {
    const secret = newSecret("mft");
    const { account, label } = await house.bench.deploy(`export default { async fetch(request) {
      console.log("the Worker says", ${JSON.stringify(secret)});
      throw new Error("and throws " + ${JSON.stringify(secret)});
    } };`);
    const wrong = `mfc_${"0".repeat(57)}`;
    await house.ask(label, `/a?b=${wrong}`);
    const records = await house.records(account);
    const [line] = only(records, "console");
    assert.equal(line?.text, "the Worker says mft_[redacted]");
    assert.equal(only(records, "exception")[0]?.message, "and throws mft_[redacted]");
    assert.match(only(records, "request")[0]?.url ?? "", /\/a\?b=mfc_\[redacted\]$/);
  });

  test("shows objects as JSON and errors with their stacks", async () => {
    const { account, label } = await house.bench.deploy(`${TALKER}//values`);
    await house.ask(label, "/values");
    const [line] = only(await house.records(account), "console");
    assert.match(line?.text ?? "", /^text 7 {"a":\[1,{"b":null}\]} null 10 Error: an argument\n {4}at Object\.fetch \(main\.js:/);
  });

  test("tells an exception before the answer from one after it", async () => {
    const { account, label } = await house.bench.deploy(`${TALKER}//thrown`);
    const early = await house.ask(label, "/throw");
    const late = await house.ask(label, "/late");
    assert.equal(early.status, 500);
    const records = await house.records(account);
    const thrown = only(records, "exception").toReversed();
    assert.deepEqual(
      thrown.map(({ name, message, ray }) => [name, message, ray]),
      [
        ["RangeError", "out of range", early.ray],
        ["Error", "after the answer", late.ray],
      ],
    );
    assert.match(thrown[0]?.stack ?? "", /main\.js:5/);
    const requests = only(records, "request").toReversed();
    assert.deepEqual(
      requests.map(({ outcome, status, ray }) => [outcome, status, ray]),
      [
        ["exception", 500, early.ray],
        ["ok", 200, late.ray],
      ],
    );
  });

  test("has the CPU of a request that had the process to itself, and of no other", { skip: process.platform !== "linux" }, async () => {
    const source = `export default { async fetch(request) { const { pathname } = new URL(request.url);
      if (pathname === "/busy") { let x = 0; for (let i = 0; i < 4e7; i++) x = (x + i) | 0; return new Response(String(x)); }
      if (pathname === "/wait") await scheduler.wait(300); return new Response("ok") } };`;
    const { account, label } = await house.bench.deploy(source);
    await house.ask(label);
    await house.ask(label, "/busy");
    await house.ask(label, "/wait");
    await Promise.all([house.ask(label, "/wait?1"), house.ask(label, "/wait?2")]);
    const [second, first, waited, busy] = only(await house.records(account), "request");
    assert.ok((busy?.cpuMs ?? 0) > 10 && (busy?.cpuMs ?? 0) <= (busy?.wallMs ?? 0) * 1.1, JSON.stringify(busy));
    assert.ok((waited?.cpuMs ?? 1_000) < 50, JSON.stringify(waited));
    assert.equal(first?.cpuMs ?? second?.cpuMs, null);
  });

  test("holds nothing of another account that is busy at the same time", async () => {
    const speaker = (word: string): string => `export default { fetch() { console.log("${word}"); return new Response("${word}") } };`;
    const [a, b] = await Promise.all([house.bench.deploy(speaker("alpha")), house.bench.deploy(speaker("beta"))]);
    const asked = Array.from({ length: 400 }, (_, at) => house.ask(at % 2 === 0 ? a.label : b.label));
    await Promise.all(asked);
    for (const [{ account, label }, word] of [
      [a, "alpha"],
      [b, "beta"],
    ] as const) {
      const records = await house.records(account);
      assert.equal(only(records, "console").length, 200);
      assert.equal(only(records, "request").length, 200);
      assert.ok(only(records, "console").every(({ text }) => text === word));
      assert.ok(only(records, "request").every(({ url }) => url.startsWith(`http://${label}.`)));
    }
  });

  test("has what the edge answered in a Worker's place", async () => {
    const { account, subdomain } = await house.bench.deploy(answering('"x"'));
    assert.equal((await house.ask(`nobody--${subdomain}`)).status, 404);
    const [record] = only(await house.records(account), "request");
    assert.deepEqual([record?.worker, record?.status, record?.outcome], [null, 404, "refused"]);
  });
});
