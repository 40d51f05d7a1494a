// What the trail says of deeds that no transaction holds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOutside } from "../../../src/control/composer/outside.ts";
import { openTrail, type Entry, type Trail } from "../../../src/control/trail/trail.ts";
import { openBench } from "../../fixtures/databases.ts";
import { openShop } from "../../fixtures/products.ts";

test("a deed that was done is never written down as one that failed", async () => {
  await using bench = await openBench(null);
  const client = await openShop(bench).client();
  const principal = await bench.store.db.selectFrom("tokens").selectAll().where("account_id", "=", client.id).executeTakeFirstOrThrow();
  const real = openTrail(bench.store.db, bench.keys);
  const written: Entry["outcome"][] = [];
  const trail: Trail = {
    ...real,
    append: (tx, entry) => {
      if (entry.outcome === "done") return Promise.reject(new Error("the database is away"));
      written.push(entry.outcome);
      return real.append(tx, entry);
    },
  };
  const outside = createOutside({ store: bench.store, trail });
  const caller = {
    kind: "agent" as const,
    account: client.id,
    token: principal.id,
    lineage: [],
    actors: [],
    task: null,
    epoch: principal.epoch,
    expiresAtMs: null,
    permissions: [],
  };
  await assert.rejects(
    outside(caller, "kv:write", "kv/x", () => Promise.resolve()),
    /the database is away/,
  );
  assert.deepEqual(written, ["intent"]);
  await assert.rejects(
    outside(caller, "kv:write", "kv/x", () => Promise.reject(new Error("full"))),
    /full/,
  );
  assert.deepEqual(written, ["intent", "intent", "failed"]);
});
