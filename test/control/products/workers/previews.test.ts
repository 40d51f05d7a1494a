// Previews as control keeps them: which labels lead to what, what a first visit changes, and what it never does.
import assert from "node:assert/strict";
import { createCapsuleControl } from "../../../../src/control/accounts/capsule-control.ts";
import * as transitions from "../../../../src/control/accounts/transitions.ts";
import { PREVIEW_KEPT_MS, PREVIEWS_RUNNING } from "../../../../src/control/products/workers/quota.ts";
import { PlatformError } from "../../../../src/kernel/errors.ts";
import type { CapsuleSpec } from "../../../../src/capsule/spec.ts";
import { onBothDatabases, type Bench } from "../../../fixtures/databases.ts";
import { deploy, ESM, openShop, upload, type Client, type Module, type Shop } from "../../../fixtures/products.ts";

const hello = (text: string): Module => ["index.js", ESM, `export default { fetch() { return new Response("${text}") } }`];

const addVersion = (client: Client, text: string, alias?: string, script = "app") =>
  client.call("POST", `/workers/scripts/${script}/versions`, {
    body: upload(alias === undefined ? {} : { annotations: { "workers/alias": alias } }, [hello(text)]),
  });
const idOf = async (answer: Promise<{ readonly status: number; readonly message: string; readonly result: { readonly id: string } }>) => {
  const { status, message, result } = await answer;
  assert.equal(status, 200, message);
  return result.id;
};
const put100 = (client: Client, id: string) =>
  client.call("POST", "/workers/scripts/app/deployments?force=true", { json: { versions: [{ version_id: id, percentage: 100 }] } });
const route = (client: Client, json: Record<string, unknown>) => client.call("POST", "/workers/scripts/app/subdomain", { json });

/** An account with `app` deployed and previews on, and control as host asks it. */
async function open(bench: Bench, edgeUrl?: string) {
  const shop = openShop(bench, {}, edgeUrl);
  const client = await shop.client();
  const first = (await deploy(client, "app", {}, [hello("one")])).result.deployment_id as string;
  await route(client, { enabled: true });
  const control = createCapsuleControl({
    store: bench.store,
    composer: shop.composer,
    products: shop.products,
    bans: () => Promise.resolve([]),
    endLeaked: () => Promise.resolve(),
  });
  const labelOf = (which: string | null, script = "app"): string =>
    `${which === null ? "" : `${which.slice(0, 36).replace(/-.{4}-4.*/, "")}--`}${script}--${client.account.subdomain}`;
  return { shop, client, first, control, labelOf };
}

const versionsIn = (spec: CapsuleSpec) => spec.units[0]?.services.map(({ origin }) => origin?.version) ?? [];
const versionAt = (spec: CapsuleSpec, label: string) => {
  const choices = spec.units[0]?.ingress.find((entry) => entry.label === label)?.choices ?? [];
  assert.ok(choices.length <= 1);
  return choices[0]?.version;
};
const specOf = (answer: { readonly kind: string; readonly spec?: CapsuleSpec }): CapsuleSpec => {
  assert.equal(answer.kind, "spec", JSON.stringify(answer));
  assert.ok(answer.spec);
  return answer.spec;
};
/** Everything of the account that a write would change. */
async function stateOf({ bench }: Shop, client: Client): Promise<string> {
  const { db } = bench.store;
  const account = await db.selectFrom("accounts").selectAll().where("id", "=", client.id).executeTakeFirstOrThrow();
  const versions = await db.selectFrom("worker_versions").select(["id", "previewed_at"]).orderBy("id").execute();
  const trail = await db.selectFrom("trail").select("id").where("account_id", "=", client.id).execute();
  return JSON.stringify([account.revision, account.generation, versions, trail.length]);
}

onBothDatabases("A preview", {
  "of a version without traffic joins the process at its first visit, once, and is written down": async (bench) => {
    const { shop, client, first, control, labelOf } = await open(bench);
    const second = await idOf(addVersion(client, "two"));
    const before = client.spec();
    assert.deepEqual(versionsIn(before), [first]);
    // The version that serves needs nothing but its label.
    assert.equal(versionAt(before, labelOf(first)), first);
    const state = await stateOf(shop, client);
    const served = specOf(await control.lookup(labelOf(first)));
    assert.equal(served.generation, before.generation);
    assert.equal(await stateOf(shop, client), state);

    bench.clock.advance(1);
    const woken = specOf(await control.lookup(labelOf(second)));
    assert.equal(woken.generation, before.generation + 1);
    assert.deepEqual(versionsIn(woken), [second, first]);
    assert.equal(versionAt(woken, labelOf(second)), second);
    assert.deepEqual(woken.units[0]?.ingress.find(({ label }) => label === labelOf(null))?.choices.length, 1);
    const again = await stateOf(shop, client);
    const [one, other] = await Promise.all([control.lookup(labelOf(second)), control.lookup(labelOf(second))]);
    assert.deepEqual([specOf(one).generation, specOf(other).generation], [woken.generation, woken.generation]);
    assert.equal(await stateOf(shop, client), again);
    // What host missed it is told when it says what it holds.
    assert.deepEqual(await control.held([{ account: client.id, generation: before.generation }]), [{ kind: "spec", spec: woken }]);
    const [entry] = await shop.trail.read(client.id, { limit: 1, offset: 0 });
    assert.deepEqual(
      [entry?.action, entry?.resource, entry?.actors, entry?.reason],
      ["workers:preview", "workers/app", ["mayfly"], `first visit of version ${second}`],
    );
  },

  "stays until its version gets traffic, and is gone when it has none again": async (bench) => {
    const { client, first, control, labelOf } = await open(bench);
    const second = await idOf(addVersion(client, "two"));
    await control.lookup(labelOf(second));
    // A change of something else keeps it.
    await deploy(client, "other");
    assert.ok(versionsIn(client.spec()).includes(second));
    await put100(client, second);
    assert.deepEqual(versionsIn(client.spec()).slice(0, 1), [second]);
    await put100(client, first);
    assert.ok(!versionsIn(client.spec()).includes(second));
    assert.ok(versionsIn(specOf(await control.lookup(labelOf(second)))).includes(second));
    await client.call("DELETE", `/workers/workers/app/versions/${second}`);
    assert.ok(!versionsIn(client.spec()).includes(second));
    assert.deepEqual(await control.lookup(labelOf(second)), { kind: "none" });
  },

  "by alias is the newest version's that has it, wherever that is": async (bench) => {
    const { client, control, labelOf } = await open(bench);
    const second = await idOf(addVersion(client, "two", "pr-1"));
    const alias = `pr-1--app--${client.account.subdomain}`;
    const woken = specOf(await control.lookup(alias));
    assert.deepEqual([versionAt(woken, alias), versionAt(woken, labelOf(second))], [second, second]);
    const third = await idOf(addVersion(client, "three", "pr-1"));
    // It has left the second at once, without waiting for a visit.
    assert.deepEqual([versionAt(client.spec(), alias), versionAt(client.spec(), labelOf(second))], [undefined, second]);
    assert.equal(versionAt(specOf(await control.lookup(alias)), alias), third);
    // A secret makes a version of its own, to which the alias does not pass.
    await client.call("PATCH", "/workers/workers/app/versions/latest", { json: { env: { S: { type: "secret_text", text: "x" } } } });
    assert.equal(versionAt(specOf(await control.lookup(alias)), alias), third);
    await put100(client, third);
    assert.equal(versionAt(client.spec(), alias), third);
  },

  "is there only while the Worker's previews are on; told nothing, they follow its subdomain": async (bench) => {
    const { shop, client, first, control, labelOf } = await open(bench);
    const second = await idOf(addVersion(client, "two"));
    await control.lookup(labelOf(second));
    await route(client, { enabled: false });
    assert.deepEqual(client.spec().units[0]?.ingress, []);
    assert.deepEqual(versionsIn(client.spec()), [first]);
    const state = await stateOf(shop, client);
    for (const which of [second, first, null]) assert.deepEqual(await control.lookup(labelOf(which)), { kind: "none" });
    assert.equal(await stateOf(shop, client), state);
    await route(client, { enabled: false, previews_enabled: true });
    assert.deepEqual(
      client.spec().units[0]?.ingress.map(({ label }) => label),
      [labelOf(first)],
    );
    assert.equal(versionAt(specOf(await control.lookup(labelOf(second))), labelOf(second)), second);
    await route(client, { enabled: true, previews_enabled: false });
    assert.deepEqual(
      client.spec().units[0]?.ingress.map(({ label }) => label),
      [labelOf(null)],
    );
  },

  "of nothing is answered by reads alone, and without the account's spec": async (bench) => {
    const { shop, client, control, labelOf } = await open(bench);
    await addVersion(client, "two", "pr-1");
    const stranger = await shop.client();
    await deploy(stranger, "theirs", {}, [hello("theirs")]);
    const foreign = await idOf(addVersion(stranger, "theirs", "pr-9", "theirs"));
    const state = await stateOf(shop, client);
    const { subdomain } = client.account;
    for (const label of [
      `none--${subdomain}`,
      `00000000--app--${subdomain}`,
      `pr-2--app--${subdomain}`,
      `pr-1--none--${subdomain}`,
      `--app--${subdomain}`,
      `pr-1--pr-1--app--${subdomain}`,
      `%--app--${subdomain}`,
      `________--app--${subdomain}`,
      `'--app--${subdomain}`,
      labelOf(foreign),
      `pr-9--app--${subdomain}`,
      "app--nobody-here-aaaaa",
      "app",
    ]) {
      assert.deepEqual(await control.lookup(label), { kind: "none" }, label);
    }
    assert.equal(await stateOf(shop, client), state);
  },

  "is not woken in an account that is suspended, and answers as its end once that came": async (bench) => {
    const { shop, client, control, labelOf } = await open(bench);
    const second = await idOf(addVersion(client, "two"));
    await bench.store.transaction((tx) => transitions.suspend(tx, client.id, "operator", "too loud", bench.clock.now()));
    const state = await stateOf(shop, client);
    assert.equal(specOf(await control.lookup(labelOf(second))).suspended, "too loud");
    assert.equal(await stateOf(shop, client), state);
    bench.clock.advance(3_600_000);
    for (const which of [second, null]) assert.equal((await control.lookup(labelOf(which))).kind, "tombstone");
    assert.equal((await control.lookup(`none--${client.account.subdomain}`)).kind, "tombstone");
  },

  "gives way to another when as many run as may, but not within its first minute": async (bench) => {
    const { shop, client, control, labelOf } = await open(bench);
    const ids: string[] = [];
    for (let at = 0; at <= PREVIEWS_RUNNING + 1; at++) ids.push(await idOf(addVersion(client, `v${at}`)));
    for (const id of ids.slice(0, PREVIEWS_RUNNING)) {
      bench.clock.advance(1000);
      specOf(await control.lookup(labelOf(id)));
    }
    const [eleventh = "", twelfth = ""] = ids.slice(PREVIEWS_RUNNING);
    const state = await stateOf(shop, client);
    const refused = await control.lookup(labelOf(eleventh));
    assert.ok(refused.kind === "unavailable");
    assert.match(refused.reason, /10 others of the account do/);
    assert.equal(refused.retryAfterSeconds, PREVIEW_KEPT_MS / 1000 - PREVIEWS_RUNNING + 1);
    assert.equal(await stateOf(shop, client), state);
    bench.clock.advance(refused.retryAfterSeconds * 1000);
    const woken = specOf(await control.lookup(labelOf(eleventh)));
    const running = versionsIn(woken);
    assert.ok(running.includes(eleventh) && !running.includes(ids[0]) && running.includes(ids[1]));
    assert.equal(running.length, PREVIEWS_RUNNING + 1);
    const [entry] = await shop.trail.read(client.id, { limit: 1, offset: 0 });
    assert.equal(entry?.reason, `first visit of version ${eleventh}, version ${ids[0]} gave way`);
    // Two at once for the one place that is free.
    bench.clock.advance(1000);
    const both = await Promise.all([twelfth, ids[0] ?? ""].map((id) => control.lookup(labelOf(id))));
    assert.deepEqual(both.map(({ kind }) => kind).sort(), ["spec", "unavailable"]);
  },

  "leaves when a change cannot be taken up with it, and the change is then": async (bench) => {
    const { shop, client, control, labelOf } = await open(bench);
    const second = await idOf(addVersion(client, "two"));
    await control.lookup(labelOf(second));
    const { apply } = shop.host;
    const failed = new PlatformError("capsule_failed", { message: "It did not start." });
    shop.host.apply = (spec) => (versionsIn(spec).includes(second) ? Promise.reject(failed) : apply(spec));
    bench.clock.advance(1);
    const mended = await deploy(client, "app", {}, [hello("three")]);
    assert.equal(mended.status, 200, mended.message);
    assert.deepEqual(versionsIn(client.spec()), [mended.result.deployment_id]);
    const trail = await shop.trail.read(client.id, { limit: 2, offset: 0 });
    assert.ok(trail.some(({ reason }) => /in trouble: 1 previews rest for 10 minutes/.test(reason ?? "")));
    // Without one there is nothing to leave: the change is saved, and said not to run.
    shop.host.apply = () => Promise.reject(failed);
    assert.equal((await deploy(client, "app")).code, "capsule_failed");
  },

  "is announced to wrangler only where the edge has TLS; its own addresses are told everywhere": async (bench) => {
    const plain = await open(bench);
    const answer = await addVersion(plain.client, "two", "pr-1");
    assert.equal(answer.result.metadata.has_preview, false);
    const { subdomain } = plain.client.account;
    const digits = (answer.result.id as string).slice(0, 8);
    assert.deepEqual(answer.result.urls, [
      `http://${digits}--app--${subdomain}.mayfly.localhost:8788`,
      `http://pr-1--app--${subdomain}.mayfly.localhost:8788`,
    ]);
    const worker = (await plain.client.call("GET", "/workers/workers/app")).result;
    assert.deepEqual([worker.subdomain.previews_enabled, "preview_url_suffix" in worker.subdomain], [false, false]);
    await addVersion(plain.client, "three", "pr-1");
    const items = (await plain.client.call("GET", "/workers/scripts/app/versions")).result.items as { urls: string[] }[];
    assert.deepEqual(
      items.map(({ urls }) => urls.length),
      [2, 1, 1],
    );

    const tls = await open(bench, "https://example.app:8443");
    const version = (await addVersion(tls.client, "two")).result;
    assert.equal(version.metadata.has_preview, true);
    const told = (await tls.client.call("GET", "/workers/workers/app")).result.subdomain;
    assert.deepEqual([told.enabled, told.previews_enabled], [true, true]);
    // As wrangler puts them together.
    assert.deepEqual([`https://${version.id.slice(0, 8)}${told.preview_url_suffix}`], version.urls);
    assert.deepEqual((await route(tls.client, { enabled: true, previews_enabled: false })).result, {
      enabled: true,
      previews_enabled: false,
    });
    assert.deepEqual((await tls.client.call("GET", `/workers/scripts/app/versions/${version.id}`)).result.urls, []);
  },

  "is not for a Worker whose name leaves no room, nor by an alias that is no part of a host name": async (bench) => {
    const { client, control } = await open(bench, "https://example.app");
    const { subdomain } = client.account;
    const long = "x".repeat(63 - 2 - subdomain.length);
    assert.equal((await deploy(client, long)).status, 200);
    const on = await client.call("POST", `/workers/scripts/${long}/subdomain`, { json: { enabled: true } });
    assert.deepEqual(on.result, { enabled: true, previews_enabled: false });
    const made = await addVersion(client, "two", undefined, long);
    assert.deepEqual([made.status, made.result.metadata.has_preview, made.result.urls], [200, false, []]);
    assert.deepEqual(await control.lookup(`${(made.result.id as string).slice(0, 8)}--${long}--${subdomain}`), { kind: "none" });
    const before = (await client.call("GET", "/workers/scripts/app/versions")).result.items.length as number;
    const room = 63 - `--app--${subdomain}`.length;
    for (const [alias, message] of [
      ["UP", /lower-case letters/],
      ["a_b", /lower-case letters/],
      ["a.b", /lower-case letters/],
      ["é", /lower-case letters/],
      ["a b", /lower-case letters/],
      ["-a", /hyphen/],
      ["a-", /hyphen/],
      ["a--b", /holds "--"/],
      ["xn", /begins with "xn"/],
      ["xn-a", /begins with "xn"/],
      ["0123abcd", /8 hexadecimal digits/],
      ["y".repeat(room + 1), new RegExp(`room for ${room}`)],
    ] as const) {
      const answer = await addVersion(client, "bad", alias);
      assert.deepEqual([answer.status, answer.code], [400, "invalid_upload"], `${alias}: ${answer.message}`);
      assert.match(answer.message, /annotations\.workers\/alias: /);
      assert.match(answer.message, message);
      assert.match(answer.message, /Choose another alias/);
    }
    const json = { env: {}, annotations: { "workers/alias": "NO" } };
    assert.equal((await client.call("PATCH", "/workers/workers/app/versions/latest", { json })).code, "invalid_upload");
    assert.equal((await client.call("GET", "/workers/scripts/app/versions")).result.items.length, before);
    assert.equal((await addVersion(client, "good", "y".repeat(room))).status, 200);
    assert.equal((await deploy(client, "xn")).code, "invalid_upload");
  },
});
