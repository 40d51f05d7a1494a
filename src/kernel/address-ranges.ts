// Ranges of addresses in one written form, and sets of them that are asked once a request: an address is read without
// allocating and looked for by halves, so thousands of ranges cost about as little as one.
import ipaddr from "ipaddr.js";

export type AddressRange = {
  /** Network and length, as `192.0.2.0/24` or `2001:db8::/32`: the same text for the same range. */
  readonly cidr: string;
  readonly family: "IPv4" | "IPv6";
  readonly bits: number;
};

/** What of IPv6 stands for IPv4 (RFC 4291 §2.5.5.2) begins with so many bits. */
const MAPPED_BITS = 96;

/** An address or a CIDR; bits behind the network's own are dropped, mapped IPv4 is IPv4. Null where it is neither. */
export function readRange(text: string): AddressRange | null {
  const [, address = "", length] = /^([0-9a-fA-F.:]{2,45})(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !(address.includes(":") && ipaddr.IPv6.isValid(address))) return null;
  let parsed: ipaddr.IPv4 | ipaddr.IPv6 = ipaddr.parse(address);
  const all = parsed.kind() === "ipv4" ? 32 : 128;
  let bits = length === undefined ? all : Number(length);
  if (bits > all) return null;
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress() && bits >= MAPPED_BITS) {
    parsed = parsed.toIPv4Address();
    bits -= MAPPED_BITS;
  }
  const written = `${parsed.toString()}/${bits}`;
  return parsed instanceof ipaddr.IPv4
    ? { cidr: `${ipaddr.IPv4.networkAddressFromCIDR(written).toString()}/${bits}`, family: "IPv4", bits }
    : { cidr: `${ipaddr.IPv6.networkAddressFromCIDR(written).toString()}/${bits}`, family: "IPv6", bits };
}

const [DOT, COLON, ZERO] = [46, 58, 48];
/** The address that was read last: one thread, and nothing is awaited between reading and looking. */
const GROUPS = new Uint16Array(8);

/** The 32 bits of a dotted address from there to the end; -1 where it is none. */
function readFour(text: string, from: number, to: number): number {
  let [value, octet, dots] = [0, -1, 0];
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (octet < 0) return -1;
      value = value * 256 + octet;
      octet = -1;
      dots++;
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9) return -1;
    octet = octet < 0 ? digit : octet * 10 + digit;
    if (octet > 255) return -1;
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : -1;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** Reads the groups between two places into GROUPS from `first` on. @returns how many; -1 where they are none */
function readGroups(text: string, from: number, to: number, first: number): number {
  if (from >= to) return 0;
  let [count, value, digits] = [0, 0, 0];
  for (let at = from; at <= to; at++) {
    const code = at === to ? COLON : text.charCodeAt(at);
    if (code === COLON) {
      if (digits === 0 || first + count > 7) return -1;
      GROUPS[first + count++] = value;
      [value, digits] = [0, 0];
    } else if (code === DOT) {
      const four = readFour(text, at - digits, to);
      if (four < 0 || first + count > 6) return -1;
      GROUPS[first + count] = four >>> 16;
      GROUPS[first + count + 1] = four & 0xffff;
      return count + 2;
    } else {
      const digit = hexDigit(code);
      if (digit < 0 || ++digits > 4) return -1;
      value = value * 16 + digit;
    }
  }
  return count;
}

function readSix(text: string): boolean {
  const zone = text.indexOf("%");
  const end = zone < 0 ? text.length : zone;
  const gap = text.indexOf("::");
  if (gap < 0) return readGroups(text, 0, end, 0) === 8;
  const head = readGroups(text, 0, gap, 0);
  const tail = head < 0 ? -1 : readGroups(text, gap + 2, end, head);
  if (tail < 0 || head + tail > 7) return false;
  GROUPS.copyWithin(8 - tail, head, head + tail);
  GROUPS.fill(0, head, 8 - tail);
  return true;
}

const isMapped = (): boolean => GROUPS[5] === 0xffff && GROUPS.subarray(0, 5).every((group) => group === 0);
const word = (at: number): number => ((GROUPS[at * 2] ?? 0) * 65_536 + (GROUPS[at * 2 + 1] ?? 0)) >>> 0;

type Span = { readonly from: Uint32Array; readonly to: Uint32Array };

function spanOf({ cidr, bits, family }: AddressRange): Span {
  const bytes = ipaddr.parse(cidr.slice(0, cidr.indexOf("/"))).toByteArray();
  const words = family === "IPv4" ? 1 : 4;
  const from = new Uint32Array(words);
  const to = new Uint32Array(words);
  for (let at = 0; at < words; at++) {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(at * 4, at * 4 + 4);
    const own = Math.min(Math.max(bits - at * 32, 0), 32);
    from[at] = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    to[at] = ((from[at] ?? 0) | (own === 32 ? 0 : 0xffffffff >>> own)) >>> 0;
  }
  return { from, to };
}

function compare(one: Uint32Array, other: Uint32Array): number {
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return (one[at] ?? 0) - (other[at] ?? 0);
  return 0;
}

/** Spans of one family that do not overlap, in order, `words` numbers each. */
class Spans {
  readonly #words: number;
  readonly #from: Uint32Array;
  readonly #to: Uint32Array;
  readonly #count: number;

  constructor(ranges: readonly AddressRange[], words: number) {
    const spans = ranges.map(spanOf).toSorted((one, other) => compare(one.from, other.from) || compare(other.to, one.to));
    const kept: Span[] = [];
    for (const span of spans) {
      const last = kept.at(-1);
      // Two networks lie apart or one within the other.
      if (last === undefined || compare(span.from, last.to) > 0) kept.push(span);
    }
    this.#words = words;
    this.#count = kept.length;
    this.#from = new Uint32Array(kept.length * words);
    this.#to = new Uint32Array(kept.length * words);
    for (const [at, span] of kept.entries()) {
      this.#from.set(span.from, at * words);
      this.#to.set(span.to, at * words);
    }
  }

  #compare(list: Uint32Array, at: number, address: Uint32Array): number {
    const first = at * this.#words;
    for (let word = 0; word < this.#words; word++) {
      const [listed, asked] = [list[first + word] ?? 0, address[word] ?? 0];
      if (listed !== asked) return listed < asked ? -1 : 1;
    }
    return 0;
  }

  has(address: Uint32Array): boolean {
    let [low, high] = [0, this.#count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(this.#from, middle, address) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && this.#compare(this.#to, low - 1, address) >= 0;
  }
}

const ASKED_FOUR = new Uint32Array(1);
const ASKED_SIX = new Uint32Array(4);

export class AddressSet {
  readonly #four: Spans;
  readonly #six: Spans;
  readonly #empty: boolean;

  constructor(ranges: readonly AddressRange[]) {
    this.#four = new Spans(
      ranges.filter(({ family }) => family === "IPv4"),
      1,
    );
    this.#six = new Spans(
      ranges.filter(({ family }) => family === "IPv6"),
      4,
    );
    this.#empty = ranges.length === 0;
  }

  /** Whether one of the ranges holds the address; what is no address is in none. */
  has(address: string): boolean {
    if (this.#empty) return false;
    if (!address.includes(":")) {
      const four = readFour(address, 0, address.length);
      if (four < 0) return false;
      ASKED_FOUR[0] = four;
      return this.#four.has(ASKED_FOUR);
    }
    if (!readSix(address)) return false;
    if (isMapped()) {
      ASKED_FOUR[0] = word(3);
      return this.#four.has(ASKED_FOUR);
    }
    for (let at = 0; at < 4; at++) ASKED_SIX[at] = word(at);
    return this.#six.has(ASKED_SIX);
  }
}
