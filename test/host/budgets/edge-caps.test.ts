// Caps reached by real code behind a real edge: who is refused, with which words, that nobody else is, and that it ends.
import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, test } from "node:test";
import { CAP_WINDOW_MS, NO_CAPS, type Caps } from "../../../src/capsule/caps.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { openHouse, uploadBody, type House, type Provisioned } from "../../fixtures/house.ts";
import { WebSocketClient } from "../edge/web-socket-client.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const WORKER = `let spins = 0;
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/big") return new Response("x".repeat(40_000));
    if (pathname === "/endless") {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      const go = async () => { for (;;) { await writer.write(new Uint8Array(8_000)); await scheduler.wait(5); } };
      go().catch(() => {});
      return new Response(readable);
    }
    if (pathname === "/socket") {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      server.addEventListener("message", () => server.send(crypto.getRandomValues(new Uint8Array(30_000))));
      return new Response(null, { status: 101, webSocket: client });
    }
    if (pathname === "/spin") {
      for (;;) { const until = performance.now(); for (let i = 0; i < 3e6; i++) spins += i; await scheduler.wait(0); }
    }
    return new Response("served");
  },
  async scheduled() {},
};`;

type Tenant = { readonly account: Provisioned["account"] & { readonly id: AccountId }; readonly label: string };

async function tenant(house: House): Promise<Tenant> {
  const { account } = await house.provision();
  const script = `/accounts/${account.id}/workers/scripts/w`;
  const token = account.apiToken;
  const put = await house.call("PUT", script, { token, body: uploadBody(WORKER) });
  assert.equal(put.status, 200, put.errors[0]?.message);
  await house.call("POST", `${script}/subdomain`, { token, body: '{"enabled":true}' });
  const told = await house.call<{ subdomain: string }>("GET", `/accounts/${account.id}/workers/subdomain`, { token });
  return { account: { ...account, id: account.id as AccountId }, label: `w--${told.result.subdomain.split(".")[0] ?? ""}` };
}

async function withCaps(caps: Partial<Caps>, run: (house: House, capped: Tenant, other: Tenant) => Promise<void>): Promise<void> {
  await using directory = await temporaryDirectory("edge-caps");
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 3_600, limits: { caps: { ...NO_CAPS, ...caps } } });
  await run(house, await tenant(house), await tenant(house));
}

const JSON_WANTED = { accept: "application/json" };

type Refusal = { readonly error: string; readonly cap: string; readonly frees_at: string; readonly message: string };

/** Asks for `path` and expects the refusal of this cap. */
async function refused(house: House, { label }: Tenant, status: number, cap: string): Promise<Refusal> {
  const answer = await house.edge(label, "/", JSON_WANTED);
  assert.equal(answer.status, status, answer.body);
  const told = JSON.parse(answer.body) as Refusal;
  assert.deepEqual([told.error, told.cap], ["over_cap", cap]);
  const leftMs = Date.parse(told.frees_at) - house.clock.now();
  assert.ok(leftMs > 0 && leftMs <= CAP_WINDOW_MS);
  return told;
}

const trailOf = async (house: House, { account }: Tenant): Promise<{ action: string; outcome: string; reason: string | null }[]> =>
  (
    await house.call<{ action: string; outcome: string; reason: string | null }[]>("GET", `/accounts/${account.id}/trail`, {
      token: account.apiToken,
    })
  ).result;

const usage = (house: House, { account }: Tenant) => house.host.capsuleHost.usage(account.id);

describe("requests", () => {
  test("beyond the cap are refused without a process, told in the log and the trail, and served again after the window", async () => {
    await withCaps({ requests: 3 }, async (house, capped, other) => {
      for (let i = 0; i < 3; i++) assert.equal((await house.edge(capped.label)).body, "served");
      const told = await refused(house, capped, 429, "requests");
      assert.match(told.message, /used its 3 requests in 10 minutes\. It is free again at /);
      assert.match((await house.edge(capped.label, "/", { accept: "text/html" })).body, /<h1>This account is at a cap/);
      assert.equal((await house.edge(other.label)).body, "served");
      const none = await house.edge(`absent--${capped.label.split("--")[1] ?? ""}`);
      assert.equal(none.status, 404, "what leads to no Worker is not counted");

      const { records } = await house.host.capsuleHost.logs({ account: capped.account.id, limit: 100 });
      assert.ok(records.some((record) => record.kind === "request" && record.status === 429 && record.outcome === "refused"));
      const notices = records.flatMap((record) => (record.kind === "notice" ? [record.text] : []));
      assert.equal(notices.length, 1, "said once however many are refused");
      assert.match(notices[0] ?? "", /3 requests in 10 minutes\. Requests are refused until 20/);
      const found = await awaitUntil(async () => (await trailOf(house, capped)).find(({ action }) => action === "caps:requests"), {
        what: "the trail tells",
      });
      assert.deepEqual([found.outcome, found.reason], ["refused", "This account has used its 3 requests in 10 minutes."]);

      house.clock.advance(CAP_WINDOW_MS);
      assert.equal((await house.edge(capped.label)).body, "served");
    });
  });

  test("that are refused start no cold process", async () => {
    await withCaps({ requests: 1 }, async (house, capped) => {
      assert.equal((await house.edge(capped.label)).body, "served");
      const { starts } = await usage(house, capped);
      house.clock.advance(120_000);
      await awaitUntil(async () => !(await usage(house, capped)).hot, { what: "the idle process is stopped" });
      await refused(house, capped, 429, "requests");
      assert.deepEqual([(await usage(house, capped)).starts, (await usage(house, capped)).hot], [starts, false]);
    });
  });
});

describe("bytes of answers", () => {
  test("beyond the cap are not served, nor do answers under way go on", async () => {
    await withCaps({ served_bytes: 100_000 }, async (house, capped, other) => {
      const bytes = await streamed(house, capped.label, "/endless");
      assert.ok(bytes > 20_000 && bytes <= 100_000, `${bytes} bytes came`);
      await refused(house, capped, 429, "served_bytes");
      assert.equal((await house.edge(other.label)).body, "served");
      house.clock.advance(CAP_WINDOW_MS);
      for (let i = 0; i < 2; i++) assert.equal((await house.edge(capped.label, "/big")).body.length, 40_000);
      const used = (await usage(house, capped)).caps.find(({ cap }) => cap === "served_bytes")?.used ?? 0;
      assert.ok(used > 80_000 && used < 85_000, `${used} bytes were counted`);
    });
  });

  test("of a WebSocket count too, and cut it", async () => {
    await withCaps({ served_bytes: 100_000 }, async (house, capped) => {
      const bytes = await drained(house, capped.label);
      assert.ok(bytes >= 90_000, `${bytes} bytes came`);
      await refused(house, capped, 429, "served_bytes");
    });
  });
});

describe("CPU time", () => {
  test("beyond the cap stops the process though it answers, for everybody, and waits for the window", async () => {
    await withCaps({ cpu_ms: 1_500 }, async (house, capped, other) => {
      assert.equal((await house.edge(capped.label)).body, "served");
      const spinning = house.edge(capped.label, "/spin").then(
        () => "answered",
        () => "cut",
      );
      await awaitUntil(async () => (await house.edge(capped.label)).status === 503, { what: "the process is stopped" });
      assert.equal(await spinning, "cut");
      const told = await refused(house, capped, 503, "cpu_ms");
      assert.match(told.message, /used its 1\.5 s of CPU time in 10 minutes/);
      assert.equal((await house.edge(other.label)).body, "served");
      const { hot, starts, caps } = await usage(house, capped);
      assert.equal(hot, false);
      const cpu = caps.find(({ cap }) => cap === "cpu_ms");
      assert.ok((cpu?.used ?? 0) >= 1_500 && (cpu?.used ?? 0) < 6_000, `${cpu?.used} ms were used`);

      const token = capped.account.apiToken;
      const made = await house.call<{ id: string }>("POST", `/accounts/${capped.account.id}/storage/kv/namespaces`, {
        token,
        body: '{"title":"n"}',
      });
      const path = `/accounts/${capped.account.id}/storage/kv/namespaces/${made.result.id}/values/key`;
      const put = await house.call("PUT", path, { token, body: "value" });
      assert.deepEqual([put.status, put.errors[0]?.code], [429, 71492]);
      assert.match(put.errors[0]?.message ?? "", /CPU time/);
      const code = { code: "over_cap" };
      await assert.rejects(house.host.capsuleHost.wake(capped.account.id), code);
      await assert.rejects(
        house.host.capsuleHost.schedule({ account: capped.account.id, service: "w", cron: "* * * * *", scheduledTimeMs: 0 }),
        code,
      );
      assert.equal((await usage(house, capped)).starts, starts, "nothing started it");
      const linesOnceTold = async () => {
        const lines = await trailOf(house, capped);
        return lines.some(({ action }) => action === "caps:cpu_ms") && lines;
      };
      const trail = await awaitUntil(linesOnceTold, { what: "the trail tells" });
      assert.ok(!trail.some(({ action }) => action === "account:suspend" || action === "capsule:restart"), "it is no mishap");
      const { records } = await house.host.capsuleHost.logs({ account: capped.account.id, limit: 100 });
      assert.ok(records.some((record) => record.kind === "request" && record.outcome === "exceededCpu" && record.url.endsWith("/spin")));

      house.clock.advance(CAP_WINDOW_MS);
      assert.equal((await house.edge(capped.label)).body, "served");
      assert.equal((await house.call("PUT", path, { token, body: "value" })).status, 200);
    });
  });
});

/** Asks for one message after the other until the socket is cut. */
function drained(house: House, label: string): Promise<number> {
  const headers = { host: `${label}.mayfly.localhost` };
  const socket = new WebSocketClient(`ws://127.0.0.1:${house.edgePort}/socket`, { headers });
  return new Promise((resolve) => {
    let bytes = 0;
    socket.on("open", () => socket.send("more"));
    socket.on("message", (data: Buffer) => {
      bytes += data.length;
      // A little at a time: what is sent within a second is more than the cap either way.
      setTimeout(() => socket.send("more"), 50);
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(bytes));
  });
}

function streamed(house: House, label: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port: house.edgePort, path, headers: { host: `${label}.mayfly.localhost` } }, (answer) => {
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => (bytes += chunk.length));
      answer.on("error", () => {});
      answer.on("end", () => reject(new Error("it came to an end")));
      answer.on("close", () => resolve(bytes));
    });
    asked.on("error", reject);
    asked.end();
  });
}
