// Previews as visitors meet them: both wings, a real edge, real processes.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { tenantOfHouse, uploadForm, type Tenant } from "../../../fixtures/tenant.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";
import type { AccountId } from "../../../../src/kernel/ids.ts";

const saying = (text: string): string =>
  `export default { async fetch(request, env) {
    if (new URL(request.url).pathname === "/slow") await scheduler.wait(600);
    return new Response("${text}" + (env.S ?? "")); } };`;

describe("A preview at the edge", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let tenant: Tenant;

  before(async () => {
    directory = await temporaryDirectory("previews");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    tenant = await tenantOfHouse(house);
    await tenant.deploy("app", saying("live"));
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const versionOf = async (text: string, alias?: string): Promise<{ id: string; hosts: string[] }> => {
    const metadata = alias === undefined ? {} : { annotations: { "workers/alias": alias } };
    const path = `/accounts/${tenant.id}/workers/scripts/app/versions`;
    const { status, message, result } = await tenant.call<{ id: string; urls: string[] }>(
      "POST",
      path,
      uploadForm(saying(text), { metadata }),
    );
    assert.equal(status, 200, message);
    return { id: result.id, hosts: result.urls.map((url) => new URL(url).hostname.split(".")[0] ?? "") };
  };
  const get = async (host: string, path = "/"): Promise<string> => {
    const { status, body } = await house.edge(host, path);
    return status === 200 ? body : String(status);
  };
  const live = (): string => `app--${tenant.subdomain}`;
  const starts = async (): Promise<number> => (await house.host.capsuleHost.usage(tenant.id as AccountId)).starts;

  test("answers with its version, by digits and by alias, and the Worker goes on answering with its own", async () => {
    const { hosts } = await versionOf("two", "pr-1");
    assert.equal(hosts.length, 2);
    assert.equal(await get(live()), "live");
    for (const host of hosts) assert.equal(await get(host), "two");
    assert.equal(await get(live()), "live");
    const newer = await versionOf("three", "pr-1");
    assert.deepEqual([await get(hosts[0] ?? ""), await get(hosts[1] ?? "")], ["two", "three"]);
    assert.equal(await get(newer.hosts[0] ?? ""), "three");
  });

  test("of what is served needs no start, and one that joins lets requests in flight finish", async () => {
    const scripts = `/accounts/${tenant.id}/workers/scripts/app`;
    const { result } = await tenant.call<{ items: { id: string }[] }>("GET", `${scripts}/versions`);
    const served = `${result.items.at(-1)?.id.slice(0, 8)}--${live()}`;
    assert.equal(await get(live()), "live");
    const before = await starts();
    assert.equal(await get(served), "live");
    assert.equal(await starts(), before);
    const { hosts } = await versionOf("four");
    const slow = get(live(), "/slow");
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Twenty visitors at once make one change of the process.
    const visits = await Promise.all(Array.from({ length: 20 }, () => get(hosts[0] ?? "")));
    assert.deepEqual(new Set(visits), new Set(["four"]));
    assert.equal(await slow, "live");
    assert.equal(await starts(), before + 1);
  });

  test("of nothing is 404 and changes nothing, a thousand times over", async () => {
    const account = async () => {
      const row = await house.control.store.db.selectFrom("accounts").select(["revision", "generation"]).executeTakeFirstOrThrow();
      return [row.revision, row.generation, await starts()];
    };
    const before = await account();
    for (let round = 0; round < 50; round++) {
      const hosts = Array.from({ length: 20 }, (_, at) => `${(round * 20 + at + 0x1000_0000).toString(16)}--${live()}`);
      for (const status of await Promise.all(hosts.map((host) => get(host)))) assert.equal(status, "404");
    }
    assert.deepEqual(await account(), before);
  });

  test("waits its turn where ten others run, and the edge says how long", async () => {
    // The others of these tests have had their minute.
    house.clock.advance(61_000);
    const made = [];
    for (let at = 0; at < 11; at++) made.push(await versionOf(`many ${at}`));
    for (const [at, { hosts }] of made.slice(0, 10).entries()) assert.equal(await get(hosts[0] ?? ""), `many ${at}`);
    const last = made[10]?.hosts[0] ?? "";
    const refused = await house.edge(last);
    assert.equal(refused.status, 503);
    assert.match(refused.body, /This preview does not run yet, and 10 others of the account do/);
    assert.match(refused.body, /try again in 60 s/);
    house.clock.advance(60_000);
    assert.equal(await get(last), "many 10");
    assert.equal(await get(live()), "live");
  });

  test("of a version that a secret made shows it", async () => {
    const path = `/accounts/${tenant.id}/workers/workers/app/versions/latest`;
    const made = await tenant.call<{ id: string }>("PATCH", path, JSON.stringify({ env: { S: { type: "secret_text", text: "!" } } }));
    assert.equal(made.status, 200, made.message);
    house.clock.advance(61_000);
    assert.equal(await get(`${made.result.id.slice(0, 8)}--${live()}`), "many 10!");
    assert.equal(await get(live()), "live");
  });
});
