// The hourly limit of an address, on both databases: exact however many race, and forgotten when the hour is over.
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { startPostgres } from "../../fixtures/postgres.ts";
import { ADDRESS, answerTo, openAdmission, refusal, type OpenAdmission } from "./open-admission.ts";

type Options = NonNullable<Parameters<typeof openAdmission>[0]>;

async function onDatabase(kind: "sqlite" | "postgres", t: TestContext, options: Options, body: (open: OpenAdmission) => Promise<void>) {
  const postgres = kind === "postgres" ? await startPostgres() : null;
  if (postgres && "skip" in postgres) return t.skip(postgres.skip);
  await using _postgres = postgres;
  await using open = await openAdmission({ ...options, ...(postgres && { databaseUrl: postgres.url }) });
  assert.equal(open.store.kind, kind);
  await body(open);
}

const recordAll = ({ admission, store }: OpenAdmission, addresses: readonly string[]) =>
  Promise.allSettled(addresses.map((address) => store.transaction((tx) => admission.record(tx, address))));

const rows = (open: OpenAdmission) => open.store.db.selectFrom("admissions").selectAll().execute();

for (const kind of ["sqlite", "postgres"] as const) {
  describe(`the limit of an address, on ${kind}`, () => {
    test("is exact when 50 accounts race", async (t) => {
      await onDatabase(kind, t, { accountsPerHourPerIp: 20 }, async (open) => {
        const outcomes = await recordAll(
          open,
          Array.from({ length: 50 }, () => ADDRESS),
        );
        for (const outcome of outcomes) if (outcome.status === "rejected") refusal("too_many_accounts")(outcome.reason);
        assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled").length, 20);
        assert.equal((await rows(open)).length, 20);
      });
    });

    test("is each address's own when many race", async (t) => {
      await onDatabase(kind, t, { accountsPerHourPerIp: 2 }, async (open) => {
        const addresses = Array.from({ length: 40 }, (_, i) => `192.0.${i % 10}.1`);
        const outcomes = await recordAll(open, addresses);
        assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled").length, 20);
      });
    });

    test("does not count an account whose transaction failed", async (t) => {
      await onDatabase(kind, t, { accountsPerHourPerIp: 1 }, async (open) => {
        const failing = open.store.transaction(async (tx) => {
          await open.admission.record(tx, ADDRESS);
          throw new Error("no account after all");
        });
        await assert.rejects(failing, /no account after all/);
        const [outcome] = await recordAll(open, [ADDRESS]);
        assert.equal(outcome?.status, "fulfilled");
      });
    });

    test("names the wait until the oldest account that counts is an hour old", async (t) => {
      await onDatabase(kind, t, { accountsPerHourPerIp: 2 }, async (open) => {
        await recordAll(open, [ADDRESS]);
        open.clock.nowMs += 600_000;
        await recordAll(open, [ADDRESS]);
        const check = async (seconds: number): Promise<void> => {
          await assert.rejects(open.admission.challenge(ADDRESS), (error) => {
            assert.equal(error instanceof Error && "retryAfterSeconds" in error && error.retryAfterSeconds, seconds);
            return refusal("too_many_accounts")(error);
          });
        };
        await check(3000);
        open.clock.nowMs += 2_999_999;
        await check(1);
        open.clock.nowMs += 1;
        await open.admission.challenge(ADDRESS);
      });
    });

    test("stores no address in the clear", async (t) => {
      await onDatabase(kind, t, {}, async (open) => {
        await recordAll(open, [ADDRESS]);
        assert.doesNotMatch(JSON.stringify(await rows(open)), /192\.0\.2/);
        assert.match((await rows(open))[0]?.address_hash ?? "", /^[0-9a-f]{64}$/);
      });
    });

    test("leaves nothing behind: old accounts and expired challenges are pruned, spent ones stay while they could be used", async (t) => {
      await onDatabase(kind, t, {}, async (open) => {
        const { admission, store, clock } = open;
        await admission.admit(ADDRESS, answerTo(await admission.challenge(ADDRESS)));
        await recordAll(open, [ADDRESS, "192.0.2.9"]);
        const left = async () => [(await rows(open)).length, (await store.db.selectFrom("spent_challenges").selectAll().execute()).length];
        clock.nowMs += 600_000;
        await admission.challenge(ADDRESS);
        await admission[Symbol.asyncDispose]();
        assert.deepEqual(await left(), [2, 1]);
        clock.nowMs += 3_600_000;
        await admission.challenge(ADDRESS);
        await admission[Symbol.asyncDispose]();
        assert.deepEqual(await left(), [0, 0]);
      });
    });
  });
}
