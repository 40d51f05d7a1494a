// Ten redeploys under continuous load: requests are held while one process gives way to the next, never lost, and
// never answered by code that a finished deploy has replaced.
import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { test } from "node:test";
import { text } from "node:stream/consumers";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { tenantAt } from "../fixtures/tenant.ts";
import { WebSocketClient } from "../host/edge/web-socket-client.ts";

const DEPLOYS = 10;
const CLIENTS = 6;
const CHUNKS = 15;

const code = (version: number): string => `const VERSION = ${version};
export default {
  async fetch(request) {
    if (request.headers.get("upgrade") === "websocket") {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      server.send(String(VERSION));
      return new Response(null, { status: 101, webSocket: client });
    }
    if (new URL(request.url).pathname === "/slow") {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      (async () => {
        for (let i = 0; i < ${CHUNKS}; i++) { await writer.write(new TextEncoder().encode(VERSION + "\\n")); await scheduler.wait(60); }
        await writer.close();
      })().catch(() => {});
      return new Response(readable);
    }
    return new Response(VERSION + " " + await request.text());
  },
};`;

type Load = {
  /** Version whose deploy was answered last. */
  deployed: number;
  readonly answered: Map<string, number>;
  readonly failures: string[];
  over: boolean;
};

type Ask = { readonly method: string; readonly path: string; readonly body?: string };

function ask(installation: Installation, host: string, agent: Agent | false, { method, path, body }: Ask): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port: installation.edgePort, method, path, headers: { host }, agent }, (answer) => {
      text(answer).then((content) => resolve([answer.statusCode ?? 0, content]), reject);
    })
      .on("error", reject)
      .end(body);
  });
}

/** Asks again and again until the load is over, and writes down what is not as it must be. */
async function keepAsking(load: Load, kind: string, once: () => Promise<number>): Promise<void> {
  while (!load.over) {
    const least = load.deployed;
    try {
      const version = await once();
      load.answered.set(kind, (load.answered.get(kind) ?? 0) + 1);
      if (version < least) load.failures.push(`${kind}: asked after the deploy of ${least} was answered, answered by ${version}`);
    } catch (error) {
      load.failures.push(`${kind}: ${String(error)}`);
    }
  }
}

async function quick(installation: Installation, host: string, agent: Agent, body: string | undefined): Promise<number> {
  const how = body === undefined ? { method: "GET", path: "/" } : { method: "POST", path: "/", body };
  const [status, content] = await ask(installation, host, agent, how);
  const [version, echoed] = content.split(" ");
  assert.equal(status, 200, content);
  assert.equal(echoed, body ?? "");
  return Number(version);
}

async function slow(installation: Installation, host: string): Promise<number> {
  const [status, content] = await ask(installation, host, false, { method: "GET", path: "/slow" });
  const lines = content.trimEnd().split("\n");
  assert.equal(status, 200, content);
  assert.equal(lines.length, CHUNKS, "a response that streams is not cut short");
  assert.equal(new Set(lines).size, 1, "one response comes from one version");
  return Number(lines[0]);
}

/** Connects and stays until it is cut. */
function socket(installation: Installation, host: string, load: Load): Promise<number> {
  return new Promise((resolve, reject) => {
    const client = new WebSocketClient(`ws://127.0.0.1:${installation.edgePort}/`, { headers: { host } });
    let version = Number.NaN;
    const over = setInterval(() => load.over && client.terminate(), 50);
    client.on("message", (data: Buffer) => (version = Number(String(data))));
    client.on("error", reject);
    client.on("close", () => {
      clearInterval(over);
      if (Number.isNaN(version) && !load.over) reject(new Error("cut before it said a word"));
      else resolve(Number.isNaN(version) ? load.deployed : version);
    });
  });
}

test("ten redeploys under load lose no request, and none is answered by older code once the deploy was answered", async () => {
  await using installation = await startInstallation();
  const tenant = await tenantAt(installation);
  const host = tenant.host("busy");
  await tenant.deploy("busy", code(1));
  const load: Load = { deployed: 1, answered: new Map(), failures: [], over: false };
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS * 2 });
  const bodies = Array.from({ length: CLIENTS * 2 }, (_, index) => (index % 2 === 0 ? undefined : `body-${index}`));
  const running = [
    ...bodies.map((body) => keepAsking(load, body === undefined ? "GET" : "POST", () => quick(installation, host, agent, body))),
    keepAsking(load, "stream", () => slow(installation, host)),
    keepAsking(load, "WebSocket", () => socket(installation, host, load)),
  ];
  try {
    for (let version = 2; version <= DEPLOYS + 1; version++) {
      const answer = await tenant.upload("busy", code(version));
      assert.equal(answer.status, 200, answer.message);
      load.deployed = version;
    }
    const [, last] = await ask(installation, host, false, { method: "GET", path: "/" });
    assert.equal(last, `${DEPLOYS + 1} `);
  } finally {
    load.over = true;
    await Promise.all(running);
    agent.destroy();
  }
  console.log(Object.fromEntries(load.answered));
  assert.deepEqual(load.failures, []);
  for (const kind of ["GET", "POST", "stream", "WebSocket"]) {
    assert.ok((load.answered.get(kind) ?? 0) >= DEPLOYS / 2, `${kind}: there was load (${load.answered.get(kind)})`);
  }
});
