// An account that keeps more than it may: stopped soon, its neighbour is not, and what its owner deletes frees it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { openHouse, uploadBody, type House } from "../../fixtures/house.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const HOARDER = `import { DurableObject } from "cloudflare:workers";
export class Hoard extends DurableObject {
  async fill(mebibytes) {
    for (let i = 0; i < mebibytes; i++) {
      this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS kept (bytes BLOB)");
      this.ctx.storage.sql.exec("INSERT INTO kept VALUES (randomblob(1048576))");
      await this.ctx.storage.sync();
    }
  }
}
export default { async fetch(request, env) {
  const { pathname, searchParams } = new URL(request.url);
  const size = Number(searchParams.get("mib"));
  if (pathname === "/objects") await env.HOARD.getByName("one").fill(size);
  if (pathname === "/cache") {
    for (let i = 0; i < size; i++) {
      const body = crypto.getRandomValues(new Uint8Array(65_536));
      const big = new Blob(Array(16).fill(body));
      await caches.default.put("http://cache.example/" + i, new Response(big, { headers: { "cache-control": "max-age=3600" } }));
    }
  }
  return new Response("served");
} };`;

const MIB = 1_048_576;
const MAX = 24 * MIB;

type Hoarder = { readonly id: AccountId; readonly token: string; readonly label: string };

async function deploy(house: House, id: AccountId, token: string): Promise<void> {
  const metadata = {
    bindings: [{ type: "durable_object_namespace", name: "HOARD", class_name: "Hoard" }],
    migrations: { new_tag: "v1", new_sqlite_classes: ["Hoard"] },
  };
  const put = await house.call("PUT", `/accounts/${id}/workers/scripts/w`, { token, body: uploadBody(HOARDER, metadata) });
  assert.equal(put.status, 200, put.errors[0]?.message);
  await house.call("POST", `/accounts/${id}/workers/scripts/w/subdomain`, { token, body: '{"enabled":true}' });
}

async function hoarder(house: House): Promise<Hoarder> {
  const { account } = await house.provision();
  const [id, token] = [account.id as AccountId, account.apiToken];
  await deploy(house, id, token);
  const told = await house.call<{ subdomain: string }>("GET", `/accounts/${id}/workers/subdomain`, { token });
  return { id, token, label: `w--${told.result.subdomain.split(".")[0] ?? ""}` };
}

const stopped = (house: House, { label }: Hoarder) =>
  awaitUntil(async () => (await house.edge(label)).status === 503, { what: "the hoarder is stopped", deadlineMs: 20_000, everyMs: 200 });

async function withHouse(run: (house: House) => Promise<void>): Promise<void> {
  await using directory = await temporaryDirectory("disk-caps");
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 3_600, limits: { maxDiskBytes: MAX } });
  await run(house);
}

describe("an account's disk", () => {
  test("filled by Durable Objects stops it within seconds; a neighbour goes on, and deleting the Worker frees it", async () => {
    await withHouse(async (house) => {
      const [full, other] = [await hoarder(house), await hoarder(house)];
      assert.equal((await house.edge(other.label, "/objects?mib=4")).body, "served");
      const began = performance.now();
      await Promise.allSettled([house.edge(full.label, "/objects?mib=400"), stopped(house, full)]);
      assert.ok(performance.now() - began < 15_000);
      const answer = await house.edge(full.label, "/", { accept: "application/json" });
      assert.equal(answer.status, 503, answer.body);
      const told = JSON.parse(answer.body) as Record<string, string>;
      assert.deepEqual([told["error"], told["cap"], told["frees_at"]], ["over_cap", "disk_bytes", undefined]);
      assert.match(told["message"] ?? "", /keeps more than the 24 MiB that it may have on disk/);
      assert.equal((await house.edge(other.label)).body, "served");
      const usage = await house.host.capsuleHost.usage(full.id);
      assert.equal(usage.hot, false);
      await assert.rejects(house.host.capsuleHost.wake(full.id), { code: "over_cap" });
      const { records } = await house.host.capsuleHost.logs({ account: full.id, kind: "notice", limit: 10 });
      assert.match(records.map((record) => (record.kind === "notice" ? record.text : "")).join(), /until something is deleted/);
      const trail = async () => (await house.call<{ action: string }[]>("GET", `/accounts/${full.id}/trail`, { token: full.token })).result;
      await awaitUntil(async () => (await trail()).some(({ action }) => action === "caps:disk_bytes"), { what: "the trail tells" });
      assert.ok(!(await trail()).some(({ action }) => action === "account:suspend"));

      const gone = await house.call("DELETE", `/accounts/${full.id}/workers/scripts/w?force=true`, { token: full.token });
      assert.equal(gone.status, 200, gone.errors[0]?.message);
      await deploy(house, full.id, full.token);
      await awaitUntil(async () => (await house.edge(full.label)).body === "served", { what: "it is served again" });
    });
  });

  test("filled by the cache loses what was only cached, and is served again", async () => {
    await withHouse(async (house) => {
      const full = await hoarder(house);
      await Promise.allSettled([house.edge(full.label, "/cache?mib=60"), stopped(house, full)]);
      await awaitUntil(async () => (await house.edge(full.label)).body === "served", {
        what: "it is served again",
        deadlineMs: 30_000,
        everyMs: 250,
      });
      assert.ok((await house.host.capsuleHost.usage(full.id)).diskBytes < MAX);
    });
  });

  test("that is a little too full lets the owner delete keys, and nobody else in", async () => {
    await withHouse(async (house) => {
      const full = await hoarder(house);
      const { id, token } = full;
      const made = await house.call<{ id: string }>("POST", `/accounts/${id}/storage/kv/namespaces`, { token, body: '{"title":"n"}' });
      const at = (key: number): string => `/accounts/${id}/storage/kv/namespaces/${made.result.id}/values/k${key}`;
      const put = (key: number) => house.call("PUT", at(key), { token, body: "x".repeat(MIB / 2) });
      await awaitUntil(async () => (await house.edge(full.label)).body === "served", { what: "it is served" });
      let keys = 0;
      for (; keys < 100; keys++) {
        if ((await house.edge(full.label)).status === 503) break;
        const answer = await put(keys);
        if (answer.status !== 200) break;
        // The watchdog looks once a second.
        await new Promise((resolve) => setTimeout(resolve, 120));
      }
      await stopped(house, full);
      const held = (await house.host.capsuleHost.usage(id)).diskBytes;
      assert.ok(held > MAX && held < MAX * 1.1, `${held} bytes are held`);
      for (let key = 0; key < 10; key++) {
        const gone = await house.call("DELETE", at(key), { token });
        assert.equal(gone.status, 200, gone.errors[0]?.message);
      }
      await awaitUntil(async () => (await house.edge(full.label)).body === "served", {
        what: "it is served again",
        deadlineMs: 30_000,
        everyMs: 250,
      });
    });
  });
});
