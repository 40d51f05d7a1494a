// An upload of static assets: what is asked for, what is taken, and what a version holds of it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../../../src/kernel/errors.ts";
import { onBothDatabases, openBench } from "../../../fixtures/databases.ts";
import { deploy, HELLO, openShop, upload, type Answer, type Client } from "../../../fixtures/products.ts";

type File = { readonly content: string; readonly type?: string };
type Files = Readonly<Record<string, File>>;

/** The client's own hash: any text of letters and digits will do. */
const clientHash = ({ content }: File): string => createHash("md5").update(content).digest("hex");
const sha256 = (content: string): string => createHash("sha256").update(content).digest("hex");

const manifestOf = (files: Files) =>
  Object.fromEntries(
    Object.entries(files).map(([path, file]) => [path, { hash: clientHash(file), size: Buffer.byteLength(file.content) }]),
  );

const openSession = (client: Client, script: string, files: Files): Promise<Answer> =>
  client.call("POST", `/workers/scripts/${script}/assets-upload-session`, { json: { manifest: manifestOf(files) } });

function send(client: Client, token: string, files: readonly File[], query = "?base64=true"): Promise<Answer> {
  const form = new FormData();
  for (const file of files) {
    const hash = clientHash(file);
    form.append(hash, new File([Buffer.from(file.content).toString("base64")], hash, { type: file.type ?? "text/plain" }));
  }
  return client.call("POST", `/workers/assets/upload${query}`, { token, body: form });
}

/** The whole of it; the token of the completed upload. */
async function uploaded(client: Client, script: string, files: Files): Promise<string> {
  const session = await openSession(client, script, files);
  assert.equal(session.status, 200, session.message);
  if (session.result.buckets.length === 0) return session.result.jwt as string;
  const done = await send(client, session.result.jwt as string, Object.values(files));
  assert.equal(done.status, 201, done.message);
  return done.result.jwt as string;
}

const assetsOnly = (jwt: string, config: Record<string, unknown> = {}) => upload({ main_module: undefined, assets: { jwt, config } }, []);
const SITE: Files = { "/index.html": { content: "<h1>hi</h1>", type: "text/html" }, "/a%20b.txt": { content: "text" } };

onBothDatabases("Static assets", {
  "are asked for once, taken in base64, and held by the version": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const session = await openSession(client, "site", SITE);
    assert.deepEqual(session.result.buckets.flat().sort(), Object.values(SITE).map(clientHash).sort());
    const payload = JSON.parse(Buffer.from((session.result.jwt as string).split(".")[1] ?? "", "base64url").toString()) as { exp: number };
    assert.ok(payload.exp * 1000 <= bench.clock.now() + 3_600_000);
    const done = await send(client, session.result.jwt as string, Object.values(SITE));
    assert.deepEqual([done.status, typeof done.result.jwt], [201, "string"]);
    const config = {
      not_found_handling: "404-page",
      run_worker_first: ["/api/*", "!/api/docs"],
      _headers: "/*\n  X-A: b",
      _redirects: "/old /new 301",
    };
    const put = await client.call("PUT", "/workers/scripts/site", { body: assetsOnly(done.result.jwt as string, config) });
    assert.equal(put.status, 200, put.message);
    assert.equal(put.result.has_assets, true);
    const [service, ...more] = client.spec().units[0]?.services ?? [];
    assert.ok(service?.kind === "assets" && more.length === 0);
    assert.deepEqual(service.files, [
      { path: "/index.html", hash: sha256("<h1>hi</h1>") },
      { path: "/a b.txt", hash: sha256("text") },
    ]);
    assert.equal(service.worker, null);
    assert.deepEqual(JSON.parse(service.config), {
      html_handling: "auto-trailing-slash",
      not_found_handling: "404-page",
      run_worker_first: ["/api/*", "!/api/docs"],
      headers: "/*\n  X-A: b",
      redirects: "/old /new 301",
    });
    const again = await openSession(client, "site", SITE);
    assert.deepEqual(again.result.buckets, []);
    assert.equal((await client.call("PUT", "/workers/scripts/site", { body: assetsOnly(again.result.jwt as string) })).status, 200);
    const one = await openSession(client, "other", { ...SITE, "/new.html": { content: "new" } });
    assert.deepEqual(one.result.buckets, [[clientHash({ content: "new" })]]);
    assert.equal(shop.host.puts.filter((path) => path.includes("/assets/")).length, 2, "nothing is uploaded twice");
  },

  "beside a Worker answer first, and are bound by it": async (bench) => {
    const client = await openShop(bench).client();
    const jwt = await uploaded(client, "app", SITE);
    const put = await deploy(client, "app", { assets: { jwt }, bindings: [{ type: "assets", name: "ASSETS" }] });
    assert.equal(put.status, 200, put.message);
    await client.call("POST", "/workers/scripts/app/subdomain", { json: { enabled: true } });
    const unit = client.spec().units[0];
    const [worker, assets] = unit?.services ?? [];
    assert.ok(worker?.kind === "worker" && assets?.kind === "assets");
    assert.deepEqual([assets.worker, unit?.fronts[0]], [worker.id, assets.id]);
    assert.deepEqual(worker.bindings, [{ kind: "service", name: "ASSETS", service: assets.id, entrypoint: "AssetWorker" }]);
    const kept = await deploy(client, "app", { keep_assets: true, bindings: [{ type: "assets", name: "ASSETS" }] });
    assert.equal(kept.status, 200, kept.message);
    assert.equal(client.spec().units[0]?.services.length, 2);
    const secret = await client.call("PUT", "/workers/scripts/app/secrets", { json: { name: "S", text: "x" } });
    assert.equal(secret.status, 200, secret.message);
    assert.equal(client.spec().units[0]?.services.length, 2, "a new secret leaves the assets as they are");
    await deploy(client, "app");
    assert.equal(client.spec().units[0]?.services.length, 1);
  },

  "arrive in any order and more than once": async (bench) => {
    const client = await openShop(bench).client();
    const files = Object.fromEntries(Array.from({ length: 4 }, (_, at) => [`/f${at}.txt`, { content: `file ${at}` }]));
    const token = (await openSession(client, "app", files)).result.jwt as string;
    const [a, b, c, d] = Object.values(files) as [File, File, File, File];
    const answers = await Promise.all([send(client, token, [a, b]), send(client, token, [c]), send(client, token, [b])]);
    assert.deepEqual(
      answers.map(({ status, result }) => [status, result.jwt]),
      [
        [202, undefined],
        [202, undefined],
        [202, undefined],
      ],
    );
    const [last, repeated] = [await send(client, token, [d]), await send(client, token, [d])];
    assert.deepEqual([last.status, repeated.status], [201, 201]);
    for (const { result } of [last, repeated])
      assert.equal((await client.call("PUT", "/workers/scripts/app", { body: assetsOnly(result.jwt as string) })).status, 200);
  },

  "whose bytes the host has lost are asked for again": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    await uploaded(client, "app", SITE);
    for (const path of shop.host.files.keys()) if (path.endsWith(sha256("text"))) shop.host.files.delete(path);
    assert.deepEqual((await openSession(client, "app", SITE)).result.buckets, [[clientHash({ content: "text" })]]);
  },

  "that no version holds are kept for their session and make room after it": async (bench) => {
    const client = await openShop(bench, { assetFiles: 1 }).client();
    const file = (at: number): Files => ({ "/f.txt": { content: `file ${at}` } });
    for (let at = 0; at < 3; at++) await uploaded(client, "app", file(at));
    const held = await client.call("PUT", "/workers/scripts/app", { body: assetsOnly(await uploaded(client, "app", file(0))) });
    assert.equal(held.status, 200);
    assert.equal(client.spec().keep.assets.length, 3);
    const full = await openSession(client, "app", file(5));
    assert.deepEqual([full.status, full.code], [400, "quota_exceeded"]);
    await bench.store.db
      .updateTable("accounts")
      .set({ expires_at: bench.clock.now() + 36_000_000 })
      .where("id", "=", client.id)
      .execute();
    bench.clock.advance(3_602_000);
    assert.equal((await openSession(client, "app", file(5))).code, "quota_exceeded", "a deploy that came in time may still be under way");
    bench.clock.advance(900_000);
    assert.equal((await openSession(client, "app", file(5))).status, 200);
    const rows = await bench.store.db.selectFrom("asset_files").select("hash").where("account_id", "=", client.id).execute();
    assert.deepEqual(
      rows.map(({ hash }) => hash),
      [sha256("file 0")],
    );
  },
});

describe("An upload of static assets", () => {
  const refusedManifests: readonly (readonly [what: string, manifest: unknown, code: ErrorCode, message: RegExp])[] = [
    ["no manifest", undefined, "invalid_input", /manifest/],
    ["a list", [], "invalid_input", /manifest/],
    ["an entry without a hash", { "/a": { size: 1 } }, "invalid_input", /manifest\.\/a\.hash/],
    ["a hash that is none", { "/a": { hash: "../x", size: 1 } }, "invalid_input", /is not a hash/],
    ["a negative size", { "/a": { hash: "aa", size: -1 } }, "invalid_input", /negative/],
    ["a size that is not whole", { "/a": { hash: "aa", size: 1.5 } }, "invalid_input", /size/],
    ["a path without a slash", { a: { hash: "aa", size: 1 } }, "invalid_input", /does not begin with a slash/],
    ["a path that climbs", { "/../a": { hash: "aa", size: 1 } }, "invalid_input", /segment "\.\."/],
    ["a path that climbs when decoded", { "/%2e%2e/a": { hash: "aa", size: 1 } }, "invalid_input", /segment "\.\."/],
    ["a path that is no percent-encoding", { "/%zz": { hash: "aa", size: 1 } }, "invalid_input", /percent-encoding/],
    ["a path twice when decoded", { "/a": { hash: "aa", size: 1 }, "/%61": { hash: "aa", size: 1 } }, "invalid_input", /named twice/],
    [
      "a file that is a directory",
      { "/a": { hash: "aa", size: 1 }, "/a/b": { hash: "aa", size: 1 } },
      "invalid_input",
      /both a file and a directory/,
    ],
    ["a hash of two sizes", { "/a": { hash: "aa", size: 1 }, "/b": { hash: "aa", size: 2 } }, "invalid_input", /another size/],
    ["a file that is too large", { "/a": { hash: "aa", size: 65_537 } }, "quota_exceeded", /"\/a" has 65537 bytes, more than the 65536/],
    [
      "too many files",
      Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`/${at}`, { hash: "aa", size: 1 }])),
      "quota_exceeded",
      /21 files, more than the 20/,
    ],
  ];
  for (const [what, manifest, code, message] of refusedManifests) {
    test(`is refused for a manifest with ${what}`, async () => {
      await using bench = await openBench(null);
      const client = await openShop(bench).client();
      const answer = await client.call("POST", "/workers/scripts/app/assets-upload-session", { json: { manifest } });
      assert.deepEqual([answer.status, answer.code], [400, code], answer.message);
      assert.match(answer.message, message);
    });
  }

  test("takes exactly the bytes that the manifest named", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    const token = (await openSession(client, "app", SITE)).result.jwt as string;
    const hash = clientHash(SITE["/index.html"] ?? { content: "" });
    const one = (name: string, body: string): FormData => {
      const form = new FormData();
      form.append(name, new File([body], name));
      return form;
    };
    const cases: readonly (readonly [FormData, RegExp])[] = [
      [one("unasked", "eA=="), /did not ask for the file "unasked"/],
      [one(hash, "not base64!"), /is not base64/],
      [one(hash, "eA="), /is not base64/],
      [one(hash, "eA=="), /has 1 bytes, but the manifest said 11/],
    ];
    for (const [body, message] of cases) {
      const answer = await client.call("POST", "/workers/assets/upload?base64=true", { token, body });
      assert.deepEqual([answer.status, answer.code], [400, "asset_mismatch"]);
      assert.match(answer.message, message);
    }
    assert.equal((await client.call("POST", "/workers/assets/upload?base64=true", { token, body: "x" })).code, "asset_mismatch");
    assert.equal((await send(client, token, [], "")).code, "invalid_input");
    assert.equal((await bench.store.db.selectFrom("asset_files").selectAll().execute()).length, 0);
  });

  test("cannot be completed, or deployed, by another token than its own", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const [client, stranger] = [await shop.client(), await shop.client()];
    const token = (await openSession(client, "app", SITE)).result.jwt as string;
    const files = Object.values(SITE);
    for (const wrong of [null, "x", client.token, `${token}x`]) {
      assert.equal((await send(client, wrong ?? "", files)).code, "asset_session_invalid");
    }
    assert.equal((await send(stranger, token, files)).code, "asset_session_invalid", "the path names another account");
    assert.equal(
      (await client.call("PUT", "/workers/scripts/app", { body: assetsOnly(token) })).code,
      "asset_session_invalid",
      "a session is not a completed upload",
    );
    const done = (await send(client, token, files)).result.jwt as string;
    assert.equal((await send(client, done, files)).code, "asset_session_invalid", "a completed upload takes no files");
    assert.equal((await client.call("PUT", "/workers/scripts/other", { body: assetsOnly(done) })).code, "asset_session_invalid");
    assert.equal((await stranger.call("PUT", "/workers/scripts/app", { body: assetsOnly(done) })).code, "asset_session_invalid");
    bench.clock.advance(3_590_000);
    assert.equal((await client.call("PUT", "/workers/scripts/app", { body: assetsOnly(done) })).status, 200);
  });

  test("takes a file of five mebibytes, and refuses as much that is no base64", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench, { assetMaxBytes: 5_242_880 }).client();
    const large = { content: "x".repeat(5_242_880) };
    const done = await uploaded(client, "app", { "/large.bin": large });
    assert.equal((await client.call("PUT", "/workers/scripts/app", { body: assetsOnly(done) })).status, 200);
    const other = { content: "y".repeat(5_242_880) };
    const token = (await openSession(client, "app", { "/large.bin": other })).result.jwt as string;
    const form = new FormData();
    form.append(clientHash(other), new File([`${"A".repeat(30_000_000)}!`], "f"));
    const answer = await client.call("POST", "/workers/assets/upload?base64=true", { token, body: form });
    assert.deepEqual([answer.status, answer.code], [400, "asset_mismatch"]);
  });

  test("ends with the session's hour, the account's epoch and the account's life", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    const session = await openSession(client, "app", SITE);
    const token = session.result.jwt as string;
    const set = (values: Record<string, unknown>) =>
      bench.store.db.updateTable("accounts").set(values).where("id", "=", client.id).execute();
    await set({ auth_epoch: 2 });
    assert.notEqual((await send(client, token, Object.values(SITE))).status, 201);
    await set({ auth_epoch: 1, state: "ending", end_reason: "task-done" });
    const gone = await send(client, token, Object.values(SITE));
    assert.deepEqual([gone.status, gone.code], [410, "account_gone"]);
    await set({ state: "claimed", end_reason: null, expires_at: null });
    bench.clock.advance(3_601_000);
    assert.equal((await send(client, token, Object.values(SITE))).code, "asset_session_invalid");
    assert.equal((await bench.store.db.selectFrom("asset_files").selectAll().execute()).length, 0);
  });

  test("of a Worker needs the permission to write its assets, at the session and at the deploy", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const client = await shop.client();
    const jwt = await uploaded(client, "app", SITE);
    const token = await shop.issue(client, [{ action: "workers:write", resource: { product: "workers", id: "app" }, conditions: [] }]);
    const session = await client.call("POST", "/workers/scripts/app/assets-upload-session", { token, json: { manifest: {} } });
    assert.deepEqual([session.status, session.code], [403, "forbidden"]);
    const put = await client.call("PUT", "/workers/scripts/app", { token, body: upload({ assets: { jwt } }, [HELLO]) });
    assert.equal(put.status, 403);
    assert.match(put.message, /assets:write on assets\/app/);
  });
});
