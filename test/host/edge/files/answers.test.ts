// A file's answer against processes that answer at a pace, and in a way, of the test's choosing.
import assert from "node:assert/strict";
import { request } from "node:http";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { text } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { fetchEdge, type Answer } from "../../../fixtures/site.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { Compressor } from "../../../../src/host/edge/files/compressor.ts";
import { rawCapsule, type RawCapsule } from "../raw-capsule.ts";
import { begin, DOMAIN, fakeCapsules, FILE_MARK_OF_TESTS, runEdge, type FakeCapsules, type RunningEdge } from "../running-edge.ts";

const BODY = "a line of text that repeats itself\n".repeat(20_000);
const GZIP = { "accept-encoding": "gzip" };

const head = (more: Readonly<Record<string, string>> = {}, length = BODY.length): string => {
  const headers = {
    "Content-Type": "text/plain",
    ETag: '"t"',
    "Mayfly-File": FILE_MARK_OF_TESTS,
    "Content-Length": String(length),
    ...more,
  };
  return `HTTP/1.1 200 OK\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n`;
};

type Bench = AsyncDisposable & {
  readonly raw: RawCapsule;
  readonly capsules: FakeCapsules;
  readonly running: RunningEdge;
  readonly compressor: Compressor;
  get(headers?: Record<string, string>, method?: string): Promise<Answer>;
};

async function bench(answer: RawCapsule["answer"], compressor = new Compressor()): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const raw = stack.use(await rawCapsule(answer));
  const capsules = fakeCapsules(raw.socketPath);
  const running = stack.use(await runEdge(capsules, { compressor }));
  const owned = stack.move();
  return {
    raw,
    capsules,
    running,
    compressor,
    get: (headers, method) => fetchEdge(running.port, `hello--quiet-otter-x7k2p.${DOMAIN}`, "/", headers, method),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const whole: RawCapsule["answer"] = (socket) => void socket.write(head() + BODY);
const leasesReturned = (b: Bench): Promise<unknown> => awaitUntil(() => b.capsules.out === 0, { what: "every lease is returned" });

describe("A file that a process answers with", () => {
  test("is left as it is without the mark, with another, and with two", async () => {
    for (const mark of [{ "Mayfly-File": "0".repeat(32) }, { "Mayfly-File": `${FILE_MARK_OF_TESTS}, x` }, { "Mayfly-File": "" }]) {
      await using b = await bench((socket) => void socket.write(head(mark) + BODY));
      const answer = await b.get({ ...GZIP, range: "bytes=0-1" });
      assert.deepEqual([answer.status, answer.text, answer.headers.vary], [200, BODY, undefined]);
      assert.equal(answer.headers["mayfly-file"], undefined);
    }
  });

  test("is compressed once for all who ask at once, and the connections serve again", async () => {
    await using b = await bench(whole);
    const answers = await Promise.all(Array.from({ length: 20 }, () => b.get(GZIP)));
    for (const answer of answers) {
      assert.deepEqual([answer.status, answer.headers["content-encoding"]], [200, "gzip"]);
      assert.equal(gunzipSync(answer.bytes).toString(), BODY);
    }
    await leasesReturned(b);
    assert.equal((await b.get(GZIP)).headers["content-encoding"], "gzip");
  });

  test("that is still being read for one goes to the others as it is when that one leaves", async () => {
    const sockets: Socket[] = [];
    await using b = await bench((socket) => {
      sockets.push(socket);
      socket.write(head() + BODY.slice(0, 1000));
    });
    const leader = await new Promise<Socket>((resolve, reject) => {
      const opened = begin(b.running.port, "/", { headers: GZIP });
      opened.catch(() => {});
      awaitUntil(() => sockets.length === 1, { what: "the first request is there" }).then(() => resolve(sockets[0] as Socket), reject);
    });
    const follower = b.get(GZIP);
    await awaitUntil(() => sockets.length === 2, { what: "the second request is there" });
    // The process that the first one waits for goes away in the middle.
    leader.destroy();
    sockets[1]?.write(BODY.slice(1000));
    const answer = await follower;
    assert.deepEqual([answer.status, answer.headers["content-encoding"], answer.text], [200, undefined, BODY]);
    await leasesReturned(b);
  });

  test("that waits to be compressed for one who leaves takes nobody else's connection along", async () => {
    const sockets: Socket[] = [];
    await using b = await bench(
      (socket, before) => {
        sockets.push(socket);
        if (before === 0) socket.write(head() + BODY);
      },
      new Compressor({ threads: 0 }),
    );
    const first = request({ host: "127.0.0.1", port: b.running.port, headers: { host: `hello--quiet-otter-x7k2p.${DOMAIN}`, ...GZIP } });
    first.on("error", () => {});
    first.end();
    await awaitUntil(() => b.capsules.pool.idle === 1, { what: "the file was read, and its connection serves again" });
    const second = b.get();
    await awaitUntil(() => sockets.length === 2, { what: "the second request is there" });
    assert.equal(sockets[0], sockets[1]);
    first.destroy();
    await awaitUntil(() => b.capsules.out === 1, { what: "the first one's lease is returned" });
    sockets[1]?.write(head() + BODY);
    assert.equal((await second).text, BODY);
    await leasesReturned(b);
  });

  test("that comes too slowly to be compressed goes out as it is", async () => {
    const sockets: Socket[] = [];
    await using b = await bench(
      (socket) => {
        sockets.push(socket);
        socket.write(head() + BODY.slice(0, 1000));
      },
      new Compressor({ readMs: 30 }),
    );
    const response = await begin(b.running.port, "/", { headers: GZIP });
    assert.equal(response.headers["content-encoding"], undefined);
    sockets[0]?.write(BODY.slice(1000));
    assert.equal(await text(response), BODY);
    await leasesReturned(b);
  });

  test("that breaks off is told as broken, not as a shorter one", async () => {
    for (const headers of [GZIP, { range: `bytes=0-${BODY.length - 1}` }]) {
      await using b = await bench((socket) => void socket.end(head() + BODY.slice(0, 1000)));
      await assert.rejects(b.get(headers));
      await leasesReturned(b);
    }
  });

  test("of which a caller wants the first bytes costs nobody its end", async () => {
    const wrote = { bytes: 0 };
    await using b = await bench((socket) => {
      const long = Buffer.alloc(65_536, "x");
      socket.write(head({}, 100_000_000));
      const more = (): void => {
        while (!socket.destroyed && wrote.bytes < 100_000_000 && socket.write(long)) wrote.bytes += long.length;
      };
      socket.on("drain", more);
      more();
    });
    const answer = await b.get({ range: "bytes=0-9" });
    assert.deepEqual([answer.status, answer.text], [206, "xxxxxxxxxx"]);
    await leasesReturned(b);
    assert.ok(wrote.bytes < 10_000_000, `${wrote.bytes} bytes were written for ten`);
  });

  test("of which a little is left serves its connection again", async () => {
    await using b = await bench((socket) => void socket.write(head({}, 2000) + BODY.slice(0, 2000)));
    for (const headers of [{ range: "bytes=0-9" }, { range: "bytes=5000-" }, { "if-none-match": '"x", "t"' }, GZIP, GZIP]) {
      assert.ok([200, 206, 304, 416].includes((await b.get(headers)).status));
      await leasesReturned(b);
    }
    assert.equal(b.raw.connections, 1);
  });

  test("in parts reaches a slow caller whole, with no more of it in memory than both ends hold", async () => {
    const size = 30_000_000;
    const long = Buffer.alloc(size, "0123456789");
    await using b = await bench((socket) => {
      socket.write(head({}, size));
      socket.write(long);
    });
    const response = await begin(b.running.port, "/", { headers: { range: "bytes=10-29999989" } });
    let seen = 0;
    for await (const chunk of response) seen += (chunk as Buffer).length;
    assert.deepEqual([response.statusCode, seen], [206, size - 20]);
    await leasesReturned(b);
  });

  test("is answered with a page where the process says nothing", async () => {
    await using b = await bench((socket) => void socket.destroy());
    assert.equal((await b.get({ ...GZIP, range: "bytes=0-1" })).status, 502);
    await leasesReturned(b);
  });

  test("has the same headers for HEAD before anything was compressed, but for the length", async () => {
    await using b = await bench((socket, _before, asked) => void socket.write(head() + (asked.startsWith("HEAD") ? "" : BODY)));
    const before = await b.get(GZIP, "HEAD");
    assert.deepEqual(
      [before.headers["content-encoding"], before.headers.etag, before.headers["content-length"]],
      ["gzip", 'W/"t"', undefined],
    );
    const { "content-length": length } = (await b.get(GZIP)).headers;
    assert.equal((await b.get(GZIP, "HEAD")).headers["content-length"], length);
    await leasesReturned(b);
  });
});
