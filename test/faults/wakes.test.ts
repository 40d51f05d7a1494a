// One real minute boundary after the other: a capsule that sleeps is started at :00, also where both wings were killed
// in between.
import assert from "node:assert/strict";
import { test } from "node:test";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation } from "../fixtures/installation.ts";
import { tenantAt } from "../fixtures/tenant.ts";

const MINUTE = 60_000;
const CODE = `export default { fetch: () => new Response("here"), scheduled: (event) => console.log(event.scheduledTime) };`;

test("a cron trigger is set off within seconds of its minute in a cold capsule, once, before and after SIGKILL of control and host", async () => {
  await using installation = await startInstallation({ MAYFLY_IDLE_SECONDS: "1" });
  const tenant = await tenantAt(installation);
  await tenant.deploy("w", CODE);
  const set = await tenant.call("PUT", `/accounts/${tenant.id}/workers/scripts/w/schedules`, '[{"cron":"* * * * *"}]');
  assert.equal(set.status, 200, set.message);
  const times = async (): Promise<{ at: number; scheduled: number }[]> => {
    const { result } = await tenant.call<{ at: string; text: string }[]>("GET", `/accounts/${tenant.id}/logs?kind=console`);
    return result.map(({ at, text }) => ({ at: Date.parse(at), scheduled: Number(text) }));
  };
  await awaitUntil(() => installation.capsules().length === 0, { what: "the capsule is cold" });
  const [first] = await awaitUntil(async () => (await times()).length === 1 && times(), {
    what: "a minute begins",
    deadlineMs: 75_000,
    everyMs: 250,
  });
  assert.ok(first);
  assert.equal(first.scheduled % MINUTE, 0);
  assert.ok(first.at >= first.scheduled && first.at < first.scheduled + 5000, `${first.at - first.scheduled} ms late`);
  await installation.killWings("control", "host");
  await awaitUntil(async () => (await times()).length === 2, { what: "the next minute begins", deadlineMs: 75_000, everyMs: 250 });
  const [second] = await times();
  assert.equal(second?.scheduled, first.scheduled + MINUTE);
});
