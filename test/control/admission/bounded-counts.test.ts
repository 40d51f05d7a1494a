// What admission keeps in memory of its callers: counts that leak away, and never more than a number of entries.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Leaking } from "../../../src/control/admission/leaking.ts";
import { Offered } from "../../../src/control/admission/offered.ts";
import { Recent } from "../../../src/control/admission/recent.ts";

describe("a count that leaks", () => {
  test("is full at its limit and has room for one more as soon as one has leaked", () => {
    const counts = new Leaking(60);
    for (let i = 0; i < 60; i++) {
      assert.equal(counts.waitMs("a", 0), 0);
      counts.add("a", 0);
    }
    assert.equal(counts.waitMs("a", 0), 60_000);
    assert.equal(counts.waitMs("a", 60_000), 0);
    assert.equal(counts.waitMs("b", 0), 0);
    assert.deepEqual(counts.load("a", 1_800_000), { count: 30, limit: 60 });
    assert.deepEqual(counts.load("a", 36_000_000), { count: 0, limit: 60 });
  });

  test("does not rise when the clock goes back", () => {
    const counts = new Leaking(10);
    counts.add("a", 1000);
    assert.equal(counts.load("a", 0).count, 1);
  });
});

test("entries beyond the bound push out the one that was set longest ago", () => {
  const recent = new Recent<number>(3);
  for (const [at, key] of ["a", "b", "a", "c", "d"].entries()) recent.set(key, at);
  assert.equal(recent.size, 3);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((key) => recent.get(key)),
    [2, undefined, 3, 4],
  );
  for (let i = 0; i < 100_000; i++) recent.set(String(i), i);
  assert.equal(recent.size, 3);
});

describe("the length of an answer", () => {
  const base = { k: 1000, g: 1000 };
  const at = (offered: Offered, address: string, nowMs: number): number => offered.segments(address, nowMs);

  test("is the base's but for whoever was given more, while they may answer", () => {
    const offered = new Offered(base, { k: 0, untilMs: 0 });
    offered.note("a", 4000, 100, 0);
    assert.deepEqual([at(offered, "a", 99), at(offered, "a", 100), at(offered, "b", 0)], [4000, 1000, 1000]);
  });

  test("is enough for each of several challenges while it may be answered", () => {
    const offered = new Offered(base, { k: 0, untilMs: 0 });
    offered.note("a", 4000, 100, 0);
    offered.note("a", 2000, 200, 50);
    assert.deepEqual([at(offered, "a", 99), at(offered, "a", 199), at(offered, "a", 200)], [4000, 4000, 1000]);
    offered.note("a", 2000, 300, 250);
    assert.equal(at(offered, "a", 299), 2000);
  });

  test("is the ceiling's for everybody after a start, and then what everybody is asked for", () => {
    const offered = new Offered(base, { k: 64_000, untilMs: 10 });
    assert.deepEqual([at(offered, "a", 9), at(offered, "a", 10)], [64_000, 1000]);
    offered.note(null, 2000, 30, 20);
    assert.deepEqual([at(offered, "a", 29), at(offered, "a", 30)], [2000, 1000]);
  });
});
