// The price under pressure, from the challenge to the answer: who makes it rise for whom, and that it falls again.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { solveChallenge } from "../../fixtures/solve-challenge.ts";
import { ADDRESS, answerTo, openAdmission, refusal, type OpenAdmission } from "./open-admission.ts";

const ELSEWHERE = "198.51.100.1";
const NEIGHBOUR = "192.0.2.99";

const priceFor = async ({ admission }: OpenAdmission, address = ADDRESS): Promise<number> => {
  const { k, g } = await admission.challenge(address);
  return k * g;
};

/** Accounts of addresses, made without solving. */
async function make({ store, admission }: OpenAdmission, count: number, addressOf: (at: number) => string = () => ADDRESS): Promise<void> {
  for (let at = 0; at < count; at++) await store.transaction((tx) => admission.record(tx, addressOf(at)));
}

const wrongAnswer = async ({ admission }: OpenAdmission, address: string): Promise<void> => {
  const challenge = await admission.challenge(address);
  const checkpoints = Buffer.from(solveChallenge(challenge), "base64").fill(0, 32).toString("base64");
  await assert.rejects(admission.admit(address, answerTo(challenge, checkpoints)), refusal("solution_wrong"));
};

describe("the price of an account", () => {
  test("is the base for an agent's tenth of twenty, doubles with the eleventh, and falls when the hour is over", async () => {
    await using open = await openAdmission();
    await make(open, 9);
    assert.equal(await priceFor(open), 1000);
    await make(open, 1);
    assert.equal(await priceFor(open), 2000);
    await make(open, 9);
    assert.equal(await priceFor(open), 32_000);
    assert.equal(await priceFor(open, ELSEWHERE), 1000);
    open.clock.nowMs += 3_600_000;
    assert.equal(await priceFor(open), 1000);
  });

  test("rises for the network that many accounts come from, and for nobody else", async () => {
    await using open = await openAdmission({ accountsPerHourPerIp: 2 });
    await make(open, 8, (at) => `192.0.2.${at}`);
    assert.deepEqual([await priceFor(open, NEIGHBOUR), await priceFor(open, ELSEWHERE)], [2000, 1000]);
  });

  test("rises for everybody as the installation fills, and everybody still gets an account", async () => {
    await using open = await openAdmission({ accountsPerHour: 10 });
    await make(open, 5, (at) => `10.0.${at}.1`);
    const challenge = await open.admission.challenge(ELSEWHERE);
    assert.equal(challenge.k * challenge.g, 2000);
    assert.equal(open.admission.stats().price, 2000);
    await open.admission.admit(ELSEWHERE, answerTo(challenge));
    open.clock.nowMs += 3_600_000;
    await open.admission.look();
    assert.equal(open.admission.stats().price, 1000);
  });

  test("rises with challenges that an address asks for, leaks away, and leaves strangers alone", async () => {
    await using open = await openAdmission();
    for (let asked = 0; asked < 80; asked++) await open.admission.challenge(ADDRESS);
    assert.ok((await priceFor(open)) >= 2000);
    assert.equal(await priceFor(open, ELSEWHERE), 1000);
    open.clock.nowMs += 1_800_000;
    assert.equal(await priceFor(open), 1000);
  });

  test("rises with wrong answers, for their network too, and leaves strangers alone", async () => {
    await using open = await openAdmission({ accountsPerHourPerIp: 1, powHashes: 7 });
    for (let at = 0; at < 5; at++) await wrongAnswer(open, ADDRESS);
    assert.equal(await priceFor(open), 14);
    assert.equal(await priceFor(open, NEIGHBOUR), 7);
    for (let at = 0; at < 40; at++) await wrongAnswer(open, `192.0.2.${100 + (at % 10)}`);
    assert.ok((await priceFor(open, NEIGHBOUR)) >= 14);
    assert.equal(await priceFor(open, ELSEWHERE), 7);
  });

  test("never passes the operator's ceiling", async () => {
    await using open = await openAdmission({ powMaxHashes: 3000 });
    await make(open, 19);
    const price = await priceFor(open);
    assert.ok(Math.abs(price - 3000) <= 15, `${price}`);
  });
});

describe("a challenge that was hoarded while it was cheap", () => {
  test("is refused once the price rose more than fourfold, and a new one is taken", async () => {
    await using open = await openAdmission();
    const hoarded = await open.admission.challenge(ADDRESS);
    await make(open, 14);
    open.clock.nowMs += 40_000;
    await assert.rejects(open.admission.admit(ADDRESS, answerTo(hoarded)), refusal("challenge_outpriced", /8000 hashes now/));
    await open.admission.admit(ADDRESS, answerTo(await open.admission.challenge(ADDRESS)));
  });

  test("is taken from somebody who just took the time to solve it, whatever happened meanwhile", async () => {
    await using open = await openAdmission();
    const challenge = await open.admission.challenge(ADDRESS);
    await make(open, 19);
    open.clock.nowMs += 30_000;
    await open.admission.admit(ADDRESS, answerTo(challenge));
  });
});

describe("challenges", () => {
  test("are given to an address so many times an hour, and refused without a look at the database", async () => {
    const open = await openAdmission({ accountsPerHourPerIp: 1 });
    for (let asked = 0; asked < 60; asked++) await open.admission.challenge(ADDRESS);
    await open.admission.challenge(ELSEWHERE);
    await open.store[Symbol.asyncDispose]();
    await assert.rejects(open.admission.challenge(ADDRESS), (error) => {
      assert.ok(error instanceof PlatformError && error.retryAfterSeconds === 60);
      return refusal("too_many_challenges", /from your address: at most 60 an hour/)(error);
    });
    assert.equal(open.admission.stats().refused.address_challenges, 1);
    await open.admission[Symbol.asyncDispose]();
  });

  test("are given to a network eight times as often as to an address", async () => {
    await using open = await openAdmission({ accountsPerHourPerIp: 1, powHashes: 1 });
    for (let asked = 0; asked < 480; asked++) await open.admission.challenge(`192.0.2.${asked % 16}`);
    await assert.rejects(open.admission.challenge(NEIGHBOUR), refusal("too_many_challenges", /your network .*at most 480/));
    await open.admission.challenge(ELSEWHERE);
  });
});
