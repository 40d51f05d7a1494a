// Cron expressions as Cloudflare's parser reads them, in times that were worked out by hand, and the routes that set them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkCron, occurrenceAfter, occurrenceUntil } from "../../../../src/control/products/workers/crons.ts";
import { PlatformError } from "../../../../src/kernel/errors.ts";
import { onBothDatabases } from "../../../fixtures/databases.ts";
import { deploy, openShop, type Client } from "../../../fixtures/products.ts";

const at = (text: string): number => Date.parse(`${text}Z`);

describe("A cron expression", () => {
  /** From Wednesday, 25 November 2026, 12:00 UTC: the one before, itself included, and the one after. */
  const NOW = at("2026-11-25T12:00:00");
  const times: readonly [cron: string, before: string, after: string][] = [
    ["* * * * *", "2026-11-25T12:00", "2026-11-25T12:01"],
    ["*/5 * * * *", "2026-11-25T12:00", "2026-11-25T12:05"],
    ["7/20 * * * *", "2026-11-25T11:47", "2026-11-25T12:07"],
    ["0 17 * * sun", "2026-11-22T17:00", "2026-11-29T17:00"],
    ["0 17 * * 1", "2026-11-22T17:00", "2026-11-29T17:00"],
    ["10 7 * * mon-fri", "2026-11-25T07:10", "2026-11-26T07:10"],
    ["10 7 * * 2-6", "2026-11-25T07:10", "2026-11-26T07:10"],
    ["0 0 * * fri-mon", "2026-11-23T00:00", "2026-11-27T00:00"],
    ["0 22-2/2 * * *", "2026-11-25T02:00", "2026-11-25T22:00"],
    ["0 18 * * 6L", "2026-10-30T18:00", "2026-11-27T18:00"],
    ["0 18 * * friL", "2026-10-30T18:00", "2026-11-27T18:00"],
    ["0 0 * * L", "2026-11-21T00:00", "2026-11-28T00:00"],
    ["59 23 LW * *", "2026-10-30T23:59", "2026-11-30T23:59"],
    ["0 0 L * *", "2026-10-31T00:00", "2026-11-30T00:00"],
    ["0 9 15W * *", "2026-11-16T09:00", "2026-12-15T09:00"],
    ["0 10 * * MON#2", "2026-11-09T10:00", "2026-12-14T10:00"],
    ["0 0 1 * mon", "2026-11-23T00:00", "2026-11-30T00:00"],
    ["0 0 29 feb *", "2024-02-29T00:00", "2028-02-29T00:00"],
    ["0 12 25 JAN-DEC/2,nov *", "2026-11-25T12:00", "2027-01-25T12:00"],
    ["  0 \t 0 1 1 *", "2026-01-01T00:00", "2027-01-01T00:00"],
  ];
  for (const [cron, before, after] of times) {
    test(`${JSON.stringify(cron)} comes at ${after}`, () => {
      checkCron(cron);
      assert.equal(occurrenceAfter(cron, NOW), at(`${after}:00`));
      assert.equal(occurrenceUntil(cron, NOW), at(`${before}:00`));
    });
  }

  test("falls due at its minute and not before", () => {
    const minute = at("2026-11-25T12:00:00");
    assert.equal(occurrenceUntil("* * * * *", minute - 1), minute - 60_000);
    for (const late of [0, 1, 999, 1000, 59_999]) {
      assert.equal(occurrenceUntil("* * * * *", minute + late), minute);
      assert.equal(occurrenceAfter("* * * * *", minute + late), minute + 60_000);
    }
    assert.equal(occurrenceAfter("* * * * *", minute - 1), minute);
  });

  const refused: readonly [cron: string, why: RegExp][] = [
    ["", /0 fields/],
    ["* * * * * *", /6 fields/],
    ["@daily", /1 fields/],
    ["2030-01-01T00:00:00", /1 fields/],
    ["60 * * * *", /minute "60"/],
    ["23 59 * * *", /hour "59"/],
    ["0 0 * * 0", /day of week "0" is no number from 1 to 7/],
    ["0 0 * * 8", /day of week "8"/],
    ["0 0 * 13 *", /month "13"/],
    ["0 0 * foo *", /month "foo"/],
    ["0 0 0 * *", /day of month "0"/],
    ["0 0 L-2 * *", /counts back/],
    ["0 0 1,L * *", /day of month "L"/],
    ["0 0 32W * *", /day of month "32"/],
    ["0 0 * * 2#6", /day of week "2#6"/],
    ["0 0 * * +mon", /day of week "\+mon"/],
    ["? * * * *", /minute "\?"/],
    ["*/0 * * * *", /step of the minute "0"/],
    ["*/60 * * * *", /step of the minute "60"/],
    ["*,5 * * * *", /part "\*"/],
    ["1,,2 * * * *", /part ""/],
    ["5- * * * *", /part "5-"/],
    ["0 0 30 2 *", /no such day/],
    [`${"1,".repeat(200)}1 * * * *`, /longer than 250/],
  ];
  for (const [cron, why] of refused) {
    test(`${JSON.stringify(cron.slice(0, 30))} is refused with its reason`, () => {
      assert.throws(
        () => checkCron(cron),
        (error: unknown) => error instanceof PlatformError && error.code === "invalid_cron" && why.test(error.message),
      );
    });
  }
});

const set = (client: Client, script: string, ...crons: string[]) =>
  client.call("PUT", `/workers/scripts/${script}/schedules`, { json: crons.map((cron) => ({ cron })) });

onBothDatabases("Cron triggers", {
  "are set as a whole, keep their age while they stay, and go with their Worker": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    await deploy(client, "w");
    const first = await set(client, "w", "*/5 * * * *", "0 0 * * mon", "*/5 * * * *");
    assert.equal(first.status, 200, first.message);
    const created = new Date(bench.clock.now()).toISOString();
    const entry = (cron: string, on: string) => ({ cron, created_on: on, modified_on: on });
    assert.deepEqual(first.result, { schedules: [entry("*/5 * * * *", created), entry("0 0 * * mon", created)] });
    bench.clock.advance(1000);
    const second = await set(client, "w", "0 0 * * mon", "1 1 1 1 *");
    const later = new Date(bench.clock.now()).toISOString();
    assert.deepEqual(second.result, { schedules: [entry("0 0 * * mon", created), entry("1 1 1 1 *", later)] });
    assert.deepEqual((await client.call("GET", "/workers/scripts/w/schedules")).result, second.result);
    const trail = await shop.trail.read(client.id, { limit: 10, offset: 0 });
    assert.equal(trail[0]?.action, "workers:schedule");
    assert.equal(trail[0]?.reason, "0 0 * * mon; 1 1 1 1 *");
    await client.call("DELETE", "/workers/scripts/w");
    assert.deepEqual(await bench.store.db.selectFrom("worker_crons").selectAll().execute(), []);
    assert.equal((await client.call("GET", "/workers/scripts/w/schedules")).code, "worker_not_found");
    assert.equal((await set(client, "w", "* * * * *")).code, "worker_not_found");
  },

  "of all Workers together are counted, by the hosted original's number": async (bench) => {
    const client = await openShop(bench, { cronTriggers: 3 }).client();
    await deploy(client, "one");
    await deploy(client, "two");
    assert.equal((await set(client, "one", "1 * * * *", "2 * * * *")).status, 200);
    const beyond = await set(client, "two", "1 * * * *", "2 * * * *");
    assert.deepEqual([beyond.status, beyond.code, beyond.number], [400, "too_many_crons", 10_072]);
    assert.match(beyond.message, /would have 4 cron triggers, more than the 3/);
    assert.equal((await set(client, "two", "1 * * * *")).status, 200);
    assert.equal((await set(client, "one", "3 * * * *", "4 * * * *")).status, 200);
  },

  "are refused with the hosted original's number, and none of the list is set": async (bench) => {
    const client = await openShop(bench).client();
    await deploy(client, "w");
    const answer = await set(client, "w", "* * * * *", "0 0 * * 0");
    assert.deepEqual([answer.status, answer.code, answer.number], [400, "invalid_cron", 10_100]);
    assert.match(answer.message, /from 1 \(Sunday\) to 7/);
    assert.deepEqual((await client.call("GET", "/workers/scripts/w/schedules")).result, { schedules: [] });
  },
});
