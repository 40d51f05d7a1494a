// Durable Objects whose process is stopped or killed: what was acknowledged is there again, and alarms ring at their
// time though nobody asks for anything.
import assert from "node:assert/strict";
import { test } from "node:test";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { tenantAt, type Tenant } from "../fixtures/tenant.ts";

const CODE = `import { DurableObject } from "cloudflare:workers";
  export class Clock extends DurableObject {
    async inc() { const n = ((await this.ctx.storage.get("n")) ?? 0) + 1; await this.ctx.storage.put("n", n); return n; }
    async set(due) { await this.ctx.storage.setAlarm(due); return due; }
    async alarm() { console.log("rang " + await this.inc()); }
    async pending() { return this.ctx.storage.getAlarm(); }
  }
  export default { async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const clock = env.CLOCK.getByName(searchParams.get("of") ?? "one");
    return Response.json(pathname === "/set" ? await clock.set(Number(searchParams.get("due"))) : pathname === "/pending" ? await clock.pending() : await clock.inc());
  } };`;

async function deployed(installation: Installation): Promise<Tenant> {
  const tenant = await tenantAt(installation);
  const bindings = [{ type: "durable_object_namespace", name: "CLOCK", class_name: "Clock" }];
  await tenant.deploy("clock", CODE, { metadata: { bindings, migrations: { new_tag: "v1", new_sqlite_classes: ["Clock"] } } });
  return tenant;
}

const cold = (installation: Installation) =>
  awaitUntil(() => installation.capsules().length === 0, { what: "the process is stopped as idle", deadlineMs: 30_000 });

/** When lines of the Worker's were written, by their text; read from the log, which starts no process. */
async function rings(installation: Installation, tenant: Tenant): Promise<{ atMs: number; text: string }[]> {
  const path = `/accounts/${tenant.id}/logs?kind=console&text=rang`;
  const { result } = await tenant.call<{ at: string; message?: unknown; text?: unknown }[]>("GET", path);
  return result.map((line) => ({ atMs: Date.parse(line.at), text: JSON.stringify(line) }));
}

async function rang(installation: Installation, tenant: Tenant, dueMs: number): Promise<void> {
  const found = await awaitUntil(async () => (await rings(installation, tenant)).find(({ atMs }) => atMs >= dueMs), {
    what: "the alarm rings",
    deadlineMs: dueMs - Date.now() + 25_000,
    everyMs: 200,
  });
  assert.ok(found.atMs - dueMs < 20_000, `it rang ${found.atMs - dueMs} ms late`);
}

test("what objects acknowledged is there after an idle stop, and after SIGKILL of host, again and again", async () => {
  await using installation = await startInstallation({ MAYFLY_IDLE_SECONDS: "1" });
  const tenant = await deployed(installation);
  const host = tenant.host("clock");
  let count = 0;
  const counts = async (): Promise<void> => {
    count++;
    await awaitUntil(async () => (await installation.edge(host)).body === String(count), { what: `it counts ${count}` });
  };
  for (let round = 0; round < 2; round++) {
    await counts();
    await cold(installation);
    await counts();
    await installation.killWings("host");
  }
  await counts();
});

test("an alarm rings at its time though its process was stopped as idle and nobody asks", async () => {
  await using installation = await startInstallation({ MAYFLY_IDLE_SECONDS: "1" });
  const tenant = await deployed(installation);
  const due = Date.now() + 9_000;
  assert.equal((await installation.edge(tenant.host("clock"), `/set?due=${due}`)).body, String(due));
  await cold(installation);
  assert.ok(Date.now() < due, "it was cold before the alarm was due");
  assert.deepEqual(await rings(installation, tenant), []);
  await rang(installation, tenant, due);
  await cold(installation);
  assert.equal((await rings(installation, tenant)).length, 1);
  assert.equal((await installation.edge(tenant.host("clock"), "/pending")).body, "null");
});

for (const wings of [["host"], ["control"], ["control", "host"]] as const) {
  test(`an alarm rings though ${wings.join(" and ")} were killed after it was set, and nobody asks`, async () => {
    await using installation = await startInstallation({ MAYFLY_IDLE_SECONDS: "1" });
    const tenant = await deployed(installation);
    const due = Date.now() + 12_000;
    await installation.edge(tenant.host("clock"), `/set?due=${due}`);
    await installation.killWings(...wings);
    assert.deepEqual(await rings(installation, tenant), []);
    await rang(installation, tenant, due);
    assert.equal((await installation.edge(tenant.host("clock"), "/pending")).body, "null");
  });
}
