// The way out as Workers meet it: real workerd, real sockets, and an Internet of our own behind the policy.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { connect, createServer as createTcpServer, Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { createEgress } from "../../../src/host/egress/egress.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { LIMITS } from "../../fixtures/limits.ts";
import { DOMAIN } from "../edge/running-edge.ts";
import { CLOSED, openOutside, OWN, portOf, PUBLIC, type Outside } from "./outside.ts";

/** A connection whose far end takes nothing. */
class Deaf extends Socket {
  override _write(): void {}
  override _writev(): void {}
}

let outside: Outside;

before(async () => {
  outside = await openOutside();
});

after(() => outside[Symbol.asyncDispose]());

const fetched = (to: string, options: { method?: string; body?: string } = {}) => outside.ask("/fetch", { to }, options);
const direct = (target: string, method?: string) => outside.direct(target, method);

describe("to the outside", () => {
  test("a public host is reached, with its Host header and without what a tenant may not say", async () => {
    const got = await fetched("http://example.com/x?y=1");
    assert.equal(got.body, "the outside");
    const last = outside.seen.at(-1);
    assert.equal(last?.headers.host, "example.com");
    assert.equal(last?.url, "/x?y=1");
    assert.equal(last?.headers["cf-worker"], DOMAIN);
    assert.equal(last?.headers["x-mine"], "1");
    assert.equal(outside.connected.at(-1), `${PUBLIC}:80`);
  });

  test("bodies pass both ways", async () => {
    const got = await fetched("http://example.com/mirror", { method: "POST", body: "x".repeat(200_000) });
    assert.equal(got.body.length, 200_000);
  });

  test("a redirect to a metadata address is refused, as each hop is judged anew", async () => {
    const before = outside.connected.length;
    const got = await fetched(`http://example.com/redirect?${encodeURIComponent("http://169.254.169.254/latest/meta-data/")}`);
    assert.equal(got.status, 403);
    assert.match(got.body, /link-local/);
    assert.ok(outside.connected.slice(before).every((to) => to === `${PUBLIC}:80`));
  });

  test("a name that leads to a private address is refused after look-up", async () => {
    outside.names.set("inside.example", () => ["10.0.0.7"]);
    outside.names.set("own.example", () => [OWN]);
    for (const [name, why] of [
      ["inside.example", /private address/],
      ["own.example", /operator of this installation has closed/],
    ] as const) {
      const got = await fetched(`http://${name}/`);
      assert.equal(got.status, 403);
      assert.match(got.body, why);
    }
  });

  test("the address that was judged is the one connected to: a name that changes its mind gains nothing", async () => {
    let asked = 0;
    outside.names.set("rebind.example", () => (asked++ === 0 ? [PUBLIC] : ["127.0.0.1"]));
    const before = outside.connected.length;
    assert.equal((await fetched("http://rebind.example/")).body, "the outside");
    assert.equal(asked, 1);
    assert.deepEqual(outside.connected.slice(before), [`${PUBLIC}:80`]);
    outside.names.set("mixed.example", () => ["127.0.0.1", PUBLIC]);
    assert.equal((await fetched("http://mixed.example/")).body, "the outside");
    assert.equal(outside.connected.at(-1), `${PUBLIC}:80`);
  });

  test("what fails is told apart: no such name, refused, broken", async () => {
    outside.names.set("closed.example", () => [CLOSED]);
    assert.equal((await fetched("http://nowhere.example/")).status, 530);
    assert.equal((await fetched("http://closed.example/")).status, 521);
    assert.equal((await fetched("http://example.com/broken", { method: "POST", body: "x" })).status, 520);
    assert.equal((await direct("nonsense")).status, 400);
  });

  test("a WebSocket passes to the outside", async () => {
    // The same Worker plays the server outside: it is reached by another name.
    assert.equal((await outside.ask("/ws", { to: "http://socket.example/socket" })).body, "echo over");
  });

  test("https without a valid certificate or handshake is refused", async () => {
    const got = await fetched("https://example.com/");
    assert.equal(got.status, 525);
  });

  test("connect() passes bytes to open ports of public hosts, and fails towards private ones", async () => {
    assert.equal((await outside.ask("/connect", { to: "example.com:443" })).body, "ping pong");
    const refused = await outside.ask("/connect", { to: "10.0.0.1:443" });
    assert.equal(refused.status, 599);
  });

  test("a far end that reads nothing keeps no socket of an egress that is closed", { timeout: 20_000 }, async (t) => {
    const deaf = createTcpServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
    t.after(() => deaf.close());
    await once(deaf, "listening");
    const nears: Deaf[] = [];
    const deafened = createEgress({
      ...outside.options,
      lookup: async () => [PUBLIC],
      connect: () => {
        const near = new Deaf();
        nears.push(near);
        return near.connect(portOf(deaf), "127.0.0.1");
      },
    });
    const path = join(outside.directory, "deaf.sock");
    const other = await deafened.open(newAccountId(), path, { ...LIMITS, maxInnerRequests: 1 });
    const client = connect(path);
    t.after(() => client.destroy());
    client.write("CONNECT example.com:443 HTTP/1.1\r\n\r\n");
    const [head] = (await once(client, "data")) as [Buffer];
    assert.match(head.toString(), /^HTTP\/1.1 200/);
    client.write("unread");
    await awaitUntil(() => nears[0]?.writableLength === 6, { what: "the bytes wait to leave" });
    await other[Symbol.asyncDispose]();
    await awaitUntil(() => nears.every((near) => near.destroyed), { what: "no socket is left", deadlineMs: 5_000 });
  });

  test("requests, bytes in both directions and hosts are counted, without a cap too", async () => {
    const before = [outside.use("subrequests"), outside.use("egress_bytes"), outside.use("egress_hosts")] as const;
    await fetched("http://counted.example/", { method: "POST", body: "x" });
    outside.names.set("counting.example", () => [PUBLIC]);
    await fetched("http://counting.example/mirror", { method: "POST", body: "x".repeat(50_000) });
    await fetched("http://counting.example/mirror");
    assert.equal(outside.use("subrequests") - before[0], 3);
    const bytes = outside.use("egress_bytes") - before[1];
    assert.ok(bytes > 100_000 && bytes < 103_000, `${bytes} bytes were counted`);
    assert.equal(outside.use("egress_hosts") - before[2], 2);
  });
});

describe("to this installation", () => {
  const inner = `http://hello--quiet-otter-x7k2p.${DOMAIN}`;

  test("a Worker's host is reached inside, though its address is loopback, and sees a Worker as its caller", async () => {
    const before = outside.connected.length;
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
    assert.equal(outside.connected.length, before);
  });

  test("what is not there is the edge's page, not a look-up", async () => {
    assert.equal((await fetched(`http://${DOMAIN}/`)).status, 404);
    assert.equal((await fetched(`http://a.b.${DOMAIN}/`)).status, 404);
  });

  test("a WebSocket passes inside, and a refused one is an ordinary response", async () => {
    assert.equal((await outside.ask("/ws", { to: `${inner}/socket` })).body, "echo over");
    assert.equal((await outside.ask("/ws", { to: `${inner}/leaf` })).body, "status 200");
  });

  test("a circle of Workers ends with 508 and a text that says so", async () => {
    const got = await outside.ask("/loop");
    assert.equal(got.status, 508);
    assert.match(got.body, /calling each other in a circle/);
    await awaitUntil(() => outside.capsules.out === 0, { what: "every lease is returned" });
    assert.equal((await fetched(`${inner}/leaf`)).status, 200);
  });

  test("connect() to a Worker is refused", async () => {
    assert.equal((await direct(`a.${DOMAIN}:443`, "CONNECT")).status, 403);
  });
});

test("the socket can be reached by any user, and is gone with its connections when it is disposed", async () => {
  const path = join(outside.directory, "other.sock");
  const other = await outside.egress.open(newAccountId(), path, { ...LIMITS, maxInnerRequests: 1 });
  assert.equal(statSync(path).mode & 0o777, 0o666);
  const open = connect(path);
  await once(open, "connect");
  const closed = once(open, "close");
  await other[Symbol.asyncDispose]();
  await closed;
  assert.ok(!existsSync(path));
});
