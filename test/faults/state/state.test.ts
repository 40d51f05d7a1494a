// A few rounds of what `npm run faults` does at length.
import assert from "node:assert/strict";
import { test } from "node:test";
import { stateRounds } from "./rounds.ts";

test("no acknowledged write is lost and nothing becomes unreadable when host, control or both are killed", async () => {
  const { acknowledged, failures } = await stateRounds({ rounds: 5 });
  assert.deepEqual(failures, []);
  for (const [product, writes] of Object.entries(acknowledged)) assert.ok(writes > 0, `${product} was written`);
});
