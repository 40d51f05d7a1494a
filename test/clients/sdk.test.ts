// The official `cloudflare` SDK, generated from the original's OpenAPI, against a whole installation: one suite a product.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import Cloudflare, { APIError, toFile } from "cloudflare";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { solveChallenge } from "../fixtures/solve-challenge.ts";

let installation: Installation;

type Customer = { readonly client: Cloudflare; readonly account_id: string };

/** A new account and the SDK with its token. */
async function customer(): Promise<Customer> {
  const post = async (path: string, body: unknown) => {
    const answer = await fetch(`${installation.api}/provisioning/${path}`, { method: "POST", body: JSON.stringify(body) });
    return ((await answer.json()) as { result: never }).result;
  };
  const challenge: Parameters<typeof solveChallenge>[0] & { challengeToken: string } = await post("previews/challenge", {});
  const made: { account: { id: string; apiToken: string } } = await post("previews", {
    acceptTermsOfService: "yes",
    challengeToken: challenge.challengeToken,
    solution: { checkpoints: solveChallenge(challenge) },
  });
  const client = new Cloudflare({ apiToken: made.account.apiToken, baseURL: installation.api, maxRetries: 2 });
  return { client, account_id: made.account.id };
}

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of pages) found.push(one);
  return found;
}

const refusedWith = (status: number, code: number) => (error: unknown) => {
  assert.ok(error instanceof APIError);
  assert.deepEqual([error.status, error.errors[0]?.code], [status, code]);
  return true;
};

before(async () => {
  installation = await startInstallation();
});
after(() => installation[Symbol.asyncDispose]());

describe("The SDK's kv.namespaces", () => {
  let one: Customer;
  before(async () => {
    one = await customer();
  });

  test("creates, lists to the last page, gets, renames and deletes", async () => {
    const { client, account_id } = one;
    const { namespaces } = client.kv;
    const made = [];
    for (const title of ["c", "a", "b"]) made.push(await namespaces.create({ account_id, title }));
    await assert.rejects(namespaces.create({ account_id, title: "a" }), refusedWith(400, 10014));
    const listed = await all(namespaces.list({ account_id, per_page: 2, order: "title", direction: "asc" }));
    assert.deepEqual(
      listed.map(({ title }) => title),
      ["a", "b", "c"],
    );
    const id = made[0]?.id ?? "";
    assert.equal((await namespaces.update(id, { account_id, title: "d" })).title, "d");
    assert.deepEqual(await namespaces.get(id, { account_id }), { id, title: "d", supports_url_encoding: true });
    assert.equal(await namespaces.delete(id, { account_id }), null);
    await assert.rejects(namespaces.get(id, { account_id }), refusedWith(404, 10013));
  });

  test("writes, reads and deletes values, with metadata and expiration", async () => {
    const { client, account_id } = one;
    const { id: namespace_id } = await client.kv.namespaces.create({ account_id, title: "values" });
    const { values, metadata } = client.kv.namespaces;
    const key = "a key/with: everything! ü";
    await values.update(key, { account_id, namespace_id, value: "text", metadata: '{"m":1}', expiration_ttl: 3600 });
    const got = await values.get(key, { account_id, namespace_id });
    assert.equal(await got.text(), "text");
    assert.ok(Number(got.headers.get("expiration")) > Date.now() / 1000);
    assert.deepEqual(await metadata.get(key, { account_id, namespace_id }), { m: 1 });
    const bytes = Buffer.alloc(2_000_000, "bytes");
    await values.update("file", { account_id, namespace_id, value: await toFile(bytes, "file") });
    const file = await values.get("file", { account_id, namespace_id });
    assert.ok(Buffer.from(await file.arrayBuffer()).equals(bytes));
    await values.delete("file", { account_id, namespace_id });
    await assert.rejects(values.get("file", { account_id, namespace_id }), refusedWith(404, 10009));
  });

  test("writes, reads, lists and deletes in bulk, in both spellings", async () => {
    const { client, account_id } = one;
    const { id } = await client.kv.namespaces.create({ account_id, title: "bulk" });
    for (const bulk of [
      {
        update: client.kv.namespaces.bulkUpdate,
        get: client.kv.namespaces.bulkGet,
        delete: client.kv.namespaces.bulkDelete,
        on: client.kv.namespaces,
      },
      {
        update: client.kv.namespaces.keys.bulkUpdate,
        get: client.kv.namespaces.keys.bulkGet,
        delete: client.kv.namespaces.keys.bulkDelete,
        on: client.kv.namespaces.keys,
      },
    ]) {
      const body = Array.from({ length: 25 }, (_, n) => ({
        key: `k${String(n).padStart(2, "0")}`,
        value: "dmFsdWU=",
        base64: true,
        metadata: { n },
      }));
      const written = await bulk.update.call(bulk.on as never, id, { account_id, body });
      assert.deepEqual(written, { successful_key_count: 25, unsuccessful_keys: [] });
      const listed = await all(client.kv.namespaces.keys.list(id, { account_id, limit: 10, prefix: "k" }));
      assert.deepEqual(
        listed.map(({ name, metadata }) => [name, metadata]),
        body.map(({ key, metadata }) => [key, metadata]),
      );
      const got = await bulk.get.call(bulk.on as never, id, { account_id, keys: ["k00", "nope"], withMetadata: true });
      assert.deepEqual(got, { values: { k00: { value: "value", metadata: { n: 0 } }, nope: null } });
      const deleted = await bulk.delete.call(bulk.on as never, id, { account_id, body: body.map(({ key }) => key) });
      assert.equal(deleted?.successful_key_count, 25);
    }
    assert.deepEqual(await all(client.kv.namespaces.keys.list(id, { account_id })), []);
  });
});

describe("The SDK's secretsStore", () => {
  test("makes a store and secrets, lists, edits, copies and deletes them", async () => {
    const { client, account_id } = await customer();
    const { stores, quota } = client.secretsStore;
    const { id: store_id, name } = await stores.create({ account_id, name: "keys" });
    assert.equal(name, "keys");
    assert.deepEqual(
      (await all(stores.list({ account_id }))).map(({ id }) => id),
      [store_id],
    );
    assert.equal((await stores.get(store_id, { account_id })).id, store_id);
    const body = ["A", "B", "C"].map((secret) => ({ name: secret, value: `value of ${secret}`, scopes: ["workers" as const] }));
    const made = await all(stores.secrets.create(store_id, { account_id, body }));
    assert.deepEqual(
      made.map((secret) => [secret.name, secret.status]),
      [
        ["A", "active"],
        ["B", "active"],
        ["C", "active"],
      ],
    );
    const [first] = made;
    assert.ok(first);
    const edited = await stores.secrets.edit(first.id, { account_id, store_id, comment: "changed" });
    assert.equal(edited.comment, "changed");
    const copy = await stores.secrets.duplicate(first.id, { account_id, store_id, name: "D", scopes: ["workers"] });
    assert.equal((await stores.secrets.get(copy.id, { account_id, store_id })).name, "D");
    const listed = await all(stores.secrets.list(store_id, { account_id, per_page: 2, order: "name", direction: "asc" }));
    assert.deepEqual(
      listed.map((secret) => secret.name),
      ["A", "B", "C", "D"],
    );
    assert.ok(!JSON.stringify(listed).includes("value of"));
    assert.deepEqual(await quota.get({ account_id }), { secrets: { quota: 100, usage: 4 } });
    await stores.secrets.delete(copy.id, { account_id, store_id });
    // It names no secret, so that nothing tells whether all are meant.
    await assert.rejects(stores.secrets.bulkDelete(store_id, { account_id }), refusedWith(400, 71400));
    await stores.delete(store_id, { account_id });
    await assert.rejects(stores.get(store_id, { account_id }), refusedWith(404, 71447));
  });
});

describe("The SDK's workers", () => {
  let one: Customer;
  before(async () => {
    one = await customer();
  });
  const script = (text: string) =>
    toFile(
      Buffer.from(
        `import { more } from "./more.js"; export default { fetch: (request, env) => new Response("${text} " + env.TEXT + more), scheduled() {} };`,
      ),
      "index.js",
      {
        type: "application/javascript+module",
      },
    );
  const lib = () => toFile(Buffer.from('export const more = "!";'), "more.js", { type: "application/javascript+module" });
  const answer = async (): Promise<string> => {
    const { subdomain } = await one.client.workers.subdomains.get({ account_id: one.account_id });
    return (await installation.edge(`sdk--${subdomain}.mayfly.localhost`)).body;
  };

  test("upload a script, open it, make a version of it and deploy that", async () => {
    const { client, account_id } = one;
    const { scripts } = client.workers;
    const metadata = {
      main_module: "index.js",
      compatibility_date: "2026-06-01",
      compatibility_flags: ["nodejs_compat"],
      bindings: [
        { type: "plain_text" as const, name: "TEXT", text: "true" },
        { type: "json" as const, name: "CONF", json: { deep: "x" } },
      ],
      observability: { enabled: true },
    };
    // By the SDK's own types an array; its documentation shows a record by name.
    const files = { "index.js": await script("one"), "more.js": await lib() } as unknown as [];
    const made = await scripts.update("sdk", { account_id, metadata, files });
    assert.equal(made.id, "sdk");
    await scripts.subdomain.create("sdk", { account_id, enabled: true });
    assert.equal(await answer(), "one true!");
    const version = await scripts.versions.create("sdk", { account_id, metadata, files: [await script("two"), await lib()] });
    const versions = [{ version_id: version.id ?? "", percentage: 100 }];
    await scripts.deployments.create("sdk", { account_id, strategy: "percentage", versions });
    assert.equal(await answer(), "two true!");
    assert.deepEqual(
      (await all(scripts.list({ account_id }))).map(({ id }) => id),
      ["sdk"],
    );
    const { bindings } = await scripts.scriptAndVersionSettings.get("sdk", { account_id });
    assert.deepEqual(
      bindings?.map(({ type, name }) => [type, name]),
      [
        ["plain_text", "TEXT"],
        ["json", "CONF"],
      ],
    );
  });

  test("set schedules and secrets, and are deleted", async () => {
    const { client, account_id } = one;
    const { scripts } = client.workers;
    await scripts.schedules.update("sdk", { account_id, body: [{ cron: "0 3 * * *" }] });
    assert.deepEqual(
      (await scripts.schedules.get("sdk", { account_id })).schedules.map(({ cron }) => cron),
      ["0 3 * * *"],
    );
    await scripts.secrets.update("sdk", { account_id, name: "TEXT2", text: "hidden", type: "secret_text" });
    assert.deepEqual(
      (await all(scripts.secrets.list("sdk", { account_id }))).map(({ name }) => name),
      ["TEXT2"],
    );
    await scripts.delete("sdk", { account_id, force: true });
    assert.deepEqual(await all(scripts.list({ account_id })), []);
  });

  test("upload static files with a script", async () => {
    const { client, account_id } = one;
    const content = "<h1>by the SDK</h1>";
    const hash = "5d41402abc4b2a76b9719d911017c592";
    const session = await client.workers.scripts.assets.upload.create("sdk", {
      account_id,
      manifest: { "/index.html": { hash, size: content.length } },
    });
    const base = { baseURL: installation.api, apiToken: session.jwt ?? "" };
    const uploader = new Cloudflare(base);
    const done = await uploader.workers.assets.upload.create({
      account_id,
      base64: true,
      body: { [hash]: Buffer.from(content).toString("base64") },
    });
    const metadata = { compatibility_date: "2026-06-01", assets: { jwt: done.jwt ?? "", config: { run_worker_first: false } } };
    await client.workers.scripts.update("sdk", { account_id, metadata });
    await client.workers.scripts.subdomain.create("sdk", { account_id, enabled: true });
    assert.equal(await answer(), content);
  });
});
