// Bytes that honest clients never send, each with what must become of it, for both listeners. HOST is the door's own
// host, OTHER one that it must not be talked into; PATH is where the door tells which path it was asked for.
import { newSecret } from "../../src/kernel/ids.ts";

/** `refused`: one 4xx answer at most, and nothing after it; `cut`: closed without a word; a number: so many answers in order. */
export type Want = "refused" | "cut" | number;

export type Attack = {
  readonly name: string;
  readonly bytes: string;
  readonly want: Want | { readonly edge: Want; readonly api: Want };
  /** Of the refusal, where it is always the same. */
  readonly status?: number;
};

const SMUGGLED = "GET PATH/smuggled HTTP/1.1\r\nHost: OTHER\r\n\r\n";
const BODY = `0\r\n\r\n${SMUGGLED}`;
const get = (headers: string, target = "PATH/1"): string => `GET ${target} HTTP/1.1\r\n${headers}\r\n\r\n`;
const post = (headers: string, body: string): string => `POST PATH/1 HTTP/1.1\r\nHost: HOST\r\n${headers}\r\n\r\n${body}`;
const chunks = (body: string): string => post("Transfer-Encoding: chunked", body);
const host = (value: string): string => get(`Host: ${value}`);

const refused = (name: string, bytes: string, status?: number): Attack => ({
  name,
  bytes,
  want: "refused",
  ...(status !== undefined && { status }),
});
const served = (name: string, bytes: string, answers = 1): Attack => ({ name, bytes, want: answers });
const at = (name: string, bytes: string, edge: Want, api: Want): Attack => ({ name, bytes, want: { edge, api } });

const LENGTHS: readonly Attack[] = [
  refused("a length beside chunks", post("Content-Length: 4\r\nTransfer-Encoding: chunked", BODY)),
  refused("chunks beside a length", post("Transfer-Encoding: chunked\r\nContent-Length: 60", BODY)),
  refused("two lengths", post("Content-Length: 0\r\nContent-Length: 44", SMUGGLED)),
  refused("two lengths that agree", post("Content-Length: 0\r\nContent-Length: 0", SMUGGLED)),
  refused("two lengths in one", post("Content-Length: 0, 44", SMUGGLED)),
  refused("two lengths in one that agree", post("Content-Length: 0, 0", SMUGGLED)),
  refused("a negative length", post("Content-Length: -1", SMUGGLED)),
  refused("a length with a sign", post("Content-Length: +0", SMUGGLED)),
  refused("a length in hexadecimal", post("Content-Length: 0x0", SMUGGLED)),
  refused("a length with a fraction", post("Content-Length: 0.0", SMUGGLED)),
  refused("a length with an exponent", post("Content-Length: 0e1", SMUGGLED)),
  refused("a length with a space inside", post("Content-Length: 0 0", SMUGGLED)),
  refused("a length that overflows", post("Content-Length: 99999999999999999999999", SMUGGLED)),
  refused("an empty length", post("Content-Length:", SMUGGLED)),
  refused("a folded length", post("Content-Length:\r\n 0", SMUGGLED)),
  refused("a length with a space before its colon", post("Content-Length : 0", SMUGGLED)),
];

const CODINGS: readonly Attack[] = [
  refused("a coding that is not there", post("Transfer-Encoding: xchunked", BODY)),
  refused("chunked before another coding", post("Transfer-Encoding: chunked, identity", BODY)),
  refused("another coding before chunked", post("Transfer-Encoding: gzip, chunked", BODY)),
  refused("identity", post("Transfer-Encoding: identity", BODY)),
  refused("identity before chunked", post("Transfer-Encoding: identity, chunked", BODY)),
  refused("chunked twice", post("Transfer-Encoding: chunked, chunked", BODY)),
  refused("chunked in two headers", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BODY)),
  refused("another coding in a second header", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", BODY)),
  refused("chunked in quotes", post('Transfer-Encoding: "chunked"', BODY)),
  refused("chunked with a parameter", post("Transfer-Encoding: chunked;q=1", BODY)),
  refused("an empty coding", post("Transfer-Encoding:", BODY)),
  refused("a space before the coding's colon", post("Transfer-Encoding : chunked", BODY)),
  refused("a tab before the coding's colon", post("Transfer-Encoding\t: chunked", BODY)),
  refused("a vertical tab before chunked", post("Transfer-Encoding: \u000bchunked", BODY)),
  refused("a NUL after chunked", post("Transfer-Encoding: chunked\0", BODY)),
  refused("a folded coding", post("Transfer-Encoding:\r\n chunked", BODY)),
  refused("a coding as the fold of another header", post("X: y\r\n Transfer-Encoding: chunked", BODY)),
  refused("chunks in HTTP/1.0", `POST PATH/1 HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n${BODY}`),
  served("chunked in capitals", post("Transfer-Encoding: CHUNKED", "3\r\nabc\r\n0\r\n\r\n")),
  served("a Connection that declares the coding away", post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
  served("a Connection that declares length and host away", post("Connection: Content-Length, Host\r\nContent-Length: 2", "ab")),
];

const CHUNKS: readonly Attack[] = [
  refused("a chunk size of letters", chunks(`zz\r\nabc\r\n${BODY}`)),
  refused("a negative chunk size", chunks(`-1\r\nabc\r\n${BODY}`)),
  refused("a chunk size with a sign", chunks(`+3\r\nabc\r\n${BODY}`)),
  refused("a chunk size with 0x", chunks(`0x3\r\nabc\r\n${BODY}`)),
  refused("a chunk size behind a space", chunks(` 3\r\nabc\r\n${BODY}`)),
  refused("a chunk size that overflows", chunks(`fffffffffffffffff\r\nabc\r\n${BODY}`)),
  refused("an empty chunk size", chunks(`\r\nabc\r\n${BODY}`)),
  refused("a chunk longer than its size", chunks(`1\r\nabc\r\n${BODY}`)),
  refused("a chunk without an end of line", chunks(`3\r\nabc${BODY}`)),
  refused("a chunk size that a line feed ends", chunks(`3\nabc\r\n${BODY}`)),
  refused("a chunk that a line feed ends", chunks(`3\r\nabc\n${BODY}`)),
  refused("an endless chunk extension", chunks(`3;${"x".repeat(40_000)}\r\nabc\r\n${BODY}`)),
  refused("a chunk extension with a line feed", chunks(`3;a\nb\r\nabc\r\n${BODY}`)),
  served("a trailer that names a length", chunks("3\r\nabc\r\n0\r\nX-Content-Length: 44\r\n\r\n")),
];

const HOSTS: readonly Attack[] = [
  refused("another host in the target", get("Host: HOST", "http://OTHERPATH/smuggled")),
  refused("another host behind a user in the target", get("Host: HOST", "http://HOST@OTHERPATH/smuggled")),
  refused("another port in the target", get("Host: HOST", "http://localhost:1PATH/smuggled")),
  refused("two hosts", get("Host: HOST\r\nHost: OTHER", "PATH/smuggled")),
  refused("two hosts, the other first", get("Host: OTHER\r\nHost: HOST", "PATH/smuggled")),
  refused("the same host twice", get("Host: HOST\r\nHost: HOST", "PATH/smuggled")),
  refused("two hosts far apart", get(`Host: HOST\r\n${"x: y\r\n".repeat(190)}Host: OTHER`, "PATH/smuggled")),
  refused("no host", get("X-Nothing: here", "PATH/smuggled")),
  refused("no host in HTTP/1.0", "GET PATH/smuggled HTTP/1.0\r\n\r\n"),
  refused("an empty host", host("")),
  refused("two hosts in one", host("HOST, OTHER")),
  refused("a host with a user", host("HOST@OTHER")),
  refused("a host with a password", host("a:b@HOST")),
  refused("a host with a path", host("HOST/smuggled?")),
  refused("a host with a fragment", host("HOST#OTHER")),
  refused("a host with a backslash", host("HOST\\OTHER")),
  refused("a host with a space", host("HOST OTHER")),
  refused("a host with a tab", host("HOST\tOTHER")),
  refused("a host with a percent sign", host("HOST%00")),
  refused("a host with a port of letters", host("HOST:http")),
  refused("a host with two ports", host("HOST:1:2")),
  refused("a folded host", get("Host: HOST\r\n OTHER")),
  refused("a host behind a folded line", get("X: y\r\n Host: OTHER\r\nHost: HOST")),
  refused("an IPv4 address that is not this machine's", host("192.0.2.1")),
  refused("an IPv6 address that is not this machine's", host("[2001:db8::1]")),
  refused("an IPv4 address in one number", host("3221225985")),
  refused("a name that ends in a number", host("11970-01-017.0.0.1")),
  refused("a name that ends in a number, with a token in the path", get("Host: a.256", `/client/v4/accounts/${newSecret("mft")}`)),
  refused("a host of 70,000 letters", host("a".repeat(70_000)), 431),
  at("a host with a trailing dot", host("DOTTED"), 1, "refused"),
  served("a host in capitals", host("CAPITALS")),
  served("the same host in the target", get("Host: HOST", "http://HOSTPATH/1")),
];

const LINES: readonly Attack[] = [
  refused("HTTP/0.9", "GET PATH/smuggled\r\n\r\n"),
  refused("HTTP/2.0 in the line", "GET PATH/smuggled HTTP/2.0\r\nHost: HOST\r\n\r\n"),
  refused("HTTP/3.7", "GET PATH/smuggled HTTP/3.7\r\nHost: HOST\r\n\r\n"),
  refused("HTTP/1.2", "GET PATH/smuggled HTTP/1.2\r\nHost: HOST\r\n\r\n"),
  refused("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  refused("a TLS hello", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003"),
  refused("random bytes", Buffer.from("9f8e7d6c5b4a39281706f5e4d3c2b1a0", "hex").toString("latin1")),
  refused("a method that is none", "G@T PATH/smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n"),
  refused("a method in small letters", "get PATH/smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n"),
  refused("TRACE", "TRACE PATH/1 HTTP/1.1\r\nHost: HOST\r\nCookie: secret=1\r\n\r\n", 405),
  { name: "CONNECT", bytes: `CONNECT OTHER:80 HTTP/1.1\r\nHost: OTHER:80\r\n\r\n${SMUGGLED}`, want: "cut" },
  refused("a tab in the line", "GET\tPATH/smuggled\tHTTP/1.1\r\nHost: HOST\r\n\r\n"),
  refused("words after the version", "GET PATH/smuggled HTTP/1.1 HTTP/1.1\r\nHost: HOST\r\n\r\n"),
  refused("a line that begins with a NUL", `\0${get("Host: HOST", "PATH/smuggled")}`),
  refused("a NUL in the path", get("Host: HOST", "PATH/smuggled\0b")),
  refused("a bare carriage return in the path", get("Host: HOST", "PATH/smuggled\rb")),
  refused("a target of another scheme", get("Host: HOST", "file:///etc/passwd")),
  refused("a target that is an authority", get("Host: HOST", "OTHER:80")),
  refused("a target that is a word", get("Host: HOST", "smuggled")),
  refused("a target that is an asterisk", get("Host: HOST", "*")),
  refused("a path of 64 KiB", get("Host: HOST", `PATH/${"x".repeat(65_536)}`), 431),
];

const HEADERS: readonly Attack[] = [
  refused("a folded header", get("Host: HOST\r\nX-Folded: one\r\n two")),
  refused("line feeds alone", `GET PATH/smuggled HTTP/1.1\nHost: HOST\n\n`),
  refused("a line feed alone in a header", get("Host: HOST\r\nX: a\nTransfer-Encoding: chunked")),
  refused("a NUL in a header", get("Host: HOST\r\nX-Nul: a\0b")),
  refused("a bare carriage return in a header", get("Host: HOST\r\nX-Cr: a\rTransfer-Encoding: chunked")),
  refused("a carriage return at the end of a name", get("Host: HOST\r\nX\r: a")),
  refused("bytes above ASCII in a header's name", get("Host: HOST\r\nX-\u00e9: a")),
  refused("a header without a name", get("Host: HOST\r\n: value")),
  refused("a header without a colon", get("Host: HOST\r\nnothing")),
  refused("a header's name in brackets", get("Host: HOST\r\n(x): y")),
  refused("a space before the first header", "GET PATH/smuggled HTTP/1.1\r\n Host: HOST\r\n\r\n"),
  refused("headers of 64 KiB", get(`Host: HOST\r\nX-Long: ${"x".repeat(65_536)}`), 431),
  refused("201 headers", get(`Host: HOST\r\n${"x: y\r\n".repeat(200).trimEnd()}`), 431),
  refused("2,100 headers, the framing last", post(`${"x:y\r\n".repeat(2_100)}Transfer-Encoding: chunked`, BODY), 431),
  refused("20,000 headers", get(`Host: HOST\r\n${"x: y\r\n".repeat(20_000).trimEnd()}`), 431),
  refused("an expectation that is none", post("Expect: 200-nothing\r\nContent-Length: 0", "")),
];

const SEQUENCES: readonly Attack[] = [
  served("a request after Connection: close", get("Host: HOST\r\nConnection: close") + SMUGGLED),
  served("a request after HTTP/1.0", `GET PATH/1 HTTP/1.0\r\nHost: HOST\r\n\r\n${SMUGGLED}`),
  served("garbage after a whole request", `${get("Host: HOST")}\u0000\u0001\u0002 garbage\r\n\r\n`, 1),
  served("an upgrade to h2c", get("Host: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__")),
  served("an upgrade to TLS", get("Host: HOST\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0")),
  served("a request as a body", post(`Content-Length: ${SMUGGLED.length}`, "x".repeat(SMUGGLED.length))),
  served("an empty line before the request", `\r\n${get("Host: HOST")}`),
  served("three at once", get("Host: HOST") + post("Content-Length: 2", "ab") + get("Host: HOST"), 3),
  { name: "fifty at once", bytes: get("Host: HOST").repeat(50), want: "refused", status: 429 },
];

export const ATTACKS: readonly Attack[] = [...LENGTHS, ...CODINGS, ...CHUNKS, ...HOSTS, ...LINES, ...HEADERS, ...SEQUENCES];
