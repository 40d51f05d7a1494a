// How the hashes of segments are computed: four segments at once in vectors where the machine has them, else one after
// the other with Node's own hash. Both find the same.
import { hash } from "node:crypto";
import { CHECKPOINT_BYTES } from "./challenge.ts";
import { LANES, WORDS, sha256Module } from "./sha256-simd.ts";

export type SegmentHasher = {
  /** Segments computed at once. */
  readonly lanes: number;
  /**
   * Hashes the checkpoints `first` to `first + count - 1` g times each.
   * @param count 1 to `lanes` @returns the first segment that does not end at the next checkpoint; null when all do
   */
  firstWrong(checkpoints: Buffer, first: number, count: number, g: number): number | null;
};

/** One segment at a time, 0.2 µs a hash or more. */
export function nodeHasher(): SegmentHasher {
  const h = Buffer.alloc(CHECKPOINT_BYTES);
  return {
    lanes: 1,
    firstWrong: (checkpoints, first, _count, g) => {
      const from = first * CHECKPOINT_BYTES;
      const to = from + CHECKPOINT_BYTES;
      checkpoints.copy(h, 0, from, to);
      // Through a one-byte string: 0.2 µs a hash, where a digest that arrives as a Buffer of its own takes 1.2 µs.
      for (let i = 0; i < g; i++) h.write(hash("sha256", h, "binary"), "latin1");
      return h.compare(checkpoints, to, to + CHECKPOINT_BYTES) === 0 ? null : first;
    },
  };
}

/** Four segments at a time, 0.07 µs a hash; null where the machine's vectors are not enough for WebAssembly's. */
export function simdHasher(): SegmentHasher | null {
  const bytes = sha256Module();
  if (!WebAssembly.validate(bytes)) return null;
  const { memory, run } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as {
    memory: WebAssembly.Memory;
    run: (times: number) => void;
  };
  const words = new Uint32Array(memory.buffer, 0, WORDS * LANES);
  return {
    lanes: LANES,
    firstWrong: (checkpoints, first, count, g) => {
      const read = (lane: number, word: number): number => checkpoints.readUInt32BE((first + lane) * CHECKPOINT_BYTES + 4 * word);
      for (let lane = 0; lane < count; lane++) for (let word = 0; word < WORDS; word++) words[word * LANES + lane] = read(lane, word);
      run(g);
      for (let lane = 0; lane < count; lane++) {
        for (let word = 0; word < WORDS; word++) if (words[word * LANES + lane] !== read(lane + 1, word)) return first + lane;
      }
      return null;
    },
  };
}

/** Whether this machine computes four at once. */
export const hasVectors = (): boolean => WebAssembly.validate(sha256Module());
