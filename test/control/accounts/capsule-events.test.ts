// What host tells of its capsules, written down once, and what the account's own token reads of it.
import assert from "node:assert/strict";
import type { CapsuleEvent } from "../../../src/capsule/messages.ts";
import { createCapsuleControl } from "../../../src/control/accounts/capsule-control.ts";
import { followCapsuleEvents, recordCapsuleEvent } from "../../../src/control/accounts/capsule-events.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { onBothDatabases, type Bench } from "../../fixtures/databases.ts";
import { deploy, openShop, upload, type Shop } from "../../fixtures/products.ts";

const optionsOf = ({ store }: Bench, { trail, composer, host }: Shop) => ({
  store,
  trail,
  composer,
  host,
  rescheduled: () => undefined,
  log: createLog("test", "silent"),
});

const suspendedBy = async ({ store }: Bench, id: AccountId) =>
  (await store.db.selectFrom("accounts").select("suspended_by").where("id", "=", id).executeTakeFirstOrThrow()).suspended_by;

onBothDatabases("A capsule's event", {
  "never suspends an account again that a deploy has mended, though host tells it anew after a restart of control": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    await deploy(client, "app");
    const event: CapsuleEvent = { cursor: 1, atMs: bench.clock.now(), account: client.id, kind: "suspend", reason: "It loops." };
    await recordCapsuleEvent(optionsOf(bench, shop), event);
    assert.equal(await suspendedBy(bench, client.id), "watchdog");
    assert.equal(client.spec().suspended, "It loops.");
    assert.equal((await deploy(client, "app")).status, 200);
    await recordCapsuleEvent(optionsOf(bench, shop), event);
    assert.equal(await suspendedBy(bench, client.id), null);
    assert.equal(client.spec().suspended, null);
    bench.clock.advance(1000);
    await recordCapsuleEvent(optionsOf(bench, shop), { ...event, atMs: bench.clock.now(), cursor: 2 });
    assert.equal(await suspendedBy(bench, client.id), "watchdog", "a later one is another");
  },
  "suspends nobody whose previews may be the cause: they rest, what serves goes on, and the next one suspends": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    await deploy(client, "app");
    await client.call("POST", "/workers/scripts/app/subdomain", { json: { enabled: true } });
    const { id } = (await client.call("POST", "/workers/scripts/app/versions", { body: upload() })).result as { id: string };
    const control = createCapsuleControl({
      ...optionsOf(bench, shop),
      products: shop.products,
      bans: () => Promise.resolve([]),
      endLeaked: () => Promise.resolve(),
    });
    const look = () => control.lookup(`${id.slice(0, 8)}--app--${client.account.subdomain}`);
    assert.equal((await look()).kind, "spec");
    bench.clock.advance(1);
    const event: CapsuleEvent = { cursor: 1, atMs: bench.clock.now(), account: client.id, kind: "suspend", reason: "Too much memory." };
    const services = () => client.spec().units[0]?.services.length;
    // Told twice, as after a restart of control.
    for (let told = 0; told < 2; told++) {
      await recordCapsuleEvent(optionsOf(bench, shop), event);
      assert.equal(await suspendedBy(bench, client.id), null);
      assert.equal(client.spec().suspended, null);
      assert.equal(services(), 1);
    }
    const entries = await shop.trail.read(client.id, { limit: 2, offset: 0 });
    assert.deepEqual(
      new Set(entries.map(({ action, reason }) => `${action}: ${reason}`)),
      new Set(["capsule:relieve: Too much memory.", "workers:preview: the process is in trouble: 1 previews rest for 10 minutes"]),
    );
    const resting = await look();
    assert.equal(resting.kind, "unavailable");
    assert.match(resting.kind === "unavailable" ? resting.reason : "", /was in trouble while this preview ran in it/);
    bench.clock.advance(1);
    await recordCapsuleEvent(optionsOf(bench, shop), { ...event, atMs: bench.clock.now(), cursor: 2 });
    assert.equal(await suspendedBy(bench, client.id), "watchdog");
    assert.equal((await deploy(client, "app")).status, 200);
    bench.clock.advance(600_000);
    assert.equal((await look()).kind, "spec");
  },
  "is in the trail once, and one that cannot be written never keeps the others from it": async (bench) => {
    const shop = openShop(bench);
    const [bad, good] = [await shop.client(), await shop.client()];
    await deploy(bad, "app");
    bench.keys.destroyAccountKey(bad.id);
    const poison: CapsuleEvent = { cursor: 1, atMs: 1, account: bad.id, kind: "suspend", reason: "x" };
    const restart: CapsuleEvent = { cursor: 2, atMs: 2, account: good.id, kind: "restarted", reason: "y" };
    // The second answer repeats an event, as after a restart.
    const answers = [[poison, restart], [restart]];
    let asked = 0;
    const host = { events: () => Promise.resolve(answers[asked++] ?? new Promise<CapsuleEvent[]>(() => undefined)) };
    using _following = followCapsuleEvents({ ...optionsOf(bench, shop), host });
    await awaitUntil(() => asked === 3, { what: "both answers are written down", deadlineMs: 60_000 });
    const lines = await shop.trail.read(good.id, { limit: 10, offset: 0 });
    assert.deepEqual(
      lines.map(({ action, reason }) => [action, reason]),
      [["capsule:restart", "y"]],
    );
  },
});
