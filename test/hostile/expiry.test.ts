// An account of five seconds, used until its last moment. Nothing outlives its account: not a token, a socket, a
// stream, a process, a row, a file, nor a word of what it held.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { request } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { leftovers } from "../fixtures/leftovers.ts";
import { filesHolding } from "../fixtures/planted.ts";
import { tenantAt, type Tenant } from "../fixtures/tenant.ts";
import { timely } from "../fixtures/timely.ts";
import { WebSocketClient } from "../host/edge/web-socket-client.ts";

const LIFE_SECONDS = 5;
const PLANTED = "planted-5c1f0e77ab";

const CODE = `// ${PLANTED}
export default {
  fetch(request, env) {
    console.log("${PLANTED}", env.S, env.V);
    console.error(new Error("${PLANTED}"));
    const { pathname } = new URL(request.url);
    if (request.headers.get("upgrade") === "websocket") {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      server.addEventListener("message", ({ data }) => server.send(data));
      return new Response(null, { status: 101, webSocket: client });
    }
    if (pathname === "/stream") {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      (async () => { for (;;) { await writer.write(new TextEncoder().encode("tick\\n")); await scheduler.wait(50); } })().catch(() => {});
      return new Response(readable);
    }
    return env.ASSETS.fetch(request);
  },
};`;

async function deployPlanted(tenant: Tenant): Promise<void> {
  const jwt = await tenant.uploadAssets("planted", { "/page.txt": `asset ${PLANTED}` });
  await tenant.deploy("planted", CODE, {
    metadata: {
      bindings: [
        { type: "plain_text", name: "V", text: PLANTED },
        { type: "json", name: "J", json: { v: PLANTED } },
        { type: "secret_text", name: "T", text: PLANTED },
        { type: "assets", name: "ASSETS" },
      ],
      tags: [PLANTED],
      annotations: { "workers/message": PLANTED },
      assets: { jwt, config: { run_worker_first: true, _headers: `/x\n  X-Planted: ${PLANTED}` } },
    },
    modules: [["text.txt", "text/plain", PLANTED]],
  });
  const secret = JSON.stringify({ name: "S", text: PLANTED, type: "secret_text" });
  const put = await tenant.call("PUT", `/accounts/${tenant.id}/workers/scripts/planted/secrets`, secret);
  assert.equal(put.status, 200, put.message);
}

/** Opens a WebSocket and a stream. Each promise resolves with the time at which it was cut. */
async function openBoth(installation: Installation, host: string): Promise<{ socket: Promise<number>; stream: Promise<number> }> {
  const client = new WebSocketClient(`ws://127.0.0.1:${installation.edgePort}/`, { headers: { host } });
  const socket = new Promise<number>((resolve) => {
    client.on("error", () => undefined);
    client.on("close", () => resolve(Date.now()));
  });
  const echoed = new Promise<string>((resolve, reject) => {
    client.on("message", (data: Buffer) => resolve(String(data)));
    client.on("error", reject);
  });
  client.on("open", () => client.send("hello"));
  assert.equal(await echoed, "hello");
  const streaming = Promise.withResolvers<number>();
  await new Promise((resolve, reject) => {
    const asked = request(
      { host: "127.0.0.1", port: installation.edgePort, path: "/stream", headers: { host }, agent: false },
      (answer) => {
        answer.once("data", resolve);
        answer.on("data", () => undefined);
        answer.on("error", () => undefined);
        answer.on("close", () => streaming.resolve(Date.now()));
      },
    );
    asked.on("error", reject);
    asked.end();
  });
  return { socket, stream: streaming.promise };
}

async function liveAndEnd(installation: Installation): Promise<Record<string, number>> {
  const { data } = installation;
  const tenant = await tenantAt(installation, {
    "mayfly-lifetime": String(LIFE_SECONDS),
    "mayfly-task": JSON.stringify({ title: PLANTED, agent: PLANTED }),
  });
  const endsAt = Date.parse(tenant.expiresAt);
  const host = tenant.host("planted");
  await deployPlanted(tenant);
  assert.equal((await installation.edge(host, "/page.txt")).body, `asset ${PLANTED}`);
  const { socket, stream } = await openBoth(installation, host);
  assert.notDeepEqual(filesHolding(data, PLANTED), [], "the string is there before the end");
  assert.equal(installation.capsules().length, 1);
  const lastCall = await tenant.call("GET", `/accounts/${tenant.id}`);
  if (Date.now() < endsAt - 200) assert.equal(lastCall.status, 200, lastCall.message);

  await sleep(Math.max(0, endsAt - Date.now()) + 5);
  const [refused, page] = await Promise.all([tenant.call("GET", `/accounts/${tenant.id}`), installation.edge(host, "/page.txt")]);
  assert.equal(refused.status, 401, "at its end the token is refused");
  assert.equal(page.status, 410, "at its end the URL answers 410");
  assert.match(page.body, /expired|ended/i);
  assert.ok(!page.body.includes(PLANTED));
  const [socketAt, streamAt] = await Promise.all([socket, stream]);
  assert.ok(socketAt >= endsAt - 50 && streamAt >= endsAt - 50, "nothing is cut before the end");

  const late = (): number => Date.now() - endsAt;
  await awaitUntil(() => installation.capsules().length === 0 && leftovers(data, tenant.id).length === 0, {
    what: "no process, no directory, no row but tombstone and trail",
    deadlineMs: 10_000,
  });
  const erased = late();
  assert.deepEqual(filesHolding(data, PLANTED), [], "the planted string is nowhere under the data directory");
  assert.deepEqual(readdirSync(`${data}/accounts`), []);
  assert.ok(!installation.output().includes(PLANTED), "nothing that a tenant holds or prints reaches our own log");
  assert.equal((await installation.edge(host, "/page.txt")).status, 410);
  return {
    "WebSocket cut after the end": socketAt - endsAt,
    "stream cut after the end": streamAt - endsAt,
    "all erased after the end": erased,
  };
}

test("nothing outlives its account: at the end of five seconds tokens, sockets and the URL stop, and two seconds later nothing is left", async () => {
  await using installation = await startInstallation({ MAYFLY_LOG_LEVEL: "debug" });
  const limits = { "WebSocket cut after the end": 500, "stream cut after the end": 500, "all erased after the end": 2000 };
  const figures = await timely(limits, () => liveAndEnd(installation));
  console.log(figures);
});
