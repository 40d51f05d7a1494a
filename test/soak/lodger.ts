// One account of the soak: what it deploys, what it must answer, and when it is over.
import type { Installation } from "../fixtures/installation.ts";
import { edgeRequest } from "../fixtures/installation.ts";
import { tenantAt, type Deploy, type Tenant } from "../fixtures/tenant.ts";

const USES = ["plain", "plain", "plain", "kv", "object", "d1", "cron", "assets"] as const;
export type Use = (typeof USES)[number];

const CODE: Readonly<Record<Use, string>> = {
  plain: "",
  assets: "",
  cron: "",
  kv: `await env.KV.put("k" + Math.floor(Math.random() * 20), "x".repeat(500)); await env.KV.get("k1");`,
  object: `await env.OBJECT.get(env.OBJECT.idFromName("one")).add();`,
  d1: `await env.DB.exec("CREATE TABLE IF NOT EXISTS seen (at INTEGER)"); await env.DB.prepare("INSERT INTO seen VALUES (?)").bind(Date.now()).run();`,
};

const codeOf = (tag: string, use: Use, version: number): string => `import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject { async add() { this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (a)"); this.ctx.storage.sql.exec("INSERT INTO t VALUES (1)"); } }
export default {
  async fetch(request, env) { ${CODE[use]} console.log("asked"); return new Response(${JSON.stringify(`${tag} ${version}`)}); },
  async scheduled() {},
};`;

export class Lodger {
  readonly tenant: Tenant;
  readonly use: Use;
  /** Milliseconds since the epoch, as the API told it. */
  readonly expiresAtMs: number;
  /** When it asked to be ended; null while it has not. */
  endedAtMs: number | null = null;
  /** Its end is being watched: no traffic any more. */
  leaving = false;
  #version = 1;
  readonly #installation: Installation;

  private constructor(installation: Installation, tenant: Tenant, use: Use) {
    this.#installation = installation;
    this.tenant = tenant;
    this.use = use;
    this.expiresAtMs = Date.parse(tenant.expiresAt);
  }

  /** @param number decides address and use */
  static async moveIn(installation: Installation, number: number, lifetimeSeconds: number): Promise<Lodger> {
    // Of a network of its own: whoever shares a /24 shares its limit.
    const address = `10.${number & 255}.${(number >> 8) & 255}.1`;
    const tenant = await tenantAt(installation, { "x-forwarded-for": address, "mayfly-lifetime": String(lifetimeSeconds) });
    const lodger = new Lodger(installation, tenant, USES[number % USES.length] ?? "plain");
    await lodger.#settle();
    return lodger;
  }

  async #settle(): Promise<void> {
    const { tenant, use } = this;
    const at = `/accounts/${tenant.id}`;
    const made = async (path: string, body: object): Promise<{ id: string; uuid: string }> => {
      const answer = await tenant.call<{ id: string; uuid: string }>("POST", at + path, JSON.stringify(body));
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.message}`);
      return answer.result;
    };
    const bindings: Record<string, unknown>[] = [];
    let metadata: Record<string, unknown> = {};
    if (use === "kv")
      bindings.push({ type: "kv_namespace", name: "KV", namespace_id: (await made("/storage/kv/namespaces", { title: "kv" })).id });
    if (use === "d1") bindings.push({ type: "d1", name: "DB", id: (await made("/d1/database", { name: "db" })).uuid });
    if (use === "object") {
      bindings.push({ type: "durable_object_namespace", name: "OBJECT", class_name: "Counter" });
      metadata = { migrations: { new_tag: "v1", new_sqlite_classes: ["Counter"] } };
    }
    if (use === "assets") metadata = { assets: { jwt: await tenant.uploadAssets("app", { "/a.txt": "a".repeat(3000) }) } };
    await this.#deploy({ metadata: { ...metadata, bindings } });
    this.#bindings = bindings;
    if (use === "cron") await tenant.call("PUT", `${at}/workers/scripts/app/schedules`, JSON.stringify([{ cron: "* * * * *" }]));
  }

  #bindings: readonly Record<string, unknown>[] = [];

  #deploy(more: Deploy): Promise<void> {
    return this.tenant.deploy("app", codeOf(this.tenant.id, this.use, this.#version), more);
  }

  async redeploy(): Promise<void> {
    this.#version += 1;
    await this.#deploy({ metadata: { bindings: this.#bindings } });
  }

  /** The edge's answer; 0 for none. */
  async ask(): Promise<{ status: number; body: string }> {
    return edgeRequest(this.#installation.edgePort, this.tenant.host("app"), "/ask", {}).catch((error: unknown) => ({
      status: 0,
      body: String(error),
    }));
  }

  /** What is wrong with an answer of a living account; null where nothing is. */
  problemOf({ status, body }: { status: number; body: string }): string | null {
    if (status === 200 && body.startsWith(`${this.tenant.id} `)) return null;
    return `${this.use} ${this.tenant.id}: ${status} ${body.slice(0, 200)}`;
  }

  async end(): Promise<void> {
    const ended = await this.tenant.call("DELETE", `/accounts/${this.tenant.id}`);
    // Its time came while it waited for its turn, in which nobody looked: from now on it must be gone.
    const tooLate = ended.status === 401 && Date.now() >= this.expiresAtMs;
    if (!tooLate && ended.status !== 200) throw new Error(`DELETE: ${ended.status} ${ended.message}`);
    this.endedAtMs = Date.now();
  }
}
