// Whom the corpus attacks: a temporary account with a secret in every product, and a claimed one whose owner is signed in.
// Every secret is a canary: a text that stands nowhere else.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { copyFileSync, existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { FormBrowser, tokenIn } from "../../fixtures/form-browser.ts";
import type { Installation } from "../../fixtures/installation.ts";
import { tenantAt, type Tenant } from "../../fixtures/tenant.ts";

const nonce = (): string => randomBytes(6).toString("hex");
/** All canaries begin so. */
const MARK = `canary-${nonce()}`;
const canary = (of: string): string => `${MARK}-${of}`;
export const CANARIES = new RegExp(MARK);

/** Opens the victim's inventory; known to the victim alone. */
const KEY = nonce() + nonce();

const VAULT = (word: string): string => `// ${canary("code")}
import { DurableObject } from "cloudflare:workers";
const hello = "${word}";
export class Vault extends DurableObject {
  async keep(value) { await this.ctx.storage.put("secret", value); this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (s)"); return this.ctx.id.toString(); }
  async tell() { return [...(await this.ctx.storage.list())]; }
}
export default { async fetch(request, env, ctx) {
  const url = new URL(request.url);
  const vault = env.OBJ.getByName("vault");
  if (url.searchParams.get("key") !== "${KEY}")
    return new Response(url.pathname === "/echo" ? hello + ": " + JSON.stringify([[...request.headers], request.cf, request.url]) : hello + ": go away");
  const cached = "http://" + url.hostname + "/cached";
  if (url.pathname === "/fill") {
    console.log("${canary("log")}");
    await env.KV.put("secret", "${canary("kv")}", { metadata: { m: "${canary("kv-metadata")}" } });
    await env.DB.exec("CREATE TABLE vault (s TEXT)");
    await env.DB.prepare("INSERT INTO vault VALUES (?)").bind("${canary("d1")}").run();
    await caches.default.put(cached, new Response("${canary("cache")}", { headers: { "cache-control": "max-age=86400" } }));
    const named = await caches.open("vault");
    await named.put(cached, new Response("${canary("named-cache")}", { headers: { "cache-control": "max-age=86400" } }));
    env.AE.writeDataPoint({ blobs: ["${canary("points")}"], indexes: ["i"] });
    return new Response(await vault.keep("${canary("object")}"));
  }
  const named = await caches.open("vault");
  return Response.json({
    vars: [env.VAR, env.SECRET, await env.STORED.get()],
    kv: [await env.KV.list(), await env.KV.getWithMetadata("secret")],
    d1: (await env.DB.prepare("SELECT * FROM vault").all()).results,
    tables: (await env.DB.prepare("SELECT name FROM sqlite_master").all()).results,
    object: await vault.tell(),
    cached: [await (await caches.default.match(cached))?.text(), await (await named.match(cached))?.text()],
    inner: await (await env.INNER.fetch("http://inner/")).text(),
  });
} };`;

export type Victims = {
  readonly temporary: Tenant;
  readonly claimed: Tenant;
  /** Values for the attacks' names. */
  readonly names: Readonly<Record<string, string>>;
  /** Everything that they have, as they and their machine see it, a line each; the same lines while nobody else has written. */
  state(): Promise<readonly string[]>;
};

async function result<T>(tenant: Tenant, method: string, path: string, body?: string): Promise<T> {
  const answer = await tenant.call<T>(method, `/accounts/${tenant.id}${path}`, body);
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.message}`);
  return answer.result;
}

/** What the temporary one has that needs no Worker. */
async function stock(tenant: Tenant) {
  const kv = await result<{ id: string }>(tenant, "POST", "/storage/kv/namespaces", '{"title":"vault"}');
  const d1 = await result<{ uuid: string }>(tenant, "POST", "/d1/database", '{"name":"vault"}');
  const store = await result<{ id: string }>(tenant, "POST", "/secrets_store/stores", '{"name":"vault"}');
  const [stored] = await result<{ id: string }[]>(
    tenant,
    "POST",
    `/secrets_store/stores/${store.id}/secrets`,
    JSON.stringify([{ name: "API_KEY", value: canary("stored-secret"), scopes: ["workers"] }]),
  );
  return { kv: kv.id, d1: d1.uuid, store: store.id, secret: stored?.id ?? "" };
}

function vaultMetadata(stocked: Awaited<ReturnType<typeof stock>>, jwt: string): Record<string, unknown> {
  return {
    bindings: [
      { type: "plain_text", name: "VAR", text: canary("var") },
      { type: "secret_text", name: "SECRET", text: canary("secret") },
      { type: "kv_namespace", name: "KV", namespace_id: stocked.kv },
      { type: "d1", name: "DB", id: stocked.d1 },
      { type: "secrets_store_secret", name: "STORED", store_id: stocked.store, secret_name: "API_KEY" },
      { type: "analytics_engine", name: "AE", dataset: "private" },
      { type: "durable_object_namespace", name: "OBJ", class_name: "Vault" },
      { type: "service", name: "INNER", service: "inner" },
      { type: "assets", name: "ASSETS" },
    ],
    assets: { jwt },
  };
}

async function fill(installation: Installation, tenant: Tenant): Promise<Record<string, string>> {
  const stocked = await stock(tenant);
  const inner = `export default { fetch() { return new Response("${canary("inner")}") } };`;
  assert.equal((await tenant.upload("inner", inner)).status, 200);
  const files = { "/page.txt": `a page of ${nonce()}` };
  const jwt = await tenant.uploadAssets("vault", files);
  const migrations = { new_tag: "v1", new_sqlite_classes: ["Vault"] };
  await tenant.deploy("vault", VAULT("old vault"), { metadata: { ...vaultMetadata(stocked, jwt), migrations } });
  await tenant.deploy("vault", VAULT("vault"), { metadata: vaultMetadata(stocked, await tenant.uploadAssets("vault", files)) });
  const filled = await installation.edge(tenant.host("vault"), `/fill?key=${KEY}`);
  assert.equal(filled.status, 200, filled.body);
  const { items } = await result<{ items: { id: string }[] }>(tenant, "GET", "/workers/scripts/vault/versions");
  const [objects] = await result<{ id: string }[]>(tenant, "GET", "/workers/durable_objects/namespaces");
  const { bookmark } = await result<{ bookmark: string }>(tenant, "GET", `/d1/database/${stocked.d1}/time_travel/bookmark`);
  const exported = await result<{ result: { signed_url: string } }>(
    tenant,
    "POST",
    `/d1/database/${stocked.d1}/export`,
    '{"output_format":"polling"}',
  );
  const tail = await result<{ id: string }>(tenant, "POST", "/workers/scripts/vault/tails", "{}");
  const hash = createHash("sha256").update("other").digest("hex").slice(0, 32);
  const session = await result<{ jwt: string }>(
    tenant,
    "POST",
    "/workers/scripts/vault/assets-upload-session",
    JSON.stringify({ manifest: { "/other.txt": { hash, size: 5 } } }),
  );
  const version = items[0]?.id ?? "";
  return {
    V_KV: stocked.kv,
    V_D1: stocked.d1,
    V_STORE: stocked.store,
    V_SECRET: stocked.secret,
    V_OBJECT: filled.body,
    V_OBJECTS: objects?.id ?? "",
    V_VERSION: version,
    V_VERSION8: version.slice(0, 8),
    V_OLD_VERSION: items.at(-1)?.id ?? "",
    V_BOOKMARK: bookmark,
    V_EXPORT: new URL(exported.result.signed_url).searchParams.get("capability") ?? "",
    V_TAIL: tail.id,
    V_HASH: hash,
    V_JWT: session.jwt,
    V_CLAIM_KIND: `mfc_${"a".repeat(57)}`,
  };
}

/** A person signs up and claims the account; a Worker of it has a secret. */
async function claim(installation: Installation, tenant: Tenant): Promise<Record<string, string>> {
  await tenant.deploy("kept", `// ${canary("claimed-code")}\nexport default { fetch() { return new Response("kept") } };`, {
    metadata: { bindings: [{ type: "secret_text", name: "S", text: canary("claimed-secret") }] },
  });
  const browser = new FormBrowser({ url: new URL(installation.origin) });
  const email = `ada-${nonce()}@example.com`;
  await browser.opens(tenant.claimUrl);
  await browser.signsUp({ name: canary("owner-name"), email, password: canary("password") });
  const confirmed = await browser.confirms(tenant.id);
  assert.ok(tokenIn(confirmed), confirmed.text);
  const secret = tenant.claimUrl.split("#")[1] ?? "";
  return {
    O_COOKIE: `mayfly_session=${browser.cookies.get("mayfly_session")?.value ?? assert.fail("no session")}`,
    O_EMAIL: email,
    O_CLAIM: `${installation.origin}/claim#${secret}`,
    O_CLAIM_SHORT: secret.slice(0, -1),
    O_CLAIM_CHANGED: secret.slice(0, 10) + (secret[10] === "a" ? "b" : "a") + secret.slice(11),
    O_CLAIM_UPPER: secret.toUpperCase(),
  };
}

/** What changes when they look at their own things. */
const OWN_DEEDS: ReadonlySet<string> = new Set(["last_used_at", "revision", "used"]);

/** Rows of every table that belong to an account. */
function rowsOf(data: string, accounts: readonly string[]): string[] {
  const db = new DatabaseSync(join(data, "mayfly.db"), { readOnly: true });
  try {
    const tables = db
      .prepare(
        "SELECT m.name AS name, p.name AS owner FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table' AND (p.name = 'account_id' OR (m.name = 'accounts' AND p.name = 'id'))",
      )
      .all();
    return tables
      .flatMap(({ name, owner }) =>
        accounts.flatMap((account) =>
          db
            .prepare(`SELECT * FROM "${String(name)}" WHERE "${String(owner)}" = ?`)
            .all(account)
            // The platform's own word, as on a process that it started anew: that is no deed of anybody's.
            .filter((row) => row["actors"] !== '["mayfly"]')
            .map((row) => `${String(name)} ${JSON.stringify(row, (key, value: unknown) => (OWN_DEEDS.has(key) ? null : value))}`),
        ),
      )
      .toSorted();
  } finally {
    db.close();
  }
}

/** A database's rows: its file changes whenever its log is written back into it. */
function contentOf(path: string): string {
  const copy = join(tmpdir(), `corpus-${nonce()}`);
  for (const end of ["", "-wal"]) if (existsSync(path + end)) copyFileSync(path + end, copy + end);
  const db = new DatabaseSync(copy);
  try {
    const tables = db.prepare("SELECT name, sql FROM sqlite_master ORDER BY name").all();
    const rows = tables
      .filter(({ sql }) => /^CREATE TABLE/i.test(String(sql)))
      .map(({ name }) => db.prepare(`SELECT * FROM "${String(name)}"`).all());
    return JSON.stringify([tables, rows], (key, value: unknown) => (OWN_DEEDS.has(key) ? null : value));
  } finally {
    db.close();
    for (const end of ["", "-wal", "-shm"]) rmSync(copy + end, { force: true });
  }
}

/** Code, assets and state on disk, by content; not the log, which tells of every visitor. */
const filesOf = (data: string, account: string): string[] =>
  globSync("{code,assets,state}/**", { cwd: join(data, "accounts", account), withFileTypes: true })
    .filter((entry) => entry.isFile() && !/-(shm|wal)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .map((path) => {
      const content = path.endsWith(".sqlite") ? contentOf(path) : readFileSync(path);
      return `${path} ${createHash("sha256").update(content).digest("hex")}`;
    });

export async function makeVictims(installation: Installation): Promise<Victims> {
  const title = { title: `<script>alert("${canary("task")}")</script>`, agent: '"><img src=x onerror=alert(1)>' };
  const [temporary, claimed] = [await tenantAt(installation, { "mayfly-task": JSON.stringify(title) }), await tenantAt(installation)];
  const names = {
    ...(await fill(installation, temporary)),
    ...(await claim(installation, claimed)),
    V_ID: temporary.id,
    V_ID_UPPER: temporary.id.toUpperCase(),
    V_SUB: temporary.subdomain,
    V_HOST: temporary.host("vault"),
    O_ID: claimed.id,
    O_SUB: claimed.subdomain,
  };
  return {
    temporary,
    claimed,
    names,
    state: async () => {
      const told = await installation.edge(temporary.host("vault"), `/inventory?key=${KEY}`);
      assert.equal(told.status, 200, told.body);
      const page = await installation.edge(temporary.host("vault"), "/page.txt");
      const points = await fetch(`${installation.api}/accounts/${temporary.id}/analytics_engine/sql`, {
        method: "POST",
        body: "SELECT blob1 FROM private",
        headers: { authorization: `Bearer ${temporary.token}` },
      });
      const both = [temporary.id, claimed.id];
      return [
        told.body,
        page.body,
        await points.text(),
        ...rowsOf(installation.data, both),
        ...both.flatMap((id) => filesOf(installation.data, id)),
      ];
    },
  };
}
