// The way out as Workers meet it: real workerd, real sockets, and an Internet of our own behind the policy.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type Server } from "node:http";
import { existsSync, statSync } from "node:fs";
import { connect, createServer as createTcpServer, type AddressInfo, Socket, type Server as TcpServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { createEgress, type Egress } from "../../../src/host/egress/egress.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { LIMITS } from "../../fixtures/limits.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { ask, DOMAIN, fakeCapsules, runEdge, type FakeCapsules, type RunningEdge } from "../edge/running-edge.ts";
import { runWorkerd, type RunningWorkerd } from "../edge/running-workerd.ts";

const WORKER = `
import { connect } from "cloudflare:sockets";
export default {
  async fetch(request) {
    const url = new URL(request.url);
    const to = url.searchParams.get("to");
    switch (url.pathname) {
      case "/leaf": return Response.json(Object.fromEntries(request.headers));
      case "/fetch": {
        try {
          const response = await fetch(to, { method: request.method, headers: { "CF-Worker": "forged", "X-Mine": "1" }, body: request.body });
          return new Response(response.body, { status: response.status === 101 ? 500 : response.status });
        } catch (error) { return new Response("threw " + error.message, { status: 599 }); }
      }
      case "/connect": {
        try {
          const socket = connect(to);
          const writer = socket.writable.getWriter();
          await writer.write(new TextEncoder().encode("ping"));
          const { value } = await socket.readable.getReader().read();
          return new Response(value);
        } catch (error) { return new Response("threw " + error.message, { status: 599 }); }
      }
      case "/socket": {
        const [client, server] = Object.values(new WebSocketPair());
        server.accept();
        server.addEventListener("message", (event) => { server.send(event.data); server.close(1000); });
        return new Response(null, { status: 101, webSocket: client });
      }
      case "/loop": return fetch(request.url);
      case "/ws": {
        const response = await fetch(to, { headers: { Upgrade: "websocket" } });
        if (response.webSocket === null) return new Response("status " + response.status);
        response.webSocket.accept();
        response.webSocket.send("over");
        return new Response(await new Promise((resolve) => response.webSocket.addEventListener("message", (event) => resolve("echo " + event.data))));
      }
    }
    return new Response("not found", { status: 404 });
  },
};
`;

/** A connection whose far end takes nothing. */
class Deaf extends Socket {
  override _write(): void {}
  override _writev(): void {}
}

const PUBLIC = "93.184.215.14";
const account = newAccountId();
let directory: TemporaryDirectory;
let site: Server;
let raw: TcpServer;
let workerd: RunningWorkerd;
let capsules: FakeCapsules;
let running: RunningEdge;
let egress: Egress;
let opened: AsyncDisposable;
let socketPath: string;
/** What the fake Internet knows, and each address that was really connected to. */
const names = new Map<string, () => readonly string[]>();
const connected: string[] = [];
const seen: IncomingMessage[] = [];

const portOf = (server: TcpServer): number => (server.address() as AddressInfo).port;

before(async () => {
  directory = await temporaryDirectory("egress");
  socketPath = join(directory.path, "egress.sock");
  site = createServer((incoming, outgoing) => {
    seen.push(incoming);
    const path = incoming.url ?? "";
    if (path.startsWith("/redirect?")) outgoing.writeHead(302, { Location: decodeURIComponent(path.slice(10)) }).end();
    else if (path === "/mirror") incoming.pipe(outgoing);
    else if (path === "/broken") incoming.socket.destroy();
    else outgoing.end("the outside");
  }).listen(0, "127.0.0.1");
  raw = createTcpServer((socket) => socket.once("data", (data) => socket.end(`${data.toString()} pong`))).listen(0, "127.0.0.1");
  await Promise.all([once(site, "listening"), once(raw, "listening")]);
  workerd = await runWorkerd(WORKER, { egressSocket: socketPath });
  capsules = fakeCapsules(workerd.socketPath);
  running = await runEdge(capsules);
  egress = createEgress({
    inner: running.edge.inner,
    edgeDomain: DOMAIN,
    log: createLog("test", "silent"),
    ownAddresses: () => new Set(["93.184.215.99"]),
    lookup: async (name) => names.get(name)?.() ?? [],
    connect: (address, port) => {
      connected.push(address);
      if (address === "93.184.215.77") return connect(workerd.socketPath);
      if (address === "93.184.215.66") return connect(1, "127.0.0.1");
      return connect({ host: "127.0.0.1", port: port === 443 ? portOf(raw) : portOf(site), allowHalfOpen: true });
    },
  });
  opened = await egress.open(account, socketPath, { ...LIMITS, maxInnerRequests: 8 });
  names.set("example.com", () => [PUBLIC]);
});

after(async () => {
  await running[Symbol.asyncDispose]();
  await workerd[Symbol.asyncDispose]();
  await opened[Symbol.asyncDispose]();
  site.close();
  site.closeAllConnections();
  raw.close();
  await directory[Symbol.asyncDispose]();
});

const fetched = (to: string, options: { method?: string; body?: string } = {}) =>
  ask(running.port, `/fetch?to=${encodeURIComponent(to)}`, options);

/** One request as a hostile process inside the sandbox could write it. */
async function direct(target: string, method = "GET"): Promise<{ status: number; body: string }> {
  const outgoing = request({ socketPath, method, path: target, setHost: false, agent: false }).end();
  const [response] = (await once(outgoing, method === "CONNECT" ? "connect" : "response")) as [IncomingMessage];
  if (method === "CONNECT") {
    response.socket.destroy();
    return { status: response.statusCode ?? 0, body: "" };
  }
  return { status: response.statusCode ?? 0, body: await text(response) };
}

describe("to the outside", () => {
  test("a public host is reached, with its Host header and without what a tenant may not say", async () => {
    const got = await fetched("http://example.com/x?y=1");
    assert.equal(got.body, "the outside");
    const last = seen.at(-1);
    assert.equal(last?.headers.host, "example.com");
    assert.equal(last?.url, "/x?y=1");
    assert.equal(last?.headers["cf-worker"], DOMAIN);
    assert.equal(last?.headers["x-mine"], "1");
    assert.equal(connected.at(-1), PUBLIC);
  });

  test("bodies pass both ways", async () => {
    const got = await fetched("http://example.com/mirror", { method: "POST", body: "x".repeat(200_000) });
    assert.equal(got.body.length, 200_000);
  });

  test("a redirect to a metadata address is refused, as each hop is judged anew", async () => {
    const before = connected.length;
    const got = await fetched(`http://example.com/redirect?${encodeURIComponent("http://169.254.169.254/latest/meta-data/")}`);
    assert.equal(got.status, 403);
    assert.match(got.body, /link-local/);
    assert.ok(connected.slice(before).every((address) => address === PUBLIC));
  });

  test("a name that leads to a private address is refused after look-up", async () => {
    names.set("inside.example", () => ["10.0.0.7"]);
    names.set("own.example", () => ["93.184.215.99"]);
    for (const [name, why] of [
      ["inside.example", /private address/],
      ["own.example", /address of this machine/],
    ] as const) {
      const got = await fetched(`http://${name}/`);
      assert.equal(got.status, 403);
      assert.match(got.body, why);
    }
  });

  test("the address that was judged is the one connected to: a name that changes its mind gains nothing", async () => {
    let asked = 0;
    names.set("rebind.example", () => (asked++ === 0 ? [PUBLIC] : ["127.0.0.1"]));
    const before = connected.length;
    assert.equal((await fetched("http://rebind.example/")).body, "the outside");
    assert.equal(asked, 1);
    assert.deepEqual(connected.slice(before), [PUBLIC]);
    names.set("mixed.example", () => ["127.0.0.1", PUBLIC]);
    assert.equal((await fetched("http://mixed.example/")).body, "the outside");
    assert.equal(connected.at(-1), PUBLIC);
  });

  test("loopback in every way a process could write it is never connected to", async () => {
    const before = connected.length;
    const hosts = [
      "127.0.0.1",
      "127.1",
      "2130706433",
      "0x7f000001",
      "0177.0.0.1",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "localhost",
      "a.localhost",
      "LOCALHOST.",
      "127.0.0.1.",
    ];
    for (const host of hosts) {
      assert.equal((await direct(`http://${host}/`)).status, 403, host);
      assert.equal((await direct(`${host}:80`, "CONNECT")).status, 403, host);
    }
    assert.equal(connected.length, before);
  });

  test("closed ports are named as such, SMTP and databases among them", async () => {
    for (const port of [25, 22, 465, 587, 5432, 8080]) {
      const got = await direct(`http://example.com:${port}/`);
      assert.equal(got.status, 403);
      assert.match(got.body, /only the ports 80 and 443 are open/);
      assert.equal((await direct(`example.com:${port}`, "CONNECT")).status, 403);
    }
  });

  test("what fails is told apart: no such name, refused, broken", async () => {
    names.set("closed.example", () => ["93.184.215.66"]);
    assert.equal((await fetched("http://nowhere.example/")).status, 530);
    assert.equal((await fetched("http://closed.example/")).status, 521);
    assert.equal((await fetched("http://example.com/broken", { method: "POST", body: "x" })).status, 520);
    assert.equal((await direct("nonsense")).status, 400);
  });

  test("a WebSocket passes to the outside", async () => {
    // The same Worker plays the server outside: its edge is reached by another name.
    names.set("socket.example", () => ["93.184.215.77"]);
    assert.equal((await ask(running.port, `/ws?to=${encodeURIComponent("http://socket.example/socket")}`)).body, "echo over");
  });

  test("https without a valid certificate or handshake is refused", async () => {
    const got = await fetched("https://example.com/");
    assert.equal(got.status, 525);
  });

  test("connect() passes bytes to open ports of public hosts, and fails towards private ones", async () => {
    assert.equal((await ask(running.port, `/connect?to=${encodeURIComponent("example.com:443")}`)).body, "ping pong");
    const refused = await ask(running.port, `/connect?to=${encodeURIComponent("10.0.0.1:443")}`);
    assert.equal(refused.status, 599);
  });

  test("a far end that reads nothing keeps no socket of an egress that is closed", { timeout: 20_000 }, async (t) => {
    const deaf = createTcpServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
    t.after(() => deaf.close());
    await once(deaf, "listening");
    const nears: Deaf[] = [];
    const outside = createEgress({
      inner: running.edge.inner,
      edgeDomain: DOMAIN,
      log: createLog("test", "silent"),
      lookup: async () => [PUBLIC],
      connect: () => {
        const near = new Deaf();
        nears.push(near);
        return near.connect(portOf(deaf), "127.0.0.1");
      },
    });
    const path = join(directory.path, "deaf.sock");
    const other = await outside.open(newAccountId(), path, { ...LIMITS, maxInnerRequests: 1 });
    const client = connect(path);
    t.after(() => client.destroy());
    client.write("CONNECT example.com:443 HTTP/1.1\r\n\r\n");
    const [head] = (await once(client, "data")) as [Buffer];
    assert.match(head.toString(), /^HTTP\/1.1 200/);
    client.write("unread");
    await awaitUntil(() => nears[0]?.writableLength === 6, { what: "the bytes wait to leave" });
    await other[Symbol.asyncDispose]();
    await awaitUntil(() => nears.every((near) => near.destroyed), { what: "no socket is left" });
  });

  test("requests and bytes are counted", () => {
    const { requests, bytesOut, bytesIn } = egress.traffic(account);
    assert.ok(requests > 10);
    assert.ok(bytesOut > 200_000);
    assert.ok(bytesIn > 200_000);
  });
});

describe("to this installation", () => {
  const inner = `http://hello--quiet-otter-x7k2p.${DOMAIN}`;

  test("a Worker's host is reached inside, though its address is loopback, and sees a Worker as its caller", async () => {
    const before = connected.length;
    for (const [url, scheme] of [
      [`${inner}:8788/leaf`, "http"],
      [`${inner.replace("http:", "https:")}/leaf`, "https"],
    ] as const) {
      const got = await fetched(url);
      const headers = JSON.parse(got.body) as Record<string, string>;
      assert.equal(headers["cf-connecting-ip"], "2a06:98c0:3600::103");
      assert.equal(headers["x-forwarded-proto"], scheme);
      assert.equal(headers["cf-worker"], undefined);
      assert.equal(headers["x-mine"], "1");
      assert.equal(headers["host"], new URL(url).host);
    }
    assert.equal(connected.length, before);
  });

  test("what is not there is the edge's page, not a look-up", async () => {
    assert.equal((await fetched(`http://${DOMAIN}/`)).status, 404);
    assert.equal((await fetched(`http://a.b.${DOMAIN}/`)).status, 404);
  });

  test("a WebSocket passes inside, and a refused one is an ordinary response", async () => {
    assert.equal((await ask(running.port, `/ws?to=${encodeURIComponent(`${inner}/socket`)}`)).body, "echo over");
    assert.equal((await ask(running.port, `/ws?to=${encodeURIComponent(`${inner}/leaf`)}`)).body, "status 200");
  });

  test("a circle of Workers ends with 508 and a text that says so", async () => {
    const got = await ask(running.port, "/loop");
    assert.equal(got.status, 508);
    assert.match(got.body, /calling each other in a circle/);
    await awaitUntil(() => capsules.out === 0, { what: "every lease is returned" });
    assert.equal((await fetched(`${inner}/leaf`)).status, 200);
  });

  test("connect() to a Worker is refused", async () => {
    assert.equal((await direct(`a.${DOMAIN}:443`, "CONNECT")).status, 403);
  });
});

test("the socket can be reached by any user, and is gone with its connections when it is disposed", async () => {
  const path = join(directory.path, "other.sock");
  const other = await egress.open(newAccountId(), path, { ...LIMITS, maxInnerRequests: 1 });
  assert.equal(statSync(path).mode & 0o777, 0o666);
  const open = connect(path);
  await once(open, "connect");
  const closed = once(open, "close");
  await other[Symbol.asyncDispose]();
  await closed;
  assert.ok(!existsSync(path));
});
