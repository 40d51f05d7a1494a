// Clients that break HTTP, by raw sockets against both doors: each gets a 4xx or a closed connection, none reaches what
// it did not name, and other clients notice nothing.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { tenantAt } from "../fixtures/tenant.ts";

/** Tells which requests it saw; the second account's Worker has the same code and another name. */
const code = (name: string): string =>
  `export default { async fetch(request) { const url = new URL(request.url); await request.text(); return new Response("${name} saw:" + url.pathname); } };`;

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: OTHER\r\n\r\n";
const get = (headers: string, path = "/"): string => `GET ${path} HTTP/1.1\r\n${headers}\r\n\r\n`;
const post = (headers: string, body: string): string => `POST / HTTP/1.1\r\nHost: OURS\r\n${headers}\r\n\r\n${body}`;
const chunked = (body: string): string => post("Transfer-Encoding: chunked", body);

/** What is sent, by what it is; OURS and OTHER are host names. */
const MALFORMED: Readonly<Record<string, string>> = {
  "a length beside chunks": post("Content-Length: 4\r\nTransfer-Encoding: chunked", `0\r\n\r\n${SMUGGLED}`),
  "chunks beside a length": post(`Transfer-Encoding: chunked\r\nContent-Length: ${SMUGGLED.length + 5}`, `0\r\n\r\n${SMUGGLED}`),
  "two lengths": post("Content-Length: 0\r\nContent-Length: 44", SMUGGLED),
  "two lengths in one": post("Content-Length: 0, 44", SMUGGLED),
  "a negative length": post("Content-Length: -1", SMUGGLED),
  "a length with a sign": post("Content-Length: +0", SMUGGLED),
  "a length in hexadecimal": post("Content-Length: 0x0", SMUGGLED),
  "a length that overflows": post("Content-Length: 99999999999999999999999", SMUGGLED),
  "a coding that is not there": post("Transfer-Encoding: xchunked", `0\r\n\r\n${SMUGGLED}`),
  "chunked before another coding": post("Transfer-Encoding: chunked, identity", `0\r\n\r\n${SMUGGLED}`),
  "a space before the colon": post("Transfer-Encoding : chunked", `0\r\n\r\n${SMUGGLED}`),
  "a coding behind a vertical tab": post("Transfer-Encoding: \u000bchunked", `0\r\n\r\n${SMUGGLED}`),
  "a chunk size of letters": chunked(`zz\r\nabc\r\n0\r\n\r\n${SMUGGLED}`),
  "a negative chunk size": chunked(`-1\r\nabc\r\n0\r\n\r\n${SMUGGLED}`),
  "a chunk size that overflows": chunked(`fffffffffffffffff\r\nabc\r\n0\r\n\r\n${SMUGGLED}`),
  "a chunk longer than its size": chunked(`1\r\nabc\r\n0\r\n\r\n${SMUGGLED}`),
  "a chunk without an end of line": chunked(`3\r\nabc0\r\n\r\n${SMUGGLED}`),
  "an endless chunk extension": chunked(`3;${"x".repeat(40_000)}\r\nabc\r\n0\r\n\r\n`),
  "a folded header": get("Host: OURS\r\nX-Folded: one\r\n two"),
  "a folded coding": post("Transfer-Encoding:\r\n chunked", `0\r\n\r\n${SMUGGLED}`),
  "another host in the target": get("Host: OURS", "http://OTHER/smuggled"),
  "two hosts": get("Host: OURS\r\nHost: OTHER", "/smuggled"),
  "the same host twice": get("Host: OURS\r\nHost: OURS"),
  "no host": get("X-Nothing: here"),
  "an empty host": get("Host:"),
  "two hosts in one": get("Host: OURS, OTHER", "/smuggled"),
  "a host with a user": get("Host: OURS@OTHER", "/smuggled"),
  "a host with a path": get("Host: OTHER/smuggled?", "/smuggled"),
  "a host with a space": get("Host: OURS OTHER"),
  "a folded host": get("Host: OURS\r\n OTHER"),
  "a NUL in a header": get("Host: OURS\r\nX-Nul: a\0b"),
  "a bare carriage return in a header": get("Host: OURS\r\nX-Cr: a\rTransfer-Encoding: chunked"),
  "a NUL in the path": get("Host: OURS", "/a\0b"),
  "bytes above ASCII in a header's name": get("Host: OURS\r\nX-\u00e9: a"),
  "a header without a name": get("Host: OURS\r\n: value"),
  "a header without a colon": get("Host: OURS\r\nnothing"),
  "headers of 64 KiB": get(`Host: OURS\r\nX-Long: ${"x".repeat(65_536)}`),
  "a path of 64 KiB": get("Host: OURS", `/${"x".repeat(65_536)}`),
  "20,000 headers": get(`Host: OURS\r\n${Array.from({ length: 20_000 }, (_, at) => `x${at}: ${at}`).join("\r\n")}`),
  "HTTP/0.9": "GET /\r\n\r\n",
  "HTTP/3.7": "GET / HTTP/3.7\r\nHost: OURS\r\n\r\n",
  "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "a TLS hello": "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
  "a method that is none": "G@T / HTTP/1.1\r\nHost: OURS\r\n\r\n",
  CONNECT: "CONNECT OTHER:80 HTTP/1.1\r\nHost: OTHER:80\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: OTHER\r\n\r\n",
  "a target of another scheme": get("Host: OURS", "file:///etc/passwd"),
  "a target that is an authority": get("Host: OURS", "OTHER:80"),
  "an expectation that is none": post("Expect: 200-nothing\r\nContent-Length: 0", ""),
  "random bytes": Buffer.from("9f8e7d6c5b4a39281706f5e4d3c2b1a0", "hex").toString("latin1"),
};

/** Sends bytes, and answers with everything that came back until the connection closed or was quiet for `quietMs`. */
function exchange(port: number, bytes: string, quietMs = 1500): Promise<{ text: string; closed: boolean }> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, "latin1"));
    const done = (closed: boolean): void => {
      socket.destroy();
      resolve({ text, closed });
    };
    socket.setTimeout(quietMs, () => done(false));
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", () => done(true));
    socket.on("close", () => done(true));
  });
}

describe("a client", () => {
  let installation: Installation;
  let ours: string;
  let other: string;
  const quiet = { over: false, asked: 0, failures: [] as string[] };
  let asking: Promise<void>;

  before(async () => {
    installation = await startInstallation();
    const [first, second] = [await tenantAt(installation), await tenantAt(installation)];
    await first.deploy("ours", code("ours"));
    await second.deploy("other", code("other"));
    [ours, other] = [first.host("ours"), second.host("other")];
    asking = (async () => {
      while (!quiet.over) {
        const answer = await installation.edge(other, "/quiet").catch((error: unknown) => ({ status: 0, body: String(error) }));
        quiet.asked += 1;
        if (answer.body !== "other saw:/quiet") quiet.failures.push(`${answer.status} ${answer.body}`);
        await sleep(10);
      }
    })();
  });
  after(async () => {
    quiet.over = true;
    await asking;
    await installation[Symbol.asyncDispose]();
  });

  const doors = { edge: () => installation.edgePort, API: () => installation.apiPort };
  for (const [door, port] of Object.entries(doors)) {
    for (const [what, bytes] of Object.entries(MALFORMED)) {
      test(`that sends the ${door} ${what} is refused`, async () => {
        const { text, closed } = await exchange(port(), bytes.replaceAll("OURS", ours).replaceAll("OTHER", other));
        assert.doesNotMatch(text, /saw:\/smuggled|other saw/, "nothing that was smuggled is carried out");
        assert.ok(text !== "" || closed, "it is answered or cut, not left waiting");
        for (const [, status] of text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)) assert.match(status ?? "", /^4\d\d$/, text);
      });
    }
  }

  test("that pipelines well-formed requests gets its answers in order", async () => {
    const { text } = await exchange(
      installation.edgePort,
      get(`Host: ${ours}`, "/1") + post("Content-Length: 2", "ab").replace("OURS", ours) + get(`Host: ${ours}`, "/3"),
    );
    assert.deepEqual(
      [...text.matchAll(/ours saw:(\S*?)(?=HTTP|$)/g)].map(([, path]) => path),
      ["/1", "/", "/3"],
    );
  });

  test("that puts a request into a well-formed body has sent a body", async () => {
    const smuggled = SMUGGLED.replace("OTHER", other);
    for (const bytes of [
      post(`Content-Length: ${smuggled.length}`, smuggled),
      chunked(`${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`),
      get(`Host: OURS\r\nContent-Length: ${smuggled.length}`) + smuggled,
    ]) {
      const { text } = await exchange(installation.edgePort, bytes.replaceAll("OURS", ours));
      assert.deepEqual([...text.matchAll(/saw:\S*/g)].map(String), ["saw:/"]);
    }
  });

  test("that never ends its headers is cut, however many of it there are", { timeout: 120_000 }, async () => {
    const slow = Array.from({ length: 100 }, (_, at): Socket => {
      const socket = connect(at % 2 === 0 ? installation.edgePort : installation.apiPort, "127.0.0.1");
      socket.on("error", () => undefined).resume();
      // Half of them say nothing at all.
      if (at % 4 < 2) socket.write(`GET / HTTP/1.1\r\nHost: ${ours}\r\n`);
      return socket;
    });
    const drip = setInterval(() => {
      for (const [at, socket] of slow.entries()) if (at % 4 < 2 && !socket.destroyed) socket.write(`X-${Date.now()}: 1\r\n`);
    }, 1000);
    try {
      await awaitUntil(() => slow.every((socket) => socket.destroyed), {
        what: "all of them are cut",
        deadlineMs: 100_000,
        everyMs: 250,
      });
    } finally {
      clearInterval(drip);
      for (const socket of slow) socket.destroy();
    }
  });

  test("that behaves noticed nothing of all this", () => {
    assert.deepEqual(quiet.failures, []);
    assert.ok(quiet.asked > 100);
  });
});
