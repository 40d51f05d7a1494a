// Caps of the way out, each reached by real code: what is refused and cut, with which words, and that it ends.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CAP_WINDOW_MS } from "../../../src/capsule/caps.ts";
import { createEgress } from "../../../src/host/egress/egress.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { LIMITS } from "../../fixtures/limits.ts";
import { DOMAIN } from "../edge/running-edge.ts";
import { CLOSED, openOutside, PUBLIC, type Outside, type OutsideOptions } from "./outside.ts";

async function withOutside(options: OutsideOptions, run: (outside: Outside) => Promise<void>): Promise<void> {
  await using outside = await openOutside(options);
  await run(outside);
}

type Fetched = { readonly status: number; readonly bytes: number; readonly cut: string | null };

const fetched = (outside: Outside, to: string, body?: string) =>
  outside.ask("/fetch", { to }, body === undefined ? {} : { method: "POST", body });

async function fetchedAll(outside: Outside, urls: readonly string[]): Promise<readonly Fetched[]> {
  const { body } = await outside.ask("/fetches", {}, { method: "POST", body: JSON.stringify(urls) });
  return JSON.parse(body) as Fetched[];
}

const toldOf = ({ noted }: Outside, cap: string) => noted.filter(({ what }) => what === cap);

describe("requests to other hosts", () => {
  test("beyond the cap are refused in words, told with the host, and go again after the window", async () => {
    await withOutside({ caps: { subrequests: 3 } }, async (outside) => {
      assert.equal((await fetched(outside, "http://example.com/")).body, "the outside");
      assert.equal((await outside.ask("/connect", { to: "example.com:443" })).body, "ping pong");
      assert.equal(
        (await fetched(outside, `http://hello--quiet-otter-x7k2p.${DOMAIN}/leaf`)).status,
        200,
        "to Workers of the installation too",
      );
      const before = outside.connected.length;
      const refused = await outside.direct("http://example.com/");
      assert.equal(refused.status, 429);
      assert.match(refused.body, /^error code: 429\nThis account has used its 3 requests to other hosts in 10 minutes\. It frees in \d+ s/);
      assert.equal(refused.retryAfter, "600");
      assert.equal((await fetched(outside, "http://example.com/")).status, 429);
      assert.equal((await outside.ask("/connect", { to: "example.com:443" })).status, 599);
      assert.equal(await outside.ask("/ws", { to: "http://socket.example/socket" }).then(({ body }) => body), "status 429");
      assert.equal((await fetched(outside, `http://hello--quiet-otter-x7k2p.${DOMAIN}/leaf`)).status, 429);
      assert.equal(outside.connected.length, before);
      assert.deepEqual(toldOf(outside, "subrequests")[0], {
        what: "subrequests",
        reason: "This account has used its 3 requests to other hosts in 10 minutes.",
        host: "example.com:80",
      });
      assert.match(outside.notices[0] ?? "", /3 requests to other hosts.*refused or cut until it frees/);
      outside.clock.advance(CAP_WINDOW_MS);
      assert.equal((await fetched(outside, "http://example.com/")).body, "the outside");
    });
  });
});

describe("bytes", () => {
  const CAP = 100_000;

  test("of an answer are cut at the cap, and nothing goes out afterwards", async () => {
    await withOutside({ caps: { egress_bytes: CAP } }, async (outside) => {
      const [whole, cut] = [
        await fetchedAll(outside, ["http://example.com/bytes?40000"]),
        await fetchedAll(outside, ["http://example.com/bytes?900000"]),
      ];
      assert.deepEqual(whole[0], { status: 200, bytes: 40_000, cut: null });
      assert.ok((cut[0]?.bytes ?? 0) <= 60_000 && cut[0]?.cut !== null, JSON.stringify(cut[0]));
      const after = await fetched(outside, "http://example.com/");
      assert.equal(after.status, 429);
      assert.match(after.body, /100000 bytes to and from other hosts/);
      assert.equal((await outside.ask("/connect", { to: "example.com:443" })).status, 599);
      assert.equal(toldOf(outside, "egress_bytes")[0]?.host, "example.com:80");
      assert.ok(outside.use("egress_bytes") < CAP + 65_536 + 1_000, "no more than a chunk is counted beyond");
      outside.clock.advance(CAP_WINDOW_MS);
      assert.equal((await fetched(outside, "http://example.com/")).body, "the outside");
    });
  });

  test("of a request are not sent beyond the cap", async () => {
    await withOutside({ caps: { egress_bytes: CAP } }, async (outside) => {
      const { body } = await outside.ask("/upload", { to: "http://example.com/sink", bytes: "900000" });
      const came = JSON.parse(body) as string[];
      for (const one of came) assert.match(one, /^429 error code: 429\n.*100000 bytes to and from other hosts/);
      assert.equal(came.length, 20);
      assert.ok(outside.sunk.site <= CAP, `${outside.sunk.site} bytes went out`);
    });
  });

  test("of a head and of all that comes before it count too", async () => {
    await withOutside({ caps: { egress_bytes: CAP } }, async (outside) => {
      assert.equal((await fetched(outside, "http://example.com/")).body, "the outside");
      const head = outside.use("egress_bytes");
      assert.ok(head > 100 && head < 1_000, `${head} bytes were counted`);
      assert.equal((await fetched(outside, "http://example.com/hints")).status, 429);
    });
  });

  test("of a connect() socket are cut in both directions", async () => {
    await withOutside({ caps: { egress_bytes: CAP } }, async (outside) => {
      const { bytes } = JSON.parse((await outside.ask("/connect", { to: "example.com:443", say: "flood" })).body) as Fetched;
      assert.ok(bytes <= CAP, `${bytes} bytes came in`);
      assert.equal(toldOf(outside, "egress_bytes").length, 1, "once a connection");
    });
    await withOutside({ caps: { egress_bytes: CAP } }, async (outside) => {
      assert.equal((await outside.ask("/pour", { to: "example.com:443" })).body, "cut");
      assert.ok(outside.sunk.raw <= CAP, `${outside.sunk.raw} bytes went out`);
    });
  });

  test("of a WebSocket are cut", async () => {
    await withOutside({ caps: { egress_bytes: CAP } }, async (outside) => {
      const { bytes } = JSON.parse((await outside.ask("/ws", { to: "http://socket.example/socket", say: "flood" })).body) as Fetched;
      assert.ok(bytes <= CAP, `${bytes} bytes came in`);
      assert.equal(toldOf(outside, "egress_bytes").length, 1);
    });
  });
});

describe("hosts", () => {
  test("beyond the cap are refused, while those that were reached still are", async () => {
    await withOutside({ caps: { egress_hosts: 2 } }, async (outside) => {
      for (const name of ["a.example", "b.example", "c.example"]) outside.names.set(name, () => [PUBLIC]);
      for (const host of ["a.example", "b.example", "A.example.", "a.example", "b.example"])
        assert.equal((await fetched(outside, `http://${host}/`)).body, "the outside", host);
      const refused = await fetched(outside, "http://c.example/");
      assert.equal(refused.status, 429);
      assert.match(refused.body, /has used its 2 different hosts in 10 minutes/);
      assert.equal((await fetched(outside, `http://${PUBLIC}/`)).status, 429, "an address is a host");
      assert.equal((await outside.ask("/connect", { to: "c.example:443" })).status, 599);
      assert.equal((await outside.ask("/connect", { to: "b.example:443" })).body, "ping pong");
      assert.equal((await fetched(outside, "http://a.example/")).body, "the outside");
      assert.equal((await fetched(outside, "http://10.0.0.1/")).status, 403, "what is refused anyway is no host");
      assert.deepEqual(
        toldOf(outside, "egress_hosts")
          .map(({ host }) => host)
          .slice(0, 2),
        ["c.example:80", `${PUBLIC}:80`],
      );
      outside.clock.advance(CAP_WINDOW_MS);
      assert.equal((await fetched(outside, "http://c.example/")).body, "the outside");
    });
  });
});

describe("connections", () => {
  test("beyond those that may be open at once are refused, and free as they close", async () => {
    await withOutside({ egress: { maxConnections: 3 } }, async (outside) => {
      const asked = fetchedAll(
        outside,
        Array.from({ length: 5 }, () => "http://example.com/held"),
      );
      await awaitUntil(() => outside.held.length === 3 && outside.noted.length === 2, { what: "three are held and two refused" });
      assert.equal((await outside.ask("/connect", { to: "example.com:443" })).status, 599);
      assert.equal((await outside.ask("/ws", { to: "http://socket.example/socket" })).body, "status 429");
      assert.match(
        (await fetched(outside, "http://example.com/")).body,
        /^error code: 429\n3 connections of this account to the outside are open already\. Close some/,
      );
      assert.equal(outside.connected.length, 3);
      assert.ok(outside.noted.every(({ what, reason }) => what === "egress" && reason.startsWith("3 connections of this account")));
      for (const outgoing of outside.held) outgoing.end("late");
      assert.deepEqual(
        (await asked).map(({ status }) => status).toSorted((a, b) => a - b),
        [200, 200, 200, 429, 429],
      );
      assert.equal((await fetched(outside, "http://example.com/")).body, "the outside");
    });
  });

  test("that are kept for the next request give way to another host's", async () => {
    await withOutside({ egress: { maxConnections: 1 } }, async (outside) => {
      for (const name of ["a.example", "b.example"]) outside.names.set(name, () => [PUBLIC]);
      for (let i = 0; i < 3; i++)
        for (const name of ["a.example", "b.example"]) assert.equal((await fetched(outside, `http://${name}/`)).body, "the outside");
      assert.equal((await outside.ask("/connect", { to: "example.com:443" })).body, "ping pong");
      assert.deepEqual(outside.noted, []);
    });
  });

  test("of connect() are as many as may be open, and more as soon as the limit rises", async () => {
    await withOutside({ egress: { maxConnections: 4 } }, async (outside) => {
      const tunnels = async (n: number): Promise<readonly string[]> =>
        JSON.parse((await outside.ask("/tunnels", { to: "example.com:443", n: String(n) })).body) as string[];
      const opened = (came: readonly string[]): number => came.filter((one) => one === "opened").length;
      assert.equal(opened(await tunnels(7)), 4);
      await awaitUntil(async () => opened(await tunnels(4)) === 4, { what: "closed sockets free their places" });
      outside.limits.egress = { ...outside.limits.egress, maxConnections: 9 };
      await awaitUntil(async () => opened(await tunnels(9)) === 9, { what: "the limit has risen" });
      outside.limits.egress = { ...outside.limits.egress, maxConnections: 2 };
      await awaitUntil(async () => opened(await tunnels(4)) === 2, { what: "the limit has fallen" });
    });
  });

  test("that come to nothing hold no place", async () => {
    await withOutside({ egress: { maxConnections: 1 } }, async (outside) => {
      outside.names.set("closed.example", () => [CLOSED]);
      outside.names.set("inside.example", () => ["10.0.0.1"]);
      for (const [host, status] of [
        ["closed.example", 521],
        ["nowhere.example", 530],
        ["inside.example", 403],
      ] as const) {
        for (let i = 0; i < 3; i++) assert.equal((await fetched(outside, `http://${host}/`)).status, status, host);
        assert.equal((await outside.ask("/connect", { to: `${host}:443` })).status, 599);
      }
      assert.equal((await fetched(outside, "http://example.com/")).body, "the outside");
    });
  });

  test("of a capsule that is gone are cut, those that are only being made too", async () => {
    await withOutside({}, async (outside) => {
      const path = join(outside.directory, "going.sock");
      const near: Socket[] = [];
      const late = Promise.withResolvers<readonly string[]>();
      let asked = 0;
      const lookup = (name: string): Promise<readonly string[]> => {
        asked++;
        return name === "late.example" ? late.promise : Promise.resolve([PUBLIC]);
      };
      const connecting = (): Socket => {
        // The raw far end, which closes nothing by itself.
        const socket = outside.options.connect?.(PUBLIC, 443) ?? assert.fail();
        near.push(socket);
        return socket;
      };
      const going = await createEgress({ ...outside.options, lookup, connect: connecting }).open(newAccountId(), path, LIMITS);
      const client = connect(path);
      client.write("CONNECT here.example:443 HTTP/1.1\r\n\r\n");
      await once(client, "data");
      const waiting = connect(path);
      waiting.on("error", () => waiting.destroy());
      waiting.write("GET http://late.example/ HTTP/1.1\r\n\r\n");
      await awaitUntil(() => near.length === 1 && asked === 2, { what: "one is there, and another asked for" });
      await going[Symbol.asyncDispose]();
      await awaitUntil(() => near[0]?.destroyed, { what: "it is cut", deadlineMs: 5_000 });
      late.resolve([PUBLIC]);
      await awaitUntil(() => near.length === 2 && near[1]?.destroyed, { what: "what came too late is cut", deadlineMs: 3_000 });
      client.destroy();
      waiting.destroy();
    });
  });

  test("that a caller gave up before they were there hold no place", async () => {
    await withOutside({ egress: { maxConnections: 1 } }, async (outside) => {
      const answered = Promise.withResolvers<readonly string[]>();
      outside.names.set("slow.example", () => answered.promise as never);
      const client = connect(outside.socketPath);
      client.write("CONNECT slow.example:443 HTTP/1.1\r\n\r\n");
      await awaitUntil(() => outside.use("subrequests") === 1, { what: "the connection is asked for" });
      assert.equal((await fetched(outside, "http://example.com/")).status, 429);
      const closed = once(client, "close");
      client.destroy();
      await closed;
      answered.resolve([PUBLIC]);
      await awaitUntil(async () => (await fetched(outside, "http://example.com/")).body === "the outside", { what: "the place is free" });
    });
  });
});

test("notices of an account's log are few, however many hosts are tried", async () => {
  await withOutside({}, async (outside) => {
    for (let i = 1; i <= 40; i++) assert.equal((await outside.direct(`http://10.0.0.${i}/`)).status, 403);
    assert.equal(outside.noted.length, 40);
    assert.equal(outside.notices.length, 11);
    assert.match(outside.notices[0] ?? "", /^10\.0\.0\.1 port 80 cannot be reached from here: it is a private address\.$/);
    assert.match(outside.notices.at(-1) ?? "", /^Further ways out .* are counted/);
  });
});
