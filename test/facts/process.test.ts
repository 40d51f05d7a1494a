// What the supervisor takes for granted of a workerd process: its sockets, its connections, its signals.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { Agent, request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sandboxed } from "../../src/host/contract.ts";
import { CONTROL_SOCKET, ingressSockets, serveConfig } from "../../src/host/capsules/workerd/config.ts";
import { awaitUntil } from "../fixtures/await-until.ts";
import { specOf, TROUBLE } from "../fixtures/capsules.ts";
import { PlainSandbox } from "../fixtures/plain-sandbox.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

function get(socketPath: string, path: string, agent: Agent | false = false): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, agent, headers: { host: "x" } }, resolve)
      .once("error", reject)
      .end();
  });
}

type Served = AsyncDisposable & {
  readonly process: Sandboxed;
  readonly socket: string;
  readonly control: string;
  again(): Promise<Sandboxed>;
};

async function serve(): Promise<Served> {
  const directory = await temporaryDirectory("fact");
  const sandbox = new PlainSandbox();
  const [unit] = specOf(TROUBLE).units;
  assert.ok(unit !== undefined);
  const inner = sandbox.inner(directory.path, directory.path);
  const stdin = serveConfig(unit, { inner, bytes: () => Buffer.from(TROUBLE) });
  const again = (): Promise<Sandboxed> =>
    sandbox.launch({
      uid: 0,
      directory: directory.path,
      socketDirectory: directory.path,
      args: ["serve", "--experimental", "--binary", "-"],
      stdin,
      limits: { memoryBytes: 268_435_456, cpuWeight: 100, maxProcesses: 32 },
      collectStdout: false,
    });
  const process = await again();
  const socket = join(directory.path, [...ingressSockets(unit).values()][0] ?? "");
  const control = join(directory.path, CONTROL_SOCKET);
  await awaitUntil(async () => (await text(await get(control, "/ping"))) === "pong", { what: "workerd answers", everyMs: 5 });
  return {
    process,
    socket,
    control,
    again,
    async [Symbol.asyncDispose]() {
      await sandbox[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

test("once the control socket answers, every other socket is there and listens", async () => {
  await using served = await serve();
  assert.equal(await text(await get(served.socket, "/")), "fine");
});

test("a unix socket that is moved elsewhere goes on answering there", async () => {
  await using served = await serve();
  const elsewhere = join(served.socket, "..", "h");
  await mkdir(elsewhere);
  await rename(served.socket, join(elsewhere, "moved.sock"));
  assert.equal(await text(await get(join(elsewhere, "moved.sock"), "/")), "fine");
});

test("a unix socket outlives its process, and the next one fails where it lies", async () => {
  await using served = await serve();
  served.process.terminate();
  assert.equal((await served.process.exited).code, 0);
  assert.equal(existsSync(served.socket), true);
  const next = await served.again();
  const exit = await next.exited;
  assert.notEqual(exit.code, 0);
  assert.match(next.stderr(), /Address already in use/);
});

test("SIGTERM lets a request in flight finish, whatever connections stand idle", async () => {
  await using served = await serve();
  const agent = new Agent({ keepAlive: true });
  await text(await get(served.socket, "/", agent));
  const slow = get(served.socket, "/slow?ms=600").then((answer) => text(answer));
  await sleep(100);
  served.process.terminate();
  assert.equal(await slow, "slow done");
  assert.equal((await served.process.exited).code, 0);
  agent.destroy();
});

test("a loop that never yields silences the control socket and ignores SIGTERM; SIGKILL ends it", async () => {
  await using served = await serve();
  const looping = get(served.socket, "/loop").catch(() => null);
  await sleep(100);
  const ping = get(served.control, "/ping").then(
    () => "pong",
    () => "cut",
  );
  served.process.terminate();
  assert.equal(await Promise.race([ping, served.process.exited, sleep(500, "silence")]), "silence");
  served.process.kill();
  assert.equal((await served.process.exited).signal, "SIGKILL");
  await Promise.all([looping, ping]);
});

test("an idle connection is closed after 15 s", async () => {
  await using served = await serve();
  const socket = connect(served.socket);
  await once(socket, "connect");
  socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await once(socket, "data");
  const began = performance.now();
  await once(socket, "end");
  const tookMs = performance.now() - began;
  assert.ok(tookMs > 14_000 && tookMs < 25_000, `${tookMs} ms`);
  socket.destroy();
});
