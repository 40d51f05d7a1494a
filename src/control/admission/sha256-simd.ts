// SHA-256 of 32 bytes, over and over, for four chains at once: one chain a lane, the state in registers from one
// hash to the next. One block a hash, whose second half (the padding) is constant and computed when the module is written.
// Source: FIPS 180-4 §4.1.2, §5.3.3, §6.2.2.
import { Program, type Words } from "./wasm.ts";

export const LANES = 4;
export const WORDS = 8;
const VECTOR_BYTES = 16;
const ROUNDS = 64;

const INITIAL = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19] as const;
/** After 32 bytes: a one, zeros, and the length in bits. */
const PADDING = [0x80000000, 0, 0, 0, 0, 0, 0, 256] as const;

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
function roundConstants(): number[] {
  const primes: bigint[] = [];
  for (let n = 2n; primes.length < ROUNDS; n++) if (primes.every((prime) => n % prime !== 0n)) primes.push(n);
  return primes.map((prime) => {
    // floor(cbrt(prime · 2^96)) has the root's first 32 fractional bits at its end.
    const wanted = prime << 96n;
    let [low, high] = [0n, 1n << 36n];
    while (high - low > 1n) {
      const middle = (low + high) / 2n;
      if (middle ** 3n <= wanted) low = middle;
      else high = middle;
    }
    return Number(low & 0xffffffffn);
  });
}

/** `run(times)` over eight vectors at address 0: word i of all lanes at 16·i. */
export function sha256Module(): Uint8Array<ArrayBuffer> {
  const program = new Program(WORDS * VECTOR_BYTES);
  const locals = (count: number): number[] => Array.from({ length: count }, () => program.local());
  const [messageAt, stateAt, [sumAt = 0, evenAt = 0, oddAt = 0]] = [locals(16), locals(8), locals(3)];
  const input = messageAt.slice(0, WORDS).map((local, at) => program.set(local, program.load(at * VECTOR_BYTES)));
  program.repeat(() => {
    const state = compress(program, [...input, ...PADDING], { messageAt, stateAt, sumAt, mixedAt: [evenAt, oddAt] });
    for (const [at, word] of state.entries()) program.set(messageAt[at] ?? 0, program.sum(word, INITIAL[at] ?? 0));
  });
  for (const [at, word] of input.entries()) program.store(at * VECTOR_BYTES, word);
  return program.module();
}

type Places = {
  readonly messageAt: readonly number[];
  readonly stateAt: readonly number[];
  readonly sumAt: number;
  readonly mixedAt: readonly [number, number];
};

/** The 64 rounds from the initial state; answers the working variables, to which the caller adds that state. */
function compress(program: Program, block: Words[], { messageAt, stateAt, sumAt, mixedAt }: Places): Words[] {
  const p = program;
  const rotations = (x: Words, a: number, b: number, c: number): Words =>
    p.xor(p.rotateRight(x, a), p.rotateRight(x, b), p.rotateRight(x, c));
  const small = (x: Words, a: number, b: number, shift: number): Words =>
    p.xor(p.rotateRight(x, a), p.rotateRight(x, b), p.shiftRight(x, shift));
  const word = (of: readonly Words[], at: number): Words => of[at] ?? 0;
  let state: Words[] = [...INITIAL];
  let mixed: Words = p.xor(INITIAL[1], INITIAL[2]);
  for (const [round, constant] of roundConstants().entries()) {
    const at = round % 16;
    if (round >= 16) {
      const [w2, w7, w15, w16] = [14, 9, 1, 0].map((back) => word(block, (round + back) % 16)) as [Words, Words, Words, Words];
      const next = p.sum(small(w2, 17, 19, 10), w7, small(w15, 7, 18, 3), w16);
      block[at] = typeof next === "number" ? next : p.set(messageAt[at] ?? 0, next);
    }
    const [a, b, c, d, e, f, g, h] = state as [Words, Words, Words, Words, Words, Words, Words, Words];
    const chosen = p.xor(g, p.and(e, p.xor(f, g)));
    const sum = p.set(sumAt, p.sum(h, word(block, at), constant, rotations(e, 6, 11, 25), chosen));
    // The majority of a, b, c is b ^ ((a ^ b) & (b ^ c)), and b ^ c is what a ^ b was a round ago.
    const fresh = p.set(mixedAt[round % 2] ?? 0, p.xor(a, b));
    const majority = p.xor(b, p.and(fresh, mixed));
    mixed = fresh;
    // A round moves every variable by one, so the two new ones take the places of d and h.
    const newE = p.set(stateAt[(67 - round) % 8] ?? 0, p.sum(d, sum));
    const newA = p.set(stateAt[(71 - round) % 8] ?? 0, p.sum(sum, rotations(a, 2, 13, 22), majority));
    state = [newA, a, b, c, newE, e, f, g];
  }
  return state;
}
