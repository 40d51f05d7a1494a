// The flows of wrangler's deploy, versions, secret and delete commands, call by call.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, PlatformError } from "../../../../src/kernel/errors.ts";
import { onBothDatabases } from "../../../fixtures/databases.ts";
import { deploy, ESM, HELLO, openShop, upload, type Client } from "../../../fixtures/products.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const scripts = (client: Client): string[] =>
  client
    .spec()
    .units.flatMap((unit) => unit.services)
    .map((service) => service.id.slice(0, 1));

test("the numbers on which wrangler acts stand behind the codes", () => {
  const numbers = {
    worker_not_found: 10007,
    invalid_upload: 10021,
    upload_too_large: 10027,
    invalid_inherit: 10057,
    latest_not_deployed: 10215,
    secrets_changed: 10220,
    version_not_found: 10222,
    subdomain_taken: 10031,
  } as const;
  for (const [code, number] of Object.entries(numbers)) assert.equal(ERRORS[code as keyof typeof numbers].number, number);
});

onBothDatabases("Workers", {
  "an unknown Worker is 10007 wherever it is asked for": async (bench) => {
    const client = await openShop(bench).client();
    for (const path of [
      "services/none",
      "scripts/none",
      "scripts/none/secrets",
      "scripts/none/deployments",
      "scripts/none/versions",
      "scripts/none/settings",
      "scripts/none/script-settings",
      "scripts/none/subdomain",
      "scripts/none/references",
      "workers/none",
    ]) {
      const { status, code } = await client.call("GET", `/workers/${path}`);
      assert.deepEqual([path, status, code], [path, 404, "worker_not_found"]);
    }
    for (const path of ["services/none?force=true", "scripts/none"]) {
      assert.equal((await client.call("DELETE", `/workers/${path}`)).code, "worker_not_found");
    }
    assert.equal((await client.call("POST", "/workers/scripts/none/versions", { body: upload() })).code, "worker_not_found");
    assert.equal((await client.call("PUT", "/workers/scripts/none/secrets", { json: { name: "A", text: "x" } })).code, "worker_not_found");
  },

  "a new Worker is deployed by PUT, has no route until asked, and answers at its label then": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const put = await deploy(client, "hello", { annotations: { "workers/message": "first" }, tags: ["cf:service=hello"] });
    assert.equal(put.status, 200, put.message);
    assert.match(put.result.deployment_id, UUID);
    assert.equal(put.result.startup_time_ms, 7);
    assert.deepEqual(client.spec().units[0]?.ingress, []);
    const worker = await client.call("GET", "/workers/workers/hello");
    const label = `hello--${client.account.subdomain}`;
    assert.deepEqual(worker.result.subdomain, { enabled: false, previews_enabled: false, url: `http://${label}.mayfly.localhost:8788` });
    const on = await client.call("POST", "/workers/scripts/hello/subdomain", { json: { enabled: true } });
    assert.deepEqual(on.result, { enabled: true, previews_enabled: false });
    const [service] = client.spec().units[0]?.services ?? [];
    const choices = [{ service: service?.id, version: put.result.deployment_id, percentage: 100 }];
    const preview = `${put.result.deployment_id.slice(0, 8)}--${label}`;
    assert.deepEqual(client.spec().units[0]?.ingress, [
      { label, worker: "hello", choices },
      { label: preview, worker: "hello", choices },
    ]);
    assert.deepEqual((await client.call("GET", "/workers/scripts/hello/subdomain")).result, { enabled: true, previews_enabled: false });
    const off = await client.call("POST", "/workers/scripts/hello/subdomain", { json: { enabled: false } });
    assert.equal(off.result.enabled, false);
    assert.deepEqual(client.spec().units[0]?.ingress, []);
    const known = await client.call("GET", "/workers/services/hello");
    assert.equal(known.result.default_environment.script.last_deployed_from, "wrangler");
    assert.match(known.result.default_environment.script.tag, /^[0-9a-f]{32}$/);
    assert.deepEqual(known.result.default_environment.script.tags, ["cf:service=hello"]);
    const trail = await shop.trail.read(client.id, { limit: 10, offset: 0 });
    assert.deepEqual(trail.map(({ action, resource }) => `${action} ${resource}`).sort(), [
      "workers:deploy workers/hello",
      "workers:route workers/hello",
      "workers:route workers/hello",
    ]);
  },

  "a version is live only when it is deployed": async (bench) => {
    const client = await openShop(bench).client();
    const first = (await deploy(client, "app")).result.deployment_id as string;
    const before = client.spec();
    const next: typeof HELLO = ["index.js", ESM, "export default { fetch() { return new Response('two') } }"];
    const version = await client.call("POST", "/workers/scripts/app/versions?bindings_inherit=strict", {
      body: upload({ annotations: { "workers/tag": "v2" } }, [next]),
    });
    assert.equal(version.status, 200, version.message);
    assert.match(version.result.resources.script.etag, /^[0-9a-f]{64}$/);
    assert.deepEqual(version.result.resources.bindings, []);
    assert.equal(version.result.metadata.has_preview, false);
    assert.deepEqual(client.spec().units, before.units);
    const second = version.result.id as string;
    const done = await client.call("POST", "/workers/scripts/app/deployments", {
      json: { strategy: "percentage", versions: [{ version_id: second, percentage: 100 }], annotations: { "workers/message": "go" } },
    });
    assert.match(done.result.id, UUID);
    assert.notDeepEqual(client.spec().units, before.units);
    const { result } = await client.call("GET", "/workers/scripts/app/deployments");
    assert.deepEqual(
      result.deployments.map((deployment: { versions: unknown }) => deployment.versions),
      [[{ version_id: second, percentage: 100 }], [{ version_id: first, percentage: 100 }]],
    );
    assert.equal(result.deployments[0].annotations["workers/message"], "go");
    assert.ok(!Number.isNaN(Date.parse(result.deployments[0].created_on)));
    const versions = await client.call("GET", "/workers/scripts/app/versions?deployable=true");
    assert.deepEqual(
      versions.result.items.map((item: { id: string }) => item.id),
      [second, first],
    );
    assert.equal((await client.call("GET", `/workers/scripts/app/versions/${second}`)).result.annotations["workers/tag"], "v2");
    assert.equal((await client.call("GET", "/workers/scripts/app/versions/nope")).code, "version_not_found");
    assert.equal(
      (await client.call("POST", "/workers/scripts/app/deployments", { json: { versions: [{ version_id: "nope", percentage: 100 }] } }))
        .code,
      "version_not_found",
    );
  },

  "a rollback over changed secrets says which, and goes on with force": async (bench) => {
    const client = await openShop(bench).client();
    const first = (await deploy(client, "app")).result.deployment_id as string;
    await client.call("PUT", "/workers/scripts/app/secrets", { json: { name: "S", text: "x", type: "secret_text" } });
    const json = { strategy: "percentage", versions: [{ version_id: first, percentage: 100 }] };
    const refused = await client.call("POST", "/workers/scripts/app/deployments", { json });
    assert.equal(refused.code, "secrets_changed");
    assert.match(refused.message, /The following secrets have changed: S /);
    assert.equal((await client.call("POST", "/workers/scripts/app/deployments?force=true", { json })).status, 200);
  },

  "all kinds of modules reach the process under the names that their imports resolve to": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const put = await deploy(client, "mods", {}, [
      HELLO,
      ["./abc-add.wasm", "application/wasm", new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])],
      ["./abc-note.txt", "text/plain", "note"],
      ["lib/data.bin", "application/octet-stream", "bin"],
      ["conf.json", "application/json", "{}"],
      ["old.cjs", "application/javascript", "module.exports = 1"],
      ["index.js.map", "application/source-map", '{"version":3}'],
    ]);
    assert.equal(put.status, 200, put.message);
    const [service] = client.spec().units[0]?.services ?? [];
    assert.ok(service?.kind === "worker" && service.code.format === "modules");
    assert.deepEqual(
      service.code.modules.map(({ name, kind }) => `${name} ${kind}`),
      ["index.js esm", "abc-add.wasm wasm", "abc-note.txt text", "lib/data.bin data", "conf.json json", "old.cjs commonjs"],
    );
    assert.equal(client.spec().keep.code.length, 7, "the source map is kept on disk");
    assert.equal(shop.host.puts.length, 7);
    await deploy(client, "again");
    assert.equal(shop.host.puts.length, 7, "bytes that are there are not sent again");
  },

  "a service worker has its parts as bindings": async (bench) => {
    const client = await openShop(bench).client();
    const put = await deploy(
      client,
      "classic",
      {
        main_module: undefined,
        body_part: "index.js",
        bindings: [
          { type: "text_blob", name: "T", part: "t" },
          { type: "data_blob", name: "D", part: "d" },
          { type: "wasm_module", name: "W", part: "./w" },
        ],
      },
      [
        ["index.js", "application/javascript", "addEventListener('fetch', () => {})"],
        ["t", "text/plain", "some text"],
        ["d", "application/octet-stream", "bytes"],
        ["./w", "application/wasm", "wasm"],
      ],
    );
    assert.equal(put.status, 200, put.message);
    const [service] = client.spec().units[0]?.services ?? [];
    assert.ok(service?.kind === "worker" && service.code.format === "service-worker");
    assert.deepEqual(
      service.bindings.map((binding) => `${binding.name} ${binding.kind}`),
      ["T text", "D data", "W wasm"],
    );
    assert.ok(service.bindings[0]?.kind === "text" && service.bindings[0].text === "some text");
    const secret = await client.call("PUT", "/workers/scripts/classic/secrets", { json: { name: "S", text: "x" } });
    assert.equal(secret.status, 200, secret.message);
  },

  "settings are answered as they were sent, and a version's change by PATCH makes a version": async (bench) => {
    const client = await openShop(bench).client();
    await deploy(client, "app", {
      bindings: [
        { type: "plain_text", name: "G", text: "hi" },
        { type: "json", name: "J", json: { a: [1] } },
        { type: "secret_text", name: "S", text: "hidden" },
        { type: "version_metadata", name: "V" },
      ],
      placement: { mode: "smart" },
      limits: { cpu_ms: 50 },
      observability: { enabled: true, head_sampling_rate: 0.5 },
      logpush: false,
      tail_consumers: [{ service: "other" }],
    });
    const { result } = await client.call("GET", "/workers/scripts/app/settings");
    assert.deepEqual(result.bindings, [
      { type: "plain_text", name: "G", text: "hi" },
      { type: "json", name: "J", json: { a: [1] } },
      { type: "secret_text", name: "S" },
      { type: "version_metadata", name: "V" },
    ]);
    assert.deepEqual([result.placement, result.limits, result.tail_consumers], [{ mode: "smart" }, { cpu_ms: 50 }, [{ service: "other" }]]);
    const patched = await client.call("PATCH", "/workers/scripts/app/script-settings", {
      json: { tags: ["a"], observability: { enabled: false } },
    });
    assert.deepEqual(patched.result, {
      tags: ["a"],
      logpush: false,
      tail_consumers: [{ service: "other" }],
      observability: { enabled: false },
    });
    const form = new FormData();
    form.set(
      "settings",
      JSON.stringify({
        bindings: [
          { type: "inherit", name: "G" },
          { type: "plain_text", name: "N", text: "new" },
        ],
      }),
    );
    const changed = await client.call("PATCH", "/workers/scripts/app/settings", { body: form });
    assert.deepEqual(
      changed.result.bindings.map((binding: { name: string }) => binding.name),
      ["G", "N", "S"],
      changed.message,
    );
    assert.equal((await client.call("GET", "/workers/scripts/app/versions")).result.items.length, 2);
    assert.equal((await client.call("PATCH", "/workers/scripts/app/settings", { json: { logpush: true } })).result.logpush, true);
    assert.equal((await client.call("GET", "/workers/scripts/app/versions")).result.items.length, 2);
  },

  "the process sees values; version metadata names the version": async (bench) => {
    const client = await openShop(bench).client();
    const put = await deploy(client, "app", {
      annotations: { "workers/tag": "t1" },
      bindings: [
        { type: "secret_text", name: "S", text: "hidden" },
        { type: "version_metadata", name: "V" },
      ],
    });
    const [service] = client.spec().units[0]?.services ?? [];
    assert.ok(service?.kind === "worker");
    const [secret, metadata] = service.bindings;
    assert.deepEqual(secret, { kind: "text", name: "S", text: "hidden" });
    assert.ok(metadata?.kind === "json");
    const { id, tag, timestamp } = JSON.parse(metadata.json) as Record<string, string>;
    assert.deepEqual([id, tag, Number.isNaN(Date.parse(timestamp ?? ""))], [put.result.deployment_id, "t1", false]);
  },

  "what host cannot start never replaces what runs, and leaves nothing behind": async (bench) => {
    const client = await openShop(bench).client();
    await deploy(client, "app");
    const before = client.spec();
    const bad: typeof HELLO = ["index.js", ESM, "BOOM"];
    const refused = await deploy(client, "app", {}, [bad]);
    assert.deepEqual([refused.status, refused.code], [400, "invalid_upload"]);
    assert.match(refused.message, /^Uncaught Error: BOOM\n {2}at index\.js:1:7\n/);
    assert.equal((await client.call("POST", "/workers/scripts/app/versions", { body: upload({}, [bad]) })).code, "invalid_upload");
    assert.equal((await deploy(client, "other", {}, [bad])).code, "invalid_upload");
    assert.equal((await client.call("GET", "/workers/services/other")).code, "worker_not_found");
    assert.deepEqual(client.spec(), before);
    assert.equal((await client.call("GET", "/workers/scripts/app/versions")).result.items.length, 1);
  },

  "deploys at once are taken one after the other, none lost": async (bench) => {
    const client = await openShop(bench, { workersPerAccount: 2 }).client();
    const puts = await Promise.all(Array.from({ length: 12 }, (_, at) => deploy(client, `w${at % 3}`)));
    const names = new Set(puts.flatMap((put) => (put.status === 200 ? [put.result.id as string] : [])));
    assert.equal(names.size, 2, "the quota holds against deploys that race");
    assert.equal(puts.filter(({ status }) => status === 200).length, 8);
    const rows = await bench.store.db.selectFrom("worker_versions").select(["worker_id", "number"]).execute();
    assert.deepEqual(
      rows.map(({ number }) => number).sort((a, b) => a - b),
      [1, 1, 2, 2, 3, 3, 4, 4],
    );
  },

  "what was deployed by somebody else during a change of settings is not overwritten": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    await deploy(client, "app");
    shop.host.onTrial = async () => {
      shop.host.onTrial = () => Promise.resolve();
      await deploy(client, "app", { bindings: [{ type: "plain_text", name: "NEW", text: "x" }] });
    };
    const patched = await client.call("PATCH", "/workers/scripts/app/settings", { json: { bindings: [] } });
    assert.deepEqual([patched.status, patched.code], [409, "precondition_failed"]);
    const { result } = await client.call("GET", "/workers/scripts/app/settings");
    assert.equal(result.bindings[0].name, "NEW");
  },

  "a Worker is deleted with its versions, once": async (bench) => {
    const client = await openShop(bench).client();
    await deploy(client, "app");
    await deploy(client, "b");
    assert.equal((await client.call("DELETE", "/workers/services/app?force=false")).status, 200);
    assert.deepEqual(scripts(client), ["w"]);
    assert.equal((await client.call("DELETE", "/workers/services/app?force=true")).code, "worker_not_found");
    assert.equal((await client.call("DELETE", "/workers/scripts/b")).status, 200);
    const rows = await bench.store.db.selectFrom("worker_versions").selectAll().execute();
    assert.equal(rows.length, 0);
    assert.deepEqual((await client.call("GET", "/workers/scripts")).result, []);
  },

  "at the cap another Worker is refused and a known one can still be deployed": async (bench) => {
    const client = await openShop(bench, { workersPerAccount: 1 }).client();
    await deploy(client, "one");
    const refused = await deploy(client, "two");
    assert.deepEqual([refused.status, refused.code], [400, "quota_exceeded"]);
    assert.equal((await deploy(client, "one")).status, 200);
  },

  "old versions go, the one that serves stays": async (bench) => {
    const client = await openShop(bench).client();
    const first = (await deploy(client, "app")).result.deployment_id as string;
    for (let at = 0; at < 53; at++) {
      const { status } = await client.call("PATCH", "/workers/workers/app/versions/latest", {
        json: { env: { S: { type: "secret_text", text: `${at}` } } },
      });
      assert.equal(status, 200);
    }
    const { result } = await client.call("GET", "/workers/scripts/app/versions");
    assert.equal(result.items.length, 51);
    assert.equal(result.items.at(-1).id, first);
  },

  "a deploy lifts a suspension by the watchdog, not one by the operator": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const suspend = (by: "watchdog" | "operator") =>
      bench.store.db
        .updateTable("accounts")
        .set({ suspended_at: 1, suspended_by: by, suspended_reason: "looped" })
        .where("id", "=", client.id)
        .execute();
    await suspend("watchdog");
    assert.equal((await deploy(client, "app")).status, 200);
    assert.equal(client.spec().suspended, null);
    assert.ok((await shop.trail.read(client.id, { limit: 10, offset: 0 })).some(({ action }) => action === "account:resume"));
    await suspend("operator");
    assert.deepEqual([(await deploy(client, "app")).code, client.spec().suspended], ["account_suspended", null]);
  },

  "a failing host is reported as such and nothing is half-made": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    shop.host.failure = new PlatformError("capsule_failed", { message: "The disk is full." });
    const refused = await deploy(client, "app");
    assert.deepEqual([refused.status, refused.code], [503, "capsule_failed"]);
    shop.host.failure = null;
    assert.equal((await client.call("GET", "/workers/services/app")).code, "worker_not_found");
  },

  "a deploy that the account's end overtakes is told so, and not to send it again": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    shop.host.apply = () => Promise.reject(new PlatformError("account_gone", { message: "The account has ended." }));
    const late = await deploy(client, "app");
    assert.deepEqual([late.status, late.code], [410, "account_gone"]);
    shop.host.apply = () => Promise.reject(new PlatformError("capsule_failed", { message: "The disk is full." }));
    const saved = await deploy(client, "app");
    assert.deepEqual([saved.status, saved.code], [503, "capsule_failed"]);
    assert.match(saved.message, /The change is saved/);
  },

  "subdomains are read, kept and not chosen; tails answer what they can": async (bench) => {
    const client = await openShop(bench).client();
    const { subdomain } = client.account;
    assert.deepEqual((await client.call("GET", "/workers/subdomain")).result, { subdomain });
    assert.equal((await client.call("PUT", "/workers/subdomain", { json: { subdomain } })).status, 200);
    assert.equal((await client.call("PUT", "/workers/subdomain", { json: { subdomain: "mine" } })).code, "subdomain_taken");
    assert.equal((await client.call("GET", "/workers/subdomains/mine")).code, "subdomain_taken");
    await deploy(client, "app");
    assert.deepEqual((await client.call("GET", "/workers/tails/by-consumer/app")).result, []);
    assert.deepEqual((await client.call("GET", "/containers/applications")).result, []);
    for (const path of [
      "/workers/durable_objects/namespaces?per_page=1000&page=1",
      "/storage/kv/namespaces?page=7&per_page=1000&order=title&direction=asc",
      "/d1/database?per_page=10&page=1",
    ]) {
      const empty = await client.call("GET", path);
      assert.deepEqual([empty.result, empty.info.total_count], [[], 0]);
    }
    for (const path of ["/queues?page=1", "/r2/buckets"]) {
      const absent = await client.call("GET", path);
      assert.deepEqual([absent.status, absent.code], [400, "product_unavailable"]);
    }
  },
});
