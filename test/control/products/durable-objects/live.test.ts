// Objects as workerd runs them, reached through the edge: what they can do, and what becomes of their state when code,
// names and owners change.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";
import { tenantOfHouse, uploadForm, type Tenant } from "../../../fixtures/tenant.ts";
import { WebSocketClient } from "../../../host/edge/web-socket-client.ts";

const HEAD = `import { DurableObject } from "cloudflare:workers";`;
/** Counts by name: the path is the name, `?by=` the step. */
const counting = (className: string, says = ""): string => `${HEAD}
  export class ${className} extends DurableObject {
    async inc() { const n = ((await this.ctx.storage.get("n")) ?? 0) + 1; await this.ctx.storage.put("n", n); return n; }
    async says() { return "${says}"; }
  }
  export default { async fetch(request, env) {
    const stub = env.NS.getByName(new URL(request.url).pathname);
    return new Response(await stub.says() + await stub.inc());
  } };`;
/** Another Worker's objects, by the same paths. */
const CALLING = `export default { async fetch(request, env) { return new Response("by another " + await env.NS.getByName(new URL(request.url).pathname).inc()); } };`;

const binds = (className: string, more: Record<string, unknown> = {}) => [
  { type: "durable_object_namespace", name: "NS", class_name: className, ...more },
];

describe("Durable Objects in an account's process", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let tenant: Tenant;

  before(async () => {
    directory = await temporaryDirectory("objects");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    tenant = await tenantOfHouse(house);
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const get = async (worker: string, path = "/"): Promise<string> => (await house.edge(`${worker}--${tenant.subdomain}`, path)).body;
  const deploy = (worker: string, code: string, bindings: unknown, migrations?: unknown) =>
    tenant.deploy(worker, code, { metadata: { bindings, ...(migrations !== undefined && { migrations }) } });

  test("a class that an upload creates answers at once, and keeps its state through a redeploy", async () => {
    await deploy("counter", counting("Counter"), binds("Counter"), { new_tag: "v1", steps: [{ new_sqlite_classes: ["Counter"] }] });
    assert.deepEqual([await get("counter", "/a"), await get("counter", "/a"), await get("counter", "/b")], ["1", "2", "1"]);
    await deploy("counter", counting("Counter", "again "), binds("Counter"));
    assert.equal(await get("counter", "/a"), "again 3");
  });

  test("objects are had by name, by new ids and by their text, with SQL where the class asked for it and keys everywhere", async () => {
    const code = `${HEAD}
      class Base extends DurableObject {
        rows() {
          const { sql } = this.ctx.storage;
          sql.exec("CREATE TABLE IF NOT EXISTS t (a)");
          sql.exec("INSERT INTO t VALUES (?)", "x");
          return sql.exec("SELECT count(*) AS n FROM t").one().n;
        }
        async keys() { await this.ctx.storage.put({ b: 2, a: 1 }); return [...(await this.ctx.storage.list()).keys()].join(); }
        async once(fn) { return fn(this.ctx.id.toString().length); }
      }
      export class Sql extends Base {} export class Plain extends Base {}
      export class Old { constructor(state) { this.state = state; } fetch(request) { return new Response("old " + new URL(request.url).pathname); } }
      export default { async fetch(request, env) {
        const id = env.SQL.newUniqueId();
        const again = env.SQL.get(env.SQL.idFromString(id.toString()));
        await env.SQL.get(id).rows();
        const named = env.SQL.get(env.SQL.idFromName("n"));
        await named.rows();
        const plain = await env.PLAIN.getByName("n").rows().catch((error) => error.message);
        const old = await env.OLD.get(env.OLD.idFromName("x")).fetch("http://o/path");
        return Response.json([await again.rows(), await env.SQL.getByName("n").rows(), await named.keys(), await env.PLAIN.getByName("n").keys(),
          /SQL is not enabled/.test(plain), await named.once((length) => length + 1), await old.text()]);
      } };`;
    const bindings = ["Sql", "Plain", "Old"].flatMap((name) => binds(name).map((one) => ({ ...one, name: name.toUpperCase() })));
    await deploy("kinds", code, bindings, { new_tag: "1", new_sqlite_classes: ["Sql"], new_classes: ["Plain", "Old"] });
    assert.deepEqual(JSON.parse(await get("kinds")), [2, 2, "a,b", "a,b", true, 65, "old /path"]);
  });

  test("a hundred objects have each a state of their own", async () => {
    const code = `${counting("Many").replace(/export default[^]*/, "")}
      export default { async fetch(request, env) {
        const from = Number(new URL(request.url).searchParams.get("from"));
        const counts = await Promise.all(Array.from({ length: 20 }, (_, n) => env.NS.getByName("o" + (from + n)).inc()));
        return Response.json([...new Set(counts)]);
      } };`;
    await deploy("many", code, binds("Many"), { new_tag: "1", new_sqlite_classes: ["Many"] });
    // Twenty at a time: each new object is a file, and several flushes of the disk, in the process's one thread.
    for (const round of [1, 2]) {
      for (let from = 0; from < 100; from += 20) assert.deepEqual(JSON.parse(await get("many", `/?from=${from}`)), [round]);
    }
  });

  test("another Worker's binding reaches the same objects, before and after a rename, a transfer and the owner's end", async () => {
    await deploy("owner", counting("First"), binds("First"), { new_tag: "1", new_sqlite_classes: ["First"] });
    await deploy("caller", CALLING, binds("First", { script_name: "owner" }));
    assert.deepEqual([await get("owner", "/x"), await get("caller", "/x")], ["1", "by another 2"]);

    const renamed_classes = [{ from: "First", to: "Second" }];
    await deploy("owner", counting("Second", "second "), binds("Second"), { old_tag: "1", new_tag: "2", renamed_classes });
    assert.deepEqual([await get("owner", "/x"), await get("caller", "/x")], ["second 3", "by another 4"]);

    const transferred_classes = [{ from: "Second", from_script: "owner", to: "Third" }];
    await deploy("heir", counting("Third", "third "), binds("Third"), { new_tag: "1", transferred_classes });
    assert.deepEqual(
      [await get("heir", "/x"), await get("caller", "/x"), await get("owner", "/x")],
      ["third 5", "by another 6", "third 7"],
    );

    await deploy("caller", CALLING, binds("Third", { script_name: "heir" }));
    await tenant.call("DELETE", `/accounts/${tenant.id}/workers/services/owner`);
    assert.deepEqual([await get("heir", "/x"), await get("caller", "/x")], ["third 8", "by another 9"]);
    await tenant.call("DELETE", `/accounts/${tenant.id}/workers/services/heir?force=true`);
    assert.match((await house.edge(`caller--${tenant.subdomain}`, "/x")).body, /error|does not exist/i);
  });

  test("two versions that share the requests share one set of objects, which run the code of the larger share", async () => {
    await deploy("split", counting("Shared", "one "), binds("Shared"), { new_tag: "1", new_sqlite_classes: ["Shared"] });
    const scripts = `/accounts/${tenant.id}/workers/scripts/split`;
    const form = uploadForm(counting("Shared", "two "), { metadata: { bindings: binds("Shared") } });
    const made = await tenant.call<{ id: string }>("POST", `${scripts}/versions`, form);
    const listed = await tenant.call<{ items: { id: string }[] }>("GET", `${scripts}/versions`);
    const [two = "", one = ""] = listed.result.items.map(({ id }) => id);
    assert.equal(made.result.id, two);
    const seen: string[] = [];
    for (const [first, code] of [
      [90, "one"],
      [10, "two"],
    ] as const) {
      const versions = [
        { version_id: one, percentage: first },
        { version_id: two, percentage: 100 - first },
      ];
      assert.equal((await tenant.call("POST", `${scripts}/deployments`, JSON.stringify({ versions }))).status, 200);
      for (const version of [one, two]) {
        const named = { "cloudflare-workers-version-overrides": `split="${version}"` };
        seen.push((await house.edge(`split--${tenant.subdomain}`, "/x", named)).body);
      }
      assert.ok(seen.at(-1)?.startsWith(code), seen.join());
    }
    assert.deepEqual(seen, ["one 1", "one 2", "two 3", "two 4"]);
  });

  test("a class that is deleted takes its objects along: one of the same name begins empty", async () => {
    await deploy("gone", counting("Gone"), binds("Gone"), { new_tag: "1", new_sqlite_classes: ["Gone"] });
    assert.deepEqual([await get("gone"), await get("gone")], ["1", "2"]);
    await deploy("gone", `export default { fetch: () => new Response("none") };`, [], {
      old_tag: "1",
      new_tag: "2",
      deleted_classes: ["Gone"],
    });
    assert.equal(await get("gone"), "none");
    await deploy("gone", counting("Gone", "new "), binds("Gone"), { old_tag: "2", new_tag: "3", new_sqlite_classes: ["Gone"] });
    assert.equal(await get("gone"), "new 1");
  });

  test("what a deleted class kept leaves the disk, and what others keep stays", async () => {
    const other = await tenantOfHouse(house);
    const state = join(directory.path, "data", "accounts", other.id, "state", "objects");
    const metadata = { bindings: binds("Gone"), migrations: { new_tag: "1", new_sqlite_classes: ["Gone", "Kept"] } };
    const code = `${counting("Gone")} export class Kept extends Gone {}`;
    await other.deploy("app", code, { metadata });
    await other.deploy("user", CALLING, { metadata: { bindings: binds("Kept", { script_name: "app" }) } });
    const ask = async (worker: string): Promise<string> => (await house.edge(`${worker}--${other.subdomain}`)).body;
    assert.deepEqual([await ask("app"), await ask("user")], ["1", "by another 1"]);
    const before = readdirSync(state);
    assert.equal(before.length, 2);
    const kept = code
      .replace("export class Gone", "class Gone")
      .replace(/export default[^]*?};/, "export default { fetch: () => new Response('none') };");
    const migrations = { old_tag: "1", new_tag: "2", deleted_classes: ["Gone"] };
    await other.deploy("app", kept, { metadata: { bindings: [], migrations } });
    assert.deepEqual([await ask("app"), await ask("user")], ["none", "by another 2"]);
    await awaitUntil(() => readdirSync(state).length === 1, { what: "the deleted class's files are gone" });
  });

  test("objects with stored data are listed, page by page, while they run", async () => {
    const other = await tenantOfHouse(house);
    const metadata = { bindings: binds("Listed"), migrations: { new_tag: "1", new_sqlite_classes: ["Listed"] } };
    await other.deploy("app", counting("Listed"), { metadata });
    for (const path of ["/a", "/b", "/c"]) await house.edge(`app--${other.subdomain}`, path);
    const path = `/accounts/${other.id}/workers/durable_objects/namespaces`;
    const [namespace] = (await other.call<{ id: string }[]>("GET", path)).result;
    const list = async (query: string): Promise<string[]> => {
      const answer = await other.call<{ id: string; hasStoredData: boolean }[]>("GET", `${path}/${namespace?.id}/objects${query}`);
      assert.equal(answer.status, 200, answer.message);
      assert.ok(answer.result.every(({ hasStoredData }) => hasStoredData));
      return answer.result.map(({ id }) => id);
    };
    const all = await list("");
    assert.equal(all.length, 3);
    assert.deepEqual(await list("?limit=2"), all.slice(0, 2));
    assert.deepEqual(await list(`?limit=2&cursor=${all[1]}`), all.slice(2));
  });

  test("an upload that is refused leaves the objects as they were", async () => {
    await deploy("safe", counting("Safe"), binds("Safe"), { new_tag: "1", new_sqlite_classes: ["Safe"] });
    assert.equal(await get("safe"), "1");
    const refused = await tenant.upload("safe", `export default { fetch() {} };`, { metadata: { bindings: [] } });
    assert.deepEqual([refused.status, refused.code], [400, 10064]);
    const broken = await tenant.upload("safe", `throw new Error("broken");`, {
      metadata: { migrations: { old_tag: "1", new_tag: "2", deleted_classes: ["Safe"] } },
    });
    assert.deepEqual([broken.status, broken.code], [400, 10021]);
    assert.equal(await get("safe"), "2");
  });

  test("bindings can be used while the script starts, in the trial too", async () => {
    const code = `${HEAD} import { env } from "cloudflare:workers";
      const id = env.NS.idFromName("top");
      export class Top extends DurableObject { hi() { return "hi " + (this.ctx.id.toString() === id.toString()); } }
      export default { async fetch() { return new Response(await env.NS.get(id).hi()); } };`;
    await deploy("top", code, binds("Top"), { new_tag: "1", new_sqlite_classes: ["Top"] });
    assert.equal(await get("top"), "hi true");
  });

  test("an alarm runs at its time, and once more when its handler throws", async () => {
    const code = `${HEAD}
      export class Clock extends DurableObject {
        async set() { await this.ctx.storage.setAlarm(Date.now() + 300); }
        async alarm(info) {
          const tries = ((await this.ctx.storage.get("tries")) ?? 0) + 1;
          await this.ctx.storage.put("tries", tries);
          await this.ctx.storage.sync();
          if (tries === 1) throw new Error("once more");
          await this.ctx.storage.put("rang", info.retryCount);
        }
        async rang() { return [await this.ctx.storage.get("rang"), await this.ctx.storage.getAlarm()]; }
      }
      export default { async fetch(request, env) {
        const stub = env.NS.getByName("c");
        return Response.json(request.url.endsWith("/set") ? await stub.set() : await stub.rang());
      } };`;
    await deploy("clock", code, binds("Clock"), { new_tag: "1", new_sqlite_classes: ["Clock"] });
    await get("clock", "/set");
    await awaitUntil(async () => (await get("clock")) === "[1,null]", { what: "the alarm ran twice", deadlineMs: 30_000 });
  });

  test("WebSockets hibernate, and come back with what was attached to them", async () => {
    const code = `${HEAD}
      let made = 0;
      export class Room extends DurableObject {
        constructor(ctx, env) { super(ctx, env); made++; this.made = made; }
        async fetch(request) {
          const [client, server] = Object.values(new WebSocketPair());
          this.ctx.acceptWebSocket(server, ["tag"]);
          server.serializeAttachment({ user: new URL(request.url).pathname });
          return new Response(null, { status: 101, webSocket: client });
        }
        webSocketMessage(socket, message) {
          const text = [socket.deserializeAttachment().user, message, this.made].join(" ");
          for (const each of this.ctx.getWebSockets("tag")) each.send(text);
        }
        webSocketClose(socket, code) { this.ctx.storage.put("closed", code); }
        closed() { return this.ctx.storage.get("closed"); }
      }
      export default { async fetch(request, env) {
        const room = env.NS.getByName("r");
        return request.headers.get("upgrade") ? room.fetch(request) : new Response(await room.closed());
      } };`;
    await deploy("room", code, binds("Room"), { new_tag: "1", new_sqlite_classes: ["Room"] });
    const host = `room--${tenant.subdomain}.mayfly.localhost`;
    const open = async (path: string): Promise<WebSocketClient> => {
      const socket = new WebSocketClient(`ws://127.0.0.1:${house.edgePort}${path}`, { headers: { host } });
      await once(socket, "open");
      return socket;
    };
    const [ann, bob] = [await open("/ann"), await open("/bob")];
    const heard = async (by: WebSocketClient, from: WebSocketClient, message: string): Promise<string> => {
      const next = once(by, "message") as Promise<[Buffer]>;
      from.send(message);
      return String((await next)[0]);
    };
    assert.equal(await heard(bob, ann, "hello"), "/ann hello 1");
    // Nothing tells from outside that an object hibernates: it does after ten seconds without an event.
    await sleep(11_000);
    assert.equal(await heard(ann, bob, "still here?"), "/bob still here? 2");
    bob.close(4001);
    await awaitUntil(async () => (await get("room")) === "4001", { what: "the object heard of the close" });
    ann.terminate();
  });

  test("two accounts with a class of one name have each their own objects", async () => {
    const other = await tenantOfHouse(house);
    for (const one of [tenant, other]) {
      const metadata = { bindings: binds("Same"), migrations: { new_tag: "1", new_sqlite_classes: ["Same"] } };
      await one.deploy("same", counting("Same"), { metadata });
      assert.equal((await house.edge(`same--${one.subdomain}`, "/x")).body, "1");
    }
    const list = await other.call<{ script: string }[]>("GET", `/accounts/${other.id}/workers/durable_objects/namespaces`);
    assert.deepEqual(
      list.result.map(({ script }) => script),
      ["same"],
    );
  });

  test("the logs keep the methods of objects that say something, as they do requests", async () => {
    const code = `${HEAD}
      export class Says extends DurableObject { quiet() {} loud() { console.log("loud line"); } }
      export default { async fetch(request, env) {
        await env.NS.getByName("a").quiet();
        await env.NS.getByName("a").loud();
        return new Response("asked");
      } };`;
    await deploy("says", code, binds("Says"), { new_tag: "v1", steps: [{ new_sqlite_classes: ["Says"] }] });
    assert.equal(await get("says"), "asked");
    type Kept = { readonly kind: string; readonly text?: string; readonly trigger?: string };
    const records = async (): Promise<Kept[]> => (await tenant.call<Kept[]>("GET", `/accounts/${tenant.id}/logs?worker=says`)).result;
    await awaitUntil(async () => (await records()).some(({ text }) => text?.includes("loud line")), { what: "the line is kept" });
    const triggers = (await records()).flatMap(({ kind, trigger }) => (kind === "invocation" ? [trigger] : []));
    assert.deepEqual(triggers, ["rpc loud"]);
  });
});
