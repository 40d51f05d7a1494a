// A capsule's answers, byte by byte: how they are cut into reads never matters, and what is not well formed is refused
// wherever it is cut.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MalformedResponse, MAX_HEAD_BYTES, ResponseParser, type ResponseHead } from "../../../src/host/edge/response-parser.ts";

type Asked = { readonly head?: boolean; readonly upgrade?: boolean };
type Read = { heads: ResponseHead[]; body: string; over: boolean; switched: boolean; keepAlive: boolean; rest: string };

/** Reads the pieces as a socket would hand them out: each in the same memory, which is written over afterwards. */
function read(pieces: readonly string[], { head = false, upgrade = false }: Asked = {}, closes = false): Read {
  const memory = Buffer.alloc(Math.max(1, ...pieces.map((piece) => piece.length)));
  const heads: ResponseHead[] = [];
  let body = "";
  let rest = "";
  const parser = new ResponseParser({ head: (each) => heads.push(each), body: (bytes) => (body += bytes.toString("latin1")) });
  parser.begin(head, upgrade);
  for (const piece of pieces) {
    memory.write(piece, "latin1");
    rest += parser.push(memory.subarray(0, piece.length)).toString("latin1");
    memory.fill(0x2a);
  }
  if (closes) parser.close();
  return { heads, body, over: parser.over, switched: parser.switched, keepAlive: parser.keepAlive, rest };
}

function cut(text: string, at: readonly number[]): string[] {
  const marks = [...new Set(at.map((mark) => mark % (text.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...marks].map((from, index) => text.slice(from, marks[index])).filter((piece) => piece !== "");
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

const MALFORMED: Readonly<Record<string, string>> = {
  nonsense: "hello\r\n\r\n",
  "a request": "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "an SSH greeting": "SSH-2.0-OpenSSH_9.9\r\n\r\n",
  "HTTP/2.0": "HTTP/2.0 200 OK\r\n\r\n",
  "HTTP/1.2": "HTTP/1.2 200 OK\r\n\r\n",
  "a lower case protocol": "http/1.1 200 OK\r\n\r\n",
  "a status of two digits": "HTTP/1.1 99 OK\r\n\r\n",
  "a status of four digits": "HTTP/1.1 2000 OK\r\n\r\n",
  "a status of 000": "HTTP/1.1 000 OK\r\n\r\n",
  "a status of letters": "HTTP/1.1 2oo OK\r\n\r\n",
  "two spaces before the status": "HTTP/1.1  200 OK\r\n\r\n",
  "a tab before the status": "HTTP/1.1\t200 OK\r\n\r\n",
  "an empty line before the status": "\r\nHTTP/1.1 200 OK\r\n\r\n",
  "a control character in the reason": "HTTP/1.1 200 O\u0001K\r\n\r\n",
  "a bare LF in the reason": "HTTP/1.1 200 OK\nX-Split: 1\r\n\r\n",
  "a bare CR in the reason": "HTTP/1.1 200 OK\rX-Split: 1\r\n\r\n",
  "a folded header": `${OK}X-Folded: one\r\n two\r\n\r\n`,
  "a folded first header": `${OK} X-Folded: one\r\n\r\n`,
  "a folded coding": `${OK}Transfer-Encoding:\r\n chunked\r\n\r\n`,
  "a space before the colon": `${OK}Content-Length : 3\r\n\r\nabc`,
  "a header without a colon": `${OK}nothing\r\n\r\n`,
  "a header without a name": `${OK}: value\r\n\r\n`,
  "a space in a header's name": `${OK}X Y: 1\r\n\r\n`,
  "a byte above ASCII in a header's name": `${OK}X-\u00e9: 1\r\n\r\n`,
  "a NUL in a value": `${OK}X-Nul: a\0b\r\n\r\n`,
  "a bare LF in a value": `${OK}X-Lf: a\nSet-Cookie: b=1\r\n\r\n`,
  "a bare CR in a value": `${OK}X-Cr: a\rSet-Cookie: b=1\r\n\r\n`,
  "a DEL in a value": `${OK}X-Del: \u007f\r\n\r\n`,
  "lines that end in LF alone": `HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n`,
  "two lengths": `${OK}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
  "the same length twice": `${OK}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
  "two lengths in one": `${OK}Content-Length: 3, 3\r\n\r\nabc`,
  "an empty length": `${OK}Content-Length: \r\n\r\n`,
  "a negative length": `${OK}Content-Length: -1\r\n\r\n`,
  "a length with a sign": `${OK}Content-Length: +3\r\n\r\nabc`,
  "a length in hexadecimal": `${OK}Content-Length: 0x3\r\n\r\nabc`,
  "a length with a fraction": `${OK}Content-Length: 3.0\r\n\r\nabc`,
  "a length that overflows": `${OK}Content-Length: 99999999999999999999\r\n\r\n`,
  "a length beside chunks": `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "chunks beside a length": `${OK}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`,
  "another coding": `${OK}Transfer-Encoding: gzip\r\n\r\n`,
  "two codings": `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  "chunked twice": `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "chunks in HTTP/1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "a coding behind a vertical tab": `${OK}Transfer-Encoding: \u000bchunked\r\n\r\n`,
  "a chunk size of letters": `${CHUNKED}zz\r\nabc\r\n0\r\n\r\n`,
  "an empty chunk size": `${CHUNKED}\r\nabc\r\n0\r\n\r\n`,
  "a negative chunk size": `${CHUNKED}-1\r\nabc\r\n0\r\n\r\n`,
  "a chunk size behind a space": `${CHUNKED} 3\r\nabc\r\n0\r\n\r\n`,
  "a chunk size in 0x": `${CHUNKED}0x3\r\nabc\r\n0\r\n\r\n`,
  "a chunk size that overflows": `${CHUNKED}fffffffffffffffff\r\nabc`,
  "a chunk size that ends in LF alone": `${CHUNKED}3\nabc\r\n0\r\n\r\n`,
  "a chunk longer than its size": `${CHUNKED}3\r\nabcd\r\n0\r\n\r\n`,
  "a chunk without an end of line": `${CHUNKED}3\r\nabc0\r\n\r\n`,
  "an endless chunk extension": `${CHUNKED}3;${"x".repeat(1000)}`,
  "a control character in a chunk extension": `${CHUNKED}3;a\u0001\r\nabc\r\n0\r\n\r\n`,
  "a trailer without a colon": `${CHUNKED}0\r\nnothing\r\n\r\n`,
  "a folded trailer": `${CHUNKED}0\r\nX-A: 1\r\n two\r\n\r\n`,
  "endless trailers": `${CHUNKED}0\r\n${"X-A: 1\r\n".repeat(10_000)}`,
  "an endless head": `${OK}X-Long: ${"x".repeat(MAX_HEAD_BYTES)}`,
  "a whole head that is too long": `${OK}X-Long: ${"x".repeat(MAX_HEAD_BYTES)}\r\n\r\n`,
  "endless interim responses": "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(2000),
  "a switch that nobody asked for": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
};

describe("what is refused", () => {
  for (const [what, bytes] of Object.entries(MALFORMED)) {
    test(what, () => {
      assert.throws(() => read([bytes]), MalformedResponse);
      const step = bytes.length > 5000 ? 997 : 1;
      const marks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) => at * step);
      assert.throws(() => read(cut(bytes, marks)), MalformedResponse);
    });
  }
});

type Case = { readonly bytes: string; readonly asked?: Asked; readonly closes?: boolean; readonly expected: Partial<Read> };

const FINE: Readonly<Record<string, Case>> = {
  "an empty reason": { bytes: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", expected: { over: true, keepAlive: true } },
  "no reason": { bytes: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", expected: { over: true, keepAlive: true } },
  "names in any case": { bytes: "HTTP/1.1 200 OK\r\ncONTENT-lENGTH:2\r\n\r\nab", expected: { body: "ab", over: true } },
  "chunked in any case": { bytes: `${OK}transfer-ENCODING: ChunKed\r\n\r\n1\r\na\r\n0\r\n\r\n`, expected: { body: "a", over: true } },
  "a HEAD's length": {
    bytes: `${OK}Content-Length: 5\r\n\r\n`,
    asked: { head: true },
    expected: { body: "", over: true, keepAlive: true },
  },
  "a HEAD's chunks": { bytes: CHUNKED, asked: { head: true }, expected: { body: "", over: true, keepAlive: true } },
  "a 204 with a length": { bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", expected: { over: true, rest: "" } },
  "a 304 with a length": { bytes: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", expected: { over: true, body: "" } },
  "a body after a 204": { bytes: "HTTP/1.1 204 No Content\r\n\r\nabc", expected: { over: true, body: "", rest: "abc" } },
  "a second response": { bytes: `${OK}Content-Length: 1\r\n\r\na${OK}\r\n`, expected: { over: true, body: "a", rest: `${OK}\r\n` } },
  "more than the length": { bytes: `${OK}Content-Length: 1\r\n\r\nabc`, expected: { over: true, body: "a", rest: "bc" } },
  "less than the length": { bytes: `${OK}Content-Length: 3\r\n\r\nab`, closes: true, expected: { over: false, body: "ab" } },
  "chunks without their end": { bytes: `${CHUNKED}2\r\nab\r\n`, closes: true, expected: { over: false, body: "ab" } },
  "trailers without their end": { bytes: `${CHUNKED}0\r\nX-A: 1\r\n`, closes: true, expected: { over: false } },
  "a body until the close": { bytes: `${OK}\r\nabc`, closes: true, expected: { over: true, body: "abc", keepAlive: false } },
  "an empty body until the close": { bytes: `${OK}\r\n`, closes: true, expected: { over: true, body: "", keepAlive: false } },
  "a head cut short": { bytes: `${OK}Content-Le`, closes: true, expected: { over: false, heads: [] } },
  "Connection: close": { bytes: `${OK}Content-Length: 0\r\nConnection: x, Close\r\n\r\n`, expected: { over: true, keepAlive: false } },
  "HTTP/1.0": { bytes: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", expected: { over: true, body: "a", keepAlive: false } },
  "interim responses": {
    bytes: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}Content-Length: 1\r\n\r\na`,
    expected: { over: true, body: "a" },
  },
  "extensions and trailers": {
    bytes: `${CHUNKED}0002;a=b;c="d"\r\nab\r\n1 \r\nc\r\n0;x\r\nX-A: 1\r\nX-B:\r\n\r\n`,
    expected: { over: true, body: "abc", keepAlive: true, rest: "" },
  },
  "a switch that was asked for": {
    bytes: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\u0081\u0000",
    asked: { upgrade: true },
    expected: { switched: true, over: false, rest: "\u0081\u0000", body: "" },
  },
  "a refusal to switch": {
    bytes: "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno",
    asked: { upgrade: true },
    expected: { over: true, body: "no" },
  },
};

describe("what is read", () => {
  for (const [what, { bytes, asked, closes, expected }] of Object.entries(FINE)) {
    test(what, () => {
      const whole = read([bytes], asked, closes);
      assert.deepEqual({ ...whole, ...expected }, whole);
      assert.deepEqual(read(bytes.split(""), asked, closes), whole);
    });
  }

  test("names and values come as they were written, without the space around", () => {
    const { heads } = read([`${OK}X-A:\t one two \r\nx-a:\r\nX-Latin: \u00e9\u00ff\r\nConnection: a\r\nConnection: b\r\n\r\n`]);
    assert.equal(heads[0]?.status, 200);
    assert.equal(heads[0]?.reason, "OK");
    const written = ["X-A", "one two", "x-a", "", "X-Latin", "\u00e9\u00ff", "Connection", "a", "Connection", "b"];
    assert.deepEqual(heads[0]?.raw, written);
    assert.equal(heads[0]?.connection, "a,b");
  });
});

const latin = (maxLength: number) =>
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength });
const token = fc.stringMatching(/^X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8}$/);
const value = fc.stringMatching(/^[\x21-\x7e\xa1-\xff]([\t\x20-\x7e\xa1-\xff]{0,20}[\x21-\x7e\xa1-\xff])?$/);
const headers = fc.array(fc.tuple(token, value), { maxLength: 6 });
const framed = fc.oneof(
  fc.record({ how: fc.constant("length" as const), pieces: fc.array(latin(40), { maxLength: 1 }) }),
  fc.record({ how: fc.constant("chunks" as const), pieces: fc.array(latin(40), { maxLength: 6 }) }),
  fc.record({ how: fc.constant("close" as const), pieces: fc.array(latin(40), { maxLength: 1 }) }),
);

test("any response reads the same however it is cut", () => {
  const property = fc.property(
    fc.integer({ min: 200, max: 999 }).filter((status) => status !== 204 && status !== 304),
    headers,
    framed,
    fc.array(fc.nat(), { maxLength: 30 }),
    (status, fields, { how, pieces }, marks) => {
      const body = pieces.join("");
      const chunks = pieces.filter((piece) => piece !== "").map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`);
      const framing = { length: `Content-Length: ${body.length}\r\n`, chunks: "Transfer-Encoding: chunked\r\n", close: "" }[how];
      const payload = how === "chunks" ? `${chunks.join("")}0\r\n${fields.map(([name, is]) => `${name}: ${is}\r\n`).join("")}\r\n` : body;
      const text = `HTTP/1.1 ${status} So\r\n${fields.map(([name, is]) => `${name}: ${is}\r\n`).join("")}${framing}\r\n${payload}`;
      const got = read(cut(text, marks), {}, true);
      assert.equal(got.body, body);
      assert.equal(got.over, true);
      assert.equal(got.rest, "");
      assert.equal(got.keepAlive, how !== "close");
      assert.equal(got.heads.length, 1);
      assert.equal(got.heads[0]?.status, status);
      assert.deepEqual(got.heads[0]?.raw.slice(0, fields.length * 2), fields.flat());
    },
  );
  fc.assert(property, { numRuns: 500 });
});

test("bytes at random are a response or refused, and the same one however they are cut", () => {
  const verdict = (pieces: readonly string[]): unknown => {
    try {
      return read(pieces, {}, true);
    } catch (error) {
      assert.ok(error instanceof MalformedResponse);
      return "refused";
    }
  };
  // Pieces of responses, so that some get past the first line.
  const part = fc.oneof(
    latin(6),
    fc.constantFrom(OK, "\r\n", "\r\n\r\n", "Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n", "0\r\n"),
  );
  const property = fc.property(
    fc.array(part, { maxLength: 12 }),
    fc.array(fc.nat(), { maxLength: 20 }),
    fc.boolean(),
    (parts, marks, start) => {
      const text = (start ? OK : "") + parts.join("");
      const whole = verdict([text].filter((piece) => piece !== ""));
      const pieces = verdict(cut(text, marks));
      assert.deepEqual(pieces, whole);
    },
  );
  fc.assert(property, { numRuns: 1000 });
});
