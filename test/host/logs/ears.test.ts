// Listening to a process over a way that swallows answers, and to one whose last words cannot be had or written down.
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Ears, type Listener } from "../../../src/host/logs/ears.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { get, serve, shortDirectory, worker } from "../../fixtures/workerd.ts";

const CONTROL = readFileSync(new URL("../../../src/host/capsules/workerd/runtime/control.js", import.meta.url), "utf8");
const SPEAKER = `export default { fetch(request) { console.log(new URL(request.url).pathname); return new Response() } };`;
const BETWEEN = "between.sock";

type Heard = { readonly take: unknown[]; missed: number; turn: () => void };

function listening(t: TestContext, socketPath: string, take: Listener["take"] = () => Promise.resolve()): { ears: Ears; heard: Heard } {
  const heard: Heard = { take: [], missed: 0, turn: () => {} };
  const ended = new AbortController();
  const agent = new Agent({ keepAlive: true });
  const listener: Listener = {
    wantsAll: () => false,
    wantsNone: () => false,
    onTurn: (turned) => {
      heard.turn = turned;
      return () => {};
    },
    take: (answer) => {
      heard.take.push(JSON.parse(answer));
      return take(answer);
    },
    miss: () => heard.missed++,
  };
  t.after(() => {
    ended.abort();
    agent.destroy();
  });
  return { ears: new Ears({ socketPath, agent }, ended.signal, listener, { heavy: 0, readers: 0 }), heard };
}

/** A socket that passes everything on, or while it is deaf nothing of what comes back. */
async function way(t: TestContext, from: string, to: string): Promise<{ deaf: boolean }> {
  const state = { deaf: false };
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(to);
    near.pipe(far);
    far.on("data", (chunk) => state.deaf || near.write(chunk));
    for (const socket of [near, far]) sockets.add(socket.on("error", () => {}));
    near.on("close", () => far.destroy());
  });
  await new Promise<void>((resolve) => server.listen(from, resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return state;
}

describe("listening to a process", () => {
  test("learns from the process how many events went with answers that never came", async (t) => {
    const directory = await shortDirectory(t);
    const path = (name: string): string => join(directory, name);
    const socket = (name: string) => ({ name, address: `unix:${path(`${name}.sock`)}`, service: { name }, http: {} });
    const tails = [{ name: "control", entrypoint: "Tail", props: { json: '{"service":"w1"}' } }];
    const services = [worker("control", CONTROL), worker("main", SPEAKER, { tails })];
    await serve(t, { services, sockets: [socket("main"), socket("control")] }, 2);
    const between = await way(t, path(BETWEEN), path("control.sock"));
    const { heard } = listening(t, path(BETWEEN));
    await get(path("main.sock"), "/first");
    await awaitUntil(() => JSON.stringify(heard.take).includes("/first"), { what: "the first event" });
    await sleep(100);
    between.deaf = true;
    // Lets the waiting call go, whose answer never comes, and is given up itself.
    heard.turn();
    await sleep(100);
    for (const name of ["/second", "/third"]) await get(path("main.sock"), name);
    heard.turn();
    await sleep(500);
    between.deaf = false;
    heard.turn();
    await awaitUntil(() => JSON.stringify(heard.take).includes('"lost":2'), { what: "what was lost is told" });
    assert.doesNotMatch(JSON.stringify(heard.take), /second|third/);
  });

  test("ends in time though what was heard last cannot be written down", async (t) => {
    const directory = await shortDirectory(t);
    const path = join(directory, "control.sock");
    const services = [worker("control", CONTROL)];
    await serve(t, { services, sockets: [{ name: "control", address: `unix:${path}`, service: { name: "control" }, http: {} }] });
    const { ears, heard } = listening(t, path, () => new Promise(() => {}));
    await sleep(100);
    const began = performance.now();
    await ears.finish();
    assert.ok(performance.now() - began < 1_500, `${performance.now() - began} ms`);
    assert.equal(heard.missed, 0);
  });

  test("ends in time though the process says nothing any more, and counts that", async (t) => {
    const path = join(await shortDirectory(t), "control.sock");
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(path, resolve));
    t.after(() => server.close());
    const { ears, heard } = listening(t, path);
    const began = performance.now();
    await ears.finish();
    assert.ok(performance.now() - began < 1_500, `${performance.now() - began} ms`);
    assert.equal(heard.missed, 1);
  });
});
