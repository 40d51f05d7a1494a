// The verifier's arithmetic, run on its thread. Every segment is verified: chains of other challenges are valid
// wherever one of theirs is spliced in, so a sample would miss the one segment that is wrong.
import { CHECKPOINT_BYTES, type Work } from "./challenge.ts";
import { nodeHasher, simdHasher, type SegmentHasher } from "./segments.ts";

export type Verdict = {
  /** Index of the first wrong segment; null when all are right. */
  readonly wrong: number | null;
  /** Hashes computed to find out. */
  readonly hashes: number;
};

const best = simdHasher() ?? nodeHasher();

/**
 * Verifies the k segments between k + 1 checkpoints of 32 bytes, front to back, the next four at once, stopping at the
 * first that is wrong. In this order a forgery never costs us more than four segments (one batch) beyond what its sender
 * paid: j right segments from a fresh seed are j·g hashes of theirs, and we compute the batches up to the one that holds
 * segment j, at most (j + 4)·g. In a random order, a seed with any old chain behind it costs us half of all.
 */
export function verifyChain(checkpoints: Uint8Array<ArrayBuffer>, { k, g }: Work, hasher: SegmentHasher = best): Verdict {
  const all = Buffer.from(checkpoints.buffer, checkpoints.byteOffset, checkpoints.byteLength);
  if (all.length < (k + 1) * CHECKPOINT_BYTES) throw new RangeError("There are fewer checkpoints than the chain has");
  let hashes = 0;
  for (let first = 0; first < k; first += hasher.lanes) {
    const count = Math.min(hasher.lanes, k - first);
    const wrong = hasher.firstWrong(all, first, count, g);
    hashes += count * g;
    if (wrong !== null) return { wrong, hashes };
  }
  return { wrong: null, hashes };
}
