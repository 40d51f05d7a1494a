// Every route of this port, asked rightly and wrongly: what each answer says to browsers and caches, and who may send forms.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openHouse, type House } from "../../fixtures/house.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const ORIGIN = "http://localhost:8787";
const FORM = "application/x-www-form-urlencoded";
/** The same for everybody, and without a word of anybody's. */
const PUBLIC = new Set(["/icon.svg", "/errors"]);

let house: House;
const stack = new AsyncDisposableStack();
before(async () => {
  const directory = stack.use(await temporaryDirectory("headers"));
  house = stack.use(await openHouse({ directory: directory.path, ttlSeconds: 3600 }));
});
after(() => stack.disposeAsync());

const ask = async (method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<Response> => {
  const init = { method, headers: { host: "localhost:8787", ...headers }, ...(body !== undefined && { body }) };
  const answer = await house.control.app.request(`${ORIGIN}${path}`, init, {});
  await answer.arrayBuffer();
  return answer;
};

function checkAll(answer: Response, what: string): void {
  const header = (name: string): string => answer.headers.get(name) ?? "";
  const policy = header("content-security-policy");
  assert.match(policy, /default-src 'none'/, what);
  assert.match(policy, /frame-ancestors 'none'/, what);
  assert.match(policy, /base-uri 'none'/, what);
  // A script of ours by its whole address.
  const others = policy.replaceAll(/ http:\/\/localhost:8787\/[\w-]+\.js/g, "");
  assert.doesNotMatch(others, /unsafe|\*|http:|data:|blob:/, what);
  assert.match(policy, /sandbox|form-action 'self'/, what);
  assert.equal(header("x-frame-options"), "DENY", what);
  assert.equal(header("x-content-type-options"), "nosniff", what);
  assert.equal(header("cross-origin-resource-policy"), "same-origin", what);
  assert.match(header("referrer-policy"), /^(same-origin|no-referrer)$/, what);
  for (const [name] of answer.headers) assert.doesNotMatch(name, /^access-control-/, what);
}

/** Those of pages, health, figures and errors, as the app was put together, whoever added them. */
const pageRoutes = (): { method: string; path: string }[] => {
  const all = house.control.app.routes.filter(({ path }) => !path.includes("*") && !path.startsWith("/client/"));
  const routes = new Map(all.map(({ method, path }) => [`${method} ${path}`, { method, path: path.replaceAll(/:\w+/g, "0".repeat(32)) }]));
  return [...routes.values()];
};

function checkPage(answer: Response, path: string, what: string): void {
  checkAll(answer, what);
  if (!PUBLIC.has(path) && !path.endsWith(".js")) assert.equal(answer.headers.get("cache-control"), "no-store", what);
  if (answer.headers.get("content-type")?.startsWith("text/html")) {
    assert.equal(answer.headers.get("cross-origin-opener-policy"), "same-origin", what);
  }
  for (const cookie of answer.headers.getSetCookie())
    assert.match(cookie, /HttpOnly.*SameSite=(Lax|Strict)|SameSite=(Lax|Strict).*HttpOnly/i, what);
}

describe("every page", () => {
  test("is strict towards browsers and caches in each of its answers, redirects and errors included", async () => {
    const routes = pageRoutes();
    assert.ok(routes.length > 30, String(routes.length));
    for (const { method, path } of routes) {
      const ways: Record<string, Promise<Response>> = {
        "as it should be": ask(
          method,
          path,
          method === "POST" ? { origin: ORIGIN, "content-type": FORM } : {},
          method === "POST" ? "" : undefined,
        ),
        "at another host": ask(method, path, { host: "elsewhere.example" }),
        "by another method": ask("DELETE", path, { origin: ORIGIN }),
        "with a token in its address": ask(method, `${path}?t=mft_0123456789abcdefghijklmnopqrstuvwxyz012345678901230iypqe8`),
      };
      if (method === "GET") ways["by HEAD"] = ask("HEAD", path);
      if (method === "POST")
        ways["with a body that is no form"] = ask(method, path, { origin: ORIGIN, "content-type": "application/json" }, "{}");
      for (const [way, answer] of Object.entries(ways)) checkPage(await answer, path, `${method} ${path} ${way}`);
    }
    for (const path of ["/nothing", "/a/b/c", "/client", "/..%2f", "/%00"]) checkPage(await ask("GET", path), path, path);
  });

  test("that takes a form takes it from this origin alone", async () => {
    const posts = pageRoutes().filter(({ method }) => method === "POST");
    assert.ok(posts.length > 10, String(posts.length));
    for (const { path } of posts) {
      const foreign: Record<string, Record<string, string>> = {
        "without an origin": {},
        "from another origin": { origin: "https://elsewhere.example" },
        "from another port": { origin: "http://localhost:8788" },
        "from another scheme": { origin: "https://localhost:8787" },
        "from a Worker": { origin: "http://app--quiet-otter-x7k2p.mayfly.localhost:8788" },
        "from nowhere": { origin: "null" },
        "from its origin, across sites": { origin: ORIGIN, "sec-fetch-site": "cross-site" },
        "from its origin, across origins of one site": { origin: ORIGIN, "sec-fetch-site": "same-site" },
        "typed in": { "sec-fetch-site": "none" },
        "with a Referer alone": { referer: `${ORIGIN}/` },
      };
      for (const [way, headers] of Object.entries(foreign)) {
        const answer = await ask("POST", path, { "content-type": FORM, ...headers }, "a=b");
        assert.equal(answer.status, 403, `POST ${path} ${way}`);
        checkPage(answer, path, `POST ${path} ${way}`);
        assert.deepEqual(answer.headers.getSetCookie(), [], `POST ${path} ${way}`);
      }
    }
  });
});

describe("every route of the API", () => {
  const apiRoutes = () =>
    house.control.routes.map(({ method, path }) => ({ method, path: `/client/v4${path.replaceAll(/:\w+/g, "x")}`, pattern: path }));

  function checkApi(answer: Response, what: string): void {
    checkAll(answer, what);
    assert.equal(answer.headers.get("cache-control"), "no-store", what);
    assert.match(answer.headers.get("content-security-policy") ?? "", /sandbox/, what);
    assert.deepEqual(answer.headers.getSetCookie(), [], what);
  }

  test("is stored by nobody, framed by nobody and read by no other origin's pages, in each of its answers", async () => {
    const routes = apiRoutes();
    assert.ok(routes.length > 80, String(routes.length));
    const { account } = await house.provision();
    const authorization = `Bearer ${account.apiToken}`;
    for (const { method, path, pattern } of routes) {
      const own = `/client/v4${pattern.replace(":account", account.id).replaceAll(/:\w+/g, "x")}`;
      const ways: Record<string, Response> = {
        "without a token": await ask(method, path),
        "with a wrong token": await ask(method, path, { authorization: "Bearer x" }),
        "at another host": await ask(method, path, { host: "elsewhere.example" }),
        "for another origin's page": await ask(method, path, { origin: "https://elsewhere.example" }),
        "asked whether another origin may": await ask("OPTIONS", path, {
          origin: "https://elsewhere.example",
          "access-control-request-method": method,
          "access-control-request-headers": "authorization",
        }),
      };
      // Nothing is ended or opened for good by asking.
      if (method === "GET" && !/tails|follow/.test(path)) ways["with its token"] = await ask(method, own, { authorization });
      if (method === "GET") ways["by HEAD"] = await ask("HEAD", own, { authorization });
      for (const [way, answer] of Object.entries(ways)) checkApi(answer, `${method} ${path} ${way}`);
      assert.equal(ways["for another origin's page"]?.status, 403);
      assert.ok((ways["asked whether another origin may"]?.status ?? 0) >= 400, path);
    }
    checkApi(await ask("GET", "/client/v4/nothing"), "a path that is not there");
  });

  test("that needs a token takes none from a cookie", async () => {
    const { account } = await house.provision();
    const { cookies } = await house.control.people.signUp(
      { name: "Ada", email: "ada@example.com", password: "correct horse" },
      null,
      "192.0.2.7",
    );
    const session = cookies.map((cookie) => cookie.split(";")[0]).join("; ");
    for (const { method, path } of apiRoutes().filter((_, at) => house.control.routes[at]?.access.kind !== "public")) {
      for (const cookie of [session, `authorization=Bearer ${account.apiToken}`, `token=${account.apiToken}`]) {
        const answer = await ask(method, path, { cookie, origin: ORIGIN, "sec-fetch-site": "same-origin" });
        assert.ok(answer.status >= 400 && answer.status < 500, `${method} ${path}: ${answer.status}`);
      }
    }
  });
});

describe("health and figures", () => {
  const from = async (path: string, remoteAddress: string, headers: Record<string, string> = {}) => {
    const env = { incoming: { url: path, socket: { remoteAddress } } };
    const answer = await house.control.app.request(`${ORIGIN}${path}`, { headers: { host: "localhost:8787", ...headers } }, env);
    return { status: answer.status, body: await answer.text() };
  };

  test("are whole for a program on this machine, and tell everybody else how it is and in which sandbox, no more", async () => {
    for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
      const { host } = JSON.parse((await from("/healthz", address)).body) as { host: object };
      assert.deepEqual(Object.keys(host), ["sandbox", "missing", "workerd", "hot", "known"]);
      assert.match((await from("/metrics", address)).body, /^mayfly_accounts/m);
    }
    const others: readonly (readonly [string, Record<string, string>])[] = [
      ["192.0.2.7", {}],
      ["", {}],
      ["127.0.0.1", { "x-forwarded-for": "192.0.2.7" }],
      ["127.0.0.1", { "x-real-ip": "192.0.2.7" }],
      ["127.0.0.1", { forwarded: "for=192.0.2.7" }],
      ["::1", { via: "1.1 proxy" }],
    ];
    for (const [address, headers] of others) {
      const { status, body } = await from("/healthz", address, headers);
      assert.equal(status, 200);
      assert.deepEqual(Object.keys((JSON.parse(body) as { host: object }).host), ["sandbox"], `${address} ${JSON.stringify(headers)}`);
      assert.equal((await from("/metrics", address, headers)).status, 404);
    }
  });

  test("are told under the names of this installation alone", async () => {
    for (const path of ["/healthz", "/metrics"]) {
      assert.equal((await from(path, "127.0.0.1", { host: "elsewhere.example" })).status, 421);
    }
  });

  test("name no account, token or address", async () => {
    const { account } = await house.provision();
    await house.call("GET", `/accounts/${account.id}/workers/scripts`, { token: account.apiToken });
    const said = (await from("/metrics", "127.0.0.1")).body + (await from("/healthz", "127.0.0.1")).body;
    const name = account.name.split(" ")[0] ?? "";
    for (const word of [account.id, account.apiToken, account.apiToken.slice(4, 54), name]) assert.ok(!said.includes(word), word);
  });
});
