// What control asks of the services in a process, and what is done about state while there is none.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { once } from "node:events";
import { Agent, createServer } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import type { CapsuleCall } from "../../../../src/capsule/calls.ts";
import type { CapsuleSpec, WorkerService } from "../../../../src/capsule/spec.ts";
import type { StateJob } from "../../../../src/capsule/state.ts";
import { callService, runSchedule } from "../../../../src/host/capsules/supervisor/calls.ts";
import type { Keeper } from "../../../../src/host/capsules/keeper/keeper.ts";
import { PlatformError } from "../../../../src/kernel/errors.ts";
import { newAccountId, type AccountId } from "../../../../src/kernel/ids.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { temporaryDirectory } from "../../../fixtures/temporary-directory.ts";
import { answering, bench, get, noKeeper, specOf, type Bench } from "../../../fixtures/capsules.ts";

const SOURCE = `import { DurableObject } from "cloudflare:workers";
export class Bell extends DurableObject {
  async fetch(request) {
    await this.ctx.storage.setAlarm(Date.now() + 100);
    return new Response("set");
  }
  async alarm() { await this.env.KV.put("rang", "yes"); }
}
export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/set") return env.BELL.getByName("one").fetch(request);
    return new Response(await env.KV.get("key"));
  },
  async scheduled(event, env) { await env.KV.put("cron", event.cron + " " + event.scheduledTime); },
};`;

const kv: WorkerService = {
  kind: "worker",
  id: "kv",
  origin: null,
  code: { format: "modules", modules: [{ name: "kv.js", kind: "esm", source: { bundled: "/workerd/kv.js" } }] },
  compatibilityDate: "2026-01-01",
  compatibilityFlags: [],
  bindings: [
    { kind: "objects", name: "SHARD", service: "kv", className: "KVNamespace" },
    { kind: "disk", name: "BLOBS", disk: "kv" },
  ],
  objects: { disk: "kv", namespaces: [{ className: "KVNamespace", uniqueKey: "kv", sql: true }] },
};

/** The Worker above over a KV namespace `n` and a class of objects. */
function withState(
  state: NonNullable<CapsuleSpec["keep"]["state"]>,
  generation = 1,
  account = newAccountId(),
): CapsuleSpec & { label: string } {
  const spec = specOf(SOURCE, { account, generation });
  const [unit] = spec.units;
  assert.ok(unit);
  const services = unit.services.map((service) =>
    service.kind === "worker"
      ? {
          ...service,
          bindings: [
            { kind: "kv" as const, name: "KV", service: "kv", props: '{"namespace":"n"}' },
            { kind: "objects" as const, name: "BELL", service: service.id, className: "Bell" },
          ],
          objects: { disk: "objects" as const, namespaces: [{ className: "Bell", uniqueKey: "b".repeat(32), sql: true }] },
        }
      : service,
  );
  return { ...spec, units: [{ ...unit, services: [...services, kv] }], keep: { ...spec.keep, state } };
}

async function apply(b: Bench, spec: CapsuleSpec): Promise<void> {
  await b.store(spec.account, SOURCE);
  await b.supervisor.apply(spec);
}

const NOTHING = { kv: [], d1: [], objects: [] };
const call = (account: AccountId, method: CapsuleCall["method"], path: string): CapsuleCall => ({
  account,
  service: "kv",
  entrypoint: null,
  props: '{"namespace":"n"}',
  method,
  path,
  headers: {},
});

describe("a call of control", () => {
  test("starts a cold process and reads and writes what the Workers see", async () => {
    await using b = await bench();
    const spec = withState(NOTHING);
    await apply(b, spec);
    const put = await callService(b.supervisor, call(spec.account, "PUT", "/key"), Readable.from(["from ", "outside"]));
    assert.deepEqual([put.status, await text(put.body)], [200, ""]);
    assert.equal(await get(b.supervisor, spec.label), "from outside");
    const got = await callService(b.supervisor, call(spec.account, "GET", "/key"));
    assert.equal(await text(got.body), "from outside");
    const { starts } = await b.supervisor.usage(spec.account);
    assert.equal(starts, 1);
  });

  test("keeps the process while its answer streams, and lets it go afterwards", async () => {
    await using b = await bench({ idleMs: 300, bounds: { tickMs: 50 } });
    const spec = withState(NOTHING);
    await apply(b, spec);
    const answer = await callService(b.supervisor, call(spec.account, "GET", "/"));
    await b.supervisor.state(spec.account, { kind: "alarms" });
    assert.equal((await b.supervisor.usage(spec.account)).hot, true);
    await text(answer.body);
    await awaitUntil(async () => !(await b.supervisor.usage(spec.account)).hot, { what: "the process is gone" });
  });

  test("runs a Worker's schedule, and says when a service is not there", async () => {
    await using b = await bench();
    const spec = withState(NOTHING);
    await apply(b, spec);
    const service = spec.units[0]?.services[0]?.id ?? "";
    const ran = await runSchedule(b.supervisor, { account: spec.account, service, cron: "* * * * *", scheduledTimeMs: 1_700_000_000_000 });
    assert.deepEqual(ran, { outcome: "ok" });
    const got = await callService(b.supervisor, call(spec.account, "GET", "/cron"));
    assert.equal(await text(got.body), "* * * * * 1700000000000");
    const absent = { account: spec.account, service: "nobody", cron: "* * * * *", scheduledTimeMs: 0 };
    assert.deepEqual(await runSchedule(b.supervisor, absent), { outcome: "absent" });
  });

  test("with a body has a connection of its own, which nobody else meets when it closes", async () => {
    await using directory = await temporaryDirectory("calls");
    const socketPath = join(directory.path, "c.sock");
    let connections = 0;
    const server = createServer((request, response) => void request.resume().once("end", () => response.end("ok")));
    server.on("connection", () => connections++).listen(socketPath);
    await once(server, "listening");
    const agent = new Agent({ keepAlive: true });
    const hold = { socketPath, agent, ended: new AbortController().signal, [Symbol.dispose]: () => undefined };
    const enter = { enter: () => Promise.resolve(hold) };
    const made = async (body?: Readable | Uint8Array): Promise<number> => {
      const before = connections;
      await text((await callService(enter, call(newAccountId(), "PUT", "/key"), body)).body);
      return connections - before;
    };
    await made();
    assert.deepEqual([await made(), await made(Readable.from(["x"])), await made(Buffer.from("x")), await made()], [0, 1, 1, 0]);
    agent.destroy();
    server.close();
  });

  test("finds no way into an account that ended, or that nobody knows", async () => {
    await using b = await bench();
    const gone = (error: unknown): boolean => error instanceof PlatformError && error.code === "account_gone";
    await assert.rejects(callService(b.supervisor, call(newAccountId(), "GET", "/")), gone);
    const { account, subdomain } = await b.deploy(answering("'x'"));
    await b.supervisor.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() });
    await assert.rejects(callService(b.supervisor, call(account, "GET", "/")), gone);
    await assert.rejects(b.supervisor.state(account, { kind: "alarms" }), gone);
  });
});

/** A keeper that remembers what it was asked, and whether a process ran meanwhile. */
function remembering(nextMs: number | null): { keeper: Pick<Keeper, "run">; asked: StateJob[] } {
  const asked: StateJob[] = [];
  const run: Keeper["run"] = (place, job) => {
    asked.push(job);
    return job.kind === "alarms" ? Promise.resolve(Readable.from([JSON.stringify({ nextMs, skipped: [] })])) : noKeeper.run(place, job);
  };
  return { keeper: { run }, asked };
}

describe("at rest", () => {
  test("the next alarm is told, and the mark of a hot account goes once that was taken", async () => {
    const { keeper } = remembering(1_234);
    await using b = await bench({ keeper, idleMs: 100, bounds: { tickMs: 50 } });
    const spec = withState(NOTHING);
    await apply(b, spec);
    assert.equal(await get(b.supervisor, spec.label, "/set"), "set");
    const mark = join(b.accounts, spec.account, "hot");
    assert.ok(existsSync(mark));
    const [event] = await b.supervisor.events(0);
    assert.deepEqual([event?.kind, event?.account, event?.kind === "cold" && event.wakeAtMs], ["cold", spec.account, 1_234]);
    assert.ok(existsSync(mark), "it was told, but nobody has it yet");
    void b.supervisor.events(event?.cursor ?? 0);
    assert.ok(!existsSync(mark));
  });

  test("a host that comes back tells the alarms of those that were hot when it was killed", async () => {
    const { keeper } = remembering(99);
    await using before = await bench();
    const spec = withState(NOTHING);
    await apply(before, spec);
    await get(before.supervisor, spec.label, "/set");
    // A host that goes down in order leaves the mark as well: nobody took what it could tell.
    await before.supervisor[Symbol.asyncDispose]();
    await using b = await bench({ keeper, directory: before.directory });
    const [event] = await b.supervisor.events(0);
    assert.deepEqual([event?.kind, event?.account], ["cold", spec.account]);
  });

  test("state that nothing names any more is swept with no process there, also in the middle of a redeploy", async () => {
    const { keeper, asked } = remembering(null);
    await using b = await bench({ keeper });
    const state = { kv: ["0".repeat(32)], d1: [], objects: ["b".repeat(32)] };
    const spec = withState(state);
    await apply(b, spec);
    await get(b.supervisor, spec.label, "/set");
    asked.length = 0;
    const less = withState({ ...state, objects: [] }, 2, spec.account);
    await b.supervisor.apply({ ...less, units: spec.units });
    assert.deepEqual(asked, [], "the process has the files open");
    const changed = { ...less, generation: 3, limits: { ...less.limits, cpuWeight: 50 } };
    await b.supervisor.apply(changed);
    assert.deepEqual(asked[0], { kind: "sweep", keep: { ...state, objects: [] } });
    assert.equal(await get(b.supervisor, less.label), "");
  });

  test("databases that are being written get a bookmark now and then while the process runs", async () => {
    const { keeper, asked } = remembering(null);
    await using b = await bench({ keeper, bounds: { tickMs: 50, bookmarkMs: 200 } });
    const database = "d".repeat(32);
    const spec = withState({ ...NOTHING, d1: [database] });
    await apply(b, spec);
    const taken = (): StateJob[] => asked.filter(({ kind }) => kind === "d1-bookmark");
    await awaitUntil(async () => (await get(b.supervisor, spec.label, "/set")) === "set" && taken().length >= 2, { what: "two bookmarks" });
    assert.deepEqual(taken()[0], { kind: "d1-bookmark", database });
    const { hot, starts } = await b.supervisor.usage(spec.account);
    assert.deepEqual([hot, starts], [true, 1]);
    const before = taken().length;
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.ok(taken().length <= before + 1, "what nobody uses is not asked for again and again");
  });

  test("a job that needs it stops the process, callers wait, and it starts again", async () => {
    const held = Promise.withResolvers<void>();
    const run: Keeper["run"] = async (place, job) => {
      if (job.kind === "d1-restore") await held.promise;
      return noKeeper.run(place, job);
    };
    await using b = await bench({ keeper: { run } });
    const spec = withState(NOTHING);
    await apply(b, spec);
    await get(b.supervisor, spec.label, "/set");
    const bookmark = "00000000-00000000-00000000-00000000000000000000000000000000";
    const restoring = b.supervisor.state(spec.account, { kind: "d1-restore", database: "0".repeat(32), bookmark });
    await awaitUntil(async () => !(await b.supervisor.usage(spec.account)).hot, { what: "the process is gone" });
    const waiting = get(b.supervisor, spec.label, "/set");
    held.resolve();
    assert.equal(await text(await restoring), "{}");
    assert.equal(await waiting, "set");
    assert.equal((await b.supervisor.usage(spec.account)).starts, 2);
  });

  test("upkeep holds nobody up: a caller calls it off, another account has the place, and it is done later", async () => {
    const asked: StateJob["kind"][] = [];
    let stuck = true;
    const run: Keeper["run"] = async (place, job, { signal } = {}) => {
      asked.push(job.kind);
      if (job.kind !== "d1-bookmark" || !stuck) return noKeeper.run(place, job);
      signal?.throwIfAborted();
      // As where every turn is somebody else's.
      return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error)));
    };
    await using b = await bench({ keeper: { run }, capsulesHot: 1, idleMs: 300, bounds: { tickMs: 50, restMs: 200 } });
    const spec = withState({ ...NOTHING, d1: ["0".repeat(32)] });
    await apply(b, spec);
    await get(b.supervisor, spec.label, "/set");
    const stuckAgain = (): Promise<unknown> => awaitUntil(() => asked.at(-1) === "d1-bookmark", { what: "upkeep waits for its turn" });
    await stuckAgain();
    assert.equal(await get(b.supervisor, spec.label, "/set"), "set");
    const other = await b.deploy(answering("'other'"));
    assert.equal(await get(b.supervisor, other.label), "other");
    await stuckAgain();
    const { account, subdomain } = other;
    await b.supervisor.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() });
    await stuckAgain();
    stuck = false;
    await get(b.supervisor, spec.label, "/set");
    await awaitUntil(() => asked.at(-1) === "alarms", { what: "all is done" });
  });

  test("an alarm is told though a job was what stopped its process", async () => {
    const { keeper } = remembering(77);
    await using b = await bench({ keeper });
    const spec = withState(NOTHING);
    await apply(b, spec);
    await get(b.supervisor, spec.label, "/set");
    const bookmark = "00000000-00000000-00000000-00000000000000000000000000000000";
    await text(await b.supervisor.state(spec.account, { kind: "d1-restore", database: "0".repeat(32), bookmark }));
    const [event] = await b.supervisor.events(0);
    assert.deepEqual([event?.kind, event?.kind === "cold" && event.wakeAtMs], ["cold", 77]);
  });

  test("an account that serves again after a suspension has its next alarm told anew", async () => {
    const { keeper } = remembering(78);
    await using b = await bench({ keeper });
    const spec = withState(NOTHING);
    await apply(b, spec);
    await get(b.supervisor, spec.label, "/set");
    await b.supervisor.apply({ ...spec, generation: 2, suspended: "a look at it" });
    const cursor = (await b.supervisor.events(0)).at(-1)?.cursor ?? 0;
    await b.supervisor.apply({ ...spec, generation: 3 });
    const [event] = await b.supervisor.events(cursor);
    assert.deepEqual([event?.kind, event?.kind === "cold" && event.wakeAtMs], ["cold", 78]);
  });

  test("alarms that were read before an account became hot are not told, and its mark stays", async () => {
    await using before = await bench();
    const spec = withState(NOTHING);
    await apply(before, spec);
    await get(before.supervisor, spec.label, "/set");
    await before.supervisor[Symbol.asyncDispose]();
    const held = Promise.withResolvers<void>();
    let reads = 0;
    const run: Keeper["run"] = async (place, job) => {
      if (job.kind === "alarms" && reads++ === 0) await held.promise;
      return noKeeper.run(place, job);
    };
    await using b = await bench({ keeper: { run }, directory: before.directory, bounds: { eventsMs: 300 } });
    await awaitUntil(() => reads === 1, { what: "the alarms are being read" });
    await apply(b, spec);
    await get(b.supervisor, spec.label, "/set");
    held.resolve();
    assert.deepEqual(await b.supervisor.events(0), []);
    assert.ok(existsSync(join(b.accounts, spec.account, "hot")));
  });

  test("an end waits for a job that is only just starting", async () => {
    const held = Promise.withResolvers<void>();
    let reads = 0;
    const run: Keeper["run"] = async (place, job) => {
      reads++;
      await held.promise;
      return noKeeper.run(place, job);
    };
    await using b = await bench({ keeper: { run } });
    const { account, subdomain } = await b.deploy(answering("'x'"));
    const told = assert.rejects(b.supervisor.state(account, { kind: "alarms" }), { code: "account_gone" });
    await awaitUntil(() => reads === 1, { what: "the job has begun" });
    let ended = false;
    const ending = b.supervisor.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() }).then(() => (ended = true));
    await awaitUntil(async () => (await b.supervisor.open(`app--${subdomain}`)).kind === "gone", { what: "the account is over" });
    await get(b.supervisor, (await b.deploy(answering("'y'"))).label);
    assert.equal(ended, false);
    held.resolve();
    await Promise.all([told, ending]);
    await b.supervisor.erase(account);
    assert.ok(!existsSync(join(b.accounts, account)));
  });

  test("an erasure that overtakes a job has the last word", async () => {
    await using before = await bench();
    const spec = withState(NOTHING);
    await apply(before, spec);
    await get(before.supervisor, spec.label, "/set");
    await before.supervisor[Symbol.asyncDispose]();
    const done = Promise.withResolvers<void>();
    const run: Keeper["run"] = async (place, job) => {
      await b.supervisor.erase(place.account);
      await mkdir(join(place.directory, "state"), { recursive: true });
      setImmediate(done.resolve);
      return noKeeper.run(place, job);
    };
    await using b = await bench({ keeper: { run }, directory: before.directory, bounds: { eventsMs: 300 } });
    await done.promise;
    await awaitUntil(() => !existsSync(join(b.accounts, spec.account)), { what: "nothing is left" });
    assert.deepEqual(await b.supervisor.events(0), []);
  });
});
