// The division of the work, the token, and the form of an answer.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  divideWork,
  lifetimeMs,
  openChallenge,
  readCheckpoints,
  signChallenge,
  type Challenge,
} from "../../../src/control/admission/challenge.ts";
import { solveChallenge } from "../../fixtures/solve-challenge.ts";
import { refusal } from "./open-admission.ts";

const KEY = randomBytes(32);
const CHALLENGE: Challenge = {
  id: "c1",
  seed: randomBytes(32).toString("base64url"),
  k: 4,
  g: 3,
  expiresAtMs: 1000,
  addressHash: "a".repeat(64),
};

describe("the division of the work", () => {
  for (const [hashes, work] of [
    [1, { k: 1, g: 1 }],
    [7, { k: 7, g: 1 }],
    [1000, { k: 40, g: 25 }],
    [1_000_000, { k: 1000, g: 1000 }],
    [64_000_000, { k: 64_000, g: 1000 }],
  ] as const) {
    test(`of ${hashes} is ${work.k} segments of ${work.g}`, () => {
      assert.deepEqual(divideWork(hashes), work);
    });
  }

  test("is exact up to 1,000 hashes, within half a per cent beyond, and never passes wrangler's bound", () => {
    const hashes = fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 64_000_000 }), fc.constant(63_999_999));
    fc.assert(
      fc.property(hashes, (wanted) => {
        const { k, g } = divideWork(wanted);
        assert.ok(Number.isInteger(k) && Number.isInteger(g) && k > 0 && g > 0 && k * g <= 64_000_000);
        assert.ok(Math.abs(k * g - wanted) <= (wanted <= 1000 ? 0 : wanted / 200), `${k}·${g} for ${wanted}`);
      }),
    );
  });

  test("leaves a slow client the time that it needs", () => {
    assert.equal(lifetimeMs({ k: 1, g: 1 }), 120_001);
    assert.equal(lifetimeMs({ k: 1000, g: 1000 }), 125_000);
    assert.equal(lifetimeMs({ k: 64_000, g: 1000 }), 440_000);
  });
});

describe("a challenge token", () => {
  test("says what was signed", () => {
    assert.deepEqual(openChallenge(KEY, signChallenge(KEY, CHALLENGE)), CHALLENGE);
  });

  test("is refused after any change of a character", () => {
    const token = signChallenge(KEY, CHALLENGE);
    // The last character of base64url holds two bits of nothing.
    fc.assert(
      fc.property(fc.nat(token.length - 2), fc.constantFrom("A", "a", "0", "_", ".", "!", " ", "é"), (at, character) => {
        fc.pre(token[at] !== character);
        assert.throws(() => openChallenge(KEY, token.slice(0, at) + character + token.slice(at + 1)), refusal("challenge_invalid"));
      }),
    );
  });

  for (const token of ["", ".", "mfp1", "mfp1..", "mfp1.e30.", `mfp1.e30.${"A".repeat(43)}`, "x".repeat(100_000)]) {
    test(`"${token.slice(0, 20)}" (${token.length} characters) is refused`, () => {
      assert.throws(() => openChallenge(KEY, token), refusal("challenge_invalid"));
    });
  }

  test("of another key is refused", () => {
    assert.throws(() => openChallenge(KEY, signChallenge(randomBytes(32), CHALLENGE)), refusal("challenge_invalid"));
  });
});

describe("the form of an answer", () => {
  const right = solveChallenge(CHALLENGE);
  const malformed: Record<string, string> = {
    "is empty": "",
    "is one character short": right.slice(0, -1),
    "is one group long": `${right}AAAA`,
    "is for one segment less": solveChallenge({ ...CHALLENGE, k: 3 }),
    "is for one segment more": solveChallenge({ ...CHALLENGE, k: 5 }),
    "lacks its padding": right.replace(/=+$/, (padding) => "A".repeat(padding.length)),
    "has the alphabet of URLs": `${right.slice(0, 50)}-_${right.slice(52)}`,
    "has a line break": `${right.slice(0, 50)}\n${right.slice(51)}`,
    "has padding in the middle": `${right.slice(0, 50)}==${right.slice(52)}`,
    "has letters beyond ASCII": `${right.slice(0, 50)}é${right.slice(51)}`,
    "has bits after its end": right.replace(/.(=+)$/, "/$1"),
  };
  for (const [what, text] of Object.entries(malformed)) {
    test(`that ${what} is refused by name`, () => {
      assert.throws(() => readCheckpoints(CHALLENGE, text), refusal("invalid_input", /^solution\.checkpoints: /));
    });
  }

  test("that begins with another seed is refused without a hash", () => {
    const other = solveChallenge({ ...CHALLENGE, seed: randomBytes(32).toString("base64url") });
    assert.throws(() => readCheckpoints(CHALLENGE, other), refusal("solution_wrong", /first/));
  });

  test("that is right is read whole", () => {
    assert.deepEqual(Buffer.from(readCheckpoints(CHALLENGE, right)).toString("base64"), right);
  });
});
