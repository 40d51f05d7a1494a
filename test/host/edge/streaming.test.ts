// Bodies and WebSockets on their way through: nothing is gathered, nobody waits for an end that need not come,
// and what one side cuts the other side loses.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { text } from "node:stream/consumers";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { ask, askRaw, begin, DOMAIN, fakeCapsules, runEdge, type FakeCapsules, type RunningEdge } from "./running-edge.ts";
import { runWorkerd, type RunningWorkerd } from "./running-workerd.ts";
import { WebSocketClient } from "./web-socket-client.ts";
import { WORKER } from "./worker-for-tests.ts";

let workerd: RunningWorkerd;
let capsules: FakeCapsules;
let running: RunningEdge;
const HOST = `hello--quiet-otter-x7k2p.${DOMAIN}`;

before(async () => {
  workerd = await runWorkerd(WORKER);
  capsules = fakeCapsules(workerd.socketPath);
  running = await runEdge(capsules);
});
beforeEach(() => {
  capsules.ended = new AbortController();
  capsules.replaced = new AbortController();
});
after(async () => {
  await running[Symbol.asyncDispose]();
  await workerd[Symbol.asyncDispose]();
});

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes that are still referred to: what is only waiting for the collector does not count. */
async function live(): Promise<number> {
  collect();
  // Buffers are freed by another thread.
  await new Promise((resolve) => setTimeout(resolve, 20));
  collect();
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}

const leasesReturned = (): Promise<unknown> => awaitUntil(() => capsules.out === 0, { what: "every lease is returned" });

const post = (path: string) =>
  request({
    host: "127.0.0.1",
    port: running.port,
    path,
    method: "POST",
    agent: false,
    headers: { host: HOST, "transfer-encoding": "chunked" },
  });

async function dial(path = "/socket"): Promise<WebSocketClient> {
  const socket = new WebSocketClient(`ws://127.0.0.1:${running.port}${path}`, { headers: { host: HOST } });
  await once(socket, "open");
  return socket;
}

describe("bodies", () => {
  test("an event arrives long before the stream's end, and the head before any event", async () => {
    const events = await begin(running.port, "/events");
    const [first] = (await once(events, "data")) as [Buffer];
    assert.match(String(first), /^data: 0/);
    events.destroy();
    const silent = await begin(running.port, "/silent-stream");
    assert.equal(silent.headers["content-type"], "text/event-stream");
    silent.destroy();
    await leasesReturned();
  });

  test("both directions flow at once", async () => {
    const outgoing = post("/mirror");
    outgoing.write("one");
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    assert.equal(String(((await once(response, "data")) as [Buffer])[0]), "one");
    outgoing.end("two");
    assert.equal(await text(response), "two");
    await leasesReturned();
  });

  test("50 MB up and 50 MB down leave memory flat", async () => {
    const chunk = Buffer.alloc(65_536, 120);
    const before = await live();
    let peak = before;
    let sampled = 0;
    const sample = async (): Promise<void> => {
      if (sampled++ % 100 === 0) peak = Math.max(peak, await live());
    };
    const outgoing = post("/length");
    for (let sent = 0; sent < 800; sent++) {
      if (!outgoing.write(chunk)) await once(outgoing, "drain");
      await sample();
    }
    outgoing.end();
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    assert.equal(await text(response), String(800 * 65_536));
    let received = 0;
    for await (const piece of await begin(running.port, "/large?chunks=800")) {
      received += (piece as Buffer).length;
      await sample();
    }
    assert.equal(received, 800 * 65_536);
    assert.ok(peak - before < 25_000_000, `grew by ${peak - before} bytes`);
  });

  test("a caller who does not read holds the Worker back", async () => {
    const before = await live();
    const response = await begin(running.port, "/large?chunks=4000");
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok((await live()) - before < 25_000_000);
    response.destroy();
    await leasesReturned();
  });

  test("an early answer to a large upload arrives, a refusal too", async () => {
    const outgoing = post("/hello");
    outgoing.on("error", () => {});
    for (let sent = 0; sent < 40; sent++) outgoing.write(Buffer.alloc(65_536));
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    assert.equal(await text(response), "hello");
    outgoing.destroy();
    capsules.answers.set("nobody", () => ({ kind: "none" }));
    for (let turn = 0; turn < 20; turn++) {
      const refused = await ask(running.port, "/", { label: "nobody", method: "POST", body: "x".repeat(500_000) });
      assert.equal(refused.status, 404);
    }
    await leasesReturned();
  });
});

describe("aborts", () => {
  test("a caller who leaves during hold, wait or stream frees the lease", async () => {
    let release = (): void => {};
    capsules.answers.set("held", async () => {
      await new Promise<void>((resolve) => (release = resolve));
      return capsules.lease();
    });
    const held = connect(running.port, "127.0.0.1");
    held.write(`GET /count HTTP/1.1\r\nHost: held.${DOMAIN}\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const closed = once(running.edge.server, "connection").catch(() => {});
    held.destroy();
    await ask(running.port, "/hello");
    await closed;
    release();
    const slow = connect(running.port, "127.0.0.1");
    slow.write(`GET /slow?ms=60000 HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await awaitUntil(() => capsules.out > 0, { what: "the request is on its way" });
    slow.destroy();
    await leasesReturned();
  });

  test("the end of an account cuts streams and waiting requests at once", async () => {
    const events = await begin(running.port, "/events");
    const cut = once(events, "error");
    events.resume();
    const waiting = askRaw(running.port, `GET /slow?ms=60000 HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await awaitUntil(() => capsules.out === 2, { what: "both are on their way" });
    capsules.ended.abort();
    assert.equal(((await cut)[0] as NodeJS.ErrnoException).code, "ECONNRESET");
    assert.equal(await waiting, "");
    await leasesReturned();
  });

  test("a replacement lets requests finish", async () => {
    const slow = ask(running.port, "/slow?ms=300");
    await awaitUntil(() => capsules.out === 1, { what: "the request is on its way" });
    capsules.replaced.abort();
    assert.equal((await slow).body, "slow");
    await leasesReturned();
  });

  test("a process that dies in the middle of a body leaves a body cut short, never a whole one", async () => {
    const events = await begin(running.port, "/events");
    const cut = once(events, "error");
    events.resume();
    await workerd.kill();
    await cut;
    await workerd.restart();
    await leasesReturned();
  });
});

describe("WebSockets", () => {
  test("messages pass both ways, text, binary and large", async () => {
    const socket = await dial();
    for (const message of [Buffer.from("hello"), Buffer.alloc(300_000, 7)]) {
      socket.send(message);
      const [answer] = (await once(socket, "message")) as [Buffer];
      assert.deepEqual(answer, message);
    }
    socket.close(1000);
    await once(socket, "close");
    await leasesReturned();
  });

  for (const signal of ["replaced", "ended"] as const) {
    test(`they are cut at once when the process is ${signal}`, async () => {
      const socket = await dial();
      socket.on("error", () => {});
      assert.equal(capsules.out, 1);
      const closed = once(socket, "close");
      capsules[signal].abort();
      assert.equal((await closed)[0], 1006);
      await leasesReturned();
    });
  }

  test("a client that vanishes frees the lease", async () => {
    const socket = await dial();
    socket.terminate();
    await leasesReturned();
  });

  test("a refusal by the Worker or by the edge is an ordinary response", async () => {
    const refused = async (url: string, host: string): Promise<number> => {
      const socket = new WebSocketClient(url, { headers: { host } });
      socket.on("error", () => {});
      const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
      response.resume();
      return response.statusCode ?? 0;
    };
    capsules.answers.set("nobody", () => ({ kind: "none" }));
    assert.equal(await refused(`ws://127.0.0.1:${running.port}/missing`, HOST), 404);
    assert.equal(await refused(`ws://127.0.0.1:${running.port}/`, `nobody.${DOMAIN}`), 404);
    assert.equal(await refused(`ws://127.0.0.1:${running.port}/`, "example.com"), 421);
    await leasesReturned();
  });

  test("an upgrade to anything else is an ordinary request", async () => {
    const got = await ask(running.port, "/hello", {
      headers: { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABk" },
    });
    assert.equal(got.body, "hello");
  });
});
