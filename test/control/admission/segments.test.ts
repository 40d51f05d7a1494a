// Four segments at once in WebAssembly, against Node's own hash: the same digests, the same verdicts, every remainder.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { verifyChain } from "../../../src/control/admission/chain.ts";
import { hasVectors, nodeHasher, simdHasher, type SegmentHasher } from "../../../src/control/admission/segments.ts";

const simd = simdHasher();
const hashers: readonly (SegmentHasher | null)[] = [simd, nodeHasher()];
const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

/** Checkpoints from `start`, by createHash. */
function chainFrom(start: Uint8Array, k: number, g: number): Uint8Array<ArrayBuffer> {
  let h: Uint8Array = start;
  const checkpoints = [h];
  for (let step = 1; step <= k * g; step++) {
    h = sha256(h);
    if (step % g === 0) checkpoints.push(h);
  }
  return new Uint8Array(Buffer.concat(checkpoints));
}

const start = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe("segments hashed four at once", () => {
  test("is what this machine does", (t) => {
    if (!simd) return t.skip("needs a processor with vectors for WebAssembly");
    assert.equal(simd.lanes, 4);
    assert.ok(hasVectors());
  });

  test("come out as createHash has them, whatever the start and for every number of segments", () => {
    fc.assert(
      fc.property(start, fc.integer({ min: 1, max: 23 }), fc.integer({ min: 1, max: 9 }), (from, k, g) => {
        const chain = chainFrom(from, k, g);
        for (const hasher of hashers) if (hasher) assert.deepEqual(verifyChain(chain, { k, g }, hasher), { wrong: null, hashes: k * g });
      }),
      { numRuns: 300 },
    );
  });

  test("of words at the ends of their range come out right", () => {
    for (const byte of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
      const chain = chainFrom(new Uint8Array(32).fill(byte), 5, 3);
      for (const hasher of hashers) if (hasher) assert.equal(verifyChain(chain, { k: 5, g: 3 }, hasher).wrong, null);
    }
  });

  test("find the first wrong one, for every change of any bit", () => {
    fc.assert(
      fc.property(
        start,
        fc.integer({ min: 1, max: 14 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(),
        fc.nat(7),
        (from, k, g, position, bit) => {
          const chain = chainFrom(from, k, g);
          const at = position % chain.length;
          chain[at] = (chain[at] ?? 0) ^ (1 << bit);
          const wrong = Math.max(0, Math.floor(at / 32) - 1);
          for (const hasher of hashers) if (hasher) assert.equal(verifyChain(chain, { k, g }, hasher).wrong, wrong);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("name the first of several wrong ones in one batch", () => {
    const chain = chainFrom(sha256(Buffer.alloc(1)), 8, 2);
    for (const segment of [2, 4, 7]) chain[32 * segment] = (chain[32 * segment] ?? 0) ^ 1;
    for (const hasher of hashers) if (hasher) assert.equal(verifyChain(chain, { k: 8, g: 2 }, hasher).wrong, 1);
  });

  test("fall back to Node's own hash on a processor without vectors", (t) => {
    if (process.arch !== "x64") return t.skip("needs x64, where V8 can be told to do without SSE 4.1");
    const url = (file: string): string => new URL(`../../../src/control/admission/${file}`, import.meta.url).href;
    const script = `
      import { hash } from "node:crypto";
      import { verifyChain } from "${url("chain.ts")}";
      import { hasVectors } from "${url("segments.ts")}";
      const h = [Buffer.alloc(32)];
      for (let i = 0; i < 5; i++) h.push(hash("sha256", h[i], "buffer"));
      const verdict = (bytes) => verifyChain(new Uint8Array(bytes), { k: 5, g: 1 });
      const wrong = Buffer.concat(h);
      wrong[4 * 32] ^= 1;
      console.log(JSON.stringify([hasVectors(), verdict(Buffer.concat(h)), verdict(wrong)]));`;
    const flags = ["--no-enable-sse4-1", "--no-enable-avx", "--no-enable-avx2", "--input-type=module"];
    const printed = execFileSync(process.execPath, [...flags, "--eval", script], { encoding: "utf8" });
    assert.deepEqual(JSON.parse(printed), [false, { wrong: null, hashes: 5 }, { wrong: 3, hashes: 4 }]);
  });
});
