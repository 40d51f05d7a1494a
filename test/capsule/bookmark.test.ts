import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BOOKMARK, formatBookmark, readBookmark } from "../../src/capsule/bookmark.ts";

const moment = fc.record({
  atMs: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  pages: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  hash: fc.stringMatching(/^[0-9a-f]{32}$/),
});

test("a bookmark has the hosted original's shape, sorts by time and tells what it was made of", () => {
  fc.assert(
    fc.property(moment, moment, (a, b) => {
      const [first, second] = [formatBookmark(a), formatBookmark(b)];
      assert.match(first, /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/);
      assert.match(first, BOOKMARK);
      assert.deepEqual(readBookmark(first), { ...a });
      if (a.atMs !== b.atMs) assert.equal(first < second, a.atMs < b.atMs);
    }),
  );
});

test("a text that is no bookmark of ours is none, the hosted original's included", () => {
  for (const text of [
    "",
    "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683",
    "../../x",
    `${formatBookmark({ atMs: 1, pages: 1, hash: "a".repeat(32) })}/`,
  ]) {
    assert.equal(readBookmark(text), null, text);
  }
});
