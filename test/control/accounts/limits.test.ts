// What an account may have and has, as its token reads it from the real products and the real host.
import assert from "node:assert/strict";
import { test } from "node:test";
import { amountOf, bytesInWords, inSentence } from "../../../src/control/accounts/limit-words.ts";
import { openHouse, uploadBody } from "../../fixtures/house.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

type Limits = {
  readonly state: string;
  readonly left_seconds: number | null;
  readonly limits: readonly {
    name: string;
    unit: string;
    max: number | null;
    used: number | null;
    frees_at?: string | null;
    message: string;
  }[];
  readonly differences: readonly { what: string; here: string; production: string }[];
  readonly docs: string;
};

test("every cap and its use are told by names that stay and in words, host or no host", async () => {
  await using directory = await temporaryDirectory("limits");
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 600 });
  const { account } = await house.provision();
  const token = account.apiToken;
  const script = `/accounts/${account.id}/workers/scripts/w`;
  const put = await house.call("PUT", script, { token, body: uploadBody("export default { fetch: () => new Response('here') };") });
  assert.equal(put.status, 200, put.errors[0]?.message);
  await house.call("PUT", `${script}/schedules`, { token, body: '[{"cron":"0 0 1 1 *"}]' });
  const made = await house.call<{ id: string }>("POST", `/accounts/${account.id}/storage/kv/namespaces`, {
    token,
    body: '{"title":"one"}',
  });
  await house.call("PUT", `/accounts/${account.id}/storage/kv/namespaces/${made.result.id}/values/key`, { token, body: "x".repeat(1_000) });
  await house.call("POST", `/accounts/${account.id}/d1/database`, { token, body: '{"name":"one"}' });
  assert.equal(made.status, 200, made.errors[0]?.message);
  house.clock.advance(60_000);
  const ask = async (): Promise<Limits> => {
    const answer = await house.call<Limits>("GET", `/accounts/${account.id}/limits`, { token });
    assert.equal(answer.status, 200, answer.errors[0]?.message);
    return answer.result;
  };
  const told = await ask();
  const of = (name: string, from = told) => from.limits.find((limit) => limit.name === name);
  assert.deepEqual([told.state, told.left_seconds], ["temporary", 540]);
  assert.deepEqual(of("workers.scripts"), { name: "workers.scripts", unit: "count", max: 20, used: 1, message: "Workers: 1 of 20." });
  assert.equal(of("workers.cron_triggers")?.message, "Cron triggers: 1 of 5.");
  assert.equal(of("kv.namespaces")?.used, 1);
  assert.ok((of("kv.bytes")?.used ?? 0) >= 1_003, "the process tells what its namespaces hold");
  assert.ok(typeof of("d1.database_bytes")?.used === "number");
  assert.equal(of("account.life")?.message, "Life of the account: 60 seconds of 10 minutes.");
  assert.equal(of("account.tokens")?.message, "Tokens that work: 1 of 1.");
  assert.equal(of("account.disk_bytes")?.max, 100_000_000);
  assert.ok((of("account.disk_bytes")?.used ?? 0) > 0, "the code lies on disk");
  assert.equal(of("account.outbound_connections")?.message, "Connections of its Workers to other hosts at once: at most 512.");
  assert.equal(new Set(told.limits.map(({ name }) => name)).size, told.limits.length);
  for (const { name, unit } of told.limits) {
    assert.match(name, /^[a-z0-9_]+\.[a-z0-9_]+$/);
    assert.ok(["count", "bytes", "seconds", "requests"].includes(unit));
  }
  assert.ok(told.differences.some(({ what }) => what === "cron_triggers"));
  house.faults.hostDown = true;
  assert.equal(of("account.disk_bytes", await ask())?.message, "Disk: at most 95.4 MiB.");
});

test("what frees every ten minutes is told with its use and when; a claimed account has ten times as much", async () => {
  await using directory = await temporaryDirectory("limits");
  const caps = { requests: 5, cpu_ms: 60_000, served_bytes: 1_048_576, subrequests: 0, egress_bytes: 7, egress_hosts: 8, log_bytes: 9 };
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 600, limits: { caps } });
  const { account } = await house.provision();
  const token = account.apiToken;
  const script = `/accounts/${account.id}/workers/scripts/w`;
  await house.call("PUT", script, { token, body: uploadBody("export default { fetch: () => new Response('here') };") });
  await house.call("POST", `${script}/subdomain`, { token, body: '{"enabled":true}' });
  const told = async () => (await house.call<Limits>("GET", `/accounts/${account.id}/limits`, { token })).result.limits;
  const of = async (what: string) => (await told()).find(({ name }) => name === `account.${what}_per_10_minutes`);
  const { message, ...before } = (await of("requests")) ?? {};
  assert.deepEqual(before, { name: "account.requests_per_10_minutes", unit: "requests", max: 5, used: 0, frees_at: null });
  assert.equal(message, "Requests from callers in ten minutes: 0 of 5.");
  const subdomain = await house.call<{ subdomain: string }>("GET", `/accounts/${account.id}/workers/subdomain`, { token });
  const label = `w--${subdomain.result.subdomain.split(".")[0] ?? ""}`;
  for (let i = 0; i < 2; i++) assert.equal((await house.edge(label)).body, "here");
  const freesAt = new Date(house.clock.now() + 600_000).toISOString();
  const after = await of("requests");
  assert.deepEqual([after?.used, after?.frees_at], [2, freesAt]);
  assert.equal(after?.message, `Requests from callers in ten minutes: 2 of 5. All of it is free again at ${freesAt}.`);
  assert.deepEqual([(await of("cpu_seconds"))?.max, (await of("cpu_seconds"))?.unit], [60, "seconds"]);
  assert.equal((await of("subrequests"))?.max, null, "no cap");
  assert.ok(((await of("served_bytes"))?.used ?? 0) > 8);
  assert.equal((await of("tokens_made"))?.max, 0);

  await house.control.store.db
    .updateTable("accounts")
    .set({ state: "claimed" })
    .where("id", "=", account.id as never)
    .execute();
  assert.deepEqual([(await of("requests"))?.max, (await of("cpu_seconds"))?.max, (await of("tokens_made"))?.max], [50, 600, 60]);
});

test("amounts are told as a person would", () => {
  assert.deepEqual([0, 1, 1023, 1024, 1536, 10_485_760, 107_374_182_400].map(bytesInWords), [
    "0 bytes",
    "1 bytes",
    "1023 bytes",
    "1 KiB",
    "1.5 KiB",
    "10 MiB",
    "100 GiB",
  ]);
  assert.equal(amountOf(12_345, "count"), "12,345");
  assert.equal(inSentence({ name: "moon.base_count", unit: "count", max: null, used: 3 }), "moon base count: 3, no cap.");
  assert.equal(inSentence({ name: "moon.bytes", unit: "bytes", max: null, used: null }), "moon bytes: no cap.");
});
