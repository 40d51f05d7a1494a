// The price as a function: where it stays, where it doubles, and that more pressure never costs less.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { doublings, isOutpriced, priceOf, type Load } from "../../../src/control/admission/pressure.ts";

const PRICES = { base: 1_000_000, ceiling: 64_000_000 };
const load = fc
  .tuple(fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: 1, max: 10_000 }))
  .map(([count, limit]): Load => ({ count, limit }));

describe("the price", () => {
  for (const [made, hashes] of [
    [0, 1_000_000],
    [9, 1_000_000],
    [10, 2_000_000],
    [11, 2_000_000],
    [12, 4_000_000],
    [14, 8_000_000],
    [16, 16_000_000],
    [18, 32_000_000],
    [20, 64_000_000],
    [2000, 64_000_000],
  ] as const) {
    test(`after ${made} of 20 accounts is ${hashes} hashes`, () => {
      assert.equal(priceOf(PRICES, [{ count: made, limit: 20 }]), hashes);
    });
  }

  test("is the base without any load, and below half of every limit", () => {
    assert.equal(priceOf(PRICES, []), PRICES.base);
    fc.assert(fc.property(load, ({ count, limit }) => void (2 * count < limit && assert.equal(doublings({ count, limit }), 0))));
  });

  test("stays between base and ceiling, whatever the loads", () => {
    fc.assert(
      fc.property(fc.array(load), fc.integer({ min: 1, max: 64_000_000 }), fc.integer({ min: 0, max: 64_000_000 }), (loads, base, more) => {
        const ceiling = Math.min(64_000_000, base + more);
        const price = priceOf({ base, ceiling }, loads);
        assert.ok(price >= base && price <= ceiling, `${price}`);
      }),
    );
  });

  test("never falls when any load rises, or another is added", () => {
    fc.assert(
      fc.property(fc.array(load, { minLength: 1 }), fc.nat(), fc.integer({ min: 0, max: 5000 }), load, (loads, at, more, another) => {
        const heavier = loads.map((each, index) => (index === at % loads.length ? { ...each, count: each.count + more } : each));
        const before = priceOf(PRICES, loads);
        assert.ok(priceOf(PRICES, heavier) >= before);
        assert.ok(priceOf(PRICES, [...loads, another]) >= before);
      }),
    );
  });
});

describe("a challenge that got cheap", () => {
  test("is honoured at any price while a slow client may still be solving it", () => {
    assert.equal(isOutpriced({ hashes: 1, priceNow: 64_000_000, ageMs: 35_000, solvingMs: 35_000 }), false);
  });

  test("is honoured later as long as the price rose no more than fourfold", () => {
    assert.equal(isOutpriced({ hashes: 1000, priceNow: 4000, ageMs: 100_000, solvingMs: 35_000 }), false);
    assert.equal(isOutpriced({ hashes: 1000, priceNow: 4001, ageMs: 100_000, solvingMs: 35_000 }), true);
  });

  test("sends a slow solver away at most three times before the ceiling, whatever the pressure does meanwhile", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 30 }), (rises) => {
        let steps = 0;
        let [paid, refusals] = [PRICES.base, 0];
        for (const rise of rises) {
          steps = Math.min(6, steps + rise);
          const priceNow = PRICES.base * 2 ** steps;
          if (isOutpriced({ hashes: paid, priceNow, ageMs: 1e9, solvingMs: 0 })) refusals++;
          else break;
          paid = priceNow;
        }
        assert.ok(refusals <= 3, `${refusals}`);
      }),
    );
  });
});
