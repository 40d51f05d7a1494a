// When a request is sent again: only where it certainly did not reach a Worker, or can do no harm.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { ask, fakeCapsules, runEdge } from "./running-edge.ts";
import { runWorkerd } from "./running-workerd.ts";
import { WORKER } from "./worker-for-tests.ts";

/** A server that serves one request of each connection and resets the connection at the second: a stale keep-alive. */
async function staleServer(socketPath: string): Promise<{ server: Server; seen: string[] }> {
  const seen: string[] = [];
  const used = new WeakSet<object>();
  const server = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    seen.push(incoming.method ?? "");
    if (used.has(incoming.socket)) {
      incoming.socket.destroy();
      return;
    }
    used.add(incoming.socket);
    incoming.resume();
    incoming.on("end", () => outgoing.end("fresh"));
  });
  server.listen(socketPath);
  await once(server, "listening");
  return { server, seen };
}

test("a GET on a connection that had gone stale is sent again, once, on a new one", async () => {
  await using directory = await temporaryDirectory("edge");
  const socketPath = join(directory.path, "s.sock");
  const { server, seen } = await staleServer(socketPath);
  const capsules = fakeCapsules(socketPath);
  await using running = await runEdge(capsules);
  await ask(running.port, "/");
  assert.equal((await ask(running.port, "/")).body, "fresh");
  assert.deepEqual(seen, ["GET", "GET", "GET"]);
  assert.equal(capsules.given, 3);
  assert.equal(capsules.out, 0);
  server.close();
  server.closeAllConnections();
});

test("a POST that may have reached the Worker is never sent twice", async () => {
  await using directory = await temporaryDirectory("edge");
  const socketPath = join(directory.path, "s.sock");
  const { server, seen } = await staleServer(socketPath);
  await using running = await runEdge(fakeCapsules(socketPath));
  await ask(running.port, "/");
  for (const body of ["", "x"]) {
    const got = await ask(running.port, "/", { method: "POST", body });
    assert.equal(got.status, 502);
    assert.match(got.body, /not sent again/);
    assert.equal(seen.filter((method) => method === "POST").length, 1);
    seen.length = 0;
    await ask(running.port, "/");
  }
  server.close();
  server.closeAllConnections();
});

test("a request, POST included, that finds nobody listening waits for the next process", async () => {
  await using workerd = await runWorkerd(WORKER);
  const capsules = fakeCapsules(workerd.socketPath);
  await using running = await runEdge(capsules);
  await workerd.kill();
  rmSync(workerd.socketPath);
  capsules.answers.set("hello--quiet-otter-x7k2p", async () => {
    // The third lease is the first one of the new process.
    if (capsules.given === 2) await workerd.restart();
    return capsules.lease();
  });
  assert.equal((await ask(running.port, "/length", { method: "POST", body: "12345" })).body, "5");
  assert.equal(capsules.given, 3);
  assert.equal(capsules.out, 0);
});

test("a Worker that never comes back is a 502 in the end", async () => {
  await using directory = await temporaryDirectory("edge");
  const capsules = fakeCapsules(join(directory.path, "nobody.sock"));
  await using running = await runEdge(capsules);
  assert.equal((await ask(running.port, "/")).status, 502);
  assert.equal(capsules.out, 0);
});

test("no request is lost while a capsule starts: two hundred are held and all answered", async () => {
  await using workerd = await runWorkerd(WORKER);
  const capsules = fakeCapsules(workerd.socketPath);
  await using running = await runEdge(capsules);
  const start = Promise.withResolvers<void>();
  capsules.answers.set("hello--quiet-otter-x7k2p", () => start.promise.then(() => capsules.lease()));
  const all = Array.from({ length: 200 }, () => ask(running.port, "/hello"));
  setTimeout(() => start.resolve(), 100);
  for (const got of await Promise.all(all)) assert.equal(got.body, "hello");
  assert.equal(capsules.out, 0);
});
