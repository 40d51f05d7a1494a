// What falls due by the clock: taken once however many look, given back where nothing ran, and nothing of an account
// that does not serve. The host is in memory; wakes-live.test.ts has the real one.
import assert from "node:assert/strict";
import { alarmWakes, noteAlarm } from "../../../src/control/accounts/alarm-wakes.ts";
import { recordCapsuleEvent } from "../../../src/control/accounts/capsule-events.ts";
import { cronWakes } from "../../../src/control/accounts/cron-wakes.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import { startWakes, type Wakes } from "../../../src/control/accounts/wakes.ts";
import { openStore } from "../../../src/control/store/store.ts";
import type { ScheduledCall } from "../../../src/capsule/calls.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { onBothDatabases, type Bench } from "../../fixtures/databases.ts";
import { deploy, openShop, type Client, type Shop } from "../../fixtures/products.ts";

const MINUTE = 60_000;
const log = createLog("test", "silent");

type Clockwork = AsyncDisposable & {
  readonly fired: ScheduledCall[];
  readonly woken: string[];
  readonly wakes: Wakes;
  readonly store: Bench["store"];
};

/** A loop over the shop's host. @param store the bench's own where there is none */
function wind({ store: own }: Pick<Bench, "store">, shop: Shop, store = own): Clockwork {
  const fired: ScheduledCall[] = [];
  const woken: string[] = [];
  const schedules = shop.products.find(({ name }) => name === "workers")?.schedules;
  assert.ok(schedules);
  const host = {
    schedule: async (call: ScheduledCall) => {
      if (shop.host.failure) throw shop.host.failure;
      fired.push(call);
      return shop.host.schedule(call);
    },
    wake: async (account: ScheduledCall["account"]) => {
      if (shop.host.failure) throw shop.host.failure;
      woken.push(account);
    },
  };
  const wakes = startWakes({
    sources: [cronWakes({ store, schedules, host, log }), alarmWakes({ store, host, log })],
    clock: store.clock,
    log,
  });
  return { fired, woken, wakes, store, [Symbol.asyncDispose]: () => wakes[Symbol.asyncDispose]() };
}

async function everyMinute(shop: Shop): Promise<Client> {
  const client = await shop.client();
  assert.equal((await deploy(client, "w")).status, 200);
  const answer = await client.call("PUT", "/workers/scripts/w/schedules", { json: [{ cron: "* * * * *" }] });
  assert.equal(answer.status, 200, answer.message);
  return client;
}

const nextMinute = ({ clock }: Bench): number => Math.floor(clock.now() / MINUTE) * MINUTE + MINUTE;
const moveTo = ({ clock }: Bench, atMs: number): void => clock.advance(atMs - clock.now());
const down = (detail?: Record<string, unknown>) => new PlatformError("capsule_failed", { message: "down", ...(detail && { detail }) });

onBothDatabases("A cron trigger", {
  "is set off at its minute, once, for the version that has most of the requests": async (bench) => {
    const shop = openShop(bench);
    const client = await everyMinute(shop);
    await using clockwork = wind(bench, shop);
    await clockwork.wakes.round();
    const due = nextMinute(bench);
    moveTo(bench, due - 1);
    await clockwork.wakes.round();
    assert.equal(clockwork.fired.length, 0);
    moveTo(bench, due);
    await clockwork.wakes.round();
    await clockwork.wakes.round();
    const service = client.spec().units[0]?.services.find(({ kind }) => kind === "worker")?.id;
    assert.deepEqual(clockwork.fired, [{ account: client.id, service, cron: "* * * * *", scheduledTimeMs: due }]);
    await deploy(client, "w");
    moveTo(bench, due + MINUTE);
    await clockwork.wakes.round();
    assert.equal(clockwork.fired[1]?.service, service?.replace("-v1", "-v2"));
  },

  "that was missed is set off once, as the latest that fell due; after a day it is passed over": async (bench) => {
    const shop = openShop(bench);
    const client = await everyMinute(shop);
    await client.call("PUT", "/workers/scripts/w/schedules", { json: [{ cron: "* * * * *" }, { cron: "0 0 1 1 *" }] });
    const due = nextMinute(bench);
    moveTo(bench, due + 17 * MINUTE + 5000);
    await using clockwork = wind(bench, shop);
    await clockwork.wakes.round();
    assert.deepEqual(
      clockwork.fired.map(({ scheduledTimeMs }) => scheduledTimeMs),
      [due + 17 * MINUTE],
    );
    await bench.store.db.updateTable("accounts").set({ expires_at: null }).execute();
    const newYear = Date.UTC(new Date(bench.clock.now()).getUTCFullYear() + 1, 0, 1);
    moveTo(bench, newYear + 86_400_000 + 1);
    await clockwork.wakes.round();
    assert.deepEqual(
      clockwork.fired.slice(1).map(({ cron }) => cron),
      ["* * * * *"],
    );
  },

  "is tried again while host does not answer, and is then handed over once": async (bench) => {
    const shop = openShop(bench);
    await everyMinute(shop);
    await using clockwork = wind(bench, shop);
    const due = nextMinute(bench);
    moveTo(bench, due);
    shop.host.failure = down();
    for (let tries = 0; tries < 5; tries++) {
      await clockwork.wakes.round();
      bench.clock.advance(2000);
    }
    shop.host.failure = null;
    await clockwork.wakes.round();
    bench.clock.advance(20_000);
    await clockwork.wakes.round();
    assert.deepEqual(
      clockwork.fired.map(({ scheduledTimeMs }) => scheduledTimeMs),
      [due],
    );
    shop.host.schedule = () => Promise.resolve({ outcome: "absent" });
    moveTo(bench, due + MINUTE);
    await clockwork.wakes.round();
    bench.clock.advance(2000);
    await clockwork.wakes.round();
    const tried = [due, due + MINUTE, due + MINUTE];
    assert.deepEqual(
      clockwork.fired.map(({ scheduledTimeMs }) => scheduledTimeMs),
      tried,
      "a process without the service is asked again",
    );
  },

  "is not tried again where host may have begun it": async (bench) => {
    const shop = openShop(bench);
    await everyMinute(shop);
    await using clockwork = wind(bench, shop);
    const due = nextMinute(bench);
    moveTo(bench, due);
    shop.host.failure = down({ heard: true });
    await clockwork.wakes.round();
    shop.host.failure = null;
    bench.clock.advance(30_000);
    await clockwork.wakes.round();
    assert.equal(clockwork.fired.length, 0);
    moveTo(bench, due + MINUTE);
    await clockwork.wakes.round();
    assert.equal(clockwork.fired[0]?.scheduledTimeMs, due + MINUTE);
  },

  "of an account that is suspended, late, ended or has no Worker any more is never set off": async (bench) => {
    const shop = openShop(bench);
    const [suspended, late, ended, bare] = [
      await everyMinute(shop),
      await everyMinute(shop),
      await everyMinute(shop),
      await everyMinute(shop),
    ];
    await using clockwork = wind(bench, shop);
    const { store, clock } = bench;
    const due = nextMinute(bench);
    await store.transaction((tx) => transitions.suspend(tx, suspended.id, "operator", "Looked odd.", clock.now()));
    await store.db.updateTable("accounts").set({ expires_at: due }).where("id", "=", late.id).execute();
    await store.transaction((tx) => transitions.beginEnding(tx, ended.id, "owner", clock.now()));
    await bare.call("DELETE", "/workers/scripts/w");
    moveTo(bench, due);
    await clockwork.wakes.round();
    assert.deepEqual(clockwork.fired, []);
    await store.db.updateTable("accounts").set({ suspended_at: null, suspended_by: null }).where("id", "=", suspended.id).execute();
    bench.clock.advance(1000);
    await clockwork.wakes.round();
    assert.deepEqual(clockwork.fired, [], "what it missed is not made up for");
    moveTo(bench, due + MINUTE);
    await clockwork.wakes.round();
    assert.deepEqual(
      clockwork.fired.map(({ account }) => account),
      [suspended.id],
    );
  },

  "is set off by one of two control processes": async (bench) => {
    const shop = openShop(bench);
    const clients = await Promise.all(Array.from({ length: 12 }, () => everyMinute(shop)));
    // Two stores on one SQLite file are not offered; there the two loops share one.
    await using second =
      bench.store.kind === "postgres" ? await openStore({ databaseUrl: bench.databaseUrl, data: bench.data, clock: bench.clock }) : null;
    await using one = wind(bench, shop);
    await using other = wind(bench, shop, second ?? bench.store);
    for (let minute = 0; minute < 5; minute++) {
      moveTo(bench, nextMinute(bench));
      await Promise.all([one.wakes.round(), other.wakes.round()]);
    }
    const fired = [...one.fired, ...other.fired].map(({ account, scheduledTimeMs }) => `${account} ${scheduledTimeMs}`);
    assert.equal(fired.length, clients.length * 5);
    assert.equal(new Set(fired).size, fired.length);
    if (second) assert.ok(one.fired.length > 0 && other.fired.length > 0, `${one.fired.length} and ${other.fired.length}`);
  },

  "that cannot be taken holds up no other": async (bench) => {
    const shop = openShop(bench);
    const [bad, good] = [await everyMinute(shop), await everyMinute(shop)];
    await bench.store.db.updateTable("worker_crons").set({ cron: "nonsense", next_at: 1 }).where("account_id", "=", bad.id).execute();
    await using clockwork = wind(bench, shop);
    moveTo(bench, nextMinute(bench));
    await clockwork.wakes.round();
    assert.deepEqual(
      clockwork.fired.map(({ account }) => account),
      [good.id],
    );
  },

  "waits while fifty handlers of its account still run": async (bench) => {
    const shop = openShop(bench, { cronTriggers: 51 });
    const client = await everyMinute(shop);
    const json = Array.from({ length: 51 }, (_, at) => ({ cron: `*/1,${at} * * * *` }));
    assert.equal((await client.call("PUT", "/workers/scripts/w/schedules", { json })).status, 200);
    const running = Promise.withResolvers<{ outcome: string }>();
    shop.host.schedule = () => running.promise;
    await using clockwork = wind(bench, shop);
    const due = nextMinute(bench);
    moveTo(bench, due);
    clockwork.wakes.look();
    const { db } = bench.store;
    const moved = () => db.selectFrom("worker_crons").select("next_at").where("next_at", ">", due).execute();
    await awaitUntil(async () => (await moved()).length === 51, { what: "every row has been moved on" });
    assert.equal(clockwork.fired.length, 50);
    running.resolve({ outcome: "ok" });
    await clockwork.wakes.round();
    bench.clock.advance(5000);
    await clockwork.wakes.round();
    assert.equal(clockwork.fired.length, 51);
    assert.equal(new Set(clockwork.fired.map(({ cron }) => cron)).size, 51);
  },
});

onBothDatabases("An alarm in a cold capsule", {
  "wakes it at its time, once, and what host tells later stands": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    await using clockwork = wind(bench, shop);
    let looks = 0;
    const options = {
      store: bench.store,
      trail: shop.trail,
      composer: shop.composer,
      host: shop.host,
      rescheduled: () => void looks++,
      log,
    };
    const tell = (wakeAtMs: number | null) =>
      recordCapsuleEvent(options, {
        cursor: 1,
        atMs: bench.clock.now(),
        account: client.id,
        kind: "cold",
        reason: "its process was stopped",
        wakeAtMs,
      });
    await tell(bench.clock.now() + 5000);
    await tell(bench.clock.now() + 9000);
    assert.equal(looks, 2);
    bench.clock.advance(8999);
    await clockwork.wakes.round();
    assert.deepEqual(clockwork.woken, []);
    bench.clock.advance(1);
    await clockwork.wakes.round();
    await clockwork.wakes.round();
    assert.deepEqual(clockwork.woken, [client.id]);
    assert.deepEqual(await bench.store.db.selectFrom("wakes").selectAll().execute(), []);
    await tell(1e300);
    await tell(bench.clock.now() + 5000.5);
    await tell(null);
    bench.clock.advance(6000);
    await clockwork.wakes.round();
    assert.equal(clockwork.woken.length, 1);
  },

  "and a cron trigger of an account at a cap wait for the end of the window, and are lost to none of it": async (bench) => {
    const shop = openShop(bench);
    const client = await everyMinute(shop);
    const at = bench.clock.now() + 1000;
    await bench.store.inAccount({ account: client.id, epoch: null, token: null }, (tx) => noteAlarm(tx, client.id, at));
    await using clockwork = wind(bench, shop);
    shop.host.failure = new PlatformError("over_cap", { message: "This account has used its CPU time.", retryAfterSeconds: 600 });
    for (let minute = 0; minute < 10; minute++) {
      bench.clock.advance(MINUTE);
      await clockwork.wakes.round();
    }
    assert.deepEqual([clockwork.woken, clockwork.fired], [[], []]);
    shop.host.failure = null;
    bench.clock.advance(MINUTE);
    await clockwork.wakes.round();
    assert.deepEqual(clockwork.woken, [client.id]);
    assert.equal(clockwork.fired.length, 1);
  },

  "is tried again while host is down, even by another control process, and stays nobody's after the account's end": async (bench) => {
    const shop = openShop(bench);
    const [client, ended] = [await shop.client(), await shop.client()];
    const { store, clock } = bench;
    const at = clock.now() + 1000;
    for (const { id } of [client, ended]) await store.inAccount({ account: id, epoch: null, token: null }, (tx) => noteAlarm(tx, id, at));
    await store.transaction((tx) => transitions.beginEnding(tx, ended.id, "owner", clock.now()));
    clock.advance(1000);
    shop.host.failure = down();
    {
      await using clockwork = wind(bench, shop);
      await clockwork.wakes.round();
    }
    shop.host.failure = null;
    clock.advance(2000);
    await using clockwork = wind(bench, shop);
    await clockwork.wakes.round();
    assert.deepEqual(clockwork.woken, [client.id]);
    await store.endingAccount(ended.id, (tx) => transitions.finishEnding(tx, ended.id, clock.now()));
    assert.deepEqual(await store.db.selectFrom("wakes").selectAll().execute(), []);
  },
});
