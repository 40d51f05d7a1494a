// Chance that a seed repeats exactly: the same seed and number of an input give the same input on any machine.

/** What breaks parsers, in any place where text stands. */
const ODD_TEXTS: readonly string[] = [
  "",
  " ",
  "0",
  "-1",
  "null",
  "NaN",
  "true",
  "[]",
  "{}",
  "__proto__",
  "constructor",
  "toString",
  "a\0b",
  "\0",
  "%00",
  "%",
  "%zz",
  "%2e%2e%2f",
  "../../etc/passwd",
  "..",
  ".",
  "/",
  "//",
  "\\",
  "a/b",
  "?",
  "#",
  "&a=b",
  ";",
  "'",
  '"',
  "`",
  "' OR 1=1 --",
  "${7*7}",
  "{{7*7}}",
  "<script>",
  "\r\nX: y",
  "\n",
  "\u2028",
  "\u202e",
  "\ud800",
  "\ufeff",
  "e\u0301",
  "🔑",
  "ключ",
  "ＡＢＣ",
  "\x7f",
  "\xff",
  "a".repeat(64),
  "a".repeat(300),
  "é".repeat(600),
  "x".repeat(5000),
  "1e999",
  "9007199254740993",
  "-0",
  "0x10",
  "2026-13-45",
  "1970-01-01",
  "99999999999999999999",
  "00000000000000000000000000000000",
  "00000000-0000-0000-0000-000000000000",
  "ffffffff-ffff-ffff-ffff-ffffffffffff",
  "localhost",
  "127.0.0.1",
  "http://127.0.0.1/",
  "file:///etc/passwd",
  "*",
  "/*",
];

const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  1.5,
  -0,
  1e21,
  1e308,
  2 ** 53,
  2 ** 31,
  -(2 ** 63),
  [],
  {},
  [[]],
  [null],
  [{}],
  { a: 1 },
  { length: 3 },
  { toJSON: 1 },
];

export class Random {
  #state: number;

  constructor(seed: number, index = 0) {
    this.#state = (seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0;
    for (let at = 0; at < 4; at++) this.next();
  }

  /** From 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new Error("There is nothing to pick from.");
    return from[this.below(from.length)] as T;
  }

  /** A seed for another generator. */
  seed(): number {
    return Math.floor(this.next() * 2 ** 31);
  }

  /** Bytes as latin1. */
  bytes(most: number): string {
    return String.fromCharCode(...Array.from({ length: this.below(most) }, () => this.below(256)));
  }

  oddText(): string {
    return this.pick(ODD_TEXTS);
  }

  oddValue(): unknown {
    return this.chance(0.5) ? this.oddText() : this.pick(ODD_VALUES);
  }

  shuffled<T>(all: readonly T[]): T[] {
    const left = [...all];
    return all.map(() => left.splice(this.below(left.length), 1)[0] as T);
  }
}
