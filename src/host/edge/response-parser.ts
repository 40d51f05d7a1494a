// Reads what a capsule answers: HTTP/1.1 and nothing near it, bounded, without copying bodies. The process behind may
// have been taken over, so whatever is not exactly well formed is refused, and nothing is mended or guessed.
// Source: RFC 9112.
import { FIELD_LINES } from "./field-lines.ts";

export type ResponseHead = {
  readonly status: number;
  readonly reason: string;
  /** Name, value, name, value, …; values without the space around them. */
  readonly raw: readonly string[];
  readonly connection: string | undefined;
  /** Of the body as announced; null where none was. */
  readonly length: number | null;
};

/** Called while `push` runs; body bytes are a view into what was pushed. */
export type ResponseEvents = {
  head(head: ResponseHead): void;
  body(bytes: Buffer): void;
};

/** What a process answered is no HTTP response. */
export class MalformedResponse extends Error {
  constructor(problem: string) {
    super(`The response has ${problem}`);
    this.name = "MalformedResponse";
  }
}

/** Of a head, of all interim ones before it, and of all trailers. */
export const MAX_HEAD_BYTES = 65_536;
const MAX_SIZE_LINE_BYTES = 256;

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const LENGTH = /^\d{1,15}$/;
/** Extensions are allowed and mean nothing. */
const SIZE_LINE = /^([\da-fA-F]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

const END_OF_HEAD = Buffer.from("\r\n\r\n");
const END_OF_LINE = Buffer.from("\r\n");
const NOTHING = Buffer.alloc(0);

const isSpace = (code: number): boolean => code === 0x20 || code === 0x09;

function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

type Read = ResponseHead & { readonly chunked: boolean; readonly keepAlive: boolean };

/** @param text a whole head with the empty line's own CRLF left off */
function readHead(text: string): Read {
  const first = text.indexOf("\r\n");
  const line = STATUS_LINE.exec(text.slice(0, first));
  if (line === null) throw new MalformedResponse("no status line");
  if (!FIELD_LINES.test(text.slice(first + 2))) throw new MalformedResponse("a malformed header");
  const modern = line[1] === "1";
  const raw: string[] = [];
  let connection: string | undefined;
  let length: number | null = null;
  let chunked = false;
  for (let at = first + 2; at < text.length;) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    const name = text.slice(at, colon);
    const value = trimmed(text, colon + 1, end);
    raw.push(name, value);
    at = end + 2;
    // By its length first: most headers are none of these.
    const size = name.length;
    if (size !== 10 && size !== 14 && size !== 17) continue;
    const lower = name.toLowerCase();
    if (lower === "connection") connection = connection === undefined ? value : `${connection},${value}`;
    else if (lower === "content-length") {
      if (length !== null || !LENGTH.test(value)) throw new MalformedResponse("a wrong Content-Length");
      length = Number(value);
    } else if (lower === "transfer-encoding") {
      if (chunked || !modern || value.toLowerCase() !== "chunked") throw new MalformedResponse("a wrong Transfer-Encoding");
      chunked = true;
    }
  }
  if (chunked && length !== null) throw new MalformedResponse("two lengths");
  const keepAlive = modern && (connection === undefined || !/(?:^|[,\t ])close(?:$|[,\t ])/i.test(connection));
  return { status: Number(line[2]), reason: line[3] ?? "", raw, connection, length, chunked, keepAlive };
}

type State = "head" | "length" | "until-close" | "size" | "chunk" | "chunk-end" | "trailers" | "over" | "switched";

/** One response at a time; `begin` makes it ready for the next. */
export class ResponseParser {
  readonly #events: ResponseEvents;
  #state: State = "over";
  /** Bytes of a head or of a line that has not come to its end. */
  #held: Buffer = NOTHING;
  /** Bytes of body or chunk that are still to come. */
  #left = 0;
  #headBytes = 0;
  #bodiless = false;
  #upgrade = false;
  #keepAlive = false;
  #started = false;

  constructor(events: ResponseEvents) {
    this.#events = events;
  }

  /** @param head whether the request is a HEAD; @param upgrade whether it asks for another protocol */
  begin(head: boolean, upgrade: boolean): void {
    this.#state = "head";
    this.#held = NOTHING;
    this.#headBytes = 0;
    this.#bodiless = head;
    this.#upgrade = upgrade;
    this.#started = false;
  }

  /** Whether any byte of the response has come. */
  get started(): boolean {
    return this.#started;
  }

  get over(): boolean {
    return this.#state === "over";
  }

  /** Whether the head was a 101: what comes after it is another protocol. */
  get switched(): boolean {
    return this.#state === "switched";
  }

  /** Whether the connection may serve another request; only once over. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /**
   * Takes bytes in.
   * @returns bytes from which the response took none: they came after its end, or after a switch of protocols
   * @throws MalformedResponse
   */
  push(chunk: Buffer): Buffer {
    this.#started = true;
    let rest = chunk;
    while (rest.length > 0) {
      switch (this.#state) {
        case "head":
          rest = this.#head(rest);
          break;
        case "length":
        case "chunk":
          rest = this.#counted(rest);
          break;
        case "until-close":
          this.#events.body(rest);
          return NOTHING;
        case "size":
          rest = this.#size(rest);
          break;
        case "chunk-end":
          rest = this.#line(rest, 2, (line) => {
            if (line !== "") throw new MalformedResponse("a chunk longer than its size");
            this.#state = "size";
          });
          break;
        case "trailers":
          rest = this.#line(rest, MAX_HEAD_BYTES - this.#headBytes, (line) => this.#trailer(line));
          break;
        case "over":
        case "switched":
          return rest;
      }
    }
    return NOTHING;
  }

  /** The other side has closed. @returns whether the response is whole */
  close(): boolean {
    if (this.#state === "until-close") this.#state = "over";
    return this.#state === "over";
  }

  /** Joins with what was held. @param most bytes that the joined may have without its end */
  #until(end: Buffer, chunk: Buffer, most: number): { readonly text: string; readonly rest: Buffer } | null {
    const held = this.#held.length;
    const bytes = held === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const found = bytes.indexOf(end, Math.max(0, held - end.length + 1));
    if ((found < 0 ? bytes.length : found) > most) throw new MalformedResponse("too long a line or head");
    if (found < 0) {
      // A copy: the pushed bytes are the caller's to write over.
      this.#held = held === 0 ? Buffer.from(bytes) : bytes;
      return null;
    }
    this.#held = NOTHING;
    return { text: bytes.toString("latin1", 0, found), rest: bytes.subarray(found + end.length) };
  }

  #line(chunk: Buffer, most: number, take: (line: string) => void): Buffer {
    const line = this.#until(END_OF_LINE, chunk, most);
    if (line === null) return NOTHING;
    take(line.text);
    return line.rest;
  }

  #head(chunk: Buffer): Buffer {
    const found = this.#until(END_OF_HEAD, chunk, MAX_HEAD_BYTES - this.#headBytes);
    if (found === null) return NOTHING;
    const head = readHead(`${found.text}\r\n`);
    this.#headBytes += found.text.length + END_OF_HEAD.length;
    if (head.status === 101) {
      if (!this.#upgrade) throw new MalformedResponse("a switch of protocols that nobody asked for");
      this.#state = "switched";
      this.#events.head(head);
      return found.rest;
    }
    // Interim responses are for the hop that asked.
    if (head.status < 200) return found.rest;
    this.#frame(head);
    this.#events.head(head);
    return found.rest;
  }

  #frame(head: Read): void {
    this.#keepAlive = head.keepAlive;
    this.#left = head.length ?? 0;
    if (this.#bodiless || head.status === 204 || head.status === 304) this.#state = "over";
    else if (head.chunked) this.#state = "size";
    else if (head.length !== null) this.#state = head.length === 0 ? "over" : "length";
    else {
      this.#state = "until-close";
      this.#keepAlive = false;
    }
  }

  #counted(chunk: Buffer): Buffer {
    const bytes = chunk.length > this.#left ? chunk.subarray(0, this.#left) : chunk;
    this.#left -= bytes.length;
    if (this.#left === 0) this.#state = this.#state === "chunk" ? "chunk-end" : "over";
    this.#events.body(bytes);
    return bytes === chunk ? NOTHING : chunk.subarray(bytes.length);
  }

  #size(chunk: Buffer): Buffer {
    return this.#line(chunk, MAX_SIZE_LINE_BYTES, (line) => {
      const size = SIZE_LINE.exec(line)?.[1];
      if (size === undefined) throw new MalformedResponse("a malformed chunk");
      this.#left = Number.parseInt(size, 16);
      this.#state = this.#left === 0 ? "trailers" : "chunk";
    });
  }

  #trailer(line: string): void {
    this.#headBytes += line.length + END_OF_LINE.length;
    if (line === "") this.#state = "over";
    else if (!FIELD_LINES.test(`${line}\r\n`)) throw new MalformedResponse("a malformed trailer");
  }
}
