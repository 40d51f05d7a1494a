// Writes of many pairs: all are checked before any is written, then they go to the process in chunks, each of which is
// written as a whole or not at all. The body is held once, as it came; pairs are parsed one at a time.
import { setImmediate } from "node:timers/promises";
import { PlatformError } from "../../../kernel/errors.ts";
import { toPair, type Pair } from "./contract.ts";
import { putPairs, putValue, type Place } from "./process.ts";
import { BULK_MAX_PAIRS, CHUNK_BYTES, CHUNK_PAIRS, CHUNKED_VALUE_MAX_BYTES } from "./quota.ts";
import { framed } from "./value-body.ts";

const invalid = (message: string): PlatformError => new PlatformError("invalid_input", { message });

const [QUOTE, BACKSLASH, OPEN, CLOSE, BEGIN, END, COMMA] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d, 0x2c] as const;
const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const PAUSE_EVERY = 256;

function trimmed(body: Buffer): { from: number; to: number } {
  let [from, to] = [0, body.length];
  while (from < to && isSpace(body[from])) from++;
  while (to > from && isSpace(body[to - 1])) to--;
  if (body[from] !== OPEN || body[to - 1] !== CLOSE || to - from < 2) throw invalid("body: is not a JSON array of pairs.");
  return { from: from + 1, to: to - 1 };
}

/** The end of a JSON string: the place of its closing quote. */
function endOfString(body: Buffer, opening: number): number {
  for (let at = body.indexOf(QUOTE, opening + 1); at !== -1; at = body.indexOf(QUOTE, at + 1)) {
    let before = at - 1;
    while (body[before] === BACKSLASH) before--;
    if ((at - before) % 2 === 1) return at;
  }
  throw invalid("body: is not JSON in UTF-8.");
}

/** Where the elements of a JSON array lie in its text, found by their brackets and strings. */
export function* elementsOf(body: Buffer): Generator<Buffer> {
  const { from, to } = trimmed(body);
  let depth = 0;
  let start = from;
  for (let at = from; at < to; at++) {
    const byte = body[at];
    if (byte === QUOTE) at = endOfString(body, at);
    else if (byte === OPEN || byte === BEGIN) depth++;
    else if (byte === CLOSE || byte === END) depth--;
    else if (byte === COMMA && depth === 0) {
      yield body.subarray(start, at);
      start = at + 1;
    }
    if (depth < 0 || depth > 100) throw invalid("body: is not JSON, or nested deeper than 100 levels.");
  }
  const last = body.subarray(start, to);
  if (start > from || last.some((byte) => !isSpace(byte))) yield last;
}

function parsed(element: Buffer, at: number): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(element));
  } catch {
    throw invalid(`[${at}]: is not JSON in UTF-8.`);
  }
}

async function* pairsOf(body: Buffer, nowMs: number): AsyncGenerator<Pair> {
  let at = 0;
  for (const element of elementsOf(body)) {
    if (at === BULK_MAX_PAIRS) throw invalid(`body: has more than ${BULK_MAX_PAIRS} pairs.`);
    yield toPair(parsed(element, at), at, nowMs);
    at++;
    // Others' requests are answered meanwhile.
    if (at % PAUSE_EVERY === 0) await setImmediate();
  }
  if (at === 0) throw invalid("body: is empty; send at least one pair.");
}

/** Pairs that one call to the process carries. */
async function* chunksOf(pairs: AsyncIterable<Pair>): AsyncGenerator<Pair[]> {
  let chunk: Pair[] = [];
  let bytes = 0;
  for await (const pair of pairs) {
    const large = pair.value.byteLength > CHUNKED_VALUE_MAX_BYTES;
    if (chunk.length > 0 && (large || chunk.length === CHUNK_PAIRS || bytes + pair.value.byteLength > CHUNK_BYTES)) {
      yield chunk;
      [chunk, bytes] = [[], 0];
    }
    if (large) yield [pair];
    else {
      chunk.push(pair);
      bytes += pair.value.byteLength;
    }
  }
  if (chunk.length > 0) yield chunk;
}

const write = (place: Place, chunk: readonly Pair[]): Promise<void> => {
  const [only] = chunk;
  if (only && only.value.byteLength > CHUNKED_VALUE_MAX_BYTES) {
    return putValue(place, only.key, framed(only.value, only.metadata), only.life);
  }
  return putPairs(place, chunk);
};

export type Written = {
  readonly count: number;
  /** Keys that were not written, in the order they came. */
  readonly failed: readonly string[];
  /** Why the first of them was not. */
  readonly problem: PlatformError | null;
};

/** @throws PlatformError invalid_input, before anything is written */
export async function checkPairs(body: Buffer, nowMs: number): Promise<void> {
  for await (const _ of pairsOf(body, nowMs));
}

/**
 * Writes the pairs of a checked body in their order. Once one chunk has failed the rest is not tried.
 * @throws PlatformError why the first chunk failed: nothing was written then
 */
export async function writePairs(place: Place, body: Buffer, nowMs: number): Promise<Written> {
  let count = 0;
  let problem: PlatformError | null = null;
  const failed: string[] = [];
  for await (const chunk of chunksOf(pairsOf(body, nowMs))) {
    try {
      if (!problem) await write(place, chunk);
    } catch (error) {
      if (count === 0 || !(error instanceof PlatformError)) throw error;
      problem = error;
    }
    if (problem) failed.push(...chunk.map(({ key }) => key));
    else count += chunk.length;
  }
  return { count, failed, problem };
}
