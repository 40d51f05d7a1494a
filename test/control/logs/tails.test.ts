// The API and the connection of `wrangler tail` against honest and hostile clients. Host is scripted; accounts,
// tokens, sockets and the trail are real.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SignJWT } from "jose";
import { CONNECT_WITHIN_SECONDS } from "../../../src/control/logs/tail-capability.ts";
import { TAILS_PER_ACCOUNT } from "../../../src/control/logs/tails.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { newSecret, type AccountId } from "../../../src/kernel/ids.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { openDesk, type Desk } from "../../fixtures/desk.ts";
import { closeOf, openRaw, rawFrame, type RawSocket } from "../../fixtures/raw-socket.ts";
import type { Tenant } from "../../fixtures/tenant.ts";

const CODE = "export default { fetch() { return new Response('hi') } };";
const [TEXT, CONTINUATION, CLOSE, PING, PONG] = [1, 0, 8, 9, 10];

let desk: Desk;
let tenant: Tenant;
before(async () => {
  desk = await openDesk();
  tenant = await newcomer();
});
after(() => desk[Symbol.asyncDispose]());

async function newcomer(): Promise<Tenant> {
  const made = await desk.tenant();
  await made.deploy("w", CODE);
  return made;
}

type Made = { readonly id: string; readonly url: string; readonly expires_at: string };

const tailsOf = (of: Tenant, script = "w"): string => `/accounts/${of.id}/workers/scripts/${script}/tails`;
async function make(of: Tenant, body: unknown = { filters: [] }): Promise<Made> {
  const answer = await of.call<Made>("POST", tailsOf(of), JSON.stringify(body), { "content-type": "text/plain" });
  assert.equal(answer.status, 200, answer.message);
  return answer.result;
}
const pathOf = (made: Made): string => new URL(made.url).pathname + new URL(made.url).search;
const raw = (path: string, headers: Record<string, string | undefined> = {}): RawSocket => openRaw({ port: desk.port, path, headers });

async function open(of: Tenant = tenant): Promise<{ made: Made; client: RawSocket; stream: Desk["host"]["tails"][number]["stream"] }> {
  const made = await make(of);
  const client = raw(pathOf(made));
  assert.match(await client.head, /^HTTP\/1\.1 101 /);
  const told = desk.host.tails.at(-1) ?? assert.fail("host was not asked");
  return { made, client, stream: told.stream };
}

async function refused(path: string, headers: Record<string, string | undefined>, status: number, says: RegExp): Promise<void> {
  const client = raw(path, headers);
  await client.closed;
  const head = await client.head;
  assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `), head);
  assert.match(`${head}\n${client.received().toString()}`, says);
  const body = JSON.parse(client.received().toString()) as { success: boolean; errors: { message: string }[] };
  assert.equal(body.success, false);
}

const trailOf = async (of: Tenant): Promise<string[]> => {
  const rows = await desk.control.store.db
    .selectFrom("trail")
    .select(["action", "resource", "reason"])
    .where("account_id", "=", of.id as AccountId)
    .where("action", "like", "tails:%")
    .orderBy("at")
    .execute();
  return rows.map(({ action, resource, reason }) => [action, resource, reason].filter(Boolean).join(" | "));
};

describe("A tail", () => {
  test("is asked for with a token, and answered with an address that works once", async () => {
    const of = await newcomer();
    const made = await make(of, { filters: [{ outcome: ["ok"] }, { client_ip: ["self"] }] });
    assert.match(made.url, /^ws:\/\/localhost:8787\/client\/v4\/tails\/[0-9a-f]{32}\?capability=[\w.-]+$/);
    assert.ok(made.url.includes(made.id));
    assert.equal(made.expires_at, of.expiresAt, "no longer than its account");
    const listed = await of.call<{ id: string; state: string }[]>("GET", tailsOf(of));
    assert.deepEqual(
      listed.result.map(({ id, state }) => ({ id, state })),
      [{ id: made.id, state: "waiting" }],
    );
    assert.ok(!JSON.stringify(listed.result).includes("capability"), "the list holds no secret");
    const client = raw(pathOf(made));
    const head = await client.head;
    assert.match(head, /^HTTP\/1\.1 101 .*sec-websocket-protocol: trace-v1/is);
    assert.match(head, /s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/, "RFC 6455 §1.3");
    const told = desk.host.tails.at(-1) ?? assert.fail();
    assert.deepEqual(told.query, { account: of.id, worker: "w", outcomes: ["ok"], clientIps: ["127.0.0.1"] });
    client.socket.write(rawFrame(TEXT, '{"debug":false}'));
    client.socket.write(rawFrame(PING, "wrangler tail ping", { mask: true }));
    await awaitUntil(() => client.received().length >= 20, { what: "the pong" });
    told.stream.write('{"outcome":"ok"}\n');
    await awaitUntil(() => client.received().length >= 38, { what: "pong and event" });
    assert.deepEqual(client.received(), Buffer.concat([rawFrame(PONG, "wrangler tail ping"), rawFrame(TEXT, '{"outcome":"ok"}')]));
    await refused(pathOf(made), {}, 401, /works once/);
    assert.equal((await of.call("DELETE", `${tailsOf(of)}/${made.id}`)).status, 200);
    await client.closed;
    assert.deepEqual(closeOf(client.received()), { code: 1000, reason: "The tail was deleted." });
    assert.ok(told.stream.destroyed);
    assert.equal((await of.call("DELETE", `${tailsOf(of)}/${made.id}`)).status, 200, "again, as a client that was cut may");
    assert.deepEqual((await of.call("GET", tailsOf(of))).result, []);
    assert.deepEqual(await trailOf(of), ["tails:open | workers/w", "tails:end | workers/w | The tail was deleted."]);
  });

  test("has an address at the public origin, over TLS where that has it", async () => {
    await using other = await openDesk({ url: "https://mayfly.example" });
    const of = await other.tenant();
    await of.deploy("w", CODE);
    const made = await make(of);
    assert.match(made.url, /^wss:\/\/mayfly\.example\/client\/v4\/tails\//);
    const client = openRaw({ port: other.port, path: pathOf(made), headers: { host: "mayfly.example" } });
    assert.match(await client.head, /^HTTP\/1\.1 101 /);
    client.socket.destroy();
  });

  test("that is deleted before it is opened is not opened, and one that is keeps what came meanwhile", async () => {
    const [deleted, kept] = [await make(tenant), await make(tenant)];
    const [first, second] = desk.host.tails.slice(-2);
    assert.equal((await tenant.call("DELETE", `${tailsOf(tenant)}/${deleted.id}`)).status, 200);
    assert.ok(first?.stream.destroyed, "host's stream is let go");
    await refused(pathOf(deleted), {}, 401, /tail_invalid/);
    second?.stream.write('{"early":1}\n');
    const client = raw(pathOf(kept));
    await awaitUntil(() => client.received().includes('{"early":1}'), { what: "the event arrives" });
    client.socket.destroy();
    await awaitUntil(() => second?.stream.destroyed, { what: "host's stream is let go" });
  });

  test("of a Worker or id that is not there is a 404 that says so", async () => {
    for (const method of ["POST", "GET"]) {
      const answer = await tenant.call(method, tailsOf(tenant, "none"), method === "POST" ? "{}" : undefined);
      assert.deepEqual([answer.status, answer.code], [404, 10007], method);
    }
    const other = await newcomer();
    const made = await make(other);
    for (const id of ["x", made.id]) {
      const answer = await tenant.call("DELETE", `${tailsOf(tenant)}/${id}`);
      assert.deepEqual([answer.status, answer.code], [404, 71442], "tail_not_found");
    }
    assert.equal((await other.call<unknown[]>("GET", tailsOf(other))).result.length, 1, "another account's tail is untouched");
  });

  test("with a filter that is not understood is refused by its name", async () => {
    const answer = await tenant.call("POST", tailsOf(tenant), JSON.stringify({ filters: [{ outcome: ["fine"] }] }));
    assert.equal(answer.status, 400);
    assert.match(answer.message, /^filters\.0\.outcome\.0: /);
  });

  test("comes so many times for an account, also when all are asked for at once", async () => {
    const of = await newcomer();
    await of.deploy("w2", CODE);
    const asked = Array.from({ length: TAILS_PER_ACCOUNT + 3 }, (_, at) => of.call<Made>("POST", tailsOf(of, at % 2 ? "w" : "w2"), "{}"));
    const answers = await Promise.all(asked);
    assert.equal(answers.filter(({ status }) => status === 200).length, TAILS_PER_ACCOUNT);
    const over = await of.call("POST", tailsOf(of), "{}");
    assert.deepEqual([over.status, over.code], [429, 71440], "too_many_streams");
    assert.match(over.message, /This account has 10 tails open/);
    assert.equal((await tenant.call("POST", tailsOf(tenant), "{}")).status, 200, "another account's places are its own");
    const made = (await of.call<Made[]>("GET", tailsOf(of))).result[0];
    await of.call("DELETE", `${tailsOf(of)}/${made?.id}`);
    assert.equal((await of.call("POST", tailsOf(of), "{}")).status, 200);
  });

  test("that nobody opens lapses, and its address with it", async () => {
    const of = await newcomer();
    const made = await make(of);
    desk.clock.advance(CONNECT_WITHIN_SECONDS * 1000);
    await refused(pathOf(made), {}, 401, /within 60 seconds/);
    await awaitUntil(async () => (await trailOf(of)).at(-1) === "tails:end | workers/w | nobody connected", { what: "the trail says so" });
  });
});

describe("A tail's address", () => {
  test("asked for as a page says 426 and what to do", async () => {
    const made = await make(tenant);
    const answer = await desk.send(pathOf(made).replace("/client/v4", ""));
    assert.equal(answer.status, 426);
    assert.equal(answer.headers.get("upgrade"), "websocket");
    assert.match(await answer.text(), /upgrade_required/);
  });

  test("forged, of another tail, account or purpose opens nothing", async () => {
    const [one, other] = [await make(tenant), await make(await newcomer())];
    const capability = (made: Made): string => new URL(made.url).searchParams.get("capability") ?? "";
    const path = (id: string, secret: string): string => `/client/v4/tails/${id}?capability=${secret}`;
    const sign = (
      claims: Record<string, unknown>,
      audience: string,
      key = desk.control.keys.signing("tail"),
      seconds = 60,
    ): Promise<string> =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: "HS256" })
        .setAudience(audience)
        .setExpirationTime(Math.floor(desk.clock.now() / 1000) + seconds)
        .sign(key);
    const claims = { tail: one.id, account: tenant.id };
    const [head, payload, signature] = capability(one).split(".");
    const bad: Record<string, string> = {
      "no capability": `/client/v4/tails/${one.id}`,
      nonsense: path(one.id, "a.b.c"),
      "another tail's": path(one.id, capability(other)),
      "its own at another tail": path(other.id, capability(one)),
      unsigned: path(one.id, `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`),
      "half a signature": path(one.id, `${head}.${payload}.${signature?.slice(0, 20)}`),
      "another purpose": path(one.id, await sign(claims, "assets-upload")),
      "another key": path(one.id, await sign(claims, "tail", desk.control.keys.signing("assets-upload"))),
      "another account": path(one.id, await sign({ ...claims, account: other.id }, "tail")),
      expired: path(one.id, await sign(claims, "tail", undefined, -1)),
    };
    for (const [what, at] of Object.entries(bad)) {
      await refused(at, {}, 401, /tail_invalid/).catch((cause: unknown) => assert.fail(`${what}: ${String(cause)}`));
    }
    const client = raw(pathOf(one));
    assert.match(await client.head, /^HTTP\/1\.1 101 /, "none of them spent it");
    client.socket.destroy();
    await refused(path(one.id, newSecret("mft")), {}, 400, /token_in_url/);
  });

  test("is refused to pages, to other hosts and to clients that speak another protocol, and unspent by that", async () => {
    const made = await make(tenant);
    const path = pathOf(made);
    const bad: [headers: Record<string, string | undefined>, status: number, says: RegExp][] = [
      [{ origin: "https://evil.example" }, 403, /cross_site/],
      [{ origin: "null" }, 403, /cross_site/],
      [{ "sec-fetch-site": "cross-site" }, 403, /cross_site/],
      [{ host: "evil.example" }, 421, /wrong_host/],
      [{ "sec-websocket-protocol": undefined }, 400, /Sec-WebSocket-Protocol: must offer trace-v1/],
      [{ "sec-websocket-protocol": "graphql, soap" }, 400, /must offer trace-v1/],
      [{ "sec-websocket-version": "8" }, 400, /Sec-WebSocket-Version: must be 13/],
      [{ "sec-websocket-version": undefined }, 400, /Sec-WebSocket-Version/],
      [{ "sec-websocket-key": undefined }, 400, /Sec-WebSocket-Key/],
      [{ "sec-websocket-key": "short" }, 400, /Sec-WebSocket-Key/],
    ];
    for (const [headers, status, says] of bad) await refused(path, headers, status, says);
    const client = raw(path, { origin: "http://localhost:8787", "sec-websocket-protocol": "other, trace-v1" });
    assert.match(await client.head, /^HTTP\/1\.1 101 .*sec-websocket-protocol: trace-v1(\r|$)/is);
    client.socket.destroy();
  });

  test("is not given while host is away or will not carry it, and opens though host goes away then", async () => {
    const made = await make(tenant);
    const told = desk.host.tails.at(-1);
    const refusal = new PlatformError("product_unavailable", { message: "no logs here", next: "Do without." });
    const away = new PlatformError("capsule_failed", { message: "down" });
    for (const failure of [refusal, away]) {
      desk.host.failure = failure;
      const answer = await tenant.call("POST", tailsOf(tenant), "{}").finally(() => void (desk.host.failure = null));
      assert.deepEqual([answer.status, answer.code], [failure.status, failure.number]);
    }
    desk.host.failure = away;
    told?.stream.destroy();
    // A failed handshake would end wrangler with a stack of its own.
    const client = raw(pathOf(made));
    assert.match(await client.head, /^HTTP\/1\.1 101 /);
    client.socket.write(rawFrame(PING, "p"));
    await awaitUntil(() => client.received().length >= 3, { what: "a pong while host is away" });
    desk.host.failure = null;
    await awaitUntil(() => client.received().includes("events of that time are missing"), { what: "host is found again" });
    desk.host.tails.at(-1)?.stream.write('{"found":1}\n');
    await awaitUntil(() => client.received().includes('{"found":1}'), { what: "events come" });
    client.socket.destroy();
  });

  test("leaves requests with other upgrades their ordinary answers", async () => {
    const client = raw("/client/v4/accounts", { connection: "Upgrade, close", upgrade: "h2c" });
    await client.closed;
    assert.match(await client.head, /^HTTP\/1\.1 401 /);
    const elsewhere = raw("/client/v4/accounts", { connection: "Upgrade, close" });
    await elsewhere.closed;
    assert.match(await elsewhere.head, /^HTTP\/1\.1 401 /);
  });
});

describe("A connected tail", () => {
  test("ends well, with the reason, when its account ends, is claimed or expires, within five seconds", async () => {
    const ways: [what: string, reason: RegExp, act: (of: Tenant) => Promise<unknown>][] = [
      ["end", /has ended/, (of) => of.call("DELETE", `/accounts/${of.id}`)],
      [
        "claim",
        /A person claimed this account/,
        ({ id }) =>
          desk.control.store.transaction(async (tx) => {
            const row = await tx
              .selectFrom("accounts")
              .select("claim_hash")
              .where("id", "=", id as AccountId)
              .executeTakeFirstOrThrow();
            await transitions.claim(tx, row.claim_hash ?? "", "p", desk.clock.now());
          }),
      ],
      ["expiry", /has ended|is over/, () => Promise.resolve(desk.clock.advance(3_600_000))],
    ];
    for (const [what, reason, act] of ways) {
      const of = await newcomer();
      const waiting = await make(of);
      const { client, stream } = await open(of);
      const startedAt = performance.now();
      await act(of);
      await client.closed;
      const took = performance.now() - startedAt;
      // Two seconds to notice; a client that does not answer the close frame is let go after three more.
      assert.ok(took < 6000, `${what}: ${Math.round(took)} ms`);
      const closed = closeOf(client.received());
      assert.equal(closed?.code, 1000, what);
      assert.match(closed?.reason ?? "", reason, what);
      assert.ok(stream.destroyed, what);
      await refused(pathOf(waiting), {}, 401, /tail_invalid|token_refused/);
      await awaitUntil(async () => (await trailOf(of)).some((line) => reason.test(line)), { what: "the trail has the reason" });
    }
    tenant = await newcomer();
  });

  test("whose client goes takes host's stream along", async () => {
    for (const go of [
      (client: RawSocket) => client.socket.destroy(),
      (client: RawSocket) => client.socket.end(),
      (client: RawSocket) => client.socket.write(rawFrame(CLOSE, Buffer.from([3, 232]))),
    ]) {
      const { client, stream } = await open();
      go(client);
      await awaitUntil(() => stream.destroyed, { what: "host's stream is let go", deadlineMs: 5000 });
    }
    await awaitUntil(async () => (await trailOf(tenant)).filter((line) => line.endsWith("The client closed it.")).length >= 3, {
      what: "the trail",
    });
  });

  test("goes on with host's next stream when one breaks, and says that something is missing", async () => {
    const { client, stream } = await open();
    const before = desk.host.tails.length;
    stream.write('{"first":1}\n');
    stream.end('{"half');
    await awaitUntil(() => desk.host.tails.length > before, { what: "host is asked again" });
    desk.host.tails.at(-1)?.stream.write('{"second":2}\n');
    await awaitUntil(() => client.received().includes('{"second":2}'), { what: "events come" });
    const text = client.received().toString();
    assert.ok(
      text.indexOf('{"first":1}') < text.indexOf("are missing") && text.indexOf("are missing") < text.indexOf('{"second":2}'),
      text,
    );
    assert.ok(!text.includes('{"half'));
    client.socket.destroy();
    await awaitUntil(() => desk.host.tails.at(-1)?.stream.destroyed, { what: "the new stream is let go with the client" });
  });

  test("closes on frames that no honest client sends", async () => {
    const bad: [what: string, frames: readonly Buffer[], code: number][] = [
      ["a reserved bit", [rawFrame(TEXT, "x", { rsv: 4 })], 1002],
      ["an unknown opcode", [rawFrame(3, "x")], 1002],
      ["a control frame in fragments", [rawFrame(PING, "x", { fin: false })], 1002],
      ["a long control frame", [rawFrame(PING, "x".repeat(126))], 1002],
      ["a continuation of nothing", [rawFrame(CONTINUATION, "x")], 1002],
      ["a message within a message", [rawFrame(TEXT, "x", { fin: false }), rawFrame(TEXT, "x")], 1002],
      ["text that is no UTF-8", [rawFrame(TEXT, Buffer.from([0xff, 0xfe]))], 1007],
      ["a frame over the limit", [rawFrame(TEXT, "x".repeat(5000))], 1009],
      ["a frame that claims 2 GiB", [rawFrame(TEXT, "", { length: 2 ** 31 })], 1009],
      ["a frame that claims 2^53", [rawFrame(TEXT, "", { length: 2 ** 53 })], 1009],
      [
        "fragments over the limit",
        Array.from({ length: 10 }, (_, at) => rawFrame(at === 0 ? TEXT : CONTINUATION, "x".repeat(500), { fin: false })),
        1009,
      ],
      [
        "empty fragments without end",
        [rawFrame(TEXT, "", { fin: false }), Buffer.concat(Array.from({ length: 9000 }, () => rawFrame(CONTINUATION, "", { fin: false })))],
        1009,
      ],
      [
        "empty fragments between pings",
        [
          rawFrame(TEXT, "", { fin: false }),
          ...Array.from({ length: 100 }, () =>
            Buffer.concat([...Array.from({ length: 100 }, () => rawFrame(CONTINUATION, "", { fin: false })), rawFrame(PING, "")]),
          ),
        ],
        1009,
      ],
      ["a flood", Array.from({ length: 30 }, () => rawFrame(TEXT, "x".repeat(4000))), 1008],
    ];
    for (const [what, frames, code] of bad) {
      const { client, stream } = await open();
      for (const frame of frames) client.socket.write(frame);
      await client.closed;
      assert.equal(closeOf(client.received())?.code, code, what);
      await awaitUntil(() => stream.destroyed, { what });
    }
  });

  test("takes honest fragments, masked or not, before and after the handshake's end", async () => {
    const { client, stream } = await open();
    for (const mask of [true, false]) {
      client.socket.write(rawFrame(TEXT, "{", { fin: false, mask }));
      client.socket.write(rawFrame(PING, "p", { mask }));
      client.socket.write(rawFrame(CONTINUATION, "}", { mask }));
    }
    stream.write("{}\n");
    await awaitUntil(() => client.received().length >= 10, { what: "two pongs and an event" });
    assert.equal(closeOf(client.received()), null);
    client.socket.destroy();
  });

  test("does not fill the memory for a client that does not read, not even with answers to its pings", async () => {
    const { client, stream } = await open();
    client.socket.pause();
    const line = `${JSON.stringify({ text: "x".repeat(10_000) })}\n`;
    const before = process.memoryUsage().rss;
    let written = 0;
    for (; written < 20_000; written++) {
      if (stream.write(line)) continue;
      const drained = new Promise((resolve) => void stream.once("drain", () => resolve(true)));
      if ((await Promise.race([drained, sleep(500, false)])) === false) break;
    }
    assert.ok(written < 2000, `host was let write ${written} lines of 10 kB that nobody read`);
    for (let n = 0; n < 500; n++) client.socket.write(rawFrame(PING, "x".repeat(100)));
    await sleep(300);
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    assert.ok(grown < 100, `${Math.round(grown)} MiB more`);
    client.socket.destroy();
    await awaitUntil(() => stream.destroyed, { what: "host's stream is let go" });
  });

  test("is closed for a new one when the server stops, which does not wait for it", async () => {
    await using other = await openDesk();
    const of = await other.tenant();
    await of.deploy("w", CODE);
    const client = openRaw({ port: other.port, path: pathOf(await make(of)) });
    assert.match(await client.head, /^HTTP\/1\.1 101 /);
    const startedAt = performance.now();
    await other.close();
    assert.ok(performance.now() - startedAt < 5000);
    await client.closed;
    assert.deepEqual(closeOf(client.received()), { code: 1012, reason: "The server stops." });
  });
});
