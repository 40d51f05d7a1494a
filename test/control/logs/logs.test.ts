// Kept records, records as they come and figures by the minute: what goes out, to whom, and when it ends. Host is
// scripted; the accounts, tokens, claims and connections are real.
import assert from "node:assert/strict";
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import { after, before, describe, test } from "node:test";
import type { LogRecord } from "../../../src/capsule/logs.ts";
import { STREAMS_PER_ACCOUNT } from "../../../src/control/logs/following.ts";
import { onWholeAccount } from "../../../src/control/permissions/authorize.ts";
import { ACTIONS } from "../../../src/control/permissions/actions.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import { openTokens } from "../../../src/control/tokens/tokens.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { openDesk, type Desk } from "../../fixtures/desk.ts";
import type { Tenant } from "../../fixtures/tenant.ts";

const AT = Date.parse("2026-11-24T12:00:00.123Z");
const of = { atMs: AT, worker: "w", version: "v", ray: "r" };
const RECORDS: LogRecord[] = [
  { kind: "request", ...of, method: "GET", url: "http://w/x", status: 200, outcome: "ok", wallMs: 1.5, cpuMs: null },
  { kind: "request", ...of, method: "GET", url: "http://w/x", status: 0, outcome: "canceled", wallMs: 1.5, cpuMs: 1 },
  { kind: "invocation", ...of, trigger: "queue", outcome: "exception" },
  { kind: "console", ...of, level: "log", text: "a\nb" },
  { kind: "exception", ...of, name: "Error", message: "m", stack: null },
];
const HEAD = { at: "2026-11-24T12:00:00.123Z", worker: "w", version: "v", ray: "r" };

type Events = {
  readonly text: () => string;
  readonly ended: Promise<void>;
  readonly status: number;
  readonly asked: ClientRequest;
  readonly answer: IncomingMessage;
};

let desk: Desk;
before(async () => void (desk = await openDesk()));
after(() => desk[Symbol.asyncDispose]());

/** Opens a stream and keeps what it says. */
function follow(tenant: Tenant, query = "follow=true", token = tenant.token): Promise<Events> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const path = `/client/v4/accounts/${tenant.id}/logs?${query}`;
    const asked = request({ host: "127.0.0.1", port: desk.port, path, headers, agent: false }, (answer) => {
      let said = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => void (said += chunk));
      const ended = new Promise<void>((done) => void answer.once("close", () => done()));
      resolve({ text: () => said, ended, status: answer.statusCode ?? 0, asked, answer });
    });
    asked.on("error", reject).end();
  });
}

const lastFollow = () => desk.host.follows.at(-1) ?? assert.fail("host was not asked");

describe("Kept records", () => {
  test("go out newest first as host gives them, with the cursor, and with what gave way", async () => {
    const tenant = await desk.tenant();
    desk.host.page = { records: RECORDS, cursor: "next", dropped: { records: 12, untilMs: AT } };
    const answer = await desk.send(`/accounts/${tenant.id}/logs?limit=5&worker=w`, {
      headers: { authorization: `Bearer ${tenant.token}` },
    });
    assert.equal(answer.status, 200);
    const body = (await answer.json()) as { result: unknown; result_info: unknown; messages: { message: string }[]; success: boolean };
    assert.deepEqual(body.result, [
      { kind: "request", ...HEAD, method: "GET", url: "http://w/x", status: 200, outcome: "ok", wall_ms: 1.5, cpu_ms: null },
      { kind: "request", ...HEAD, method: "GET", url: "http://w/x", status: null, outcome: "canceled", wall_ms: 1.5, cpu_ms: 1 },
      { kind: "invocation", ...HEAD, trigger: "queue", outcome: "exception" },
      { kind: "console", ...HEAD, level: "log", text: "a\nb" },
      { kind: "exception", ...HEAD, name: "Error", message: "m", stack: null },
    ]);
    assert.deepEqual(body.result_info, { count: 5, cursor: "next" });
    assert.match(body.messages[0]?.message ?? "", /^12 records, up to 2026-11-24T12:00:00.123Z, .* gave way .*MAYFLY_LOG_BYTES/);
    assert.deepEqual(desk.host.asked.logs.at(-1), { account: tenant.id, worker: "w", limit: 5 });
    desk.host.page = { records: [], cursor: null, dropped: null };
    const empty = await desk.send(`/accounts/${tenant.id}/logs`, { headers: { authorization: `Bearer ${tenant.token}` } });
    assert.deepEqual(await empty.json(), { success: true, errors: [], messages: [], result: [], result_info: { count: 0, cursor: "" } });
  });

  test("are of the token's own account, and want logs:read", async () => {
    const [ours, theirs] = [await desk.tenant(), await desk.tenant()];
    const { id, account } = { id: ours.id as AccountId, account: ours };
    const issue = async (actions: readonly (typeof ACTIONS)[number][]): Promise<string> => {
      const store = desk.control.store;
      const row = { account: id, person: null, name: "t", permissions: onWholeAccount(actions), task: null, epoch: 1, expiresAtMs: null };
      return (await store.transaction((tx) => openTokens(desk.control).issue(tx, row))).secret;
    };
    const [narrow, rest] = [await issue(["account:read"]), await issue(ACTIONS.filter((action) => action !== "logs:read"))];
    for (const path of ["logs", "logs?follow=true", "metrics", "workers/scripts/w/tails"]) {
      assert.equal((await account.call("GET", `/accounts/${theirs.id}/${path}`)).status, 404, path);
      for (const token of [narrow, rest]) {
        const refused = await account.call("GET", `/accounts/${id}/${path}`, undefined, { authorization: `Bearer ${token}` });
        assert.deepEqual([refused.status, refused.code], [403, 9109], path);
        assert.match(refused.message, /does not hold logs:read/);
      }
    }
    assert.equal(
      (await account.call("GET", `/accounts/${id}/logs`, undefined, { authorization: `Bearer ${await issue(["logs:read"])}` })).status,
      200,
    );
  });

  test("cannot be had while host is down, and the caller is told what to do", async () => {
    const tenant = await desk.tenant();
    desk.host.failure = new PlatformError("capsule_failed", { message: "down" });
    try {
      const answer = await tenant.call("GET", `/accounts/${tenant.id}/logs?follow=true`);
      assert.deepEqual([answer.status, answer.code], [503, 71503]);
    } finally {
      desk.host.failure = null;
    }
  });
});

describe("Figures by the minute", () => {
  test("are told by Worker, oldest first, with the process's CPU apart", async () => {
    const tenant = await desk.tenant();
    const wallMs = { p50: 1, p90: 2, p99: 3 };
    desk.host.minutes = [
      { atMs: AT + 60_000, worker: "a", requests: 1, errors: 0, cpuMs: null, wallMs: null },
      { atMs: AT, worker: "a", requests: 2, errors: 1, cpuMs: 4, wallMs },
      { atMs: AT, worker: null, requests: 0, errors: 0, cpuMs: 9, wallMs: null },
    ];
    const answer = await tenant.call("GET", `/accounts/${tenant.id}/metrics?since=2h&until=1h`);
    const asked = desk.host.asked.metrics.at(-1) ?? assert.fail();
    assert.deepEqual(asked, { account: tenant.id, sinceMs: desk.clock.now() - 7_200_000, untilMs: desk.clock.now() - 3_600_000 });
    assert.deepEqual(answer.result, {
      since: new Date(asked.sinceMs).toISOString(),
      until: new Date(asked.untilMs).toISOString(),
      workers: [
        {
          worker: "a",
          minutes: [
            { at: HEAD.at, requests: 2, errors: 1, cpu_ms: 4, wall_ms: wallMs },
            { at: "2026-11-24T12:01:00.123Z", requests: 1, errors: 0, cpu_ms: null, wall_ms: null },
          ],
        },
      ],
      process: [{ at: HEAD.at, cpu_ms: 9 }],
    });
  });
});

describe("A stream of records", () => {
  test("says each as an event with an id, and how many were missed", async () => {
    const tenant = await desk.tenant();
    const events = await follow(tenant, "kind=console&worker=w&follow=true");
    assert.equal(events.status, 200);
    assert.equal(events.answer.headers["content-type"], "text/event-stream");
    const { query, stream } = lastFollow();
    assert.deepEqual(query, { account: tenant.id, kind: "console", worker: "w" });
    for (const line of [RECORDS[3], { kind: "missed", records: 7 }, RECORDS[4]]) stream.write(`${JSON.stringify(line)}\n`);
    await awaitUntil(() => events.text().includes("event: exception"), { what: "the events arrive" });
    assert.equal(
      events.text(),
      `: connected\n\nid: ${HEAD.at}/1\nevent: console\ndata: ${JSON.stringify({ kind: "console", ...HEAD, level: "log", text: "a\nb" })}\n\n` +
        `event: missed\ndata: {"records":7}\n\n` +
        `id: ${HEAD.at}/2\nevent: exception\ndata: ${JSON.stringify({ kind: "exception", ...HEAD, name: "Error", message: "m", stack: null })}\n\n`,
    );
    events.asked.destroy();
    await awaitUntil(() => stream.destroyed, { what: "host's stream goes with the client" });
  });

  test("ends with the reason when its account ends, is claimed or expires, within five seconds", async () => {
    const ways: [what: string, reason: RegExp, act: (tenant: Tenant) => Promise<unknown>][] = [
      ["end", /has ended/, (tenant) => tenant.call("DELETE", `/accounts/${tenant.id}`)],
      [
        "claim",
        /A person claimed this account/,
        ({ id }) =>
          desk.control.store.transaction(async (tx) => {
            const { claim_hash: hash } = await tx
              .selectFrom("accounts")
              .select("claim_hash")
              .where("id", "=", id as AccountId)
              .executeTakeFirstOrThrow();
            await transitions.claim(tx, hash ?? "", "p", desk.clock.now());
          }),
      ],
      ["expiry", /has ended|is over/, () => Promise.resolve(desk.clock.advance(3_600_000))],
    ];
    for (const [what, reason, act] of ways) {
      const tenant = await desk.tenant();
      const events = await follow(tenant);
      const { stream } = lastFollow();
      const startedAt = performance.now();
      await act(tenant);
      await events.ended;
      const took = performance.now() - startedAt;
      assert.ok(took < 5000, `${what}: ${Math.round(took)} ms`);
      const last = events.text().trimEnd().split("\n\n").at(-1) ?? "";
      assert.match(last, /^event: end\ndata: \{"reason":/, what);
      assert.match(last, reason, what);
      assert.ok(stream.destroyed, what);
    }
  });

  test("ends when its token is ended or late, though the account goes on", async () => {
    const tenant = await desk.tenant();
    const id = tenant.id as AccountId;
    const permissions = onWholeAccount(["logs:read"]);
    const issue = (expiresAtMs: number | null) =>
      desk.control.store.transaction((tx) =>
        openTokens(desk.control).issue(tx, { account: id, person: null, name: "t", permissions, task: null, epoch: 1, expiresAtMs }),
      );
    const [ended, late] = [await issue(null), await issue(desk.clock.now() + 30_000)];
    const [one, other, kept] = [
      await follow(tenant, undefined, ended.secret),
      await follow(tenant, undefined, late.secret),
      await follow(tenant),
    ];
    await desk.control.store.db.updateTable("tokens").set({ ended_at: desk.clock.now() }).where("id", "=", ended.id).execute();
    desk.clock.advance(30_000);
    await Promise.all([one.ended, other.ended]);
    assert.match(one.text(), /event: end\ndata: \{"reason":"This token was ended\."\}/);
    assert.match(other.text(), /event: end\ndata: \{"reason":"(This token has expired|The time of the token)/);
    assert.doesNotMatch(kept.text(), /event: end/);
    kept.asked.destroy();
  });

  test("says nothing after its account's last moment, though nobody has looked yet", async () => {
    const tenant = await desk.tenant({ "mayfly-lifetime": "60" });
    const events = await follow(tenant);
    const { stream } = lastFollow();
    desk.clock.advance(60_000);
    stream.write(`${JSON.stringify(RECORDS[3])}\n`);
    await events.ended;
    assert.doesNotMatch(events.text(), /event: console/);
    assert.match(events.text(), /event: end/);
  });

  test("ends when host's does, and what is no record ends it too", async () => {
    const tenant = await desk.tenant();
    for (const last of ["", "no record\n", `${JSON.stringify({ kind: "console" })}\n`]) {
      const events = await follow(tenant);
      lastFollow().stream.end(last);
      await events.ended;
      assert.match(events.text(), /event: end\ndata: \{"reason":"The part of this installation .* follow again\."\}/);
    }
  });

  test("comes so many times for an account, and a place is free again once a client is gone", async () => {
    const tenant = await desk.tenant();
    const open: Events[] = [];
    for (let n = 0; n < STREAMS_PER_ACCOUNT; n++) open.push(await follow(tenant));
    const refused = await tenant.call("GET", `/accounts/${tenant.id}/logs?follow=true`);
    assert.deepEqual([refused.status, refused.code], [429, 71440], "too_many_streams");
    assert.equal((await follow(await desk.tenant())).status, 200, "another account's places are its own");
    open[0]?.asked.destroy();
    await awaitUntil(async () => (await follow(tenant)).status === 200, { what: "the place is free" });
  });

  test("is refused with the reason when its account or token ends before it begins", async () => {
    const ways: [reason: RegExp, act: (tenant: Tenant) => Promise<unknown>][] = [
      [/^The account has ended/, (tenant) => tenant.call("DELETE", `/accounts/${tenant.id}`)],
      [
        /^This token was ended\./,
        ({ id }) =>
          desk.control.store.db
            .updateTable("tokens")
            .set({ ended_at: desk.clock.now() })
            .where("account_id", "=", id as AccountId)
            .execute(),
      ],
    ];
    const honest = desk.host.follow;
    for (const [reason, act] of ways) {
      const tenant = await desk.tenant();
      desk.host.follow = async (query) => {
        await act(tenant);
        return honest(query);
      };
      const answer = await tenant.call("GET", `/accounts/${tenant.id}/logs?follow=true`).finally(() => void (desk.host.follow = honest));
      assert.equal(answer.status, 401, answer.message);
      assert.match(answer.message, reason);
      assert.ok(lastFollow().stream.destroyed);
    }
  });

  test("is refused as one to try again while the server stops", async () => {
    await using other = await openDesk();
    const tenant = await other.tenant();
    const honest = other.host.follow;
    const closing: Promise<void>[] = [];
    other.host.follow = (query) => {
      closing.push(other.close());
      return honest(query);
    };
    const answer = await tenant.call("GET", `/accounts/${tenant.id}/logs?follow=true`);
    assert.deepEqual([answer.status, answer.code], [503, 71503], answer.message);
    await Promise.all(closing);
  });

  test("takes no place for HEAD, which is answered without a body", async () => {
    const tenant = await desk.tenant();
    const headers = { authorization: `Bearer ${tenant.token}` };
    for (let n = 0; n < STREAMS_PER_ACCOUNT + 2; n++) {
      const answer = await desk.send(`/accounts/${tenant.id}/logs?follow=true`, { method: "HEAD", headers });
      assert.deepEqual([answer.status, answer.headers.get("content-type"), await answer.text()], [200, "text/event-stream", ""]);
      await awaitUntil(() => lastFollow().stream.destroyed, { what: "host's stream is let go" });
    }
    const events = await follow(tenant);
    assert.equal(events.status, 200);
    events.asked.destroy();
    const kept = await desk.send(`/accounts/${tenant.id}/logs`, { method: "HEAD", headers });
    assert.deepEqual([kept.status, await kept.text()], [200, ""]);
  });

  test("does not fill the memory for a client that does not read, and is cut when its account ends", async () => {
    const tenant = await desk.tenant();
    const events = await follow(tenant);
    events.answer.pause();
    const { stream } = lastFollow();
    const line = `${JSON.stringify({ ...RECORDS[3], text: "x".repeat(10_000) })}\n`;
    let written = 0;
    const stalled = Symbol("stalled");
    for (; written < 5000; written++) {
      if (stream.write(line)) continue;
      const drained = new Promise((resolve) => void stream.once("drain", resolve));
      if ((await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 500, stalled))])) === stalled) break;
    }
    assert.ok(written < 2000, `host was let write ${written} lines of 10 kB that nobody read`);
    const cut = new Promise<void>((resolve) => void events.asked.once("close", () => resolve()));
    await tenant.call("DELETE", `/accounts/${tenant.id}`);
    await awaitUntil(() => stream.destroyed, { what: "host's stream is let go", deadlineMs: 5000 });
    // The client reads on: what the kernel holds of it may come, and then the connection is cut.
    events.answer.resume();
    await cut;
  });

  test("ends before the server stops, which does not wait for it", async () => {
    await using other = await openDesk();
    const tenant = await other.tenant();
    const answer = await other.send(`/accounts/${tenant.id}/logs?follow=true`, { headers: { authorization: `Bearer ${tenant.token}` } });
    const said = answer.text();
    const startedAt = performance.now();
    await other.close();
    assert.ok(performance.now() - startedAt < 4000);
    assert.match(await said, /event: end\ndata: \{"reason":"The server stops/);
  });
});
