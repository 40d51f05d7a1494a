// The front door as callers meet it: whose headers reach a Worker, what comes back, and what the edge says itself.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { newAccountId, type Subdomain } from "../../../src/kernel/ids.ts";
import { ask, askRaw, DOMAIN, fakeCapsules, runEdge, type FakeCapsules, type RunningEdge } from "./running-edge.ts";
import { runWorkerd, type RunningWorkerd } from "./running-workerd.ts";
import { WORKER } from "./worker-for-tests.ts";

type Echo = { url: string; method: string; cf: Record<string, unknown>; headers: Record<string, string>; body: string; count: number };

let workerd: RunningWorkerd;
let capsules: FakeCapsules;
let running: RunningEdge;
const HOST = `hello--quiet-otter-x7k2p.${DOMAIN}`;

before(async () => {
  workerd = await runWorkerd(WORKER);
  capsules = fakeCapsules(workerd.socketPath);
  running = await runEdge(capsules);
});
after(async () => {
  await running[Symbol.asyncDispose]();
  await workerd[Symbol.asyncDispose]();
});

const echo = async (port: number, headers: Record<string, string | string[]> = {}): Promise<Echo> =>
  JSON.parse((await ask(port, "/echo", { headers })).body) as Echo;

describe("what reaches a Worker", () => {
  test("headers by which the platform speaks are never taken from a caller", async () => {
    const forged = {
      "CF-Connecting-IP": "6.6.6.6",
      "CF-Worker": "forged",
      "cf-ipcountry": "NL",
      "CF-Ray": "forged",
      "X-Forwarded-For": "6.6.6.6",
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Host": "forged",
      "X-Real-IP": "6.6.6.6",
      "True-Client-IP": "6.6.6.6",
      Forwarded: "for=6.6.6.6",
      "Mayfly-CF-Blob": '{"colo":"forged"}',
      "Mayfly-Forwarded-Proto": "https",
      "Mayfly-Anything": "forged",
      "CDN-Loop": "forged",
    };
    const seen = await echo(running.port, forged);
    assert.ok(!JSON.stringify(seen).includes("forged"));
    assert.ok(!JSON.stringify(seen).includes("6.6.6.6"));
    assert.equal(seen.url, `http://${HOST}/echo`);
    assert.equal(seen.headers["cf-connecting-ip"], "127.0.0.1");
    assert.equal(seen.headers["x-forwarded-for"], "127.0.0.1");
    assert.equal(seen.headers["x-real-ip"], "127.0.0.1");
    assert.equal(seen.headers["x-forwarded-proto"], "http");
    assert.equal(seen.headers["cf-visitor"], '{"scheme":"http"}');
    assert.match(seen.headers["cf-ray"] ?? "", /^[0-9a-f]{16}-MAY$/);
    assert.ok(!Object.keys(seen.headers).some((name) => name.startsWith("mayfly-")));
  });

  test("a caller's say in which version answers goes to the capsules whole, and to the Worker", async () => {
    const key = { "Cloudflare-Workers-Version-Key": ["a", "b"] };
    const seen = await echo(running.port, { ...key, "cloudflare-workers-version-overrides": ['one="x"', 'two="y"'] });
    assert.deepEqual(capsules.choices.at(-1), { key: "a, b", overrides: 'one="x", two="y"' });
    assert.equal(seen.headers["cloudflare-workers-version-key"], "a, b");
    assert.match(seen.headers["cloudflare-workers-version-overrides"] ?? "", /^one="x",\s*two="y"$/);
    await echo(running.port);
    assert.deepEqual(capsules.choices.at(-1), {});
  });

  test("request.cf has the shape of the hosted original", async () => {
    const { cf } = await echo(running.port, { "Accept-Encoding": "gzip" });
    assert.equal(cf["colo"], "MAY");
    assert.equal(cf["country"], "XX");
    assert.equal(cf["httpProtocol"], "HTTP/1.1");
    assert.equal(cf["clientAcceptEncoding"], "gzip");
  });

  test("the Host header arrives as it was written", async () => {
    const seen = await echo(running.port, { host: `${HOST.toUpperCase()}:8788` });
    assert.equal(seen.headers["host"], `${HOST.toUpperCase()}:8788`);
  });

  test("hop-by-hop headers end at the edge, those that Connection names included", async () => {
    const seen = await echo(running.port, {
      Connection: "X-Hop, close",
      "X-Hop": "1",
      TE: "trailers",
      "Proxy-Authorization": "x",
      "X-Kept": "1",
    });
    for (const name of ["x-hop", "te", "proxy-authorization"]) assert.equal(seen.headers[name], undefined, name);
    assert.equal(seen.headers["connection"], "keep-alive");
    assert.equal(seen.headers["x-kept"], "1");
  });

  test("Connection cannot declare the body's length or the host away", async () => {
    const head = `POST /echo HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close, content-length, host\r\nContent-Length: 4\r\n\r\n`;
    assert.match(await askRaw(running.port, `${head}body`), /"body":"body"/);
  });

  test("a trusted proxy names client and scheme; the right-most untrusted address counts", async () => {
    await using proxied = await runEdge(fakeCapsules(workerd.socketPath), { trustedProxies: ["127.0.0.0/8", "10.0.0.0/8"] });
    const seen = await echo(proxied.port, { "X-Forwarded-For": "6.6.6.6, 198.51.100.7, 10.1.2.3", "X-Forwarded-Proto": "https" });
    assert.equal(seen.headers["cf-connecting-ip"], "198.51.100.7");
    assert.equal(seen.headers["x-forwarded-for"], "198.51.100.7");
    assert.equal(seen.url, `https://${HOST}/echo`);
    assert.equal(seen.headers["x-forwarded-proto"], "https");
  });
});

describe("what comes back", () => {
  test("a cookie for a domain above the host is dropped, every other kept", async () => {
    const kept = ["a=1", `b=2; Domain=${HOST}`, "c=domain; Path=/", "d=4; Domain="];
    const dropped = [
      `e=5; Domain=${DOMAIN}`,
      "f=6; domain=localhost",
      `g=7; Domain=.${DOMAIN}; Domain=${HOST}`,
      `h=8;\tDOMAIN = ${DOMAIN}`,
    ];
    const query = [...kept, ...dropped].map((cookie) => `c=${encodeURIComponent(cookie)}`).join("&");
    const { headers } = await ask(running.port, `/cookies?${query}`);
    assert.deepEqual(headers["set-cookie"], kept);
  });

  test("Server and CF-Ray are not a Worker's to set", async () => {
    const { headers } = await ask(running.port, "/cookies");
    assert.equal(headers.server, undefined);
    assert.match(String(headers["cf-ray"]), /^[0-9a-f]{16}-MAY$/);
    assert.equal(headers["x-kept"], "yes");
  });

  test("HEAD, 204 and 304 come without a body", async () => {
    assert.equal((await ask(running.port, "/hello", { method: "HEAD" })).body, "");
    assert.equal((await ask(running.port, "/status?s=204")).status, 204);
    assert.equal((await ask(running.port, "/status?s=304")).status, 304);
  });

  test("a POST without a body, a body with trailers and a keep-alive connection work", async () => {
    assert.equal((await ask(running.port, "/length", { method: "POST" })).body, "0");
    const first = `POST /length HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n`;
    const second = `GET /hello HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`;
    const answers = await askRaw(running.port, first + second);
    assert.match(answers, /\r\n\r\n3HTTP\/1\.1 200 OK[^]*hello$/);
  });

  test("Expect: 100-continue is answered when a Worker is there to read", async () => {
    const head = `POST /length HTTP/1.1\r\nHost: ${HOST}\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 4\r\n\r\n`;
    assert.match(await askRaw(running.port, `${head}abcd`), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK[^]*4$/);
    capsules.answers.set("away", () => ({ kind: "none" }));
    const refused = await askRaw(running.port, head.replace(HOST, `away.${DOMAIN}`));
    assert.match(refused, /^HTTP\/1\.1 404 /);
  });
});

describe("which host is meant", () => {
  const status = async (lines: string): Promise<string> =>
    (await askRaw(running.port, `${lines}\r\nConnection: close\r\n\r\n`)).slice(9, 12);

  test("case, port and a trailing dot do not matter", async () => {
    for (const host of [HOST, HOST.toUpperCase(), `${HOST}:1`, `${HOST}.`, `${HOST}.:80`]) {
      assert.equal(await status(`GET /hello HTTP/1.1\r\nHost: ${host}`), "200", host);
    }
  });

  test("what is not one label under the edge domain never reaches a capsule", async () => {
    const before = capsules.given;
    for (const [host, expected] of [
      [DOMAIN, "404"],
      [`a.b.${DOMAIN}`, "404"],
      [`a_b.${DOMAIN}`, "404"],
      [`x${DOMAIN}`, "421"],
      ["example.com", "421"],
      ["127.0.0.1", "421"],
      ["[::1]:80", "421"],
      [`a.${DOMAIN}.example.com`, "421"],
      [`x@a.${DOMAIN}`, "400"],
      [`a.${DOMAIN}/`, "400"],
      [`../a.${DOMAIN}`, "400"],
      ["", "400"],
    ]) {
      assert.equal(await status(`GET /hello HTTP/1.1\r\nHost: ${host}`), expected, host);
    }
    assert.equal(capsules.given, before);
  });

  test("two Host headers, none, and a target that contradicts the host are refused", async () => {
    assert.equal(await status(`GET / HTTP/1.1\r\nHost: ${HOST}\r\nHost: ${HOST}`), "400");
    assert.equal(await status("GET / HTTP/1.1"), "400");
    assert.equal(await status(`GET http://other.${DOMAIN}/ HTTP/1.1\r\nHost: ${HOST}`), "400");
    assert.equal(await status(`OPTIONS * HTTP/1.1\r\nHost: ${HOST}`), "400");
    assert.equal(await status(`GET ftp://${HOST}/ HTTP/1.1\r\nHost: ${HOST}`), "400");
  });

  test("an absolute target that agrees with the host is a path", async () => {
    const answer = await askRaw(running.port, `GET http://${HOST}/hello HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /hello$/);
  });

  test("a WebSocket handshake that announces a body is refused", async () => {
    for (const framing of ["Content-Length: 4", "Transfer-Encoding: chunked"]) {
      const head = `GET /hello HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${framing}\r\n\r\n`;
      assert.match(await askRaw(running.port, head), /^HTTP\/1.1 400 [\s\S]*handshake has no body/);
    }
  });

  test("ambiguous framing is refused", async () => {
    assert.equal(await status(`POST /length HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked`), "400");
    assert.equal(await status(`POST /length HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 4\r\nContent-Length: 5`), "400");
  });
});

describe("what the edge says itself", () => {
  const tombstone = (reason: "expired" | "task-done" | "owner" | "operator") => ({
    account: newAccountId(),
    subdomain: "quiet-otter-x7k2p" as Subdomain,
    reason,
    endedAtMs: Date.UTC(2026, 10, 22, 12),
  });

  test("a gone account says what happened, when, what remains and what to do, in the form that is asked for", async () => {
    const why = {
      expired: /time was up/,
      "task-done": /Its agent ended it/,
      owner: /Its owner ended it/,
      operator: /operator of this installation ended it/,
    };
    for (const reason of ["expired", "task-done", "owner", "operator"] as const) {
      capsules.answers.set("gone", () => ({ kind: "gone", tombstone: tombstone(reason) }));
      const got = await ask(running.port, "/", { label: "gone" });
      assert.equal(got.status, 410);
      assert.equal(got.headers["cache-control"], "no-store");
      assert.match(got.body, why[reason]);
      for (const words of [
        /2026-11-22T12:00:00\.000Z/,
        /Nothing remains but the trail/,
        /never be used again/,
        /wrangler deploy --temporary/,
      ]) {
        assert.match(got.body, words);
      }
    }
    const page = await ask(running.port, "/", { label: "gone", headers: { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" } });
    assert.match(String(page.headers["content-type"]), /^text\/html/);
    assert.match(page.body, /<h1>This account is gone<\/h1>/);
    const json = await ask(running.port, "/", { label: "gone", headers: { Accept: "application/json" } });
    assert.deepEqual(Object.keys(JSON.parse(json.body) as object), ["error", "message", "reason", "ended_at"]);
  });

  test("suspended, unavailable and unknown are told apart", async () => {
    capsules.answers.set("s", () => ({ kind: "suspended", reason: "it ran out of memory <five> times" }));
    capsules.answers.set("u", () => ({ kind: "unavailable", reason: "The capsule is not ready.", retryAfterSeconds: 7 }));
    capsules.answers.set("n", () => ({ kind: "none" }));
    const suspended = await ask(running.port, "/", { label: "s", headers: { Accept: "text/html" } });
    assert.equal(suspended.status, 503);
    assert.match(suspended.body, /it ran out of memory &lt;five&gt; times/);
    const unavailable = await ask(running.port, "/", { label: "u" });
    assert.equal(unavailable.status, 503);
    assert.equal(unavailable.headers["retry-after"], "7");
    const none = await ask(running.port, "/", { label: "n" });
    assert.equal(none.status, 404);
    assert.match(none.body, /No Worker answers here/);
  });

  test("a supervisor that throws is a 503, not a hanging request", async () => {
    capsules.answers.set("broken", () => Promise.reject(new Error("boom")));
    const got = await ask(running.port, "/", { label: "broken" });
    assert.equal(got.status, 503);
    assert.ok(!got.body.includes("boom"));
  });
});
