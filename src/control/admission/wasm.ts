// WebAssembly, as much of it as one function over vectors needs: bytes of a module, and expressions whose constant
// parts are computed while they are written. Source: WebAssembly Core Specification 3.0, §5 (binary format).

type Bytes = readonly number[];

/** Four words of 32 bits, one a lane: a constant that all lanes share, or the instructions that put the vector on the stack. */
export type Words = number | Bytes;

const V128 = 0x7b;
const I32 = 0x7f;
const SIMD = 0xfd;
/** `\0asm` and version 1. */
const MAGIC = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0] as const;
const EMPTY_BLOCK = 0x40;
const INSTRUCTION = { loop: 0x03, end: 0x0b, branchIf: 0x0d, get: 0x20, set: 0x21, tee: 0x22, const: 0x41, sub: 0x6b } as const;
const VECTOR = { load: 0x00, loadSplat: 0x09, store: 0x0b, and: 0x4e, xor: 0x51, shl: 0xab, shrU: 0xad, add: 0xae } as const;

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}

/** A small count as i32.const: signed LEB128 of one byte. */
const smallConst = (value: number): Bytes => [INSTRUCTION.const, value & 0x3f];
const vector = (op: number): Bytes => [SIMD, ...leb(op)];
/** Alignment 4 (2 to the power of 2) is a hint that any address keeps. */
const atAddress = (op: number, address: number): Bytes => [...smallConst(0), ...vector(op), 2, ...leb(address)];

const rotated = (word: number, bits: number): number => ((word >>> bits) | (word << (32 - bits))) >>> 0;

/** Writes one function: `run(times: i32)` repeats a body over vectors of the module's memory. */
export class Program {
  readonly #code: number[] = [];
  readonly #constants = new Map<number, number>();
  readonly #constantsFrom: number;
  #locals = 0;

  /** @param constantsFrom where in memory the constants go; what lies before belongs to the caller */
  constructor(constantsFrom: number) {
    this.#constantsFrom = constantsFrom;
  }

  /** A new local; local 0 is the argument. */
  local(): number {
    this.#locals++;
    return this.#locals;
  }

  /** Answers what reads the local from now on. */
  set(local: number, words: Words): Words {
    this.#code.push(...this.#push(words), INSTRUCTION.set, ...leb(local));
    return this.get(local);
  }

  get(local: number): Words {
    return [INSTRUCTION.get, ...leb(local)];
  }

  load(address: number): Words {
    return atAddress(VECTOR.load, address);
  }

  store(address: number, words: Words): void {
    this.#code.push(...smallConst(0), ...this.#push(words), ...vector(VECTOR.store), 2, ...leb(address));
  }

  sum(...terms: readonly Words[]): Words {
    const known = terms.reduce<number>((total, term) => (typeof term === "number" ? (total + term) >>> 0 : total), 0);
    const unknown = terms.filter((term) => typeof term !== "number");
    return this.#chain(VECTOR.add, unknown, known);
  }

  xor(...terms: readonly Words[]): Words {
    const known = terms.reduce<number>((total, term) => (typeof term === "number" ? (total ^ term) >>> 0 : total), 0);
    const unknown = terms.filter((term) => typeof term !== "number");
    return this.#chain(VECTOR.xor, unknown, known);
  }

  and(left: Words, right: Words): Words {
    if (typeof left === "number" && typeof right === "number") return (left & right) >>> 0;
    return [...this.#push(left), ...this.#push(right), ...vector(VECTOR.and)];
  }

  shiftRight(words: Words, bits: number): Words {
    return typeof words === "number" ? words >>> bits : [...words, ...smallConst(bits), ...vector(VECTOR.shrU)];
  }

  rotateRight(words: Words, bits: number): Words {
    if (typeof words === "number") return rotated(words, bits);
    return this.xor(this.shiftRight(words, bits), [...words, ...smallConst(32 - bits), ...vector(VECTOR.shl)]);
  }

  /** Runs `body` as often as the argument says, at least once. */
  repeat(body: () => void): void {
    this.#code.push(INSTRUCTION.loop, EMPTY_BLOCK);
    body();
    this.#code.push(INSTRUCTION.get, 0, ...smallConst(1), INSTRUCTION.sub, INSTRUCTION.tee, 0, INSTRUCTION.branchIf, 0, INSTRUCTION.end);
  }

  /** The module: exports `memory` (one page) and `run`. */
  module(): Uint8Array<ArrayBuffer> {
    const name = (text: string): Bytes => [text.length, ...Buffer.from(text)];
    const sized = (bytes: Bytes): Bytes => [...leb(bytes.length), ...bytes];
    const section = (id: number, bytes: Bytes): Bytes => [id, ...sized(bytes)];
    const body = [1, ...leb(this.#locals), V128, ...this.#code, INSTRUCTION.end];
    const constants = [...this.#constants.keys()].flatMap((word) =>
      [word, word >>> 8, word >>> 16, word >>> 24].map((byte) => byte & 0xff),
    );
    return Uint8Array.from([
      ...MAGIC,
      ...section(1, [1, 0x60, 1, I32, 0]),
      ...section(3, [1, 0]),
      ...section(5, [1, 0, 1]),
      ...section(7, [2, ...name("memory"), 2, 0, ...name("run"), 0, 0]),
      ...section(10, [1, ...sized(body)]),
      ...section(11, [1, 0, INSTRUCTION.const, ...signedLeb(this.#constantsFrom), INSTRUCTION.end, ...sized(constants)]),
    ]);
  }

  #chain(op: number, unknown: readonly Bytes[], known: number): Words {
    const [first, ...rest] = known === 0 ? unknown : [...unknown, this.#push(known)];
    if (unknown.length === 0 || first === undefined) return known;
    return [...first, ...rest.flatMap((term) => [...term, ...vector(op)])];
  }

  /** A constant is read from memory, in one instruction; as an immediate it takes four. */
  #push(words: Words): Bytes {
    if (typeof words !== "number") return words;
    let address = this.#constants.get(words);
    if (address === undefined) {
      address = this.#constantsFrom + 4 * this.#constants.size;
      this.#constants.set(words, address);
    }
    return atAddress(VECTOR.loadSplat, address);
  }
}

/** Signed LEB128 of a number that is not negative. */
function signedLeb(value: number): number[] {
  const bytes = leb(value);
  const last = bytes.at(-1) ?? 0;
  if (last < 0x40) return bytes;
  return [...bytes.slice(0, -1), last | 0x80, 0];
}
