// What callers of an unclaimed account get at the front door, by real requests to a real Worker behind it.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { Visitors } from "../../../../src/host/edge/visitors/visitors.ts";
import { testClock, type TestClock } from "../../../fixtures/databases.ts";
import { ask, askRaw, DOMAIN, fakeCapsules, runEdge, type Ask, type FakeCapsules, type Got, type RunningEdge } from "../running-edge.ts";
import { runWorkerd, type RunningWorkerd } from "../running-workerd.ts";

const LABEL = "hello--quiet-otter-x7k2p";
const HOST = `${LABEL}.${DOMAIN}`;
const CONTINUE = "/cdn-cgi/mayfly/continue?to=";
const NAVIGATE = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", accept: "text/html,*/*;q=0.8" };

const WORKER = `
let count = 0;
export default {
  async fetch(request) {
    const url = new URL(request.url);
    count++;
    const headers = new Headers({ "content-type": "text/html" });
    for (const pair of url.searchParams.getAll("set")) { const at = pair.indexOf(":"); headers.append(pair.slice(0, at), pair.slice(at + 1)); }
    if (url.pathname === "/away") return new Response(null, { status: 302, headers: { location: "/", ...Object.fromEntries(headers) } });
    if (url.pathname === "/wide") headers.set("cache-control", "public" + " ".repeat(60_000) + "x");
    if (url.pathname === "/same") return new Response(null, { status: 304 });
    const body = request.method === "POST" ? await request.text() : "";
    return new Response(JSON.stringify({ path: url.pathname, cookie: request.headers.get("cookie"), count, body }), { headers });
  }
};`;

let workerd: RunningWorkerd;
before(async () => {
  workerd = await runWorkerd(WORKER);
});
after(() => workerd[Symbol.asyncDispose]());

type Door = AsyncDisposable & {
  readonly capsules: FakeCapsules;
  readonly clock: TestClock;
  readonly running: RunningEdge;
  get: typeof get;
};
const get = (path: string, asked?: Ask): Promise<Got> => Promise.reject(new Error(`${path} ${JSON.stringify(asked)}`));

async function open(interstitial = true, scheme: "http" | "https" = "http"): Promise<Door> {
  const capsules = fakeCapsules(workerd.socketPath);
  const clock = testClock();
  const account = capsules.stands?.account;
  if (account === undefined) throw new Error("nobody stands there");
  capsules.stands = { account, claimed: false, endsAtMs: clock.now() + 600_000 };
  const consoleUrl = new URL("https://console.example");
  const visitors = new Visitors({ clock, key: randomBytes(32), interstitial, consoleUrl });
  const running = await runEdge(capsules, { visitors, publicScheme: scheme });
  return {
    capsules,
    clock,
    running,
    get: (path, asked) => ask(running.port, path, asked),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

const claim = ({ capsules }: Door): void => {
  if (capsules.stands) capsules.stands = { ...capsules.stands, claimed: true, endsAtMs: null };
};

/** Presses the button. @returns the cookie as a browser sends it */
async function pressContinue(door: Door, to = "/"): Promise<string> {
  const origin = `http://${HOST}`;
  const headers = { ...NAVIGATE, origin, "sec-fetch-site": "same-origin", "content-length": "0" };
  const answer = await door.get(`${CONTINUE}${encodeURIComponent(to)}`, { method: "POST", headers });
  assert.equal(answer.status, 303, answer.body);
  return answer.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
}

const said = (answer: Got): string => answer.body.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
const isInterstitial = (answer: Got): boolean => answer.status === 403 && answer.body.includes("made by an AI agent");

describe("before a claim", () => {
  let door: Door;
  before(async () => {
    door = await open();
  });
  after(() => door[Symbol.asyncDispose]());
  beforeEach(() => {
    door.capsules.given = 0;
  });

  test("a navigation is told who made the page, until when it is there and what not to do, and no process is asked for", async () => {
    const answer = await door.get("/a?b=c", { headers: NAVIGATE });
    assert.ok(isInterstitial(answer));
    const until = new Date(door.capsules.stands?.endsAtMs ?? 0).toISOString().slice(0, 16).replace("T", " ");
    for (const word of [HOST, `${until} UTC`, "in 10 minutes", "nobody has claimed", "Who made it is not known", "Do not type passwords"]) {
      assert.ok(said(answer).includes(word), word);
    }
    assert.ok(answer.body.includes(`action="/cdn-cgi/mayfly/continue?to=%2Fa%3Fb%3Dc"`));
    assert.ok(answer.body.includes(`href="https://console.example/report?host=${HOST}"`));
    assert.doesNotMatch(answer.body, /<script|src=|onclick/);
    assert.equal(door.capsules.given, 0);
  });

  test("that page is framed by nobody, stored by nobody, found by no search, and runs nothing", async () => {
    const { headers } = await door.get("/", { headers: NAVIGATE });
    const policy = headers["content-security-policy"] ?? "";
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"])
      assert.ok(String(policy).includes(part));
    assert.doesNotMatch(String(policy), /unsafe|script-src/);
    assert.equal(headers["x-frame-options"], "DENY");
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["x-robots-tag"], "noindex");
  });

  test("pages within pages are asked too; what pages load, and programs, are not", async () => {
    for (const dest of ["iframe", "frame", "embed", "object", "document"]) {
      const mode = dest === "object" || dest === "embed" ? "no-cors" : "navigate";
      assert.ok(isInterstitial(await door.get("/", { headers: { "sec-fetch-mode": mode, "sec-fetch-dest": dest } })), dest);
    }
    assert.ok(isInterstitial(await door.get("/", { headers: { "upgrade-insecure-requests": "1" } })), "plain HTTP tells no more");
    const others: Record<string, string>[] = [
      {},
      { accept: "text/html" },
      { "user-agent": "curl/8.14.1" },
      { "sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "upgrade-insecure-requests": "1" },
      { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
      { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" },
    ];
    for (const headers of others) assert.equal((await door.get("/", { headers })).status, 200, JSON.stringify(headers));
  });

  test("what a navigation posts goes nowhere, and its sender is told", async () => {
    const before = (JSON.parse((await door.get("/")).body) as { count: number }).count;
    const answer = await door.get("/save", { method: "POST", headers: NAVIGATE, body: "name=Ada" });
    assert.ok(isInterstitial(answer));
    assert.match(said(answer), /What you were sending was not passed on/);
    assert.ok(answer.body.includes("to=%2Fsave"));
    assert.equal((JSON.parse((await door.get("/")).body) as { count: number }).count, before + 1);
  });

  test("Continue leads back and is remembered at that host, until the account's end and a day at most", async () => {
    const cookie = await pressContinue(door, "/a?b=c");
    const passed = await door.get("/a?b=c", { headers: { ...NAVIGATE, cookie: `x=y; ${cookie}` } });
    assert.equal(passed.status, 200);
    const elsewhere = await door.get("/", { label: "other--quiet-otter-x7k2p", headers: { ...NAVIGATE, cookie } });
    assert.ok(isInterstitial(elsewhere));
    await using long = await open();
    const { stands } = long.capsules;
    if (stands) long.capsules.stands = { ...stands, endsAtMs: long.clock.now() + 7 * 86_400_000 };
    const lasting = await pressContinue(long);
    long.clock.advance(86_398_000);
    assert.equal((await long.get("/", { headers: { ...NAVIGATE, cookie: lasting } })).status, 200);
    long.clock.advance(2_000);
    assert.ok(isInterstitial(await long.get("/", { headers: { ...NAVIGATE, cookie: lasting } })));
    const short = await open();
    const brief = await pressContinue(short);
    short.clock.advance(600_000);
    assert.ok(isInterstitial(await short.get("/", { headers: { ...NAVIGATE, cookie: brief } })));
    await short[Symbol.asyncDispose]();
  });

  test("on https the cookie is one that browsers bind to the host", async () => {
    await using secure = await open(true, "https");
    const headers = { ...NAVIGATE, origin: `https://${HOST}`, "sec-fetch-site": "same-origin" };
    const answer = await secure.get(`${CONTINUE}%2Fx`, { method: "POST", headers });
    assert.equal(answer.headers.location, `https://${HOST}/x`);
    assert.match(answer.headers["set-cookie"]?.[0] ?? "", /^__Host-mayfly_visit=.*; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
  });

  test("Continue takes its own page's word alone", async () => {
    const own = { origin: `http://${HOST}`, "sec-fetch-site": "same-origin" };
    const foreign: Record<string, string>[] = [
      {},
      { "sec-fetch-site": "same-origin" },
      { origin: "null", "sec-fetch-site": "same-origin" },
      { ...own, origin: `http://other--quiet-otter-x7k2p.${DOMAIN}` },
      { ...own, origin: `https://${HOST}` },
      { ...own, origin: `http://${HOST}:81` },
      { ...own, "sec-fetch-site": "same-site" },
      { ...own, "sec-fetch-site": "cross-site" },
      { ...own, "sec-fetch-site": "none" },
    ];
    for (const headers of foreign) {
      const answer = await door.get(`${CONTINUE}%2F`, { method: "POST", headers: { ...NAVIGATE, ...headers } });
      assert.equal(answer.status, 403, JSON.stringify(headers));
      assert.equal(answer.headers["set-cookie"], undefined);
    }
    const plain = await door.get(`${CONTINUE}%2F`, { method: "POST", headers: { origin: own.origin } });
    assert.equal(plain.status, 303, "over plain HTTP there is no Sec-Fetch-Site");
  });

  test("Continue leads to no other host", async () => {
    const headers = { ...NAVIGATE, origin: `http://${HOST}`, "sec-fetch-site": "same-origin" };
    for (const to of [
      "//evil.example",
      "/\\evil.example",
      "\\\\evil.example",
      "https://evil.example/",
      "/\t/evil",
      "/%0d%0aset-cookie:a=b\r\n",
      "",
      "a",
    ]) {
      const answer = await door.get(`${CONTINUE}${encodeURIComponent(to)}`, { method: "POST", headers });
      assert.ok([400, 303].includes(answer.status));
      if (answer.status === 303) assert.equal(new URL(answer.headers.location ?? "").host, HOST, to);
      else assert.equal(answer.headers.location, undefined);
      assert.ok(to === "/%0d%0aset-cookie:a=b\r\n" || answer.status === 400, to);
    }
    assert.equal((await door.get(CONTINUE, { method: "POST", headers })).status, 400);
    const odd = await door.get("//evil.example/x", { headers: NAVIGATE });
    assert.ok(odd.body.includes(`action="/cdn-cgi/mayfly/continue?to=%2F"`));
  });

  test("paths of the platform never reach the Worker, not even for another Worker", async () => {
    for (const path of ["/cdn-cgi/mayfly/continue", "/cdn-cgi/mayfly/continue?to=/", "/cdn-cgi/mayfly/x"]) {
      assert.equal((await door.get(path)).status, 404, path);
    }
    assert.ok(isInterstitial(await door.get(`${CONTINUE}%2Fa`, { headers: NAVIGATE })));
    assert.equal(door.capsules.given, 0);
    assert.equal((await door.get("/cdn-cgi/mayfly")).status, 200);
    assert.equal((await door.get("/cdn-cgi/trace")).status, 200);
  });

  test("no Worker sees the cookie or sets it", async () => {
    const cookie = await pressContinue(door);
    const seen = async (value: string | string[]): Promise<string | null> =>
      (JSON.parse((await door.get("/", { headers: { ...NAVIGATE, cookie: value } })).body) as { cookie: string | null }).cookie;
    assert.equal(await seen(cookie), null);
    assert.equal(await seen(`a=b; ${cookie}; c=d`), "a=b; c=d");
    const raw = await askRaw(
      door.running.port,
      `GET / HTTP/1.1\r\nHost: ${HOST}\r\nCookie: ${cookie}\r\nCOOKIE: a=b\r\ncookie: __Host-MAYFLY_visit=1; c=d\r\nConnection: close\r\n\r\n`,
    );
    assert.doesNotMatch(raw, /mayfly_visit/i);
    assert.match(raw, /a=b/);
    assert.match(raw, /c=d/);
    const set = ["mayfly_visit=1", "__Host-Mayfly_Visit=2; Secure; Path=/", "=mayfly_visit=3", "mine=4"];
    const query = set.map((value) => `set=${encodeURIComponent(`set-cookie:${value}`)}`).join("&");
    assert.deepEqual((await door.get(`/?${query}`)).headers["set-cookie"], ["mine=4"]);
  });

  test("no answer is found by search engines, whatever the Worker says", async () => {
    const allows = "set=x-robots-tag:all&set=X-Robots-Tag:googlebot:%20index&set=x-robots-tag:";
    for (const path of [`/?${allows}`, `/away?${allows}`, "/same"]) {
      const { headers, raw } = await door.get(path);
      assert.equal(headers["x-robots-tag"], "noindex", path);
      assert.equal(raw.filter((name) => name.toLowerCase() === "x-robots-tag").length, 1);
    }
    door.capsules.answers.set(LABEL, () => ({ kind: "suspended", reason: "it looped" }));
    const page = await door.get("/");
    door.capsules.answers.clear();
    assert.equal(page.headers["x-robots-tag"], "noindex");
    assert.ok(page.body.includes(`https://console.example/report?host=${HOST}`));
  });

  test("a browser keeps nothing that is there after the end", async () => {
    const cookie = await pressContinue(door);
    const kept =
      "set=cache-control:max-age=31536000,immutable&set=nel:x&set=report-to:x&set=alt-svc:h3=%22:1%22&set=service-worker-allowed:/";
    const { headers } = await door.get(`/?${kept}`, { headers: { ...NAVIGATE, cookie } });
    assert.equal(headers["cache-control"], "no-cache");
    for (const name of ["nel", "report-to", "alt-svc", "service-worker-allowed"]) assert.equal(headers[name], undefined, name);
    const strict = await door.get("/?set=cache-control:private,%20no-store", { headers: { ...NAVIGATE, cookie } });
    assert.equal(strict.headers["cache-control"], "no-store");
    const caching = async (...values: readonly string[]): Promise<string | undefined> => {
      const query = values.map((value) => `set=${encodeURIComponent(`cache-control:${value}`)}`).join("&");
      return (await door.get(`/?${query}`, { headers: { ...NAVIGATE, cookie } })).headers["cache-control"];
    };
    const asked = "Public, max-age=0, must-revalidate";
    assert.equal(await caching(asked), asked, "what is asked for again each time may say so in its own words");
    assert.equal(await caching("private", "no-cache"), "private, no-cache");
    assert.equal(await caching(), "no-cache");
    for (const value of ["public", "max-age=0", `${asked}, immutable`, "no-cache, max-age=9", "max-age=0, stale-while-revalidate=9"])
      assert.equal(await caching(value), "no-cache", value);
    const loaded = await door.get(`/?${kept}`);
    assert.equal(loaded.headers["cache-control"], "max-age=31536000,immutable", "what pages load is cached as the Worker says");
    const varies = await door.get("/?set=vary:accept");
    assert.equal(varies.headers.vary, "accept, Sec-Fetch-Dest, Upgrade-Insecure-Requests", "and shown as a page to nobody");
    const tombstone = { account: door.capsules.stands?.account, subdomain: "quiet-otter-x7k2p", reason: "expired", endedAtMs: 0 };
    door.capsules.stands = null;
    door.capsules.answers.set(LABEL, () => ({ kind: "gone", tombstone: tombstone as never }));
    const gone = await door.get("/", { headers: NAVIGATE });
    assert.equal(gone.status, 410);
    assert.equal(gone.headers["clear-site-data"], '"cache", "storage"');
    await door[Symbol.asyncDispose]();
    door = await open();
  });

  test("a Worker's header of whatever form holds up nobody else", async () => {
    const cookie = await pressContinue(door);
    const began = process.cpuUsage();
    for (let round = 0; round < 5; round++) {
      const { headers } = await door.get("/wide", { headers: { ...NAVIGATE, cookie } });
      assert.equal(headers["cache-control"], "no-cache");
    }
    assert.ok(process.cpuUsage(began).user < 2_000_000, `${process.cpuUsage(began).user} µs`);
  });

  test("a Worker clears no neighbour's cookies", async () => {
    for (const value of ['"cookies"', '"storage", "Cookies"', '"*"']) {
      const { headers } = await door.get(`/?set=${encodeURIComponent(`clear-site-data:${value}`)}`);
      assert.equal(headers["clear-site-data"], undefined, value);
    }
    const own = await door.get(`/?set=${encodeURIComponent('clear-site-data:"storage"')}`);
    assert.equal(own.headers["clear-site-data"], '"storage"');
  });

  test("a service worker's script is refused, whether or not navigations are asked", async () => {
    await using quiet = await open(false);
    for (const one of [door, quiet]) {
      for (const headers of [{ "service-worker": "script" }, { "sec-fetch-dest": "serviceworker" }] as Record<string, string>[]) {
        const answer = await one.get("/sw.js", { headers });
        assert.equal(answer.status, 403);
        assert.match(answer.body, /service worker would outlive/);
      }
    }
    assert.equal((await quiet.get("/", { headers: NAVIGATE })).status, 200);
    assert.equal((await quiet.get("/cdn-cgi/mayfly/continue")).status, 200);
    assert.equal((await quiet.get("/")).headers["x-robots-tag"], "noindex");
  });

  test("where nothing serves, the page says so instead", async () => {
    const { stands } = door.capsules;
    door.capsules.stands = null;
    door.capsules.answers.set(LABEL, () => ({ kind: "none" }));
    assert.equal((await door.get("/", { headers: NAVIGATE })).status, 404);
    door.capsules.answers.clear();
    door.capsules.stands = stands;
  });
});

test("who answers for the account could not be told for a moment: nobody passes because of that", async () => {
  await using door = await open();
  const { capsules } = door;
  let asked = 0;
  capsules.claimState = () => Promise.resolve(++asked === 1 ? null : capsules.stands);
  assert.ok(isInterstitial(await door.get("/", { headers: NAVIGATE })));
  assert.deepEqual([asked, capsules.out], [2, 0]);
  capsules.claimState = () => Promise.resolve(null);
  assert.equal((await door.get("/", { headers: NAVIGATE })).status, 503);
  assert.equal(capsules.out, 0);
  assert.equal((await door.get("/")).status, 200, "programs are nobody's visitors");
});

describe("after a claim", () => {
  test("all of it is over at once, and the paths are the account's again", async () => {
    await using door = await open();
    assert.ok(isInterstitial(await door.get("/", { headers: NAVIGATE })));
    claim(door);
    const page = await door.get("/?set=x-robots-tag:all&set=service-worker-allowed:/&set=cache-control:max-age=9", { headers: NAVIGATE });
    assert.equal(page.status, 200);
    assert.equal(page.headers["x-robots-tag"], "all");
    assert.equal(page.headers["service-worker-allowed"], "/");
    assert.equal(page.headers["cache-control"], "max-age=9");
    assert.equal((await door.get("/sw.js", { headers: { "service-worker": "script" } })).status, 200);
    const own = await door.get("/cdn-cgi/mayfly/continue?to=/", { method: "POST", headers: NAVIGATE, body: "x" });
    assert.deepEqual([own.status, (JSON.parse(own.body) as { body: string }).body], [200, "x"]);
  });
});
