// The limits of a network and of the whole installation, on both databases: exact however many race, told before anybody
// solves, with whose limit it is and when it frees.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createAdmission, type Admission } from "../../../src/control/admission/admission.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import { newAccountId, newId, newSecret } from "../../../src/kernel/ids.ts";
import { PlatformError, type ErrorCode } from "../../../src/kernel/errors.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { onBothDatabases, openBench, type Bench } from "../../fixtures/databases.ts";
import { makeAccount } from "../../fixtures/accounts.ts";
import { answerTo, refusal } from "./open-admission.ts";

const LIFE_MS = 600_000;
const COUNT = 40;

type Numbers = Partial<Record<"accountsPerHourPerIp" | "accountsPerHour" | "accountsMax" | "diskReserveBytes", number>>;

const open = ({ store, keys, data }: Bench, numbers: Numbers): Admission =>
  createAdmission({
    accountsPerHourPerIp: 1000,
    accountsPerHour: 1000,
    accountsMax: 1000,
    diskReserveBytes: 0,
    powHashes: 10,
    powMaxHashes: 1000,
    ...numbers,
    store,
    keys,
    data,
    log: createLog("test", "silent"),
  });

/** Counts an account and makes it in one transaction, as provisioning does. */
async function provision({ store, keys, clock }: Bench, admission: Admission, address: string): Promise<void> {
  await store.transaction(async (tx) => {
    await admission.record(tx, address);
    await transitions.create(tx, {
      id: newAccountId(),
      createdAt: clock.now(),
      expiresAt: clock.now() + LIFE_MS,
      taskId: newId(),
      taskSealed: null,
      claimHash: keys.lookupHash(newSecret("mfc")),
    });
  });
}

async function race(bench: Bench, admission: Admission, addressOf: (at: number) => string, code: ErrorCode): Promise<number> {
  const outcomes = await Promise.allSettled(Array.from({ length: COUNT }, (_, at) => provision(bench, admission, addressOf(at))));
  for (const outcome of outcomes) if (outcome.status === "rejected") refusal(code)(outcome.reason);
  const { count } = await bench.store.db
    .selectFrom("accounts")
    .select((of) => of.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, count);
  return count;
}

const says = (code: ErrorCode, message: RegExp, retryAfterSeconds: number) => (error: unknown) => {
  assert.ok(error instanceof PlatformError);
  assert.equal(error.retryAfterSeconds, retryAfterSeconds);
  return refusal(code, message)(error);
};

onBothDatabases("admission, when many race,", {
  "makes as many accounts for a network as it may, and refuses the rest": async (bench) => {
    await using admission = open(bench, { accountsPerHourPerIp: 2 });
    assert.equal(await race(bench, admission, (at) => `192.0.2.${at}`, "too_many_accounts"), 16);
    const refused = admission.challenge("192.0.2.200");
    await assert.rejects(refused, says("too_many_accounts", /from your network .*at most 16 an hour/, 3600));
    await admission.challenge("192.0.3.1");
  },

  "makes as many accounts in an hour as the installation may": async (bench) => {
    await using admission = open(bench, { accountsPerHour: 15 });
    assert.equal(await race(bench, admission, (at) => `10.0.${at}.1`, "too_many_accounts"), 15);
    bench.clock.advance(60_000);
    const refused = admission.challenge("10.1.0.1");
    await assert.rejects(refused, says("too_many_accounts", /on this installation: at most 15 an hour/, 3540));
    bench.clock.advance(3_540_000);
    await admission.challenge("10.1.0.1");
  },

  "holds as many live accounts as it may, until the first of them ends": async (bench) => {
    await using admission = open(bench, { accountsMax: 12 });
    assert.equal(await race(bench, admission, (at) => `10.0.${at}.1`, "machine_full"), 12);
    bench.clock.advance(100_000);
    await assert.rejects(admission.challenge("10.1.0.1"), says("machine_full", /^This installation is full: it holds/, 500));
    bench.clock.advance(500_000);
    await admission.challenge("10.1.0.1");
    await provision(bench, admission, "10.1.0.1");
  },
});

describe("a full machine", () => {
  onBothDatabases("told", {
    "counts no account that somebody claimed": async (bench) => {
      await using admission = open(bench, { accountsMax: 1 });
      const { claimSecret } = await makeAccount(bench, LIFE_MS);
      await assert.rejects(admission.challenge("10.1.0.1"), refusal("machine_full"));
      await bench.store.transaction((tx) => transitions.claim(tx, bench.keys.lookupHash(claimSecret), "p1", bench.clock.now()));
      bench.clock.advance(1000);
      await admission.challenge("10.1.0.1");
    },

    "short of disk, says so before anybody solves and again at the answer, and when the next account ends": async (bench) => {
      await using roomy = open(bench, { diskReserveBytes: 1 });
      await using short = open(bench, { diskReserveBytes: Number.MAX_SAFE_INTEGER });
      const answer = answerTo(await roomy.challenge("10.1.0.1"));
      await assert.rejects(short.challenge("10.1.0.1"), says("machine_full", /its disk has no room/, 60));
      await assert.rejects(short.admit("10.1.0.1", answer), refusal("machine_full"));
      await makeAccount(bench, LIFE_MS);
      bench.clock.advance(1000);
      await assert.rejects(short.challenge("10.1.0.1"), says("machine_full", /its disk has no room/, 599));
      await roomy.admit("10.1.0.1", answer);
    },
  });

  test("is counted by reason for the operator", async () => {
    await using bench = await openBench(null);
    await using admission = open(bench, { diskReserveBytes: Number.MAX_SAFE_INTEGER });
    await assert.rejects(admission.challenge("10.1.0.1"), refusal("machine_full"));
    const { refused, challenges, limits } = admission.stats();
    assert.deepEqual([refused, challenges, limits.accountsPerHourPerNetwork], [{ disk: 1 }, 0, 8000]);
  });
});
