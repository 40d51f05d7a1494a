// What one caller can hold of a listener, with bounds small enough to reach.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { buffer } from "node:stream/consumers";
import { ListenerGuard, type GuardOptions } from "../../src/kernel/listener-guard.ts";
import { awaitUntil } from "../fixtures/await-until.ts";

const BOUNDS: GuardOptions = {
  maxConnections: 100,
  connectionsPerAddress: 100,
  isProxy: () => false,
  stallMs: 60_000,
  leastBytesPerSecond: 0,
};
const GET = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
const answerOk = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
  buffer(incoming).then(
    () => outgoing.end("ok"),
    () => undefined,
  );
};

async function running(bounds: Partial<GuardOptions>, listener = answerOk, hostname = "127.0.0.1") {
  const server = createServer({ shouldUpgradeCallback: () => true });
  const guard = new ListenerGuard(server, { ...BOUNDS, ...bounds });
  server.on("request", guard.only(listener)).listen(0, hostname);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  const line = (): Socket & { seen: string } => {
    const socket = Object.assign(connect(port, hostname), { seen: "" });
    socket.on("data", (chunk: Buffer) => (socket.seen += chunk.toString("latin1"))).on("error", () => undefined);
    sockets.push(socket);
    return socket;
  };
  return {
    server,
    guard,
    line,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

const until = (what: string, done: () => boolean): Promise<unknown> => awaitUntil(done, { what, deadlineMs: 30_000, everyMs: 10 });

for (const [hostname, isProxy] of [
  ["127.0.0.1", false],
  ["::1", false],
  ["127.0.0.1", true],
] as const) {
  test(`an address has so many connections at once (${hostname}${isProxy ? ", a proxy of ours" : ""})`, async () => {
    await using it = await running({ connectionsPerAddress: 3, isProxy: () => isProxy }, answerOk, hostname);
    const held = [it.line(), it.line(), it.line()];
    await until("three are open", () => it.guard.open === 3);
    const one = it.line();
    one.write(GET);
    await until("it is answered", () => one.seen !== "");
    if (isProxy) return assert.match(one.seen, /^HTTP\/1\.1 200 /);
    assert.match(one.seen, /^HTTP\/1\.1 429 .*Retry-After: 5.*More than 3 connections come from this address/s);
    await until("it is closed", () => one.closed);
    held[0]?.destroy();
    await until("there is room", () => it.guard.open === 2);
    const again = it.line();
    again.write(GET);
    await until("the next is served", () => again.seen.startsWith("HTTP/1.1 200 "));
  });
}

test("near the bound of all, those that wait give way, the longest waiting first, and those that work stay", async () => {
  const asked: ServerResponse[] = [];
  await using it = await running({ maxConnections: 10 }, (incoming, outgoing) => {
    if (incoming.url === "/slow") asked.push(outgoing);
    else outgoing.end("ok");
  });
  const busy = it.line();
  busy.write("GET /slow HTTP/1.1\r\nHost: here\r\n\r\n");
  await until("it is asked", () => asked.length === 1);
  const [first, second] = [it.line(), it.line()];
  first.write(GET);
  await until("the first is served", () => first.seen !== "");
  second.write(GET);
  await until("the second is served", () => second.seen !== "");
  for (let count = 0; count < 7; count++) {
    const one = it.line();
    one.write(GET);
    await until("it is served", () => one.seen !== "");
  }
  await until("the first gave way", () => first.closed);
  assert.equal(second.closed, false);
  asked[0]?.end("late");
  await until("the busy one gets its answer", () => busy.seen.endsWith("late"));
});

test("when all of them work, a further connection hears that there is no room", async () => {
  await using it = await running({ maxConnections: 3 }, () => undefined);
  for (let count = 1; count <= 3; count++) {
    it.line().write(GET);
    await until("it is open", () => it.guard.open === count);
  }
  const one = it.line();
  await until("it hears so", () => /^HTTP\/1\.1 503 .*as many connections as it can/s.test(one.seen));
  await until("it is closed", () => one.closed);
});

test("a body of which nothing comes is dropped with 408", async () => {
  await using it = await running({ stallMs: 300 });
  const one = it.line();
  one.write("POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nab");
  await until("it is dropped", () => one.closed);
  assert.match(one.seen, /^HTTP\/1\.1 408 .*came too slowly/s);
});

test("a body that trickles is dropped, and one that comes in time is not, however long it takes", async () => {
  await using it = await running({ leastBytesPerSecond: 10_000, rateWindowMs: 400 });
  const [slow, fine] = [it.line(), it.line()];
  for (const one of [slow, fine]) one.write("POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n");
  const drip = setInterval(() => {
    slow.write("1\r\na\r\n");
    fine.write(`1000\r\n${"b".repeat(4096)}\r\n`);
  }, 50);
  try {
    await until("the slow one is dropped", () => slow.closed);
  } finally {
    clearInterval(drip);
  }
  assert.match(slow.seen, /^HTTP\/1\.1 408 /);
  fine.write("0\r\n\r\n");
  await until("the other is answered", () => fine.seen.endsWith("ok") || fine.closed);
  assert.match(fine.seen, /^HTTP\/1\.1 200 /);
});

test("a body that nobody reads here is not the caller's fault", async () => {
  const asked: { incoming: IncomingMessage; outgoing: ServerResponse }[] = [];
  await using it = await running({ stallMs: 200, leastBytesPerSecond: 1_000_000, rateWindowMs: 200 }, (incoming, outgoing) => {
    asked.push({ incoming, outgoing });
  });
  const one = it.line();
  one.write(`POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(500_000)}`);
  await until("it is asked", () => asked.length === 1);
  const began = performance.now();
  await until("its time is long over", () => one.closed || performance.now() - began > 1_500);
  assert.equal(one.closed, false);
  one.write("x".repeat(500_000));
  const read = asked[0] ?? assert.fail("nothing was asked");
  assert.equal((await buffer(read.incoming)).length, 1_000_000);
  read.outgoing.end("ok");
  await until("it is answered", () => one.seen.endsWith("ok"));
});

test("an answer that takes its time is waited for; one that is not read is cut, and one that is read slowly is not", async () => {
  const late: ServerResponse[] = [];
  await using it = await running({ stallMs: 300 }, (incoming, outgoing) => {
    if (incoming.url === "/late") late.push(outgoing);
    else outgoing.end(Buffer.alloc(30_000_000));
  });
  const [patient, deaf, slow] = [it.line(), it.line(), it.line()];
  patient.write("GET /late HTTP/1.1\r\nHost: here\r\n\r\n");
  deaf.pause().write(GET);
  let read = 0;
  slow.removeAllListeners("data");
  slow.on("data", (chunk: Buffer) => {
    read += chunk.length;
    slow.pause();
    setTimeout(() => slow.resume(), 1);
  });
  slow.write(GET);
  const open = it.guard;
  await until("the deaf one is cut", () => open.open === 2 || (read >= 30_000_000 && open.open <= 2));
  await until("the slow one has all", () => read > 30_000_000 || slow.closed);
  assert.ok(read > 30_000_000, String(read));
  assert.equal(patient.closed, false);
  late[0]?.end("here");
  await until("the patient one is answered", () => patient.seen.endsWith("here"));
});

test("requests ahead of their answers are bounded; those within the bound are answered in order", async () => {
  const asked: ServerResponse[] = [];
  await using it = await running({}, (incoming, outgoing) => {
    asked.push(outgoing);
    outgoing.setHeader("path", incoming.url ?? "");
  });
  const one = it.line();
  one.write(Array.from({ length: 100 }, (_, at) => `GET /${at} HTTP/1.1\r\nHost: here\r\n\r\n`).join(""));
  await until("some are asked", () => asked.length === 32);
  for (const outgoing of asked) outgoing.end("ok");
  await until("the connection ends", () => one.closed);
  assert.equal(asked.length, 32);
  assert.deepEqual(
    [...one.seen.matchAll(/^path: \/(\d+)/gm)].map(([, at]) => Number(at)),
    Array.from({ length: 32 }, (_, at) => at),
  );
  assert.equal([...one.seen.matchAll(/HTTP\/1\.1 429 /g)].length, 1);
});

test("what goes on coming on a connection that is over is not kept for long", async () => {
  const asked: ServerResponse[] = [];
  await using it = await running({}, (_, outgoing) => void asked.push(outgoing));
  let parsed = 0;
  it.server.on("request", () => parsed++);
  const one = it.line();
  one.write(GET.repeat(20_000));
  await until("it is cut, or all was read", () => one.closed || parsed === 20_000);
  assert.ok(parsed < 5_000, `${parsed} requests are kept`);
});

test("what is malformed is refused in words; a whole request before it gets its answer", async () => {
  const asked: ServerResponse[] = [];
  await using it = await running({}, (_, outgoing) => void asked.push(outgoing));
  const [bad, mixed, inBody] = [it.line(), it.line(), it.line()];
  bad.write("nonsense\r\n\r\n");
  await until("it is closed", () => bad.closed);
  assert.match(bad.seen, /^HTTP\/1\.1 400 .*not a well-formed/s);
  mixed.write(`${GET}nonsense\r\n\r\n`);
  await until("the first is asked", () => asked.length === 1);
  asked[0]?.end("first");
  await until("it is closed", () => mixed.closed);
  assert.match(mixed.seen, /^HTTP\/1\.1 200 .*first$/s);
  inBody.write("POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  await until("it is closed", () => inBody.closed);
  assert.match(inBody.seen, /^HTTP\/1\.1 400 /);
});

test("a connection that became another protocol may be silent, but must read", async () => {
  await using it = await running({ stallMs: 200 });
  const joined: Socket[] = [];
  it.server.on("upgrade", (incoming, socket) => {
    if (!it.guard.upgraded(incoming, socket as Socket)) return;
    joined.push(socket as Socket);
    socket.on("error", () => undefined).resume();
    socket.on("end", () => socket.destroy());
  });
  const upgrade = "GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
  const [silent, deaf] = [it.line(), it.line()];
  silent.write(upgrade);
  await until("the first has joined", () => joined.length === 1);
  deaf.pause().write(upgrade);
  await until("the second has joined", () => joined.length === 2);
  joined[1]?.write(Buffer.alloc(30_000_000));
  await until("the deaf one is cut", () => joined[1]?.destroyed === true);
  assert.equal(silent.closed, false);
  // However long it was silent before.
  silent.pause();
  joined[0]?.write(Buffer.alloc(30_000_000));
  await until("the silent one is cut once it is deaf", () => joined[0]?.destroyed === true);
  const odd = it.line();
  odd.write(upgrade.replace("Host: here", "Host: here\r\nHost: there"));
  await until("the odd one is refused", () => odd.closed);
  assert.match(odd.seen, /^HTTP\/1\.1 400 .*one Host/s);
  assert.equal(joined.length, 2);
});
