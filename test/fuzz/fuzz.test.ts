// A short slice of `npm run fuzz`: one seed that is the same every time, and one of this run, which is printed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz, type Report } from "./campaign.ts";
import { KINDS, toBytes } from "./input.ts";
import { makeInput } from "./kinds.ts";
import { Random } from "./random.ts";
import { fill, readRecordings } from "./recording.ts";
import { unmasked } from "./placeholders.ts";

const slice = (seed: number, inputs: number): Promise<Report> =>
  fuzz({ seed, from: 0, inputs, only: KINDS, atOnce: 6, restMs: 0, say: console.log });

for (const [which, seed, inputs] of [
  ["the seed that is always tried", 1, 900],
  ["a seed of this run", Math.floor(Math.random() * 2 ** 31), 600],
] as const) {
  test(`no bad input of ${which} is answered with a 5xx, with silence or with another account's things`, async () => {
    console.log(`seed ${seed}`);
    const { failures, sent, kinds } = await slice(seed, inputs);
    assert.deepEqual(failures, [], `npm run fuzz -- --seed ${seed}`);
    assert.equal(sent, inputs);
    for (const kind of KINDS) assert.ok((kinds.get(kind)?.count ?? 0) > 0, `there are inputs of the kind ${kind}`);
    const statuses = kinds.get("recordings")?.statuses;
    assert.ok((statuses?.get(200) ?? 0) > inputs / 50, "some requests still do what they are for");
    assert.equal(statuses?.get(429) ?? 0, 0, "no limit stands before what is tried");
  });
}

test("the same seed and number give the same input", () => {
  for (let index = 0; index < 300; index++) {
    const [one, two] = [1, 2].map(() => toBytes(makeInput(new Random(7, index), KINDS).draft));
    assert.equal(one, two);
  }
});

test("recordings hold neither tokens nor ids, and are whole again once these are filled in", () => {
  const recordings = readRecordings();
  assert.ok(recordings.length > 60);
  for (const recorded of recordings) assert.equal(unmasked(recorded), null, recorded.path);
  const upload = recordings.find(({ method, path }) => method === "PUT" && path.includes("/workers/scripts/app?"));
  assert.ok(upload);
  const filled = fill(upload, { account: "0".repeat(32), namespace: "1".repeat(32) });
  assert.match(filled.path, /^\/client\/v4\/accounts\/0{32}\//);
  assert.match(filled.body, /form-data; name="metadata"/);
});
