// The whole of it in a house: real capsules behind the edge, a real claim, and what a restart keeps.
import assert from "node:assert/strict";
import { request, type IncomingHttpHeaders } from "node:http";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { openHouse } from "../../../fixtures/house.ts";
import { fetchEdge } from "../../../fixtures/site.ts";
import { temporaryDirectory } from "../../../fixtures/temporary-directory.ts";
import { openVisited, type Visited } from "../../../fixtures/visited.ts";

const NAVIGATE = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", accept: "text/html" };
const PAGE = `export default { async fetch(request) {
  const url = new URL(request.url);
  const asked = url.searchParams.get("ask");
  if (asked === null) return new Response("hello " + (request.headers.get("cookie") ?? "no cookie"), { headers: { "x-robots-tag": "all" } });
  const init = { method: url.searchParams.get("method") ?? "GET", redirect: "manual", headers: ${JSON.stringify({ ...NAVIGATE, "sec-fetch-site": "same-origin" })} };
  init.headers.origin = new URL(asked).origin;
  if (url.searchParams.has("script")) init.headers["service-worker"] = "script";
  const answer = await fetch(asked, init);
  return Response.json({ status: answer.status, cookie: answer.headers.get("set-cookie"), robots: answer.headers.get("x-robots-tag"), text: await answer.text() });
} };`;

type Got = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string };

let visited: Visited;
before(async () => {
  visited = await openVisited();
  await visited.tenant.deploy("page", PAGE);
  await visited.tenant.deploy("other", PAGE);
});
after(() => visited?.[Symbol.asyncDispose]());

const get = (worker: string, path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Got> =>
  fetchEdge(visited.house.edgePort, visited.tenant.host(worker), path, headers, method);

async function pressContinue(of: Visited): Promise<string> {
  const host = of.tenant.host("page");
  const headers = { host: `${host}:${of.house.edgePort}`, ...NAVIGATE, origin: of.urlOf("page"), "sec-fetch-site": "same-origin" };
  const answer = await new Promise<{ status: number; cookie: string; location: string }>((resolve, reject) => {
    request(
      { host: "127.0.0.1", port: of.house.edgePort, path: "/cdn-cgi/mayfly/continue?to=%2Fx", method: "POST", headers, agent: false },
      (incoming) => {
        const { statusCode: status = 0, headers: came } = incoming;
        const cookie = came["set-cookie"]?.[0]?.split(";")[0] ?? "";
        text(incoming).then(() => resolve({ status, cookie, location: came.location ?? "" }), reject);
      },
    )
      .once("error", reject)
      .end();
  });
  assert.deepEqual([answer.status, answer.location], [303, `${of.urlOf("page")}/x`]);
  return answer.cookie;
}

describe("an account that nobody claimed", () => {
  test("starts no process for the page that its visitors are asked on", async () => {
    const { capsuleHost } = visited.house.host;
    const hot = async (): Promise<number> => (await capsuleHost.status()).hot;
    // A deploy leaves it hot; nobody comes for a while.
    visited.house.clock.advance(61_000);
    await awaitUntil(async () => (await hot()) === 0, { what: "the process is cold" });
    const before = await visited.starts();
    const asked = await get("page", "/", NAVIGATE);
    assert.equal(asked.status, 403);
    assert.match(asked.text, /made by an AI agent/);
    await pressContinue(visited);
    assert.deepEqual([await hot(), await visited.starts()], [0, before]);
    assert.equal((await get("page", "/")).status, 200);
    assert.equal(await visited.starts(), before + 1);
  });

  test("is told of in the account's log as what it was", async () => {
    await get("page", "/logged", NAVIGATE);
    const { result } = await visited.tenant.call<readonly { url?: string; status?: number }[]>(
      "GET",
      `/accounts/${visited.tenant.id}/logs`,
    );
    assert.ok(JSON.stringify(result).includes("/logged"));
  });

  test("answers its callers without the cookie, and with noindex whatever its Worker says", async () => {
    const cookie = await pressContinue(visited);
    const page = await get("page", "/", { ...NAVIGATE, cookie: `${cookie}; mine=1` });
    assert.deepEqual([page.status, page.text], [200, "hello mine=1"]);
    assert.equal(page.headers["x-robots-tag"], "noindex");
    assert.equal((await get("page", "/", { cookie })).text, "hello no cookie");
  });

  test("has noindex on static files too: whole, in part, compressed, unchanged, redirected and missing", async () => {
    const { tenant } = visited;
    const long = "a line of text\n".repeat(500);
    const jwt = await tenant.uploadAssets("files", { "/a.txt": long, "/b/index.html": "<p>b" });
    const form = new FormData();
    form.set("metadata", JSON.stringify({ assets: { jwt, config: {} }, compatibility_date: "2026-06-01" }));
    assert.equal((await tenant.call("PUT", `/accounts/${tenant.id}/workers/scripts/files`, form)).status, 200);
    await tenant.call("POST", `/accounts/${tenant.id}/workers/scripts/files/subdomain`, '{"enabled":true}');
    const whole = await get("files", "/a.txt");
    const asked: [number, string, Record<string, string>, string?][] = [
      [200, "/a.txt", {}],
      [200, "/a.txt", {}, "HEAD"],
      [206, "/a.txt", { range: "bytes=0-9" }],
      [416, "/a.txt", { range: "bytes=999999-" }],
      [200, "/a.txt", { "accept-encoding": "gzip" }],
      [304, "/a.txt", { "if-none-match": whole.headers.etag ?? "" }],
      [307, "/b/index.html", {}],
      [404, "/c", {}],
    ];
    for (const [status, path, headers, method] of asked) {
      const answer = await get("files", path, headers, method);
      assert.deepEqual([answer.status, answer.headers["x-robots-tag"]], [status, "noindex"], `${status} ${path}`);
    }
    assert.equal((await get("files", "/b/", NAVIGATE)).status, 403);
  });

  test("gives Workers what they ask of each other, but neither its cookie nor its paths", async () => {
    const ask = async (
      path: string,
      more = "",
    ): Promise<{ status: number; cookie: string | null; robots: string | null; text: string }> => {
      const target = encodeURIComponent(`http://${visited.tenant.host("other")}${path}`);
      return JSON.parse((await get("page", `/?ask=${target}${more}`)).text) as never;
    };
    assert.deepEqual(await ask("/"), { status: 200, cookie: null, robots: "all", text: "hello no cookie" });
    assert.equal((await ask("/sw.js", "&script=1")).status, 200);
    for (const method of ["GET", "POST"]) {
      const { status, cookie } = await ask("/cdn-cgi/mayfly/continue?to=/", `&method=${method}`);
      assert.deepEqual([status, cookie], [404, null]);
    }
  });

  test("that nothing answers for is said plainly, without a question", async () => {
    assert.equal((await get("missing", "/", NAVIGATE)).status, 404);
    const gone = await fetchEdge(visited.house.edgePort, "a--no-such-xxxxx.mayfly.localhost", "/", NAVIGATE);
    assert.equal(gone.status, 404);
  });

  test("is asked about with a preview's address as well", async () => {
    const { result } = await visited.tenant.call<{ items: { id: string }[] }>(
      "GET",
      `/accounts/${visited.tenant.id}/workers/scripts/page/versions`,
    );
    const preview = await get(`${result.items[0]?.id.slice(0, 8)}--page`, "/", NAVIGATE);
    assert.match(preview.text, /made by an AI agent/);
  });
});

test("a restart asks nobody again, and the end asks nobody at all", async () => {
  await using directory = await temporaryDirectory("visited-twice");
  let cookie: string;
  {
    await using first = await openVisited({ directory: directory.path });
    await first.tenant.deploy("page", PAGE);
    cookie = await pressContinue(first);
  }
  await using second = await openHouse({ directory: directory.path, ttlSeconds: 3600, interstitial: true });
  const { subdomain } = await second.control.store.db.selectFrom("accounts").select("subdomain").executeTakeFirstOrThrow();
  const again = await second.edge(`page--${subdomain}`, "/", { ...NAVIGATE, cookie });
  assert.deepEqual([again.status, again.body], [200, "hello no cookie"]);
  assert.equal((await second.edge(`page--${subdomain}`, "/", NAVIGATE)).status, 403);
  second.clock.advance(3_600_000);
  assert.equal((await second.edge(`page--${subdomain}`, "/", { ...NAVIGATE, cookie })).status, 410);
});

test("a claim ends it all at once, without a restart of the process", async () => {
  assert.match((await get("page", "/", NAVIGATE)).text, /made by an AI agent/);
  await get("page", "/");
  const starts = await visited.starts();
  await visited.claim();
  const page = await get("page", "/", NAVIGATE);
  assert.deepEqual([page.status, page.headers["x-robots-tag"]], [200, "all"]);
  assert.equal((await get("page", "/cdn-cgi/mayfly/continue?to=/")).text, "hello no cookie");
  assert.equal((await get("page", "/sw.js", { "service-worker": "script" })).status, 200);
  assert.equal((await get("files", "/a.txt")).headers["x-robots-tag"], undefined);
  assert.equal(await visited.starts(), starts);
});
