import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { thin } from "../../../../src/host/capsules/keeper/program/thinning.ts";

const BOUNDS = { count: 12, bytes: 300 };
const snapshots = fc
  .uniqueArray(fc.record({ atMs: fc.integer({ min: 0, max: 1_000_000 }), bytes: fc.integer({ min: 0, max: 200 }) }), {
    maxLength: 30,
    selector: ({ atMs }) => atMs,
  })
  .map((list) => list.sort((a, b) => b.atMs - a.atMs));

test("what stays is within the bounds, holds the newest, and is all there was where that fits", () => {
  fc.assert(
    fc.property(snapshots, (all) => {
      const gone = new Set(thin(all, BOUNDS, 1_000_000));
      const kept = all.filter((each) => !gone.has(each));
      assert.equal(kept.length + gone.size, all.length);
      assert.ok(kept.length <= BOUNDS.count);
      assert.equal(kept[0], all[0]);
      const bytes = (list: typeof all): number => list.reduce((sum, each) => sum + each.bytes, 0);
      assert.ok(kept.length <= 1 || bytes(kept) <= BOUNDS.bytes);
      if (all.length <= BOUNDS.count && bytes(all) <= BOUNDS.bytes) assert.equal(gone.size, 0);
    }),
  );
});

test("one an hour for ten days leaves a history that reaches back to the first and grows thin with age", () => {
  const HOUR = 3_600_000;
  let kept: { atMs: number; bytes: number }[] = [];
  for (let hour = 1; hour <= 240; hour++) {
    kept.unshift({ atMs: hour * HOUR, bytes: 1 });
    const gone = new Set(thin(kept, BOUNDS, hour * HOUR));
    kept = kept.filter((each) => !gone.has(each));
  }
  assert.equal(kept.length, 12);
  assert.equal(kept.at(-1)?.atMs, HOUR);
  const ages = kept.map(({ atMs }) => 240 - atMs / HOUR);
  assert.ok((ages[5] ?? 0) < 48, String(ages));
});
