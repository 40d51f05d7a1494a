// Deployments of two versions: what is refused, what is composed, what clients are told.
import assert from "node:assert/strict";
import type { CapsuleSpec } from "../../../../src/capsule/spec.ts";
import { onBothDatabases } from "../../../fixtures/databases.ts";
import { deploy, ESM, openShop, upload, type Client, type Module } from "../../../fixtures/products.ts";

const hello = (text: string): Module => ["index.js", ESM, `export default { fetch() { return new Response("${text}") } }`];

const addVersion = async (client: Client, text: string, metadata: Record<string, unknown> = {}): Promise<string> => {
  const answer = await client.call("POST", "/workers/scripts/app/versions", { body: upload(metadata, [hello(text)]) });
  assert.equal(answer.status, 200, answer.message);
  return answer.result.id as string;
};
const split = (client: Client, ...shares: readonly (readonly [id: string, percentage: number])[]) =>
  client.call("POST", "/workers/scripts/app/deployments", {
    json: { strategy: "percentage", versions: shares.map(([version_id, percentage]) => ({ version_id, percentage })) },
  });
const unitOf = (spec: CapsuleSpec) => spec.units[0] ?? assert.fail("a spec has one unit");
const choicesOf = (client: Client, label: string) =>
  unitOf(client.spec())
    .ingress.find((route) => route.label === label)
    ?.choices.map(({ version, percentage }) => [version, percentage]);

/** Two versions of `app`, the first of which serves. */
async function twoVersions(client: Client): Promise<[first: string, second: string]> {
  const first = (await deploy(client, "app", {}, [hello("one")])).result.deployment_id as string;
  return [first, await addVersion(client, "two")];
}

onBothDatabases("A deployment of two versions", {
  "is composed newest first, answered as it was sent, and changes shares without touching the services": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const [first, second] = await twoVersions(client);
    const label = `app--${client.account.subdomain}`;
    await client.call("POST", "/workers/scripts/app/subdomain", { json: { enabled: true } });
    assert.equal((await split(client, [first, 99.5], [second, 0.5])).status, 200);
    assert.deepEqual(choicesOf(client, label), [
      [second, 0.5],
      [first, 99.5],
    ]);
    const unit = unitOf(client.spec());
    assert.deepEqual(
      unit.services.map(({ origin }) => origin?.version),
      [second, first],
    );
    assert.deepEqual(
      unit.fronts,
      unit.services.map(({ id }) => id),
    );
    const answered = await split(client, [second, 100], [first, 0]);
    assert.equal(answered.status, 200);
    assert.deepEqual(unitOf(client.spec()).services, unit.services);
    assert.deepEqual(choicesOf(client, label), [
      [second, 100],
      [first, 0],
    ]);
    const { result } = await client.call("GET", "/workers/scripts/app/deployments");
    assert.deepEqual(
      result.deployments.map((deployment: { versions: { percentage: number }[] }) =>
        deployment.versions.map(({ percentage }) => percentage),
      ),
      [[100, 0], [0.5, 99.5], [100]],
    );
    const [newest] = result.deployments as { id: string }[];
    assert.deepEqual(answered.result, newest);
    assert.deepEqual((await client.call("GET", `/workers/scripts/app/deployments/${newest?.id}`)).result, newest);
    const trail = await shop.trail.read(client.id, { limit: 20, offset: 0 });
    assert.ok(trail.some(({ reason }) => reason === `versions ${second} 0.5 %, ${first} 99.5 %`));
  },

  "refuses what is no split, naming the field, and leaves the traffic alone": async (bench) => {
    const client = await openShop(bench).client();
    const [first, second] = await twoVersions(client);
    const other = (await deploy(client, "other")).result.deployment_id as string;
    const before = client.spec();
    const body = (versions: unknown) => ({ json: { strategy: "percentage", versions } });
    const of = (...shares: readonly (readonly [unknown, unknown])[]) =>
      body(shares.map(([version_id, percentage]) => ({ version_id, percentage })));
    const cases: readonly (readonly [sent: { json?: unknown; body?: string }, message: RegExp])[] = [
      [of(), /^versions: empty/],
      [body(undefined), /^versions: missing/],
      [body("x"), /^versions: /],
      [body([null]), /^versions\.0: /],
      [{ body: "{" }, /not JSON/],
      [{ json: [] }, /^body: /],
      [{ json: { strategy: "roulette", versions: [] } }, /^strategy: must be "percentage"/],
      [of([first, 50], [second, 25], [other, 25]), /^versions: more than 2; a deployment splits the requests between 2/],
      [of([first, 50]), /^versions: the percentages sum to 50, not to 100/],
      [of([first, 50], [second, 49.98]), /^versions: the percentages sum to 99\.98, not to 100/],
      [of([first, 50], [second, 50.02]), /^versions: the percentages sum to 100\.02/],
      [of([first, 50], [first, 50]), /^versions: names a version twice/],
      [of([first, -1], [second, 101]), /^versions\.0\.percentage: is below 0/],
      [of([first, 0], [second, 100.001]), /^versions\.1\.percentage: is above 100/],
      [of([first, "100"]), /^versions\.0\.percentage: /],
      [of([first, null]), /^versions\.0\.percentage: /],
      [body([{ version_id: first }]), /^versions\.0\.percentage: missing/],
      [body([{ percentage: 100 }]), /^versions\.0\.version_id: missing/],
      [of(["../..", 100]), /^versions\.0\.version_id: is not a version's id/],
      [of([7, 100]), /^versions\.0\.version_id: /],
      [{ body: `{"versions":[{"version_id":"${first}","percentage":1e999}]}` }, /^versions\.0\.percentage: /],
      [{ json: { versions: [{ version_id: first, percentage: 100 }], annotations: "x" } }, /^annotations: /],
    ];
    for (const [sent, message] of cases) {
      const answer = await client.call("POST", "/workers/scripts/app/deployments", sent);
      assert.deepEqual([answer.status, answer.code], [400, "invalid_input"], `${JSON.stringify(sent)}: ${answer.message}`);
      assert.match(answer.message, message);
    }
    for (const unknown of [other, "nope"]) {
      const answer = await split(client, [first, 50], [unknown, 50]);
      assert.deepEqual([answer.status, answer.code], [404, "version_not_found"]);
      assert.match(answer.message, /^versions\.1\.version_id: the Worker "app" has no version/);
    }
    assert.deepEqual(client.spec(), before);
    assert.equal((await client.call("GET", "/workers/scripts/app/deployments")).result.deployments.length, 1);
  },

  "takes shares that miss 100 by no more than a hundredth": async (bench) => {
    const client = await openShop(bench).client();
    const [first, second] = await twoVersions(client);
    for (const shares of [
      [33.33, 66.66],
      [50.005, 50.005],
      [0.1, 99.9],
      [33.3333333, 66.6666666],
    ] as const) {
      const answer = await split(client, [first, shares[0]], [second, shares[1]]);
      assert.equal(answer.status, 200, `${shares.join("+")}: ${answer.message}`);
    }
  },

  "keeps a secret from being set while it stands, or while the latest version does not serve alone": async (bench) => {
    const client = await openShop(bench).client();
    const [first, second] = await twoVersions(client);
    const put = () => client.call("PUT", "/workers/scripts/app/secrets", { json: { name: "S", text: "x" } });
    assert.equal((await put()).code, "latest_not_deployed");
    await split(client, [first, 50], [second, 50]);
    assert.deepEqual([(await put()).code, (await put()).number], ["latest_not_deployed", 10215]);
    await split(client, [second, 0], [first, 100]);
    assert.equal((await put()).code, "latest_not_deployed");
    await split(client, [second, 100], [first, 0]);
    assert.equal((await put()).status, 200);
    assert.equal(unitOf(client.spec()).services.length, 1);
  },

  "compares secrets with what serves now when an older version comes back": async (bench) => {
    const client = await openShop(bench).client();
    const [first, second] = await twoVersions(client);
    await split(client, [second, 100]);
    await client.call("PUT", "/workers/scripts/app/secrets", { json: { name: "S", text: "x" } });
    const back = await split(client, [first, 100]);
    assert.deepEqual([back.code, back.number], ["secrets_changed", 10220]);
    assert.match(back.message, /The following secrets have changed: S(?=[.,\s]|$)/);
    const third = (await client.call("GET", "/workers/scripts/app/deployments")).result.deployments[0].versions[0].version_id as string;
    // A split brings it back as well.
    assert.equal((await split(client, [first, 1], [third, 99])).code, "secrets_changed");
    const forced = await client.call("POST", "/workers/scripts/app/deployments?force=true", {
      json: { versions: [first, third].map((version_id) => ({ version_id, percentage: 50 })) },
    });
    assert.equal(forced.status, 200);
    // It serves now, so that nothing comes back.
    assert.equal((await split(client, [first, 100])).status, 200);
  },

  "stands for the Worker with its largest share, of equal ones the newer": async (bench) => {
    const client = await openShop(bench).client();
    const [first, second] = await twoVersions(client);
    const caller = { bindings: [{ type: "service", name: "APP", service: "app" }] };
    assert.equal((await deploy(client, "caller", caller)).status, 200);
    const bound = () => {
      const services = unitOf(client.spec()).services;
      const binding = services.flatMap((service) => (service.kind === "worker" ? service.bindings : [])).find(({ name }) => name === "APP");
      assert.ok(binding?.kind === "service");
      return services.find(({ id }) => id === binding.service)?.origin?.version;
    };
    assert.equal(bound(), first);
    await split(client, [first, 50], [second, 50]);
    assert.equal(bound(), second);
    await split(client, [first, 51], [second, 49]);
    assert.equal(bound(), first);
    const etags = (await client.call("GET", "/workers/scripts/app/versions")).result.items as {
      id: string;
      resources: { script: { etag: string } };
    }[];
    const listed = (await client.call("GET", "/workers/scripts")).result as { id: string; etag: string }[];
    assert.equal(listed.find(({ id }) => id === "app")?.etag, etags.find(({ id }) => id === first)?.resources.script.etag);
    const references = (await client.call("GET", "/workers/scripts/app/references")).result;
    assert.deepEqual(
      references.services.incoming.map((one: { service: string }) => one.service),
      ["caller"],
    );
  },

  "is never pruned, nor is any part of it deleted while it serves": async (bench) => {
    const client = await openShop(bench).client();
    const [first, second] = await twoVersions(client);
    await split(client, [first, 10], [second, 90]);
    for (let at = 0; at < 55; at++) {
      const body = { env: { S: { type: "secret_text", text: String(at) } } };
      assert.equal((await client.call("PATCH", "/workers/workers/app/versions/latest", { json: body })).status, 200);
    }
    const ids = async (): Promise<string[]> =>
      (await client.call("GET", "/workers/scripts/app/versions")).result.items.map(({ id }: { id: string }) => id);
    const kept = await ids();
    assert.equal(kept.length, 52);
    assert.ok(kept.includes(first) && kept.includes(second));
    for (const id of [first, second]) {
      const refused = await client.call("DELETE", `/workers/workers/app/versions/${id}`);
      assert.deepEqual([refused.status, refused.code], [409, "precondition_failed"]);
    }
    const [latest = "", previous] = kept;
    assert.equal((await client.call("DELETE", `/workers/workers/app/versions/${latest}`)).status, 200);
    assert.equal((await client.call("DELETE", `/workers/workers/app/versions/${latest}`)).code, "version_not_found");
    const [newest] = await ids();
    assert.equal(newest, previous);
    // What was the one before the latest is the latest, and versions go on being made from it.
    const made = await client.call("PATCH", "/workers/workers/app/versions/latest", { json: { env: {} } });
    for (const id of [newest, made.result.id as string]) assert.equal((await split(client, [id ?? "", 100])).status, 200);
    const listed = async (): Promise<number> => (await client.call("GET", "/workers/scripts/app/deployments")).result.deployments.length;
    const deployments = await listed();
    assert.equal((await client.call("DELETE", `/workers/workers/app/versions/${newest}`)).status, 200);
    // No client is told of a deployment whose version it cannot look up.
    assert.equal(await listed(), deployments - 1);
  },

  "is deleted only once another serves": async (bench) => {
    const client = await openShop(bench).client();
    const [first, second] = await twoVersions(client);
    const { id } = (await split(client, [first, 50], [second, 50])).result as { id: string };
    const remove = () => client.call("DELETE", `/workers/scripts/app/deployments/${id}`);
    const refused = await remove();
    assert.deepEqual([refused.status, refused.code], [409, "precondition_failed"]);
    await split(client, [second, 100]);
    assert.equal((await remove()).status, 200);
    assert.deepEqual([(await remove()).status, (await remove()).code], [404, "deployment_not_found"]);
    assert.equal((await client.call("GET", `/workers/scripts/app/deployments/${id}`)).code, "deployment_not_found");
    assert.equal((await client.call("GET", "/workers/scripts/app/deployments")).result.deployments.length, 2);
    assert.equal((await client.call("DELETE", "/workers/scripts/none/deployments/x")).code, "worker_not_found");
  },
});
