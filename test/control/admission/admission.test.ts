// Admission from the challenge to the verdict: every refusal, in the order that keeps forgeries cheap to refuse.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { PlatformError, type ErrorCode } from "../../../src/kernel/errors.ts";
import { reasonPhrase } from "../../../src/control/http/envelope.ts";
import { solveChain, solveChallenge } from "../../fixtures/solve-challenge.ts";
import { ADDRESS, answerTo, openAdmission, refusal } from "./open-admission.ts";

/** What a client that prints only the status line shows of a refusal with that code. */
async function phraseOf(refused: Promise<unknown>, code: ErrorCode): Promise<string> {
  let phrase = "";
  await assert.rejects(refused, (error) => {
    refusal(code)(error);
    phrase = error instanceof PlatformError ? reasonPhrase(error) : "";
    return true;
  });
  return phrase;
}

const spent = async (store: Awaited<ReturnType<typeof openAdmission>>["store"]): Promise<number> =>
  (await store.db.selectFrom("spent_challenges").selectAll().execute()).length;

describe("a challenge", () => {
  test("has the form that wrangler wants, and its route answers anyone", async () => {
    await using open = await openAdmission();
    const [route] = open.admission.routes;
    assert.ok(route);
    assert.equal(`${route.method} ${route.path} ${route.access.kind}`, "POST /provisioning/previews/challenge public");
    const request = new Request("http://localhost/client/v4/provisioning/previews/challenge", { method: "POST", body: "{}" });
    const call = {
      request,
      url: new URL(request.url),
      params: {},
      address: ADDRESS,
      hangUp: () => undefined,
      principal: null,
      account: null,
    };
    const { result } = (await (await route.handle(call)).json()) as { result: Record<string, unknown> };
    assert.deepEqual(Object.keys(result).toSorted(), ["challengeToken", "g", "k", "seed"]);
    assert.equal(Buffer.from(String(result["seed"]), "base64url").length, 32);
    assert.equal(Number(result["k"]) * Number(result["g"]), 1000);
  });

  test("costs the server nothing to remember until it is answered", async () => {
    await using open = await openAdmission();
    for (let i = 0; i < 5; i++) await open.admission.challenge(ADDRESS);
    assert.equal(await spent(open.store), 0);
  });

  test("never repeats its seed", async () => {
    await using open = await openAdmission();
    const seeds = await Promise.all(Array.from({ length: 20 }, async () => (await open.admission.challenge(ADDRESS)).seed));
    assert.equal(new Set(seeds).size, 20);
  });
});

describe("an answer", () => {
  test("that is right is admitted, for every size of the work", async () => {
    for (const powHashes of [1, 7, 1000, 100_000]) {
      await using open = await openAdmission({ powHashes });
      await open.admission.admit(ADDRESS, answerTo(await open.admission.challenge(ADDRESS)));
      const { admitted, wrong, verifiedHashes } = open.admission.stats();
      assert.deepEqual({ admitted, wrong, verifiedHashes }, { admitted: 1, wrong: 0, verifiedHashes: powHashes });
    }
  });

  test("is taken once: the second use is refused, though it is right", async () => {
    await using open = await openAdmission();
    const answer = answerTo(await open.admission.challenge(ADDRESS));
    await open.admission.admit(ADDRESS, answer);
    await assert.rejects(open.admission.admit(ADDRESS, answer), refusal("challenge_spent"));
  });

  test("sent twenty times at once is admitted once", async () => {
    await using open = await openAdmission();
    const answer = answerTo(await open.admission.challenge(ADDRESS));
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => open.admission.admit(ADDRESS, answer)));
    assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled").length, 1);
    for (const outcome of outcomes) if (outcome.status === "rejected") refusal("challenge_spent")(outcome.reason);
  });

  test("is the one try of its challenge: after a wrong one the right one is refused", async () => {
    await using open = await openAdmission();
    const challenge = await open.admission.challenge(ADDRESS);
    const wrong = solveChain(challenge);
    wrong[32] = (wrong[32] ?? 0) ^ 1;
    await assert.rejects(
      open.admission.admit(ADDRESS, answerTo(challenge, wrong.toString("base64"))),
      refusal("solution_wrong", /segment/),
    );
    await assert.rejects(open.admission.admit(ADDRESS, answerTo(challenge)), refusal("challenge_spent"));
  });

  test("of the wrong form spends nothing and hashes nothing", async () => {
    await using open = await openAdmission();
    const challenge = await open.admission.challenge(ADDRESS);
    await assert.rejects(open.admission.admit(ADDRESS, answerTo(challenge, "AAAA")), refusal("invalid_input", /solution\.checkpoints/));
    const foreign = solveChallenge({ ...challenge, seed: Buffer.alloc(32).toString("base64url") });
    await assert.rejects(open.admission.admit(ADDRESS, answerTo(challenge, foreign)), refusal("solution_wrong", /seed/));
    assert.equal(await spent(open.store), 0);
    assert.equal(open.admission.stats().verifiedHashes, 0);
    await open.admission.admit(ADDRESS, answerTo(challenge));
  });

  test("in time is admitted, late is refused", async () => {
    await using open = await openAdmission();
    const [first, second] = [await open.admission.challenge(ADDRESS), await open.admission.challenge(ADDRESS)];
    open.clock.nowMs += 120_000;
    await open.admission.admit(ADDRESS, answerTo(first));
    open.clock.nowMs += 10;
    await assert.rejects(open.admission.admit(ADDRESS, answerTo(second)), refusal("challenge_expired"));
  });

  test("from another address is refused, from the same IPv6 network admitted", async () => {
    await using open = await openAdmission();
    const answer = answerTo(await open.admission.challenge("2001:db8:0:100::1"));
    await assert.rejects(open.admission.admit("2001:db8:0:200::1", answer), refusal("challenge_invalid", /another address/));
    await open.admission.admit("2001:db8:0:1ff::2", answer);
  });

  test("to a token that was tampered with, or that another installation signed, is refused", async () => {
    await using open = await openAdmission();
    const challenge = await open.admission.challenge(ADDRESS);
    const [version, contents = "", mac] = challenge.challengeToken.split(".");
    const easier = { ...(JSON.parse(Buffer.from(contents, "base64url").toString()) as object), k: 1, g: 1 };
    const challengeToken = `${version}.${Buffer.from(JSON.stringify(easier)).toString("base64url")}.${mac}`;
    const checkpoints = solveChallenge({ seed: challenge.seed, k: 1, g: 1 });
    await assert.rejects(open.admission.admit(ADDRESS, { challengeToken, checkpoints }), refusal("challenge_invalid"));
  });

  test("with any byte of any checkpoint changed is refused", async () => {
    await using open = await openAdmission({ powHashes: 24, accountsPerHourPerIp: 1000 });
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), async (position, change) => {
        const challenge = await open.admission.challenge(ADDRESS);
        const chain = solveChain(challenge);
        const at = position % chain.length;
        chain[at] = (chain[at] ?? 0) ^ change;
        await assert.rejects(open.admission.admit(ADDRESS, answerTo(challenge, chain.toString("base64"))), refusal("solution_wrong"));
      }),
      { numRuns: 100 },
    );
  });

  test("that finds the verifier busy is refused with the wait, and its challenge is not spent", async () => {
    await using open = await openAdmission({ powHashes: 200_000, queue: { maxChains: 1, maxHashes: 1 } });
    const answers = [answerTo(await open.admission.challenge(ADDRESS)), answerTo(await open.admission.challenge(ADDRESS))] as const;
    const first = open.admission.admit(ADDRESS, answers[0]);
    while (open.admission.stats().waitingChains === 0) await new Promise(setImmediate);
    const phrase = await phraseOf(open.admission.admit(ADDRESS, answers[1]), "verifier_busy");
    assert.equal(phrase, "Too many solutions are being verified. Retry after 5 seconds.");
    await first;
    await open.admission.admit(ADDRESS, answers[1]);
  });

  test("that comes at the same moment as another and finds no room can be sent again", async () => {
    await using open = await openAdmission({ powHashes: 1000, queue: { maxChains: 1, maxHashes: 1 } });
    const answers = [answerTo(await open.admission.challenge(ADDRESS)), answerTo(await open.admission.challenge(ADDRESS))];
    const outcomes = await Promise.allSettled(answers.map((answer) => open.admission.admit(ADDRESS, answer)));
    const [refused, ...more] = outcomes.flatMap((outcome, at) =>
      outcome.status === "rejected" ? [{ at, reason: outcome.reason as unknown }] : [],
    );
    assert.ok(refused && more.length === 0);
    refusal("verifier_busy")(refused.reason);
    const again = answers[refused.at];
    assert.ok(again);
    await open.admission.admit(ADDRESS, again);
    assert.deepEqual([open.admission.stats().waitingChains, open.admission.stats().waitingHashes], [0, 0]);
  });
});

describe("an address", () => {
  test("with too many answers that came to nothing waits out the hour, and others do not", async () => {
    await using open = await openAdmission({ powHashes: 7, accountsPerHourPerIp: 1 });
    for (let i = 0; i < 10; i++) {
      const challenge = await open.admission.challenge(ADDRESS);
      const wrong = Buffer.concat([solveChain(challenge).subarray(0, 32), Buffer.alloc(32 * challenge.k)]).toString("base64");
      await assert.rejects(open.admission.admit(ADDRESS, answerTo(challenge, wrong)), refusal("solution_wrong"));
    }
    const phrase = await phraseOf(open.admission.challenge(ADDRESS), "too_many_accounts");
    assert.equal(phrase, "Too many unproven solutions from your address. Retry after 60 minutes.");
    await open.admission.admit("192.0.2.2", answerTo(await open.admission.challenge("192.0.2.2")));
    open.clock.nowMs += 3_600_000;
    await open.admission.admit(ADDRESS, answerTo(await open.admission.challenge(ADDRESS)));
  });

  test("over its limit is told before it solves, and again if it had solved already", async () => {
    await using open = await openAdmission({ accountsPerHourPerIp: 2 });
    const early = await open.admission.challenge(ADDRESS);
    for (let i = 0; i < 2; i++) {
      await open.store.transaction((tx) => open.admission.record(tx, ADDRESS));
      open.clock.nowMs += 25_000;
    }
    open.clock.nowMs += 25_000;
    const said = "Too many temporary accounts from your address: at most 2 an hour. Retry after 59 minutes.";
    assert.equal(await phraseOf(open.admission.challenge(ADDRESS), "too_many_accounts"), said);
    assert.equal(await phraseOf(open.admission.admit(ADDRESS, answerTo(early)), "too_many_accounts"), said);
    assert.equal(await spent(open.store), 0);
  });
});

test("no more unproven solutions of one address are ever taken at once than one after the other", async () => {
  await using open = await openAdmission({ accountsPerHourPerIp: 1 });
  const offered = await Promise.all(Array.from({ length: 30 }, () => open.admission.challenge(ADDRESS)));
  const outcomes = await Promise.all(
    offered.map((challenge) => {
      const checkpoints = Buffer.from(solveChallenge(challenge), "base64").fill(0, 32).toString("base64");
      return open.admission.admit(ADDRESS, answerTo(challenge, checkpoints)).then(
        () => "admitted",
        (error: PlatformError) => error.code,
      );
    }),
  );
  const count = (code: string): number => outcomes.filter((outcome) => outcome === code).length;
  assert.deepEqual([count("solution_wrong"), count("too_many_accounts")], [10, 20]);
});
