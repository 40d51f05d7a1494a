// An account's directory on a rung, a keeper over it, and a real workerd in the sandbox that fills it with KV, D1 and objects.
import { chownSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { objectId } from "../../../../src/capsule/object-id.ts";
import type { StateAnswer, StateJobOf } from "../../../../src/capsule/state.ts";
import { createKeeper, type Keeper, type KeeperOptions, type Place } from "../../../../src/host/capsules/keeper/keeper.ts";
import { bubblewrapMissing } from "../../../../src/host/capsules/sandbox/bubblewrap.ts";
import { findProgram } from "../../../../src/host/capsules/sandbox/plain.ts";
import { encodeConfig } from "../../../../src/host/capsules/workerd/encode.ts";
import type { WorkerdConfig, WorkerdService } from "../../../../src/host/capsules/workerd/workerd-config.ts";
import type { Rung, Sandbox } from "../../../../src/host/contract.ts";
import { newAccountId, newId } from "../../../../src/kernel/ids.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { internet, NOWHERE, worker } from "../../../fixtures/workerd.ts";
import { IS_ROOT, LIMITS, ownUsers, Site } from "../sandbox/site.ts";

const RUNGS: readonly Rung[] = IS_ROOT ? ["bubblewrap-root", "root", "none"] : ["bubblewrap-user", "none"];

/** Why a rung cannot be had here; the tests on it are skipped then. */
function lacking(rung: Rung): string | null {
  if (process.platform !== "linux" && rung !== "none") return "needs Linux";
  return rung.startsWith("bubblewrap") ? bubblewrapMissing(findProgram("bwrap")) : null;
}

const SOURCE = `import { DurableObject } from "cloudflare:workers";
export class Box extends DurableObject {
  put(key, value) { this.ctx.storage.kv.put(key, value); }
  sql(text) { return this.ctx.storage.sql.exec(text).toArray(); }
  wake(atMs) { return this.ctx.storage.setAlarm(atMs); }
  clear() { return this.ctx.storage.deleteAll(); }
  alarm() {}
}
const answer = async ({ product, method, args }, env) => {
  if (product === "kv") return env.KV[method](...args);
  if (product === "d1") return method === "batch" ? (await env.DB.batch(args.map((sql) => env.DB.prepare(sql)))).length : (await env.DB.prepare(args[0]).bind(...args.slice(1)).all()).results;
  const [name, ...further] = args;
  const id = env.BOX.idFromName(name);
  return { id: id.toString(), value: (await env.BOX.get(id)[method](...further)) ?? null };
};
export default { async fetch(request, env) {
  if (request.method === "GET") return new Response("ready");
  try { return Response.json({ value: (await answer(await request.json(), env)) ?? null }); }
  catch (error) { return Response.json({ error: String(error) }); }
} };`;

export type Running = {
  /** @throws Error in the Worker's words. */
  ask(product: "kv" | "d1" | "object", method: string, ...args: unknown[]): Promise<unknown>;
  stop(how?: "kill" | "terminate"): Promise<void>;
};

export class Scene implements AsyncDisposable {
  readonly rung: Rung;
  readonly site: Site;
  readonly sandbox: Sandbox;
  readonly keeper: Keeper;
  readonly place: Place & { readonly socketDirectory: string };
  readonly state: string;
  readonly database = newId();
  readonly namespace = newId();
  readonly key = newId();

  private constructor(rung: Rung, site: Site, sandbox: Sandbox, options: Partial<KeeperOptions>) {
    this.rung = rung;
    this.site = site;
    this.sandbox = sandbox;
    this.keeper = createKeeper({ sandbox, ...options });
    const account = newAccountId();
    this.place = { account, ...site.capsule(account, ownUsers(rung)) };
    this.state = join(this.place.directory, "state");
  }

  static async open(rung: Rung, options: Partial<KeeperOptions> = {}): Promise<Scene> {
    const site = new Site();
    return new Scene(rung, site, await site.sandbox(rung), options);
  }

  /** A directory of the account's user below its state. */
  directory(...parts: readonly string[]): string {
    for (const [at] of parts.entries()) {
      const path = join(this.state, ...parts.slice(0, at + 1));
      mkdirSync(path, { recursive: true });
      this.own(path);
    }
    return join(this.state, ...parts);
  }

  /** Gives a path to the account's user. */
  own(path: string): void {
    if (ownUsers(this.rung)) chownSync(path, this.place.uid, this.place.uid);
  }

  get databaseFile(): string {
    return join(this.directory("d1", "d1"), `${objectId("d1", this.database)}.sqlite`);
  }

  #config(state: string, sockets: string): WorkerdConfig {
    const disk = (name: string): WorkerdService => ({
      name: `disk-${name}`,
      disk: { path: join(state, name), writable: true, allowDotfiles: false },
    });
    const product = (name: string, className: string, more: { name: string; service: { name: string } }[] = []): WorkerdService => ({
      name,
      worker: {
        modules: [{ name: `${name}.js`, bundled: `/workerd/${name}.js` }],
        compatibilityDate: "2026-11-01",
        globalOutbound: NOWHERE,
        durableObjectNamespaces: [{ className, uniqueKey: name, enableSql: true }],
        durableObjectStorage: { localDisk: `disk-${name}` },
        bindings: [{ name: name === "kv" ? "SHARD" : "DATABASE", durableObjectNamespace: { className } }, ...more],
      },
    });
    const props = (value: Record<string, string>): { json: string } => ({ json: JSON.stringify(value) });
    return {
      services: [
        internet,
        ...["d1", "kv", "objects"].map(disk),
        product("d1", "D1Database"),
        product("kv", "KVNamespace", [{ name: "BLOBS", service: { name: "disk-kv" } }]),
        worker("main", SOURCE, {
          durableObjectNamespaces: [{ className: "Box", uniqueKey: this.key, enableSql: true }],
          durableObjectStorage: { localDisk: "disk-objects" },
          bindings: [
            { name: "BOX", durableObjectNamespace: { className: "Box" } },
            { name: "KV", kvNamespace: { name: "kv", props: props({ namespace: this.namespace }) } },
            {
              name: "DB",
              wrapped: {
                moduleName: "cloudflare-internal:d1-api",
                innerBindings: [{ name: "fetcher", service: { name: "d1", props: props({ database: this.database }) } }],
              },
            },
          ],
        }),
      ],
      sockets: [{ name: "main", address: `unix:${join(sockets, "main")}`, service: { name: "main" }, http: {} }],
    };
  }

  /** Starts the account's process. */
  async start(): Promise<Running> {
    for (const name of ["d1", "kv", "objects"]) this.directory(name);
    const { directory, socketDirectory } = this.place;
    for (const name of readdirSync(socketDirectory)) rmSync(join(socketDirectory, name));
    const inner = this.sandbox.inner(directory, socketDirectory);
    const launched = await this.sandbox.launch({
      ...this.place,
      args: ["serve", "--experimental", "--binary", "-"],
      stdin: encodeConfig(this.#config(inner.state, inner.sockets)),
      limits: LIMITS,
      collectStdout: false,
    });
    const socketPath = join(socketDirectory, "main");
    const send = (body: string | null): Promise<string> =>
      new Promise((resolve, reject) => {
        const outgoing = request(
          { socketPath, path: "/", method: body === null ? "GET" : "POST", agent: false, headers: { host: "x" } },
          (incoming) => {
            text(incoming).then(resolve, reject);
          },
        );
        outgoing.on("error", reject).end(body ?? undefined);
      });
    await awaitUntil(() => send(null), { what: `an answer: ${launched.stderr()}`, everyMs: 5 });
    return {
      async ask(product, method, ...args) {
        const told = JSON.parse(await send(JSON.stringify({ product, method, args }))) as { value?: unknown; error?: string };
        if (told.error !== undefined) throw new Error(told.error);
        return told.value;
      },
      async stop(how = "kill") {
        launched[how]();
        await launched.exited;
      },
    };
  }

  async exportSql(more: Partial<StateJobOf<"d1-export">> = {}): Promise<string> {
    const job: StateJobOf<"d1-export"> = {
      kind: "d1-export",
      database: this.database,
      noSchema: false,
      noData: false,
      tables: [],
      ...more,
    };
    return text(await this.keeper.run(this.place, job));
  }

  importSql(sql: string | Readable, more: Partial<StateJobOf<"d1-import">> = {}): Promise<StateAnswer<"d1-import">> {
    const body = typeof sql === "string" ? Readable.from([Buffer.from(sql)]) : sql;
    return this.keeper.runJson(this.place, { kind: "d1-import", database: this.database, maxBytes: 100_000_000, ...more }, { body });
  }

  bookmark(): Promise<StateAnswer<"d1-bookmark">> {
    return this.keeper.runJson(this.place, { kind: "d1-bookmark", database: this.database });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.keeper[Symbol.asyncDispose]();
    await this.sandbox[Symbol.asyncDispose]();
    await this.site[Symbol.asyncDispose]();
  }
}

/** A test on each rung that this machine has. */
export function onEachRung(
  test: (name: string, body: (t: TestContext) => Promise<void>) => unknown,
  what: string,
  body: (scene: Scene) => Promise<void>,
): void {
  for (const rung of RUNGS) {
    test(`${rung}: ${what}`, async (t) => {
      const reason = lacking(rung);
      if (reason !== null) return t.skip(reason);
      await using scene = await Scene.open(rung);
      await body(scene);
    });
  }
}

/** The strongest rung of this machine. */
export const strongest = (): Rung => RUNGS.find((rung) => lacking(rung) === null) ?? "none";
