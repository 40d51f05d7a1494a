// What uploads do to the namespaces of an account: they come, change names and owners, and go.
import assert from "node:assert/strict";
import { onWholeAccount, type Permission } from "../../../../src/control/permissions/authorize.ts";
import { onBothDatabases } from "../../../fixtures/databases.ts";
import { bind, bindingsOf, done, listed, put, script, tagOf } from "../../../fixtures/object-classes.ts";
import { openShop, upload, type Client } from "../../../fixtures/products.ts";

/** Class → key, by the Worker's place in the spec. */
const owned = (client: Client, worker: string): Record<string, string> =>
  Object.fromEntries(
    (client.spec().units[0]?.services ?? []).flatMap((service) =>
      service.kind === "worker" && service.origin?.script === worker
        ? (service.objects?.namespaces ?? []).map(
            ({ className, uniqueKey, sql }) => [`${className} ${sql ? "sql" : "kv"}`, uniqueKey] as const,
          )
        : [],
    ),
  );
const kept = (client: Client): readonly string[] => (client.spec().keep.state?.objects ?? []).toSorted();

onBothDatabases("Classes of Durable Objects", {
  "come with the upload that binds them, and stay as they are when it is repeated without migrations": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const migrations = { new_tag: "v2", steps: [{ new_sqlite_classes: ["Counter"] }, { new_classes: ["Old"] }] };
    await done(put(client, "app", ["Counter", "Old"], { migrations, bindings: [bind("Counter"), bind("Old")] }));
    assert.deepEqual(await listed(client), ["app_Counter sql", "app_Old kv"]);
    assert.equal(await tagOf(client, "app"), "v2");
    const keys = owned(client, "app");
    assert.deepEqual(Object.keys(keys).toSorted(), ["Counter sql", "Old kv"]);
    assert.deepEqual(kept(client), Object.values(keys).toSorted());
    assert.deepEqual(
      bindingsOf(client, "app").map((binding) => (binding.kind === "objects" ? binding.className : binding.kind)),
      ["Counter", "Old"],
    );
    await done(put(client, "app", ["Counter", "Old"], { bindings: [bind("Counter")] }));
    assert.deepEqual(owned(client, "app"), keys);
    assert.equal(await tagOf(client, "app"), "v2");
    const trail = await shop.trail.read(client.id, { limit: 50, offset: 0 });
    const entry = trail.find(({ action }) => action === "durable-objects:migrate");
    assert.deepEqual([entry?.resource, entry?.text], ["workers/app", "tag v2, new-sqlite-class Counter, new-class Old"]);
  },

  "keep their keys through renames, of two that change names too, and former names go on leading to them": async (bench) => {
    const client = await openShop(bench).client();
    await done(put(client, "app", ["A", "B"], { migrations: { new_tag: "1", new_sqlite_classes: ["A"], new_classes: ["B"] } }));
    await done(put(client, "other", [], { bindings: [bind("A", "app")] }));
    const before = owned(client, "app");
    const swap = [
      { from: "A", to: "T" },
      { from: "B", to: "A" },
      { from: "T", to: "B" },
    ].map((renamed) => ({ renamed_classes: [renamed] }));
    await done(put(client, "app", ["A", "B"], { migrations: { old_tag: "1", new_tag: "2", steps: swap } }));
    assert.deepEqual(owned(client, "app"), { "A kv": before["B kv"], "B sql": before["A sql"] });
    const second = { old_tag: "2", new_tag: "3", steps: [{ renamed_classes: [{ from: "A", to: "C" }] }] };
    await done(put(client, "app", ["B", "C"], { migrations: second }));
    assert.deepEqual(owned(client, "app"), { "C kv": before["B kv"], "B sql": before["A sql"] });
    const bound = bindingsOf(client, "other")[0];
    assert.ok(bound?.kind === "objects" && ["B", "C"].includes(bound.className), JSON.stringify(bound));
    assert.equal(await tagOf(client, "app"), "3");
  },

  "go to another Worker of the account with their keys": async (bench) => {
    const client = await openShop(bench).client();
    await done(put(client, "from", ["Room"], { migrations: { new_tag: "1", new_sqlite_classes: ["Room"] }, bindings: [bind("Room")] }));
    const key = owned(client, "from")["Room sql"];
    const transferred_classes = [{ from: "Room", from_script: "from", to: "Hall" }];
    await done(put(client, "to", ["Hall"], { migrations: { new_tag: "1", transferred_classes }, bindings: [bind("Hall")] }));
    assert.deepEqual([owned(client, "from"), owned(client, "to")], [{}, { "Hall sql": key }]);
    assert.deepEqual(await listed(client), ["to_Hall sql"]);
    // The former owner's own binding reaches them where they are now.
    const [binding] = bindingsOf(client, "from");
    assert.deepEqual(binding?.kind === "objects" && binding.className, "Hall");
    const keys = (client.spec().units[0]?.services ?? []).flatMap((one) => (one.kind === "worker" ? (one.objects?.namespaces ?? []) : []));
    assert.deepEqual(
      keys.map(({ uniqueKey }) => uniqueKey),
      [key],
    );
    await done(put(client, "from", []));
  },

  "go with their objects when they are deleted; one of the same name begins with another key": async (bench) => {
    const client = await openShop(bench).client();
    await done(put(client, "app", ["A", "B"], { migrations: { new_tag: "1", new_sqlite_classes: ["A", "B"] } }));
    const before = owned(client, "app");
    await done(put(client, "app", ["B"], { migrations: { old_tag: "1", new_tag: "2", deleted_classes: ["A"] } }));
    assert.deepEqual(kept(client), [before["B sql"]]);
    await done(put(client, "app", ["A", "B"], { migrations: { old_tag: "2", new_tag: "3", new_sqlite_classes: ["A"] } }));
    assert.notEqual(owned(client, "app")["A sql"], before["A sql"]);
    const both = { old_tag: "3", new_tag: "5", steps: [{ deleted_classes: ["A"] }, { new_classes: ["A"] }] };
    await done(put(client, "app", ["A", "B"], { migrations: both, bindings: [bind("A")] }));
    assert.deepEqual(Object.keys(owned(client, "app")).toSorted(), ["A kv", "B sql"]);
  },

  "need not be exported where the same upload takes them away again": async (bench) => {
    const client = await openShop(bench).client();
    const steps = [{ new_classes: ["A", "B"] }, { renamed_classes: [{ from: "A", to: "C" }] }, { deleted_classes: ["B"] }];
    await done(put(client, "app", ["C"], { migrations: { new_tag: "v3", steps } }));
    assert.deepEqual(await listed(client), ["app_C kv"]);
  },

  "are owned by one service, whichever version serves, and by none that has no traffic": async (bench) => {
    const client = await openShop(bench).client();
    const first = (await done(put(client, "app", ["A"], { migrations: { new_tag: "1", new_sqlite_classes: ["A"] } })))
      .deployment_id as string;
    const made = await done(
      client.call("POST", "/workers/scripts/app/versions", { body: upload({ bindings: [bind("A")] }, [script("A")]) }),
    );
    for (const [share, owner] of [
      [40, first],
      [60, made.id],
    ] as const) {
      const versions = [
        { version_id: first, percentage: 100 - share },
        { version_id: made.id, percentage: share },
      ];
      await done(client.call("POST", "/workers/scripts/app/deployments", { json: { versions } }));
      const services = client.spec().units[0]?.services ?? [];
      const owners = services.filter((one) => one.kind === "worker" && one.objects);
      assert.deepEqual(
        owners.map(({ origin }) => origin?.version),
        [owner],
      );
      const [binding] = services.flatMap((one) => (one.kind === "worker" ? one.bindings : []));
      assert.equal(binding?.kind === "objects" && binding.service, owners[0]?.id);
    }
  },

  "end with their Worker; where others bind them, only when it is forced": async (bench) => {
    const client = await openShop(bench).client();
    await done(put(client, "app", ["A"], { migrations: { new_tag: "1", new_sqlite_classes: ["A"] }, bindings: [bind("A")] }));
    await done(put(client, "user", [], { bindings: [bind("A", "app")] }));
    const { durable_objects } = (await client.call("GET", "/workers/scripts/app/references")).result;
    const [namespace] = (await client.call("GET", "/workers/durable_objects/namespaces")).result;
    assert.deepEqual(durable_objects, [
      {
        service: "user",
        environment: "production",
        name: "A",
        durable_object_namespace_id: namespace.id,
        durable_object_namespace_name: "app_A",
      },
    ]);
    for (const query of ["", "?force=false"]) {
      const refused = await client.call("DELETE", `/workers/services/app${query}`);
      assert.deepEqual([refused.status, refused.code, refused.number], [400, "class_in_use", 10064], refused.message);
      assert.match(refused.message, /script 'user' binds its class of Durable Objects 'A' as "A"[^]*force=true/);
    }
    await done(client.call("DELETE", "/workers/services/app?force=true"));
    assert.deepEqual([await listed(client), kept(client)], [[], []]);
    // What binds it says so when it is called.
    assert.deepEqual(
      bindingsOf(client, "user").map(({ kind }) => kind),
      ["service"],
    );
    await done(put(client, "app", ["A"], { migrations: { new_tag: "1", new_sqlite_classes: ["A"] } }));
    await done(client.call("DELETE", "/workers/scripts/user"));
    await done(client.call("DELETE", "/workers/scripts/app"));
    assert.deepEqual(await listed(client), []);
  },

  "are counted, and refused beyond the quota": async (bench) => {
    const shop = openShop(bench, { objectNamespaces: 2 });
    const client = await shop.client();
    await done(put(client, "app", ["A"], { migrations: { new_tag: "1", new_sqlite_classes: ["A"] } }));
    const product = shop.products.find(({ name }) => name === "durable-objects");
    assert.deepEqual(await product?.limits?.(bench.store.db, client.account), [
      { name: "durable_objects.namespaces", unit: "count", max: 2, used: 1 },
    ]);
    const more = await put(client, "more", ["B", "C"], { migrations: { new_tag: "1", new_sqlite_classes: ["B", "C"] } });
    assert.deepEqual([more.status, more.code], [400, "quota_exceeded"]);
    assert.match(more.message, /3 classes of Durable Objects, more than 2[^]*claim the account/);
    // One that takes the place of another adds none.
    await done(put(client, "more", ["B"], { migrations: { new_tag: "1", new_sqlite_classes: ["B"] } }));
    const steps = [{ deleted_classes: ["B"] }, { new_sqlite_classes: ["C"] }];
    await done(put(client, "more", ["C"], { migrations: { old_tag: "1", new_tag: "2", steps } }));
  },

  "are listed by pages": async (bench) => {
    const client = await openShop(bench).client();
    await done(put(client, "app", ["A", "B", "C"], { migrations: { new_tag: "1", new_sqlite_classes: ["A", "B", "C"] } }));
    const page = await client.call("GET", "/workers/durable_objects/namespaces?per_page=2&page=2");
    assert.deepEqual([page.result.length, page.info], [1, { page: 2, per_page: 2, count: 1, total_count: 3, total_pages: 2 }]);
    assert.deepEqual(Object.keys(page.result[0]).toSorted(), ["class", "id", "name", "script", "use_sqlite"]);
    assert.match(page.result[0].id, /^[0-9a-f]{32}$/);
  },

  "of another Worker want a permission on it, to bind and to take": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    await done(put(client, "theirs", ["A"], { migrations: { new_tag: "1", new_sqlite_classes: ["A"] } }));
    const only = (action: Permission["action"], id: string): Permission => ({
      action,
      resource: { product: "workers", id },
      conditions: [],
    });
    const mine = await shop.issue(client, [only("workers:write", "mine"), only("workers:read", "theirs")]);
    const send = (metadata: Record<string, unknown>, token: string) =>
      client.call("PUT", "/workers/scripts/mine", { token, body: upload(metadata, [script("A")]) });
    const transfer = { migrations: { new_tag: "1", transferred_classes: [{ from: "A", from_script: "theirs", to: "A" }] } };
    const taken = await send(transfer, mine);
    assert.deepEqual([taken.status, taken.code], [403, "forbidden"], taken.message);
    assert.equal((await send({ bindings: [bind("A", "theirs")] }, mine)).status, 200);
    const blind = await shop.issue(client, [only("workers:write", "mine")]);
    assert.equal((await send({ bindings: [bind("A", "theirs")] }, blind)).code, "forbidden");
    const whole = await shop.issue(client, onWholeAccount(["workers:write"]));
    assert.equal((await send(transfer, whole)).status, 200);
  },
});
