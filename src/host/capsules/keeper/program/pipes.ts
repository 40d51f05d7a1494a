// The program's two pipes, read and written without an event loop: whoever is slow at the other end makes it wait,
// and nothing piles up here.
import { readSync, writeSync } from "node:fs";

const CHUNK_BYTES = 256 * 1024;
const LINE_BYTES = 1024 * 1024;
const STDIN = 0;
const STDOUT = 1;

let rest: Buffer = Buffer.alloc(0);

function readChunk(): Buffer | null {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const length = readSync(STDIN, chunk);
  return length === 0 ? null : chunk.subarray(0, length);
}

/** The first line; what follows it is the body. @throws Error when there is none, or it is too long. */
export function readJobLine(): string {
  const parts: Buffer[] = [];
  for (let bytes = 0; bytes <= LINE_BYTES;) {
    const chunk = readChunk();
    if (chunk === null) break;
    const end = chunk.indexOf(10);
    bytes += chunk.length;
    if (end === -1) {
      parts.push(chunk);
      continue;
    }
    rest = chunk.subarray(end + 1);
    return Buffer.concat([...parts, chunk.subarray(0, end)]).toString("utf8");
  }
  throw new Error("there is no job line of bearable length");
}

/** The body, once. */
export function* readBody(): Generator<Buffer> {
  if (rest.length > 0) yield rest;
  rest = Buffer.alloc(0);
  for (let chunk = readChunk(); chunk !== null; chunk = readChunk()) yield chunk;
}

let pending: string[] = [];
let pendingLength = 0;

/** Hands out what was written so far. */
export function flush(): void {
  const bytes = Buffer.from(pending.join(""), "utf8");
  pending = [];
  pendingLength = 0;
  for (let at = 0; at < bytes.length;) at += writeSync(STDOUT, bytes, at);
}

export function write(text: string): void {
  pending.push(text);
  pendingLength += text.length;
  if (pendingLength >= CHUNK_BYTES) flush();
}

/** One line of JSON. */
export function answer(value: unknown): void {
  write(`${JSON.stringify(value)}\n`);
  flush();
}
