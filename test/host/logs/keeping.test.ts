// How long an account's log lives: through a restart of the host, within its bound, and not past its account.
import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import { appendFile, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { answering } from "../../fixtures/capsules.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { loggingHouse, tailing } from "./logging-house.ts";

const SPEAKER = `export default { fetch(request) {
  const { searchParams } = new URL(request.url);
  const times = Number(searchParams.get("times") ?? 1);
  for (let at = 0; at < times; at++) console.log("line", at, "y".repeat(Number(searchParams.get("wide") ?? 0)));
  return new Response("ok");
} };`;

async function place(t: TestContext): Promise<string> {
  const directory = await temporaryDirectory("logs");
  t.after(() => directory[Symbol.asyncDispose]());
  return directory.path;
}

const logFiles = (accounts: string, account: string): string[] => readdirSync(join(accounts, account, "logs")).toSorted();

describe("an account's log", () => {
  test("outlives a restart of the host, a line that a crash cut short left out", async (t) => {
    const directory = await place(t);
    const { account, accounts, spec } = await (async () => {
      await using house = await loggingHouse({ directory });
      const deployed = await house.bench.deploy(SPEAKER);
      await house.ask(deployed.label, "/first?times=2");
      return { account: deployed.account, accounts: house.bench.accounts, spec: deployed };
    })();
    await appendFile(join(accounts, account, "logs", "00000001.ndjson"), '{"kind":"console","atMs":1,"wor');
    await using house = await loggingHouse({ directory });
    assert.equal((await house.records(account)).length, 3);
    await house.bench.supervisor.apply(spec);
    await house.ask(spec.label, "/second?times=0");
    const records = await house.records(account);
    assert.equal(records.length, 4);
    assert.match(JSON.stringify(records[0]), /second/);
  });

  test("is closed to other users and lies beside what the process sees", async (t) => {
    await using house = await loggingHouse({ directory: await place(t) });
    const { account, label } = await house.bench.deploy(SPEAKER);
    await house.ask(label);
    await house.records(account);
    const path = join(house.bench.accounts, account, "logs");
    assert.equal(statSync(path).mode & 0o777, 0o700);
    for (const name of readdirSync(path)) assert.equal(statSync(join(path, name)).mode & 0o777, 0o600);
  });

  test("never writes through a link that lies in a file's place", async (t) => {
    await using house = await loggingHouse({ directory: await place(t) });
    const { account, label } = await house.bench.deploy(SPEAKER);
    await house.ask(label);
    await house.records(account);
    const victim = join(house.bench.directory, "victim");
    await writeFile(victim, "as it was");
    await house.bench.logs.close(account);
    await symlink(victim, join(house.bench.accounts, account, "logs", "00000002.ndjson"));
    await house.ask(label);
    await house.records(account);
    assert.equal(await readFile(victim, "utf8"), "as it was");
  });

  test("keeps the newest within its bound, and tells how many gave way until when", async (t) => {
    const maxBytes = 200_000;
    const directory = await place(t);
    const known = await (async () => {
      await using house = await loggingHouse({ directory, logs: { maxBytes } });
      const { account, label } = await house.bench.deploy(SPEAKER);
      const before = Date.now();
      for (let at = 0; at < 10; at++) {
        await house.ask(label, "/?times=400");
        await house.records(account, { limit: 1 });
      }
      const page = await house.page(account);
      const all = [...page.records];
      for (let { cursor } = page; cursor !== null;) {
        const next = await house.page(account, { cursor });
        all.push(...next.records);
        cursor = next.cursor;
      }
      const size = logFiles(house.bench.accounts, account)
        .map((name) => statSync(join(house.bench.accounts, account, "logs", name)).size)
        .reduce((sum, bytes) => sum + bytes, 0);
      assert.ok(size <= maxBytes + 2_000, `${size} bytes`);
      assert.ok(page.dropped !== null && page.dropped.untilMs >= before && page.dropped.untilMs <= Date.now());
      assert.equal(page.dropped.records + all.length, 10 * 401);
      return { account, dropped: page.dropped };
    })();
    await using again = await loggingHouse({ directory, logs: { maxBytes } });
    assert.deepEqual((await again.page(known.account)).dropped, known.dropped);
  });

  test("is nothing where the operator wants none, and tails go on", async (t) => {
    await using house = await loggingHouse({ directory: await place(t), logs: { maxBytes: 0 } });
    const { account, label } = await house.bench.deploy(SPEAKER);
    const tail = await tailing(house, { account, worker: "test" });
    await house.ask(label);
    assert.deepEqual(await house.page(account), { records: [], cursor: null, dropped: null });
    await awaitUntil(() => tail.lines.length === 1, { what: "the event" });
    tail.stream.destroy();
  });

  test("of requests alone has what the edge saw, and says why there is no tail", async (t) => {
    await using house = await loggingHouse({ directory: await place(t), logs: { mode: "requests" } });
    const { account, label } = await house.bench.deploy(SPEAKER);
    await house.ask(label);
    assert.deepEqual(
      (await house.records(account)).map(({ kind }) => kind),
      ["request"],
    );
    await assert.rejects(house.host.tail({ account, worker: "test" }), { code: "product_unavailable", message: /MAYFLY_LOGS/ });
  });

  test("is refused with the reason where it is off, and no record is written", async (t) => {
    await using house = await loggingHouse({ directory: await place(t), logs: { mode: "off" } });
    const { account, label } = await house.bench.deploy(SPEAKER);
    await house.ask(label);
    for (const refused of [
      () => house.page(account),
      () => house.host.follow({ account }),
      () => house.host.tail({ account, worker: "test" }),
    ]) {
      await assert.rejects(refused, { code: "product_unavailable", message: /MAYFLY_LOGS/ });
    }
    assert.ok(!existsSync(join(house.bench.accounts, account, "logs")));
  });

  test("goes with its account: no file, no record, whatever is under way", async (t) => {
    await using house = await loggingHouse({ directory: await place(t) });
    const { account, subdomain, label } = await house.bench.deploy(SPEAKER);
    const under = Array.from({ length: 50 }, () => house.ask(label, "/?times=100").catch(() => {}));
    await sleep(20);
    await house.host.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() });
    await house.host.erase(account);
    await Promise.all(under);
    await sleep(600);
    assert.ok(!existsSync(join(house.bench.accounts, account)));
    await assert.rejects(house.page(account), { code: "account_gone" });
  });

  test("takes nothing from the end time on, though nobody has said that it is over", async (t) => {
    await using house = await loggingHouse({ directory: await place(t) });
    const { account, label } = await house.bench.deploy(SPEAKER, { endsAtMs: Date.now() + 1_500 });
    const tail = await tailing(house, { account, worker: "test" });
    await house.ask(label, "/while-it-lives");
    await tail.ended;
    assert.equal((await house.ask(label, "/too-late")).status, 410);
    await assert.rejects(house.page(account), { code: "account_gone" });
    await sleep(400);
    const path = join(house.bench.accounts, account, "logs");
    const text = (await Promise.all(readdirSync(path).map((name) => readFile(join(path, name), "utf8")))).join("");
    assert.match(text, /while-it-lives/);
    assert.doesNotMatch(text, /too-late/);
  });
});

describe("pages of a log", () => {
  test("follow each other without gap or repetition while records arrive", async (t) => {
    await using house = await loggingHouse({ directory: await place(t) });
    const { account, label } = await house.bench.deploy(SPEAKER);
    await house.ask(label, "/?times=250");
    const seen: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page = await house.page(account, { kind: "console", limit: 60, ...(cursor != null && { cursor }) });
      seen.push(...page.records.map((record) => (record.kind === "console" ? record.text.trim() : "")));
      cursor = page.cursor;
      await house.ask(label, "/?times=3");
    } while (cursor !== null);
    assert.deepEqual(
      seen,
      Array.from({ length: 250 }, (_, at) => `line ${249 - at}`),
    );
  });

  test("hold what was asked for", async (t) => {
    await using house = await loggingHouse({ directory: await place(t) });
    const { account, label } = await house.bench.deploy(SPEAKER);
    await house.ask(label, "/Alpha");
    const betweenMs = Date.now() + 1;
    await sleep(20);
    await house.ask(label, "/beta");
    const of = async (query: object): Promise<number> => (await house.records(account, query)).length;
    assert.equal(await of({}), 4);
    assert.equal(await of({ kind: "request" }), 2);
    assert.equal(await of({ worker: "other" }), 0);
    assert.equal(await of({ worker: "test" }), 4);
    assert.equal(await of({ outcome: "ok" }), 2);
    assert.equal(await of({ outcome: "exception" }), 0);
    assert.equal(await of({ text: "ALPHA" }), 1);
    assert.equal(await of({ sinceMs: betweenMs }), 2);
    assert.equal(await of({ untilMs: betweenMs }), 2);
    assert.equal(await of({ limit: 3 }), 3);
    await assert.rejects(house.page(account, { cursor: "../../etc" }), { code: "invalid_input", message: /cursor/ });
    assert.deepEqual((await house.page(account, { cursor: "99999999.999999999999" })).records.length, 4);
  });
});

describe("minutes", () => {
  test("count requests, errors and CPU, with times to within 5 %, and outlive a restart", async (t) => {
    const directory = await place(t);
    const source = `export default { async fetch(request) { const { pathname } = new URL(request.url);
      if (pathname === "/throw") throw new Error("x");
      if (pathname === "/busy") { let x = 0; for (let i = 0; i < 3e7; i++) x += i; return new Response(String(x)); }
      if (pathname === "/slow") await scheduler.wait(300); return new Response("ok") } };`;
    const sinceMs = Date.now();
    const account = await (async () => {
      await using house = await loggingHouse({ directory });
      const { account, label } = await house.bench.deploy(source);
      for (const path of ["/slow", "/slow", "/slow", "/throw"]) await house.ask(label, path);
      for (let at = 0; at < 5; at++) await house.ask(label, "/busy");
      await sleep(1_500);
      return account;
    })();
    await using house = await loggingHouse({ directory });
    const minutes = await house.host.metrics({ account, sinceMs, untilMs: Date.now() });
    const of = (worker: string | null) => minutes.filter((minute) => minute.worker === worker);
    assert.equal(
      of("test").reduce((sum, { requests }) => sum + requests, 0),
      9,
    );
    assert.equal(
      of("test").reduce((sum, { errors }) => sum + errors, 0),
      1,
    );
    assert.ok(
      of("test").some(({ wallMs }) => wallMs !== null && wallMs.p99 >= 285 && wallMs.p99 < 600),
      JSON.stringify(minutes),
    );
    assert.ok(of(null).reduce((sum, { cpuMs }) => sum + (cpuMs ?? 0), 0) >= 50, JSON.stringify(minutes));
    assert.ok(minutes.every(({ atMs }) => atMs % 60_000 === 0));
  });
});

test("an account that never ran here has an empty log", async (t) => {
  await using house = await loggingHouse({ directory: await place(t) });
  const { account } = await house.bench.deploy(answering('"x"'));
  assert.deepEqual(await house.page(account), { records: [], cursor: null, dropped: null });
});
