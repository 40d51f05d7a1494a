// Migrations and bindings of Durable Objects that are refused, with the hosted original's numbers and words.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ErrorCode } from "../../../../src/kernel/errors.ts";
import { onBothDatabases, openBench, type Bench } from "../../../fixtures/databases.ts";
import { bind, bindingsOf, done, listed, put, script, tagOf, type Put } from "../../../fixtures/object-classes.ts";
import { openShop, upload, type Client } from "../../../fixtures/products.ts";

type Refusal = readonly [what: string, put: Put, classes: readonly string[], number: number, code: ErrorCode, message: RegExp];

const steps = (...sent: readonly unknown[]): Put => ({ migrations: { old_tag: "v1", new_tag: "v2", steps: sent } });

/** Uploads to a Worker that has A (tag v1), beside `theirs`, which has T. */
const REFUSALS: readonly Refusal[] = [
  ["no old tag", { migrations: { new_tag: "v2" } }, ["A"], 10079, "migration_out_of_step", /got tag '' when expected tag is 'v1'/],
  [
    "an old tag that is another",
    { migrations: { old_tag: "v0", new_tag: "v1", steps: [] } },
    ["A"],
    10079,
    "migration_out_of_step",
    /got tag 'v0' when expected tag is 'v1'/,
  ],
  [
    "a class that is there",
    steps({ new_classes: ["A"] }),
    ["A"],
    10074,
    "migration_not_applicable",
    /new-class migration to class 'A' that is already depended on/,
  ],
  [
    "a class that the upload makes twice",
    steps({ new_sqlite_classes: ["B", "B"] }),
    ["A", "B"],
    10074,
    "migration_not_applicable",
    /new-sqlite-class migration to class 'B' that is already/,
  ],
  [
    "a rename of what is not there",
    steps({ renamed_classes: [{ from: "X", to: "B" }] }),
    ["A", "B"],
    10074,
    "migration_not_applicable",
    /rename-class migration to class 'X' which was not exported/,
  ],
  [
    "a rename to what is there",
    steps({ new_classes: ["B"] }, { renamed_classes: [{ from: "B", to: "A" }] }),
    ["A"],
    10074,
    "migration_not_applicable",
    /rename-class migration to class 'A' that is already/,
  ],
  [
    "a deletion of what is not there",
    steps({ deleted_classes: ["X"] }),
    ["A"],
    10074,
    "migration_not_applicable",
    /delete-class migration to class 'X' which was not exported in the previous version/,
  ],
  [
    "a transfer from no Worker",
    steps({ transferred_classes: [{ from: "T", from_script: "nobody", to: "T" }] }),
    ["A", "T"],
    10074,
    "migration_not_applicable",
    /class 'T', which the script 'nobody' does not have/,
  ],
  [
    "a transfer of what is not there",
    steps({ transferred_classes: [{ from: "X", from_script: "theirs", to: "X" }] }),
    ["A", "X"],
    10074,
    "migration_not_applicable",
    /class 'X', which the script 'theirs' does not have/,
  ],
  [
    "a transfer twice",
    steps({
      transferred_classes: [
        { from: "T", from_script: "theirs", to: "B" },
        { from: "T", from_script: "theirs", to: "C" },
      ],
    }),
    ["A", "B", "C"],
    10074,
    "migration_not_applicable",
    /class 'T', which the script/,
  ],
  [
    "a transfer from itself",
    steps({ transferred_classes: [{ from: "A", from_script: "app", to: "B" }] }),
    ["B"],
    10074,
    "migration_not_applicable",
    /of the script itself\. Use renamed_classes/,
  ],
  [
    "a new class that is not exported",
    steps({ new_sqlite_classes: ["B"] }),
    ["A"],
    10070,
    "class_not_exported",
    /new-sqlite-class migration to class 'B' that is not exported by script/,
  ],
  [
    "a rename to what is not exported",
    steps({ renamed_classes: [{ from: "A", to: "B" }] }),
    ["A"],
    10070,
    "class_not_exported",
    /rename-class migration to class 'B' that is not exported/,
  ],
  [
    "a class that is no longer exported",
    {},
    [],
    10064,
    "class_in_use",
    /New version of script does not export class 'A' which is depended on by existing Durable Objects\. Export the class again/,
  ],
  ["static assets alone", { metadata: { keep_assets: true } }, [], 10021, "invalid_upload", /keep_assets/],
  [
    "a binding to a class that is no class of Durable Objects",
    { bindings: [bind("B")] },
    ["A", "B"],
    10061,
    "class_not_bindable",
    /Cannot create binding for class 'B' because it is not currently configured[^]*new_sqlite_classes": \["B"\]/,
  ],
  [
    "a binding to a class that the upload deletes",
    { ...steps({ deleted_classes: ["A"] }), bindings: [bind("A")] },
    [],
    10061,
    "class_not_bindable",
    /delete-class migration to class 'A' without also removing the binding/,
  ],
  [
    "a binding to a class that the upload renames",
    { ...steps({ renamed_classes: [{ from: "A", to: "B" }] }), bindings: [bind("A")] },
    ["B"],
    10061,
    "class_not_bindable",
    /class 'A' because it is not currently configured/,
  ],
  [
    "a binding to no Worker",
    { bindings: [bind("A", "nobody")] },
    ["A"],
    10061,
    "class_not_bindable",
    /class 'A' in script 'nobody' that does not exist/,
  ],
  [
    "a binding to a class that another Worker lacks",
    { bindings: [bind("A", "theirs")] },
    ["A"],
    10061,
    "class_not_bindable",
    /not a class of Durable Objects of the script 'theirs'/,
  ],
  [
    "a binding by a former name",
    { bindings: [bind("Former", "theirs")] },
    ["A"],
    10061,
    "class_not_bindable",
    /of the script 'theirs'\. It is called "T" now/,
  ],
  [
    "a binding without a class",
    { bindings: [{ type: "durable_object_namespace", name: "N" }] },
    ["A"],
    10021,
    "invalid_upload",
    /class_name: missing/,
  ],
  ["a class name that is empty", { bindings: [bind("")] }, ["A"], 10021, "invalid_upload", /class_name: empty|name: empty/],
  ["migrations that are no object", { migrations: "v1" }, ["A"], 10021, "invalid_upload", /metadata\.migrations: /],
  ["steps that are no list", { migrations: { steps: {} } }, ["A"], 10021, "invalid_upload", /metadata\.migrations\.steps: /],
  ["a step that is no object", steps(null), ["A"], 10021, "invalid_upload", /metadata\.migrations\.steps\.0: /],
  ["classes that are no list", steps({ new_classes: "A" }), ["A"], 10021, "invalid_upload", /steps\.0\.new_classes: /],
  ["a class that is no text", steps({ new_sqlite_classes: [7] }), ["A"], 10021, "invalid_upload", /steps\.0\.new_sqlite_classes\.0: /],
  ["a class with a control character", steps({ deleted_classes: ["A\u0000"] }), ["A"], 10021, "invalid_upload", /holds control characters/],
  [
    "a rename without a goal",
    steps({ renamed_classes: [{ from: "A" }] }),
    ["A"],
    10021,
    "invalid_upload",
    /renamed_classes\.0\.to: missing/,
  ],
  [
    "a transfer without a source",
    steps({ transferred_classes: [{ from: "A", to: "A" }] }),
    ["A"],
    10021,
    "invalid_upload",
    /transferred_classes\.0\.from_script: missing/,
  ],
  ["a tag that is no text", { migrations: { old_tag: 1 } }, ["A"], 10021, "invalid_upload", /migrations\.old_tag: /],
  ["a tag that is too long", { migrations: { new_tag: "x".repeat(256) } }, ["A"], 10021, "invalid_upload", /new_tag: /],
  ["too many steps", steps(...Array.from({ length: 201 }, () => ({}))), ["A"], 10021, "invalid_upload", /steps: more than 200/],
  [
    "exports",
    { metadata: { exports: { A: {} } } },
    ["A"],
    10021,
    "invalid_upload",
    /metadata\.exports[^]*migrations \(new_sqlite_classes\)/,
  ],
];

describe("An upload is refused, with the Worker and its objects as they were", () => {
  let bench: Bench;
  let client: Client;
  const standing = async () => [client.spec(), await listed(client), await tagOf(client, "app")];

  before(async () => {
    bench = await openBench(null);
    client = await openShop(bench).client();
    await done(put(client, "app", ["A"], { migrations: { new_tag: "v1", new_sqlite_classes: ["A"] } }));
    await done(put(client, "theirs", ["Former"], { migrations: { new_tag: "v2", steps: [{ new_classes: ["Former"] }, {}] } }));
    const renamed_classes = [{ from: "Former", to: "T" }];
    await done(put(client, "theirs", ["T"], { migrations: { old_tag: "v2", new_tag: "v3", renamed_classes } }));
  });
  after(() => bench[Symbol.asyncDispose]());

  for (const [what, sent, classes, number, code, message] of REFUSALS) {
    test(what, async () => {
      const before = await standing();
      const answer = await put(client, "app", classes, sent);
      assert.deepEqual([answer.code, answer.number], [code, number], answer.message);
      assert.equal(answer.status, code === "migration_out_of_step" ? 412 : 400);
      assert.match(answer.message, message);
      assert.deepEqual(await standing(), before);
    });
  }
});

onBothDatabases("Classes of Durable Objects are kept from harm:", {
  "an old tag for a Worker that is new": async (bench) => {
    const client = await openShop(bench).client();
    const answer = await put(client, "app", ["A"], { migrations: { old_tag: "v1", new_tag: "v2", steps: [] } });
    assert.deepEqual([answer.status, answer.code], [412, "migration_out_of_step"]);
    assert.equal((await client.call("GET", "/workers/services/app")).code, "worker_not_found");
  },

  "a class that another Worker binds cannot be deleted": async (bench) => {
    const client = await openShop(bench).client();
    await done(put(client, "app", ["A"], { migrations: { new_tag: "v1", new_sqlite_classes: ["A"] } }));
    await done(put(client, "user", [], { bindings: [bind("A", "app")] }));
    const answer = await put(client, "app", [], { migrations: { old_tag: "v1", new_tag: "v2", deleted_classes: ["A"] } });
    assert.deepEqual([answer.status, answer.code], [400, "class_not_bindable"]);
    assert.match(answer.message, /the script 'user' binds it as "A"\. Deploy that Worker without the binding first/);
    await done(put(client, "user", []));
    await done(put(client, "app", [], { migrations: { old_tag: "v1", new_tag: "v2", deleted_classes: ["A"] } }));
  },

  "versions with a migration, or without a class, and deployments of those from before it": async (bench) => {
    const client = await openShop(bench).client();
    const before = (await done(put(client, "app", []))).deployment_id as string;
    const version = (classes: readonly string[], metadata: Record<string, unknown> = {}) =>
      client.call("POST", "/workers/scripts/app/versions", { body: upload(metadata, [script(...classes)]) });
    const migrations = { new_tag: "v1", new_sqlite_classes: ["A"] };
    const early = await version(["A"], { migrations });
    assert.deepEqual([early.status, early.code, early.number], [400, "migration_not_deployed", 10211]);
    assert.match(early.message, /Version upload failed[^]*wrangler deploy/);
    const after = (await done(put(client, "app", ["A"], { migrations }))).deployment_id as string;
    // What was applied already is no migration.
    await done(version(["A"], { migrations: { old_tag: "v1", new_tag: "v1", steps: [] } }));
    const lacking = await version([]);
    assert.deepEqual([lacking.status, lacking.code], [400, "class_in_use"]);
    for (const shares of [
      [[before, 100]],
      [
        [before, 1],
        [after, 99],
      ],
    ] as const) {
      const json = { versions: shares.map(([version_id, percentage]) => ({ version_id, percentage })) };
      const refused = await client.call("POST", "/workers/scripts/app/deployments?force=true", { json });
      assert.deepEqual([refused.status, refused.code], [400, "class_in_use"]);
      assert.match(refused.message, new RegExp(`Version ${before} does not export class 'A'`));
    }
  },

  "settings and secrets keep the bindings and the tag": async (bench) => {
    const client = await openShop(bench).client();
    const migrations = { new_tag: "v1", new_sqlite_classes: ["A"] };
    await done(put(client, "app", ["A"], { migrations, bindings: [bind("A")] }));
    await done(client.call("PUT", "/workers/scripts/app/secrets", { json: { name: "S", text: "x" } }));
    const nope = await client.call("PATCH", "/workers/scripts/app/settings", { json: { bindings: [bind("Nope")] } });
    assert.deepEqual([nope.status, nope.code], [400, "class_not_bindable"]);
    await done(
      client.call("PATCH", "/workers/scripts/app/settings", { json: { bindings: [bind("A"), { ...bind("A", "app"), name: "SAME" }] } }),
    );
    const { result } = await client.call("GET", "/workers/scripts/app/settings");
    assert.deepEqual(result.bindings, [bind("A"), { ...bind("A", "app"), name: "SAME" }, { type: "secret_text", name: "S" }]);
    assert.deepEqual(
      bindingsOf(client, "app").map(({ kind }) => kind),
      ["objects", "objects", "text"],
    );
    await done(put(client, "app", ["A"], { bindings: [{ type: "inherit", name: "A" }] }));
    assert.equal(bindingsOf(client, "app")[0]?.kind, "objects");
    assert.equal(await tagOf(client, "app"), "v1");
  },
});
