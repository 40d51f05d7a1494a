// What the edge does with a process that answers as no workerd would, and with connections that end at the wrong moment.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { text } from "node:stream/consumers";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { rawCapsule, type RawCapsule } from "./raw-capsule.ts";
import { ask, askRaw, begin, DOMAIN, fakeCapsules, runEdge, type FakeCapsules, type RunningEdge } from "./running-edge.ts";
import { runWorkerd } from "./running-workerd.ts";
import { WORKER } from "./worker-for-tests.ts";

const HOST = `hello--quiet-otter-x7k2p.${DOMAIN}`;
const OK = "HTTP/1.1 200 OK\r\n";
const HELLO = `${OK}Content-Length: 5\r\n\r\nhello`;

type Bench = AsyncDisposable & { readonly raw: RawCapsule; readonly capsules: FakeCapsules; readonly running: RunningEdge };

async function bench(answer: RawCapsule["answer"]): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const raw = stack.use(await rawCapsule(answer));
  const capsules = fakeCapsules(raw.socketPath);
  const running = stack.use(await runEdge(capsules));
  const owned = stack.move();
  return { raw, capsules, running, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const saying =
  (bytes: string): RawCapsule["answer"] =>
  (socket) =>
    void socket.write(bytes, "latin1");

const leasesReturned = (capsules: FakeCapsules): Promise<unknown> =>
  awaitUntil(() => capsules.out === 0, { what: "every lease is returned" });

/** @returns whether the body broke off */
async function breaksOff(response: IncomingMessage): Promise<boolean> {
  return text(response).then(
    () => false,
    () => true,
  );
}

describe("an answer that is no response", () => {
  const answers: Readonly<Record<string, string>> = {
    nonsense: "nonsense\r\n\r\n",
    "a folded header": `${OK}X-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n`,
    "a header split by a bare LF": `${OK}X-A: 1\nSet-Cookie: a=1; Domain=${DOMAIN}\r\nContent-Length: 0\r\n\r\n`,
    "a header split by a bare CR": `${OK}X-A: 1\rSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n`,
    "two lengths": `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
    "a length beside chunks": `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    "an endless head": `${OK}X-Long: ${"x".repeat(100_000)}`,
    "a switch that nobody asked for": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
  };
  for (const [what, bytes] of Object.entries(answers)) {
    test(`is a 502 and costs the connection: ${what}`, async () => {
      await using b = await bench(saying(bytes));
      assert.equal((await ask(b.running.port, "/")).status, 502);
      assert.equal(b.raw.seen.length, 1, "it is not asked twice");
      b.raw.answer = saying(HELLO);
      assert.equal((await ask(b.running.port, "/")).body, "hello");
      assert.equal(b.raw.connections, 2);
      await leasesReturned(b.capsules);
    });
  }

  test("is a body cut short once a part has gone out", async () => {
    for (const bytes of [
      `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n`,
      `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n`,
    ]) {
      await using b = await bench(saying(bytes));
      assert.ok(
        await askRaw(b.running.port, `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`).then(
          (got) => !got.includes("0\r\n\r\n"),
          () => true,
        ),
      );
      await leasesReturned(b.capsules);
    }
  });
});

describe("an answer in an unusual form", () => {
  const headOf = (response: string): string => response.slice(0, response.indexOf("\r\n\r\n"));
  for (const [what, bytes] of Object.entries({
    length: `${OK}X-A: 1\r\nContent-Length: 5\r\n\r\nhello`,
    chunks: `${OK}X-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n`,
    "interim responses": `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}X-A: 1\r\nContent-Length: 5\r\n\r\nhello`,
  })) {
    test(`arrives whole when it comes byte by byte: ${what}`, async () => {
      await using b = await bench((socket) => {
        socket.setNoDelay(true);
        let at = 0;
        const next = (): void => {
          if (at < bytes.length) socket.write(bytes.charAt(at++), "latin1", () => setImmediate(next));
        };
        next();
      });
      for (let turn = 0; turn < 2; turn++) {
        const got = await ask(b.running.port, "/");
        assert.equal(got.status, 200);
        assert.equal(got.body, "hello");
        assert.equal(got.headers["x-a"], "1");
        assert.equal(got.headers["x-trailer"], undefined);
      }
      assert.equal(b.raw.connections, 1, "the connection serves again");
      await leasesReturned(b.capsules);
    });
  }

  test("a body until the close is whole, an HTTP/1.0 one too, and neither connection serves again", async () => {
    await using b = await bench((socket) => socket.end(`${OK}\r\nhello`));
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    b.raw.answer = saying("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    b.raw.answer = saying(`${OK}Connection: close\r\nContent-Length: 5\r\n\r\nhello`);
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal(b.raw.connections, 4);
  });

  test("a response to HEAD, a 204 and a 304 end with their head, whatever length they name", async () => {
    await using b = await bench(saying(`${OK}Content-Length: 5\r\n\r\n`));
    const head = await ask(b.running.port, "/", { method: "HEAD" });
    assert.equal(head.headers["content-length"], "5");
    b.raw.answer = saying("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    assert.equal((await ask(b.running.port, "/")).status, 304);
    b.raw.answer = saying("HTTP/1.1 204 No Content\r\n\r\n");
    assert.equal((await ask(b.running.port, "/")).status, 204);
    assert.equal(b.raw.connections, 1);
  });

  test("hop-by-hop headers and those that Connection names end at the edge", async () => {
    await using b = await bench(saying(`${OK}Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nContent-Length: 5\r\n\r\nhello`));
    const got = await askRaw(b.running.port, `GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
    assert.doesNotMatch(headOf(got), /x-hop|timeout=1/i);
  });

  test("bytes of every value pass unchanged, in small bodies and large ones", async () => {
    for (const size of [256, 8192, 8193, 1_000_000]) {
      const body = Buffer.from(Array.from({ length: size }, (_, at) => (at * 7) % 256));
      for (const framing of [`Content-Length: ${size}\r\n\r\n`, "\r\n"]) {
        await using b = await bench((socket) => {
          socket.write(`${OK}${framing}`);
          socket.end(body);
        });
        const response = await begin(b.running.port, "/");
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        assert.ok(Buffer.concat(chunks).equals(body));
      }
    }
  });
});

describe("a body in chunks of one byte", () => {
  const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

  test("is passed on in as many pieces as it came in, not in as many as it has chunks", async () => {
    const body = Array.from({ length: 20_000 }, (_, at) => String(at % 10)).join("");
    await using b = await bench(saying(`${CHUNKED}${body.replaceAll(/./g, "1\r\n$&\r\n")}0\r\n\r\n`));
    for (let turn = 0; turn < 2; turn++) {
      const got = await askRaw(b.running.port, `GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
      const pieces = got.slice(got.indexOf("\r\n\r\n") + 4).split("\r\n");
      assert.equal(pieces.filter((_, at) => at % 2 === 1).join(""), body);
      assert.ok(pieces.length < 200, `${pieces.length} lines`);
      assert.equal((await ask(b.running.port, "/")).body, body);
    }
    assert.equal(b.raw.connections, 1);
    await leasesReturned(b.capsules);
  });

  test("holds the Worker back once some wait for a caller who takes none, however slowly they come", async () => {
    const first = Promise.withResolvers<Socket>();
    const second = Promise.withResolvers<Socket>();
    await using b = await bench((socket, _before, head) => (head.startsWith("GET /1") ? first : second).resolve(socket));
    const responses: ServerResponse[] = [];
    b.running.edge.server.prependListener("request", (_incoming, outgoing) => responses.push(outgoing));
    const GET = `GET /1 HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
    const got = askRaw(b.running.port, GET + GET.replace("/1", "/2").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    const socket = await second.promise;
    socket.write(CHUNKED);
    // What is said to the second request waits for the answer to the first.
    for (let count = 0; count < 500; count++) {
      socket.write("1\r\nx\r\n");
      await new Promise((resolve) => setImmediate(resolve));
    }
    const waiting = responses[1]?.writableLength ?? 0;
    assert.ok(waiting > 60 && waiting < 1000, `${waiting} bytes wait`);
    socket.write("0\r\n\r\n");
    (await first.promise).write(HELLO);
    assert.equal((await got).match(/^x+$/gm)?.join("").length, 500);
    await leasesReturned(b.capsules);
  });
});

describe("what comes after a response", () => {
  const GET = `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;

  test("a second response in the same packet reaches nobody", async () => {
    await using b = await bench((socket, before) => void socket.write(before === 0 ? HELLO + HELLO.replace("hello", "other") : HELLO));
    for (let turn = 0; turn < 3; turn++) assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal(b.raw.connections, 3);
  });

  test("bytes on an idle connection close it", async () => {
    let idle: Socket | undefined;
    await using b = await bench((socket) => {
      idle = socket;
      socket.write(HELLO);
    });
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal(b.capsules.pool.idle, 1);
    idle?.write(HELLO.replace("hello", "other"));
    await awaitUntil(() => b.capsules.pool.idle === 0, { what: "the connection is given up" });
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal(b.raw.connections, 2);
  });

  test("requests that a caller pipelines are answered in order", async () => {
    await using b = await bench((socket, _before, head) => void socket.write(HELLO.replace("hello", `path${head.charAt(5)}`)));
    const got = await askRaw(
      b.running.port,
      `${GET.replace("/", "/1")}${GET.replace("/", "/2")}${GET.replace("/", "/3").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")}`,
    );
    assert.deepEqual(got.match(/path./g), ["path1", "path2", "path3"]);
  });
});

describe("a connection that ends", () => {
  test("before an answer is a 502, once, when it had not served before", async () => {
    await using b = await bench((socket) => void socket.destroy());
    assert.equal((await ask(b.running.port, "/")).status, 502);
    assert.equal(b.raw.seen.length, 1);
    await leasesReturned(b.capsules);
  });

  test("in the middle of a head is a 502, not a second attempt, though it had served before", async () => {
    await using b = await bench((socket, before) => void (before === 0 ? socket.write(HELLO) : socket.end(`${OK}X-A`)));
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal((await ask(b.running.port, "/")).status, 502);
    assert.equal(b.raw.seen.length, 2);
  });

  test("without a byte of answer, having served before, has a GET sent again and a POST not", async () => {
    await using b = await bench((socket, before) => void (before === 0 ? socket.write(HELLO) : socket.end()));
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal(b.raw.seen.length, 3);
    assert.equal((await ask(b.running.port, "/", { method: "POST" })).status, 502);
    assert.equal(b.raw.seen.length, 4);
    assert.equal(b.capsules.given, 4);
    await leasesReturned(b.capsules);
  });

  test("in the middle of a body cuts the caller's body short", async () => {
    for (const bytes of [`${OK}Content-Length: 9\r\n\r\nhello`, `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`]) {
      await using b = await bench((socket) => void socket.end(bytes));
      assert.ok(await breaksOff(await begin(b.running.port, "/")));
      await leasesReturned(b.capsules);
    }
  });

  test("is closed here when a caller leaves, and the capsule learns of it", async () => {
    let closed = false;
    await using b = await bench((socket) => {
      socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
      socket.on("close", () => (closed = true));
    });
    const response = await begin(b.running.port, "/");
    await once(response, "data");
    response.destroy();
    await awaitUntil(() => closed, { what: "the capsule's connection is closed" });
    await leasesReturned(b.capsules);
    assert.equal(b.capsules.pool.idle, 0);
  });

  test("under an upload after an early answer never serves again, and the answer arrives", async () => {
    await using b = await bench((socket) => void socket.write(HELLO));
    const outgoing = request({ host: "127.0.0.1", port: b.running.port, method: "POST", headers: { host: HOST, "content-length": 1000 } });
    outgoing.on("error", () => {});
    outgoing.write("x");
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    assert.equal(await text(response), "hello");
    assert.equal(b.capsules.pool.idle, 0);
    outgoing.destroy();
    await leasesReturned(b.capsules);
    assert.equal((await ask(b.running.port, "/")).body, "hello");
    assert.equal(b.raw.connections, 2);
  });

  test("while it is idle is forgotten", async () => {
    let idle: Socket | undefined;
    await using b = await bench((socket) => {
      idle = socket;
      socket.write(HELLO);
    });
    await ask(b.running.port, "/");
    idle?.end();
    await awaitUntil(() => b.capsules.pool.idle === 0, { what: "it is forgotten" });
  });
});

describe("connections to workerd", () => {
  test("that are idle are given up before workerd closes them", async () => {
    await using workerd = await runWorkerd(WORKER);
    const capsules = fakeCapsules(workerd.socketPath);
    await using running = await runEdge(capsules);
    await Promise.all([ask(running.port, "/slow?ms=100"), ask(running.port, "/slow?ms=100")]);
    assert.equal(capsules.pool.idle, 2);
    const busy = ask(running.port, "/slow?ms=4800");
    await awaitUntil(() => capsules.pool.idle === 0, { what: "the idle connection is closed", deadlineMs: 4_700 });
    assert.equal((await busy).body, "slow", "a busy one is left alone");
    assert.equal(capsules.pool.idle, 1);
    capsules.pool.close();
    assert.equal(capsules.pool.idle, 0);
  });

  test("carry a small body in the packet of its head", async () => {
    const packets: string[] = [];
    await using b = await bench((socket) => void socket.write(HELLO));
    b.raw.answer = (socket, before) => {
      if (before === 0) socket.on("data", (chunk: Buffer) => packets.push(chunk.toString("latin1")));
      socket.write(HELLO);
    };
    await ask(b.running.port, "/");
    for (const headers of [{ "content-length": "4" }, { "transfer-encoding": "chunked" }]) {
      assert.equal((await ask(b.running.port, "/", { method: "POST", headers, body: "body" })).body, "hello");
    }
    assert.equal(packets.length, 2, JSON.stringify(packets));
    assert.match(packets[0] ?? "", /^POST \/ HTTP\/1\.1\r\n[^]*\r\n\r\nbody$/);
    assert.match(packets[1] ?? "", /\r\n\r\n4\r\nbody\r\n0\r\n\r\n$/);
  });
});
