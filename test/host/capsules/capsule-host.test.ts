// Control's calls through the door, on a real socket with real workerd behind it.
import assert from "node:assert/strict";
import { request, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { connectHost, serveHost } from "../../../src/capsule/link.ts";
import type { CapsuleHost } from "../../../src/capsule/messages.ts";
import type { StateJob } from "../../../src/capsule/state.ts";
import type { Keeper } from "../../../src/host/capsules/keeper/keeper.ts";
import { createCapsuleHost } from "../../../src/host/capsules/capsule-host.ts";
import { createTrials } from "../../../src/host/capsules/trials/trial.ts";
import { systemClock } from "../../../src/kernel/clock.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { answering, bench, get, sha256, specOf, type Bench } from "../../fixtures/capsules.ts";
import { CAPACITY } from "../../fixtures/limits.ts";

async function door(b: Bench): Promise<{ host: CapsuleHost; connections(): Promise<number> } & AsyncDisposable> {
  const { supervisor, logs, files, sandbox } = b;
  const trials = createTrials({ sandbox, files, clock: systemClock });
  const capsuleHost = createCapsuleHost({
    supervisor,
    logs,
    files,
    trials,
    sandbox,
    workerdVersion: "workerd 1",
    capacity: async () => CAPACITY,
  });
  const socket = join(b.directory, "host.sock");
  const server = await serveHost(socket, capsuleHost, (error) => {
    throw error;
  });
  const host = connectHost(socket);
  return {
    host,
    connections: () => promisify(server.getConnections.bind(server))(),
    async [Symbol.asyncDispose]() {
      host[Symbol.dispose]();
      server.close();
      server.closeAllConnections();
    },
  };
}

describe("a capsule host", () => {
  test("never gives an idle connection up, as control may just be about to write into it", async () => {
    await using b = await bench();
    await using d = await door(b);
    await d.host.status();
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ socketPath: join(b.directory, "host.sock"), path: "/status", method: "POST" }, resolve)
        .once("error", reject)
        .end("null");
    });
    answer.resume();
    assert.deepEqual([answer.headers.connection, answer.headers["keep-alive"]], ["keep-alive", undefined]);
  });

  test("is called on few connections again once a crowd of calls is over", async () => {
    await using b = await bench();
    await using d = await door(b);
    await Promise.all(Array.from({ length: 200 }, () => d.host.status()));
    await awaitUntil(async () => (await d.connections()) <= 32, { what: "spare connections are closed" });
    assert.equal((await d.host.status()).workerd, "workerd 1");
  });

  test("takes the longest head that a job can have, and gives the longest that a process can answer with", async () => {
    const asked: StateJob[] = [];
    const run: Keeper["run"] = (_place, job) => {
      asked.push(job);
      return Promise.resolve(Readable.from(["CREATE"]));
    };
    await using b = await bench({ keeper: { run } });
    await using d = await door(b);
    const source = `export default {
      fetch: () => new Response("long", { headers: { one: "x".repeat(15_000) } })
    };`;
    const { account } = await b.deploy(source);
    const tables = Array.from({ length: 1_000 }, (_, at) => `${at}`.padEnd(1_000, "ü"));
    const job = { kind: "d1-export" as const, database: "a".repeat(32), noSchema: false, noData: false, tables };
    assert.equal(await text(await d.host.state(account, job)), "CREATE");
    assert.deepEqual(asked, [job]);
    const call = {
      account,
      service: `w${sha256(source).slice(0, 12)}`,
      entrypoint: null,
      props: "{}",
      method: "GET" as const,
      path: "/",
      headers: {},
    };
    const answer = await d.host.call(call);
    assert.deepEqual([await text(answer.body), answer.headers["one"]?.length], ["long", 15_000]);
  });

  test("takes an account from its first file to its last trace", async () => {
    await using b = await bench();
    await using d = await door(b);
    const { host } = d;
    const source = answering('"through the door"');
    const { label, ...spec } = specOf(source);
    const { account, subdomain } = spec;
    const hash = sha256(source);
    assert.deepEqual(await host.missing(account, "code", [hash]), [hash]);
    await host.put(account, "code", hash, Readable.from([Buffer.from(source)]));
    assert.deepEqual(await host.missing(account, "code", [hash]), []);
    const worker = spec.units[0]?.services[0];
    assert.ok(worker?.kind === "worker");
    const verdict = await host.validate({ account, worker });
    assert.ok(verdict.ok, JSON.stringify(verdict));
    assert.deepEqual(verdict.handlers, ["fetch"]);
    assert.deepEqual(await host.apply(spec), { serving: 1 });
    assert.equal(await get(b.supervisor, label), "through the door");

    const usage = await host.usage(account);
    assert.equal(usage.hot, true);
    assert.deepEqual(await host.status(), { rung: "none", workerd: "workerd 1", hot: 1, known: 1, missing: ["everything"] });
    const metrics = await host.prometheus();
    assert.match(metrics, /^mayfly_capsules_hot 1$/m);
    assert.match(metrics, /^mayfly_capsule_starts_total 1$/m);

    await host.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() });
    await host.erase(account);
    await assert.rejects(host.apply({ ...spec, generation: 2 }), { code: "account_gone" });
    await assert.rejects(host.put(account, "code", hash, Buffer.from(source)), { code: "account_gone" });
    await assert.rejects(host.validate({ account, worker }), { code: "account_gone" });
    assert.equal((await host.usage(account)).diskBytes, 0);
  });

  test("trials end with their account, those that wait included", { timeout: 30_000 }, async () => {
    await using b = await bench();
    await using d = await door(b);
    const source = "for (;;);";
    const spec = specOf(source);
    const { account, subdomain } = spec;
    await d.host.put(account, "code", sha256(source), Buffer.from(source));
    const worker = spec.units[0]?.services[0];
    assert.ok(worker?.kind === "worker");
    const trials = [1, 2].map(() => assert.rejects(d.host.validate({ account, worker }), { code: "account_gone" }));
    await awaitUntil(() => b.sandbox.alive.size === 1, { what: "a trial runs" });
    const began = performance.now();
    await d.host.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() });
    assert.equal(b.sandbox.alive.size, 0);
    assert.ok(performance.now() - began < 5_000, "the trial's own time limit is not waited for");
    await Promise.all(trials);
    assert.equal(b.sandbox.launches, 1);
  });

  test("an upload that an erasure overtakes leaves nothing", async () => {
    await using b = await bench();
    await using d = await door(b);
    const spec = specOf(answering('"x"'));
    const { account, subdomain } = spec;
    const begun = Promise.withResolvers<void>();
    const more = Promise.withResolvers<void>();
    const slow = Readable.from(
      (async function* () {
        yield Buffer.from("half ");
        begun.resolve();
        await more.promise;
        yield Buffer.from("done");
      })(),
    );
    const putting = d.host.put(account, "code", sha256("half done"), slow);
    putting.catch(() => {});
    await begun.promise;
    await d.host.end({ account, subdomain, reason: "expired", endedAtMs: Date.now() });
    const erased = d.host.erase(account);
    more.resolve();
    await erased;
    await assert.rejects(putting);
    assert.equal((await d.host.usage(account)).diskBytes, 0);
  });
});
