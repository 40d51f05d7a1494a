// The attacker: an account like any other, whose Worker runs the corpus' code, and everything that attacks name.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, globSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Installation } from "../../fixtures/installation.ts";
import { tenantAt, type Tenant } from "../../fixtures/tenant.ts";
import type { CodeAttack } from "./attack.ts";
import type { Victims } from "./victims.ts";

export type Names = Readonly<Record<string, string>>;

/** The text with every name in double braces filled in. */
export const filled = (text: string, names: Names): string =>
  text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => names[name] ?? assert.fail(`nothing is named ${name}`));

/** The same throughout a value of plain data. */
export function filledIn<T>(value: T, names: Names): T {
  if (typeof value === "string") return filled(value, names) as T;
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((each: unknown) => filledIn(each, names)) as T;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filledIn<unknown>(each, names)])) as T;
}

const ANSWERS = `{
  cookies: () => { const h = new Headers(); for (const d of ["mayfly.localhost", ".mayfly.localhost", "localhost", "{{V_HOST}}"]) h.append("set-cookie", "a=b; Domain=" + d); return new Response("ok", { headers: h }); },
  platform: () => new Response("ok", { headers: { "CF-Ray": "forged", Server: "forged", "Mayfly-Anything": "forged", "Transfer-Encoding": "identity" } }),
  length: () => new Response("short", { headers: { "content-length": "5000" } }),
  "no-content": () => new Response(null, { status: 204, headers: { "content-length": "5", "x-next": "HTTP/1.1 200 OK" } }),
  headers: () => { const h = new Headers(); for (let i = 0; i < 1000; i++) h.append("x-" + i, "y"); return new Response("ok", { headers: h }); },
  "large-header": () => new Response("ok", { headers: { x: "y".repeat(1 << 20) } }),
  broken: () => new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(10)); c.error(new Error("no")); } })),
  throw: () => { throw new Error("<script>alert(1)</script>"); },
}`;

/** A Worker that runs the attack of the number in its path. */
const code = (list: readonly CodeAttack[]): string => `
import { connect } from "cloudflare:sockets";
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
const say = async (answer) => answer.status + " " + (await answer.text()).slice(0, 2000);
const open = async (address) => {
  const socket = connect(address);
  await socket.opened;
  const writer = socket.writable.getWriter();
  await writer.write(new TextEncoder().encode("GET /healthz HTTP/1.0\\r\\n\\r\\n"));
  const { value } = await socket.readable.getReader().read();
  return "connected: " + new TextDecoder().decode(value);
};
const ATTACKS = [${list.map((attack) => `async (request, env, ctx) => { ${attack.code} }`).join(",\n")}];
const ANSWERS = ${ANSWERS};
export class Mine extends DurableObject {
  mine() { return "mine " + this.ctx.id; }
  async wake() { await this.ctx.storage.setAlarm(Date.now() + 3_600_000); }
  alarm() {}
}
export class Own extends WorkerEntrypoint { told() { return "own " + JSON.stringify(this.ctx.props); } }
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    const [, first, second] = url.pathname.split("/");
    if (first === "redirect") return new Response(null, { status: 302, headers: { location: url.searchParams.get("to") } });
    if (first === "loop") return new Response(null, { status: 302, headers: { location: "/loop" } });
    if (first === "echo-host") return new Response(url.hostname);
    if (first === "socket") { const pair = new WebSocketPair(); pair[1].accept(); return new Response(null, { status: 101, webSocket: pair[0] }); }
    if (first === "answer") return ANSWERS[second]();
    if (first !== "attack") return new Response("own");
    const late = scheduler.wait(10_000).then(() => { throw new Error("nothing happened for ten seconds"); });
    const told = await Promise.race([ATTACKS[Number(second)](request, env, ctx), late]).then(
      (value) => (typeof value === "string" && /^\\d{3} /.test(value) ? value : JSON.stringify(value) ?? "undefined"),
      (error) => "error: " + (error?.stack ?? error),
    );
    return new Response(told);
  },
};`;

/** Where the sockets between control and host are, as src/config.ts names it. */
function runDirectory({ data }: Installation, uid: number): string {
  const digest = createHash("sha256").update(data).digest("hex").slice(0, 8);
  const directory = uid === 0 ? `/run/mayfly-${digest}` : `${tmpdir()}/mayfly-${uid}-${digest}`;
  assert.ok(existsSync(`${directory}/control.sock`), "control's socket is where the attack looks for it");
  return directory;
}

async function given<T>(tenant: Tenant, path: string, body: unknown): Promise<T> {
  const answer = await tenant.call<T>("POST", `/accounts/${tenant.id}${path}`, JSON.stringify(body));
  assert.ok(answer.status < 300, `${path}: ${answer.status} ${answer.message}`);
  return answer.result;
}

export type Attacker = { readonly tenant: Tenant; readonly names: Names };

/** @param uid of the installation's user */
export async function makeAttacker(
  installation: Installation,
  victims: Victims,
  list: readonly CodeAttack[],
  uid: number,
): Promise<Attacker> {
  const tenant = await tenantAt(installation);
  const kv = await given<{ id: string }>(tenant, "/storage/kv/namespaces", { title: "own" });
  const d1 = await given<{ uuid: string }>(tenant, "/d1/database", { name: "own" });
  const store = await given<{ id: string }>(tenant, "/secrets_store/stores", { name: "own" });
  const files = globSync(join(installation.data, "accounts", victims.temporary.id, "code/**/*"), { withFileTypes: true });
  const victimFile = files.find((entry) => entry.isFile()) ?? assert.fail("the victim's code is where the attack looks for it");
  const imported = await given<{ upload_url: string }>(tenant, `/d1/database/${d1.uuid}/import`, { action: "init", etag: "0".repeat(32) });
  await tenant.deploy("second", `export default { fetch() { return new Response("own") } };`);
  const hash = createHash("sha256").update("mine").digest("hex").slice(0, 32);
  const session = await given<{ jwt: string }>(tenant, "/workers/scripts/ruled/assets-upload-session", {
    manifest: { "/x": { hash, size: 4 } },
  });
  const names: Names = {
    ...victims.names,
    ME_ID: tenant.id,
    ME_SUB: tenant.subdomain,
    ME_TOKEN: tenant.token,
    ME_TOKEN_SHORT: tenant.token.slice(0, -1),
    ME_KV: kv.id,
    ME_D1: d1.uuid,
    ME_STORE: store.id,
    ME_JWT: session.jwt,
    ME_ASSETS: await tenant.uploadAssets("ruled", { "/index.html": "ruled" }),
    ME_IMPORT: new URL(imported.upload_url).searchParams.get("capability") ?? "",
    SELF: tenant.host("own"),
    ORIGIN: installation.origin,
    CONTROL_PORT: String(installation.apiPort),
    EDGE_PORT: String(installation.edgePort),
    DATA: installation.data,
    RUN: runDirectory(installation, uid),
    VICTIM_FILE: join(victimFile.parentPath, victimFile.name),
    NONCE: hash.slice(0, 8),
  };
  const bindings = [
    { type: "plain_text", name: "CANARY_OF_MY_OWN", text: "mine" },
    { type: "kv_namespace", name: "KV", namespace_id: kv.id },
    { type: "d1", name: "DB", id: d1.uuid },
    { type: "analytics_engine", name: "AE", dataset: "private" },
    { type: "durable_object_namespace", name: "OBJ", class_name: "Mine" },
    { type: "service", name: "OWN", service: "second" },
  ];
  const migrations = { new_tag: "v1", new_sqlite_classes: ["Mine"] };
  await tenant.deploy("own", filled(code(list), names), { metadata: { bindings, migrations, compatibility_flags: ["nodejs_compat"] } });
  const { result } = await tenant.call<{ items: { id: string }[] }>("GET", `/accounts/${tenant.id}/workers/scripts/own/versions`);
  return { tenant, names: { ...names, ME_VERSION8: result.items[0]?.id.slice(0, 8) ?? "" } };
}
