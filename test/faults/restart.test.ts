// SIGKILL of either process of a running installation: what was acknowledged is there again, and Workers go on
// answering while control is away.
import assert from "node:assert/strict";
import { test } from "node:test";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation } from "../fixtures/installation.ts";
import { startPostgres } from "../fixtures/postgres.ts";
import { tenantAt, uploadForm } from "../fixtures/tenant.ts";

const says = (text: string): string => `export default { fetch: (request, env) => new Response(${JSON.stringify(text)} + (env.S ?? "")) };`;

test("Workers go on answering while control is killed and started again", async () => {
  await using installation = await startInstallation();
  const tenant = await tenantAt(installation);
  await tenant.deploy("w", says("here"));
  const host = tenant.host("w");
  assert.equal((await installation.edge(host)).body, "here");
  const answers: string[] = [];
  const load = new AbortController();
  const loading = (async () => {
    while (!load.signal.aborted) answers.push((await installation.edge(host)).body);
  })();
  await installation.killWings("control");
  load.abort();
  await loading;
  assert.ok(answers.length > 10, `${answers.length} requests`);
  assert.deepEqual(new Set(answers), new Set(["here"]));
});

for (const wings of [["host"], ["control", "host"]] as const) {
  test(`after SIGKILL of ${wings.join(" and ")} what was acknowledged is there, and no process of before is`, async () => {
    await using installation = await startInstallation();
    const tenant = await tenantAt(installation);
    for (let round = 1; round <= 3; round++) {
      await tenant.deploy("w", says(`round ${round}`));
      const host = tenant.host("w");
      assert.equal((await installation.edge(host)).body, `round ${round}`);
      const before = installation.capsules();
      assert.equal(before.length, 1);
      await installation.killWings(...wings);
      await awaitUntil(async () => (await installation.edge(host)).body === `round ${round}`, { what: "the Worker answers again" });
      assert.ok(!installation.capsules().includes(before[0] ?? 0), "the process of before is gone");
    }
  });
}

test("previews that were visited, and the shares of a split, are there after SIGKILL of control and host", async () => {
  await using installation = await startInstallation();
  const tenant = await tenantAt(installation);
  await tenant.deploy("w", says("one"));
  const versions = `/accounts/${tenant.id}/workers/scripts/w/versions`;
  const [two, three] = [await versionOf("two"), await versionOf("three")];
  async function versionOf(text: string): Promise<string> {
    return (await tenant.call<{ id: string }>("POST", versions, uploadForm(says(text)))).result.id;
  }
  const body = JSON.stringify({ versions: [two, three].map((version_id, at) => ({ version_id, percentage: at * 100 })) });
  assert.equal((await tenant.call("POST", `/accounts/${tenant.id}/workers/scripts/w/deployments`, body)).status, 200);
  const { result } = await tenant.call<{ items: { id: string; number: number }[] }>("GET", versions);
  const preview = `${result.items.find(({ number }) => number === 1)?.id.slice(0, 8)}--${tenant.host("w")}`;
  const named = { "Cloudflare-Workers-Version-Overrides": `w="${two}"` };
  const look = async () => [
    (await installation.edge(preview)).body,
    (await installation.edge(tenant.host("w"))).body,
    (await installation.edge(tenant.host("w"), "/", named)).body,
  ];
  assert.deepEqual(await look(), ["one", "three", "two"]);
  await installation.killWings("control", "host");
  await awaitUntil(async () => (await installation.edge(preview)).status === 200, { what: "the preview answers again" });
  assert.deepEqual(await look(), ["one", "three", "two"]);
  const trail = await tenant.call<{ action: string }[]>("GET", `/accounts/${tenant.id}/trail`);
  assert.equal(trail.result.filter(({ action }) => action === "workers:preview").length, 1);
});

test("the whole loop runs on PostgreSQL", async (t) => {
  const database = await startPostgres();
  if ("skip" in database) return t.skip(database.skip);
  await using _database = database;
  await using installation = await startInstallation({ MAYFLY_DATABASE_URL: database.url });
  const tenant = await tenantAt(installation);
  await tenant.deploy("w", says("on PostgreSQL"));
  const host = tenant.host("w");
  assert.equal((await installation.edge(host)).body, "on PostgreSQL");
  await installation.killWings("control", "host");
  await awaitUntil(async () => (await installation.edge(host)).body === "on PostgreSQL", { what: "the Worker answers again" });
  assert.equal((await tenant.call("DELETE", `/accounts/${tenant.id}`)).status, 200);
  assert.equal((await installation.edge(host)).status, 410);
});
