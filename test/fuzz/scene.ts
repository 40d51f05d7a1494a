// A running installation with accounts that have one of everything, so that an honest request with their ids succeeds.
// Accounts that the fuzz ends or fills up are replaced; those of the edge and of the victim it must not reach.
import { createHash } from "node:crypto";
import { globSync } from "node:fs";
import { resolve } from "node:path";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { tenantAt, type Tenant } from "../fixtures/tenant.ts";
import type { Values } from "./recording.ts";

const HOUR = { "mayfly-lifetime": "36000" };

/** Answers everything, throws nothing of its own, and sends what it is told to. */
const ECHO = `import { connect } from "cloudflare:sockets";
async function ask({ url, init, to }) {
  if (to !== undefined) {
    const socket = connect(to);
    await Promise.race([socket.opened, scheduler.wait(1000).then(() => { throw new Error("late"); })]);
    await socket.close();
    return "open";
  }
  const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(1500) });
  return answer.status + " " + (await answer.text()).slice(0, 500);
}
export default { async fetch(request) {
  if (new URL(request.url).pathname !== "/ask") return new Response(request.method + " " + request.url.length);
  try { return Response.json({ said: await ask(await request.json()) }); }
  catch (error) { return Response.json({ error: String(error) }); }
} };`;
const APP = `export class Counter { constructor() {} } export default { async fetch() { return new Response("app"); } };`;

/** No input may reach its limit: these are about bad input, not about much of it. */
export const SETTINGS: Readonly<Record<string, string>> = {
  MAYFLY_TRUSTED_PROXIES: "127.0.0.1",
  MAYFLY_ACCOUNT_TTL_SECONDS: "36000",
  MAYFLY_ACCOUNT_TTL_MAX_SECONDS: "36000",
  MAYFLY_WORKERS_PER_ACCOUNT: "200",
  MAYFLY_KV_NAMESPACES: "200",
  MAYFLY_D1_DATABASES: "50",
  MAYFLY_SIGNUP: "open",
  MAYFLY_LOG_LEVEL: "warn",
  MAYFLY_IDLE_SECONDS: "10",
  MAYFLY_CAP_REQUESTS: "0",
  MAYFLY_CAP_CPU_SECONDS: "0",
  MAYFLY_CAP_SERVED_BYTES: "0",
  MAYFLY_CAP_SUBREQUESTS: "0",
  MAYFLY_CAP_EGRESS_BYTES: "0",
  MAYFLY_CAP_EGRESS_HOSTS: "0",
  MAYFLY_CAP_LOG_BYTES: "0",
  // A debugger that is asked for by signal (see test/fixtures/process-figures.ts) finds a port of its own.
  NODE_OPTIONS: "--inspect-port=0",
};

export type Player = { readonly tenant: Tenant; readonly values: Values };

export type Scene = AsyncDisposable & {
  readonly installation: Installation;
  /** Those whose requests are mutated. */
  readonly players: Player[];
  /** Knows nobody's token but its own; whatever is sent, it must stay as it is. */
  readonly victim: Player;
  /** Its Workers are `echo` and `site`. */
  readonly stage: Player;
  /** Session of the operator. */
  readonly cookie: string;
  /** Unix socket by which the stage's Workers leave. */
  egressSocket(): string;
  /** Replaces the player if its account is gone or full. */
  refresh(at: number, always: boolean): Promise<void>;
};

type Id = { readonly id: string };

async function deployApp(tenant: Tenant): Promise<void> {
  const files = { "/index.html": "<h1>index</h1>", "/a.txt": "a".repeat(2000) };
  const jwt = await tenant.uploadAssets("app", files);
  const metadata = { assets: { jwt }, bindings: [{ type: "secret_text", name: "SECRET", text: "x" }] };
  await tenant.deploy("app", APP, { metadata });
  await tenant.call("POST", `/accounts/${tenant.id}/workers/scripts/app/deployments?force=true`, "{}");
}

/** An account that has one of everything. */
async function play(installation: Installation): Promise<Player> {
  const tenant = await tenantAt(installation, HOUR);
  const at = `/accounts/${tenant.id}`;
  const script = `${at}/workers/scripts/app`;
  await deployApp(tenant);
  const post = async <T>(path: string, body: unknown): Promise<T> => (await tenant.call<T>("POST", path, JSON.stringify(body))).result;
  const [namespace, database, stores, tail] = await Promise.all([
    post<Id>(`${at}/storage/kv/namespaces`, { title: "app-kv" }),
    post<{ uuid: string }>(`${at}/d1/database`, { name: "app" }),
    post<Id>(`${at}/secrets_store/stores`, { name: "mine" }),
    post<Id & { url: string }>(`${script}/tails`, {}),
  ]);
  const [deployments, session, bookmark, secrets] = await Promise.all([
    tenant.call<{ deployments: { id: string; versions: { version_id: string }[] }[] }>("GET", `${script}/deployments`),
    post<{ jwt: string }>(`${script}/assets-upload-session`, { manifest: { "/b": { hash: "b".repeat(32), size: 1 } } }),
    tenant.call<{ bookmark: string }>("GET", `${at}/d1/database/${database.uuid}/time_travel/bookmark`),
    post<Id[]>(`${at}/secrets_store/stores/${stores.id}/secrets`, [{ name: "S", value: "x", scopes: ["workers"] }]),
  ]);
  const [deployment] = deployments.result.deployments;
  const initiated = await post<{ upload_url?: string; filename?: string }>(`${at}/d1/database/${database.uuid}/import`, {
    action: "init",
    etag: "d41d8cd98f00b204e9800998ecf8427e",
  });
  const pathOf = (url = ""): string => url.replace(/^\w+:\/\/[^/]+/, "");
  const values: Values = {
    account: tenant.id,
    token: tenant.token,
    version: deployment?.versions[0]?.version_id ?? "none",
    deployment: deployment?.id ?? "none",
    namespace: namespace.id,
    database: database.uuid,
    tail: tail.id,
    listen: pathOf(tail.url),
    store: stores.id,
    secret: secrets?.[0]?.id ?? "none",
    session: session.jwt,
    upload: pathOf(initiated.upload_url),
    download: "/client/v4/d1/exports/none",
    file: initiated.filename ?? "none",
    bookmark: bookmark.result?.bookmark ?? "none",
    claim: "mfc_none",
    challenge: "none",
    seed: "none",
    checkpoints: "none",
  };
  return { tenant, values };
}

/** Becomes the operator by the link that start printed. @returns the session's cookie */
async function signUp({ origin, output }: Installation): Promise<string> {
  const jar = new Map<string, string>();
  const post = async (path: string, form: Record<string, string>): Promise<void> => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { origin, "content-type": "application/x-www-form-urlencoded", cookie };
    const body = new URLSearchParams(form).toString();
    const answer = await fetch(origin + path, { method: "POST", body, headers, redirect: "manual" });
    if (answer.status !== 303) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      jar.set(name, value);
    }
  };
  await post("/operator/open", { link: /(http\S+\/operator#\S+)/.exec(output())?.[1] ?? "" });
  await post("/operator/sign-up", { name: "Ada", email: "ada@example.com", password: "correct horse" });
  return [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
}

/** Opens an installation with `players` accounts. */
export async function openScene(players: number): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const installation = stack.use(await startInstallation(SETTINGS));
  const stage = await play(installation);
  await stage.tenant.deploy("echo", ECHO);
  const site = await stage.tenant.uploadAssets("site", {
    "/index.html": "<h1>site</h1>",
    "/big.txt": "line\n".repeat(5000),
    "/dir/index.html": "dir",
  });
  await stage.tenant.deploy("site", ECHO, { metadata: { assets: { jwt: site, config: { not_found_handling: "404-page" } } } });
  const victim = await play(installation);
  const all: Player[] = [];
  const retired: Tenant[] = [];
  for (let at = 0; at < players; at++) all.push(await play(installation));
  const run = `/run/mayfly-${createHash("sha256").update(resolve(installation.data)).digest("hex").slice(0, 8)}`;
  const cookie = await signUp(installation);
  const owned = stack.move();
  return {
    installation,
    players: all,
    victim,
    stage,
    cookie,
    egressSocket: () => globSync(`${run}/**/egress.sock`)[0] ?? "",
    refresh: async (at, always) => {
      const old = all[at];
      if (old === undefined) throw new Error(`There is no player ${at}.`);
      if (!always && (await old.tenant.call("GET", `/accounts/${old.tenant.id}`)).status === 200) return;
      all[at] = await play(installation);
      // The one before last: of the last, requests may be under way.
      retired.push(old.tenant);
      const gone = retired.length > players ? retired.shift() : undefined;
      await gone?.call("DELETE", `/accounts/${gone.id}`);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What a placeholder stands for when it is this player's turn; `other` and `foreign` are another account's id and token, `stranger` the victim's id. */
export function valuesFor(scene: Scene, at: number): Values {
  const player = scene.players[at % scene.players.length] ?? scene.stage;
  const other = scene.players[(at + 1) % scene.players.length] ?? scene.stage;
  return {
    ...player.values,
    other: other.tenant.id,
    foreign: other.tenant.token,
    stranger: scene.victim.tenant.id,
    api: String(scene.installation.apiPort),
    edge: String(scene.installation.edgePort),
    echo: scene.stage.tenant.host("echo"),
    site: scene.stage.tenant.host("site"),
    preview: `${scene.stage.values["version"]?.slice(0, 8)}--${scene.stage.tenant.host("app")}`,
    neighbour: scene.victim.tenant.host("app"),
    cookie: scene.cookie,
  };
}
