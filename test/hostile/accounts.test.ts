// One account against another, and against the platform, through the API and the edge: what belongs to somebody else
// does not exist, and what only the platform may say is never believed from anyone else.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { EXPERIMENTAL_FLAGS } from "../../src/capsule/compatibility.ts";
import type { Route } from "../../src/control/http/routes.ts";
import { openHouse, type House } from "../fixtures/house.ts";
import { edgeRequest } from "../fixtures/installation.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../fixtures/temporary-directory.ts";
import { tenantOfHouse, uploadForm, type Tenant } from "../fixtures/tenant.ts";

const SAYS = (what: string): string => `export default { fetch() { return new Response(${JSON.stringify(what)}); } };`;

/** Tells what it was sent; ?to= makes it send that request itself, with what a forger would write. */
const TELLER = `export default { async fetch(request) {
  const to = new URL(request.url).searchParams.get("to");
  if (to) return fetch(to, { headers: { "Mayfly-Cf-Blob": '{"colo":"FORGED"}', "CF-Connecting-IP": "203.0.113.9", "X-Forwarded-For": "203.0.113.9" },
    cf: { colo: "FORGED", mine: "FORGED" } });
  return Response.json({ url: request.url, cf: request.cf, headers: [...request.headers] });
} };`;

describe("an account", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let ours: Tenant;
  let theirs: Tenant;
  let session: { jwt: string; completed: string };

  const edge = (host: string, path = "/", headers: Record<string, string> = {}) => edgeRequest(house.host.edgePort, host, path, headers);
  const script = (tenant: Tenant, name: string): string => `/accounts/${tenant.id}/workers/scripts/${name}`;
  const openSession = async (tenant: Tenant, name: string, hash: string): Promise<string> => {
    const manifest = { "/page.txt": { hash, size: 4 } };
    const opened = await tenant.call<{ jwt: string }>(
      "POST",
      `${script(tenant, name)}/assets-upload-session`,
      JSON.stringify({ manifest }),
    );
    assert.equal(opened.status, 200, opened.message);
    return opened.result.jwt;
  };
  const sendFile = (tenant: Tenant, bearer: string, hash: string) => {
    const form = new FormData();
    form.set(hash, new File([Buffer.from("page").toString("base64")], hash, { type: "text/plain" }));
    return tenant.call("POST", `/accounts/${tenant.id}/workers/assets/upload?base64=true`, form, { authorization: `Bearer ${bearer}` });
  };

  before(async () => {
    directory = await temporaryDirectory("accounts");
    house = await openHouse({ directory: directory.path, ttlSeconds: 600 });
    [ours, theirs] = [await tenantOfHouse(house), await tenantOfHouse(house)];
    await ours.deploy("ours", SAYS("ours"));
    await theirs.deploy("theirs", TELLER, { metadata: { bindings: [{ type: "secret_text", name: "S", text: "secret" }] } });
    session = { jwt: await openSession(theirs, "site", "abc1"), completed: await theirs.uploadAssets("site", { "/x": "x" }) };
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const filled = (route: Route, account: string): string =>
    route.path.replace(":account", account).replace(":script", "theirs").replaceAll(/:\w+/g, "x");

  test("does not exist for another account's token, on no route", async () => {
    const named = house.control.routes.filter(({ path, access }) => path.includes(":account") && access.kind === "action");
    assert.ok(named.length >= 30, `${named.length} routes`);
    for (const route of named) {
      const body = route.method === "GET" || route.method === "DELETE" ? undefined : "{}";
      const foreign = await ours.call(route.method, filled(route, theirs.id), body);
      const unknown = await ours.call(route.method, filled(route, "0".repeat(32)), body);
      assert.deepEqual(foreign, unknown, `${route.method} ${route.path} tells an account of others from none`);
      assert.equal(foreign.status, 404, `${route.method} ${route.path}`);
      assert.equal(foreign.code, 7003);
    }
    for (const path of ["/accounts", "/memberships"]) {
      const listed = await ours.call(path === "/accounts" ? "GET" : "GET", path);
      assert.ok(!JSON.stringify(listed).includes(theirs.id), path);
    }
    assert.equal((await edge(theirs.host("theirs"))).status, 200, "after all of this the other account is as it was");
  });

  test("never opens an asset session with a token of another account, another purpose or of its own making", async () => {
    const [head, payload, signature] = session.jwt.split(".") as [string, string, string];
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const forged = {
      "another account's": session.jwt,
      "of a completed upload": session.completed,
      "the API's": ours.token,
      unsigned: `${encode({ alg: "none", typ: "JWT" })}.${encode({ ...claims, account: ours.id })}.`,
      "with another account written into it": `${head}.${encode({ ...claims, account: ours.id })}.${signature}`,
      empty: "",
      nonsense: "a.b.c",
    };
    for (const [what, bearer] of Object.entries(forged)) {
      const refused = await sendFile(ours, bearer, "abc1");
      assert.equal(refused.status, 401, `${what}: ${refused.message}`);
    }
    for (const [what, jwt] of Object.entries({ ...forged, "of another account's completed upload": session.completed })) {
      if (what === "empty") continue;
      const refused = await ours.upload("site", SAYS("site"), { metadata: { assets: { jwt } } });
      assert.ok(refused.status === 401 || refused.status === 400, `${what}: ${refused.status} ${refused.message}`);
    }
    assert.equal((await theirs.call("GET", `/accounts/${theirs.id}`, undefined, { authorization: `Bearer ${session.jwt}` })).status, 401);
  });

  test("that has ended opens nothing: neither its token nor its asset session's", async () => {
    const ended = await tenantOfHouse(house);
    await ended.deploy("w", SAYS("w"));
    const jwt = await openSession(ended, "w", "abc2");
    assert.equal((await ended.call("DELETE", `/accounts/${ended.id}`)).status, 200);
    const refused = await sendFile(ended, jwt, "abc2");
    assert.ok([401, 410].includes(refused.status), `${refused.status} ${refused.message}`);
    assert.equal((await ended.upload("w", SAYS("again"))).status, 401);
    assert.equal((await edge(ended.host("w"))).status, 410);
  });

  test("never binds another account's Worker, nor a service of ours", async () => {
    const services = [
      "theirs",
      "mayfly:control",
      "mayfly:egress",
      "control",
      "egress",
      "internet",
      `theirs--${theirs.subdomain}`,
      "../theirs",
    ];
    for (const service of services) {
      const refused = await ours.upload("binder", SAYS("never"), { metadata: { bindings: [{ type: "service", name: "B", service }] } });
      assert.equal(refused.status, 400, service);
      assert.equal(refused.code, 10021, service);
      assert.match(refused.message, /which this account does not have/);
    }
    assert.equal((await ours.call("GET", `${script(ours, "binder")}/settings`)).status, 404, "nothing half-made is left");
  });

  test("never has a Worker with an experimental or unsafe flag", async () => {
    for (const flag of EXPERIMENTAL_FLAGS) {
      const refused = await ours.upload("flagged", SAYS("never"), { metadata: { compatibility_flags: ["nodejs_compat", flag] } });
      assert.equal(refused.code, 10021, flag);
      assert.ok(refused.message.includes(`"${flag}"`), refused.message);
    }
  });

  for (const name of ["egress", "control", "internet", "kv", "mayfly", "constructor", "main", "trial", "w-1"]) {
    test(`has a Worker named ${name} like any other`, async () => {
      const tenant = await tenantOfHouse(house);
      await tenant.deploy("callee", SAYS("callee"));
      const calls = `export default { async fetch(_, env) { return new Response("${name} " + await (await env.control.fetch("http://x/")).text()); } };`;
      await tenant.deploy(name, calls, { metadata: { bindings: [{ type: "service", name: "control", service: "callee" }] } });
      assert.equal((await edge(tenant.host(name))).body, `${name} callee`);
    });
  }

  test("has no Worker whose name is more than one label", async () => {
    for (const name of [
      "mayfly:egress",
      "a--b",
      "-a",
      "a-",
      "xn--a",
      "A",
      "a_b",
      "a.b",
      "..",
      "%00",
      "é",
      "a".repeat(64),
      "a/b",
      "a\r\nb",
    ]) {
      const refused = await ours.upload(encodeURIComponent(name), SAYS("never"));
      assert.ok([400, 404].includes(refused.status), `${name}: ${refused.status} ${refused.message}`);
    }
  });

  test("has no module and no asset outside of its own directory", async () => {
    const modules = ["../x.js", "a/../../x.js", "/etc/passwd", "..", "a\\..\\x.js", "a\u0007", ""];
    for (const name of modules) {
      const refused = await ours.upload("outside", SAYS("never"), { modules: [[name, "application/javascript+module", "export {}"]] });
      assert.equal(refused.status, 400, `${JSON.stringify(name)}: ${refused.status} ${refused.message}`);
    }
    const paths = ["/../x", "/a/../../x", "/%2e%2e/x", "/..%2fx", "x", "//x", "/a\\..\\x", "/a%00", "/./x", ""];
    for (const path of paths) {
      const manifest = JSON.stringify({ manifest: { [path]: { hash: "abc3", size: 1 } } });
      const refused = await ours.call("POST", `${script(ours, "outside")}/assets-upload-session`, manifest);
      assert.equal(refused.status, 400, `${path}: ${refused.status} ${refused.message}`);
      assert.match(refused.message, /manifest/);
    }
  });

  test("sets cookies for its own host only, and nothing of ours by its responses", async () => {
    const smuggler = `export default { fetch(request) {
      const headers = new Headers({ "CF-Ray": "forged", Server: "forged", "Mayfly-Anything": "forged", "Mayfly-Cf-Blob": "{}",
        Connection: "CF-Ray", "Content-Type": "text/plain" });
      for (const domain of ["mayfly.localhost", ".mayfly.localhost", "localhost", "MAYFLY.localhost", "${theirs.host("theirs")}"]) {
        headers.append("Set-Cookie", "a=" + domain + "; Domain=" + domain);
        headers.append("Set-Cookie", "b=" + domain + "; path=/; dOmAiN =  " + domain + " ; Domain=" + new URL(request.url).hostname);
      }
      headers.append("Set-Cookie", "kept=1; Path=/");
      headers.append("Set-Cookie", "own=1; Domain=" + new URL(request.url).hostname);
      return new Response("ok", { headers });
    } };`;
    await ours.deploy("smuggler", smuggler);
    const { headers, status } = await edge(ours.host("smuggler"));
    assert.equal(status, 200);
    assert.deepEqual(headers["set-cookie"], ["kept=1; Path=/", `own=1; Domain=${ours.host("smuggler")}`]);
    assert.match(String(headers["cf-ray"]), /^[0-9a-f]{16}-MAY$/);
    assert.equal(headers["server"], undefined);
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith("mayfly-")),
      [],
    );
  });

  test("is told by the platform alone who calls, never by the caller", async () => {
    const forged = {
      "Mayfly-Cf-Blob": '{"colo":"FORGED"}',
      "MAYFLY-CF-BLOB": '{"colo":"FORGED"}',
      "CF-Connecting-IP": "203.0.113.9",
      "CF-Worker": "FORGED",
      "CF-Anything": "FORGED",
      "True-Client-IP": "203.0.113.9",
      "X-Real-IP": "203.0.113.9",
      "X-Forwarded-For": "203.0.113.9",
      "X-Forwarded-Proto": "https",
      Forwarded: "for=203.0.113.9",
      Connection: "keep-alive, mayfly-cf-blob, cf-connecting-ip, x-forwarded-proto",
    };
    await ours.deploy("teller", TELLER);
    const direct = await edge(theirs.host("theirs"), "/", forged);
    const byWorker = await edge(ours.host("teller"), `/?to=http://${theirs.host("theirs")}/`, forged);
    for (const [how, answer] of Object.entries({ direct, byWorker })) {
      assert.equal(answer.status, 200, answer.body);
      assert.doesNotMatch(answer.body, /FORGED|203\.0\.113|client(Pid|Uid)|mayfly-cf-blob/i, how);
      const told = JSON.parse(answer.body) as { url: string; cf: { colo?: string }; headers: [string, string][] };
      assert.match(told.url, /^http:/);
      assert.equal(new Map(told.headers).get("cf-connecting-ip"), how === "direct" ? "127.0.0.1" : "2a06:98c0:3600::103");
    }
    assert.ok(!byWorker.body.includes(ours.id) && !byWorker.body.includes(ours.subdomain), "a callee is not told whose Worker calls");
  });

  test("keeps what it holds when somebody else sends the same upload", async () => {
    const form = uploadForm(SAYS("copied"));
    const refused = await ours.call("PUT", script(theirs, "theirs"), form);
    assert.equal(refused.status, 404);
    assert.notEqual((await edge(theirs.host("theirs"))).body, "copied");
  });
});
