// Forgeries: the verifier finds the one wrong segment wherever it is.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { LANES } from "../../../src/control/admission/sha256-simd.ts";
import { verifyChain } from "../../../src/control/admission/chain.ts";
import { solveChain } from "../../fixtures/solve-challenge.ts";

const WORK = { k: 12, g: 5 };
const newSeed = (): string => randomBytes(32).toString("base64url");
const verdict = (checkpoints: Uint8Array, work = WORK) => verifyChain(new Uint8Array(checkpoints), work);

/** The chain as wrangler's solver computes it, one createHash a step. */
function slowly(seed: string, { k, g }: typeof WORK): Buffer {
  const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
  let h = sha256(Buffer.from(seed, "base64url"));
  const checkpoints = [h];
  for (let step = 1; step <= k * g; step++) {
    h = sha256(h);
    if (step % g === 0) checkpoints.push(h);
  }
  return Buffer.concat(checkpoints);
}

/** Right from the seed through `honest` segments, then the checkpoints of another chain. */
function splice(seed: string, old: Uint8Array, honest: number): Buffer {
  const paid = solveChain({ seed, ...WORK, k: honest });
  return Buffer.concat([paid, old.subarray(paid.length)]);
}

describe("the verification of a chain", () => {
  test("accepts the work done by the book", () => {
    const seed = newSeed();
    assert.deepEqual(verdict(slowly(seed, WORK)), { wrong: null, hashes: 60 });
    assert.deepEqual(solveChain({ seed, ...WORK }), slowly(seed, WORK));
  });

  test("accepts the shortest chain", () => {
    const work = { k: 1, g: 1 };
    assert.deepEqual(verdict(solveChain({ seed: newSeed(), ...work }), work), { wrong: null, hashes: 1 });
  });

  test("finds the one segment where an old chain is spliced in, wherever it is, every time", () => {
    const old = solveChain({ seed: newSeed(), ...WORK });
    for (let honest = 0; honest < WORK.k; honest++) {
      for (let time = 0; time < 20; time++) assert.equal(verdict(splice(newSeed(), old, honest)).wrong, honest);
    }
  });

  test("finds two honest halves that do not meet", () => {
    const [first, second] = [solveChain({ seed: newSeed(), ...WORK }), solveChain({ seed: newSeed(), ...WORK })];
    assert.equal(verdict(Buffer.concat([first.subarray(0, 6 * 32), second.subarray(6 * 32)])).wrong, 5);
  });

  test("finds a last checkpoint that is made up", () => {
    const chain = solveChain({ seed: newSeed(), ...WORK });
    randomBytes(32).copy(chain, WORK.k * 32);
    assert.equal(verdict(chain).wrong, WORK.k - 1);
  });

  test("stops at the first batch with a wrong segment", () => {
    assert.equal(verdict(randomBytes((WORK.k + 1) * 32)).hashes, LANES * WORK.g);
  });

  test("never spends more than four segments beyond what a forger paid", () => {
    const old = solveChain({ seed: newSeed(), ...WORK });
    for (let paid = 0; paid < WORK.k; paid++) {
      const { wrong, hashes } = verdict(splice(newSeed(), old, paid));
      assert.equal(wrong, paid);
      assert.ok(hashes <= (paid + LANES) * WORK.g, `${hashes} for ${paid}`);
    }
  });

  test("never reads past the checkpoints that it was given", () => {
    assert.throws(() => verdict(solveChain({ seed: newSeed(), ...WORK }).subarray(32)), RangeError);
  });

  test("refuses every change of a byte of a checkpoint", () => {
    const right = solveChain({ seed: newSeed(), ...WORK });
    fc.assert(
      fc.property(fc.nat(right.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(right);
        changed[at] = (changed[at] ?? 0) ^ change;
        assert.notEqual(verdict(changed).wrong, null);
      }),
      { numRuns: 1000 },
    );
  });
});
