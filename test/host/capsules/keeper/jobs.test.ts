// Every job over state that a real workerd wrote, while it runs and while it is stopped.
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { objectId } from "../../../../src/capsule/object-id.ts";
import { NEEDS_REST } from "../../../../src/host/capsules/keeper/keeper.ts";
import type { StateJob } from "../../../../src/capsule/state.ts";
import { text } from "node:stream/consumers";
import { onEachRung } from "./scene.ts";

const HOUR_MS = 3_600_000;

describe("the keeper", () => {
  onEachRung(test, "reads the next alarm, live and at rest, and forgets none after a kill", async (scene) => {
    const { keeper, place } = scene;
    const alarms = () => keeper.runJson(place, { kind: "alarms" });
    assert.deepEqual(await alarms(), { nextMs: null, skipped: [] });
    const running = await scene.start();
    const soonest = Date.now() + HOUR_MS;
    await running.ask("object", "wake", "later", soonest + HOUR_MS);
    await running.ask("object", "wake", "sooner", soonest);
    // KV's own alarms are none of a tenant's.
    await running.ask("kv", "put", "k", "v", { expirationTtl: 60 });
    assert.deepEqual(await alarms(), { nextMs: soonest, skipped: [] });
    await running.stop("kill");
    assert.deepEqual(await alarms(), { nextMs: soonest, skipped: [] });
  });

  onEachRung(test, "lists the objects that hold something, page after page", async (scene) => {
    const running = await scene.start();
    const ids: string[] = [];
    for (let at = 0; at < 5; at++) ids.push(((await running.ask("object", "put", `o${at}`, "k", at)) as { id: string }).id);
    ids.push(((await running.ask("object", "sql", "table", "CREATE TABLE mine(a)")) as { id: string }).id);
    await running.ask("object", "put", "emptied", "k", 1);
    await running.ask("object", "clear", "emptied");
    await running.ask("object", "sql", "touched", "SELECT 1");
    const list = (after: string | null, limit: number) =>
      scene.keeper.runJson(scene.place, { kind: "objects", key: scene.key, after, limit });
    ids.sort();
    assert.deepEqual(await list(null, 1000), { ids, more: false });
    assert.deepEqual(await list(null, 4), { ids: ids.slice(0, 4), more: true });
    assert.deepEqual(await list(ids[3] ?? "", 4), { ids: ids.slice(4), more: false });
    assert.deepEqual(await list(ids[1] ?? "", 4), { ids: ids.slice(2), more: false });
    assert.deepEqual(await scene.keeper.runJson(scene.place, { kind: "objects", key: "f".repeat(32), after: null, limit: 1 }), {
      ids: [],
      more: false,
    });
  });

  onEachRung(test, "bookmarks a live database, answers the same while nothing changes, and goes back", async (scene) => {
    const { keeper, place, database } = scene;
    const restore = (bookmark: string) => keeper.runJson(place, { kind: "d1-restore", database, bookmark });
    const running = await scene.start();
    await running.ask("d1", "all", "CREATE TABLE t(a)");
    await running.ask("d1", "all", "INSERT INTO t VALUES(1)");
    const first = await scene.bookmark();
    assert.deepEqual(await scene.bookmark(), first);
    await running.ask("d1", "all", "INSERT INTO t VALUES(2)");
    const second = await scene.bookmark();
    assert.ok(first.bookmark < second.bookmark && first.atMs < second.atMs);
    assert.deepEqual(await running.ask("d1", "all", "SELECT a FROM t"), [{ a: 1 }, { a: 2 }]);
    await running.ask("d1", "all", "INSERT INTO t VALUES(3)");
    await running.stop("kill");
    const done = await restore(first.bookmark);
    assert.equal(done.restored, first.bookmark);
    const again = await scene.start();
    assert.deepEqual(await again.ask("d1", "all", "SELECT a FROM t"), [{ a: 1 }]);
    await again.stop("terminate");
    const { bookmarks } = await keeper.runJson(place, { kind: "d1-bookmarks", database });
    assert.deepEqual(
      bookmarks.map(({ bookmark }) => bookmark),
      [done.previous, second.bookmark, first.bookmark],
    );
    assert.ok(done.previous !== null);
    await restore(done.previous);
    const last = await scene.start();
    assert.deepEqual(await last.ask("d1", "all", "SELECT count(*) AS n FROM t"), [{ n: 3 }]);
    await last.stop();
  });

  onEachRung(test, "exports a live database and imports it into another, for the process to read", async (scene) => {
    const running = await scene.start();
    await running.ask("d1", "all", "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, at REAL, b BLOB)");
    await running.ask("d1", "all", "INSERT INTO t(name, at, b) VALUES(?, ?, x'00ff')", "it's; a\nline", 0.1);
    await running.ask("d1", "all", "CREATE INDEX by_name ON t(name)");
    const dump = await scene.exportSql();
    assert.match(dump, /^PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE t\(/);
    assert.doesNotMatch(dump, /_cf_/);
    await running.ask("d1", "all", "INSERT INTO t(name) VALUES('after')");
    const { sizes } = await scene.keeper.runJson(scene.place, { kind: "d1-sizes", databases: [scene.database, "e".repeat(32)] });
    assert.ok((sizes[scene.database] ?? 0) >= 8192);
    assert.equal(sizes["e".repeat(32)], 0);
    await running.ask("d1", "all", "DROP TABLE t");
    await running.stop("kill");
    const outcome = await scene.importSql(dump);
    assert.ok("queries" in outcome, JSON.stringify(outcome));
    assert.ok(outcome.rowsWritten >= 1);
    const again = await scene.start();
    assert.deepEqual(await again.ask("d1", "all", "SELECT id, name, at, hex(b) AS b FROM t"), [
      { id: 1, name: "it's; a\nline", at: 0.1, b: "00FF" },
    ]);
    assert.deepEqual(await again.ask("d1", "all", "INSERT INTO t(name) VALUES('next') RETURNING id"), [{ id: 2 }]);
    assert.equal(await scene.exportSql({ noSchema: true, noData: true }), "PRAGMA defer_foreign_keys=TRUE;\n");
    await again.stop();
  });

  onEachRung(test, "does all that needs no rest beside a process that writes all the while", async (scene) => {
    const { database, key, keeper, place } = scene;
    const jobs: StateJob[] = [
      { kind: "alarms" },
      { kind: "objects", key, after: null, limit: 10 },
      { kind: "d1-bookmark", database },
      { kind: "d1-bookmarks", database },
      { kind: "d1-export", database, noSchema: false, noData: false, tables: [] },
      { kind: "d1-sizes", databases: [database] },
    ];
    assert.deepEqual([...NEEDS_REST].sort(), ["d1-import", "d1-restore", "sweep"]);
    const running = await scene.start();
    await running.ask("d1", "all", "CREATE TABLE t(a INTEGER PRIMARY KEY)");
    const over = new AbortController();
    let written = 0;
    const writing = (async () => {
      while (!over.signal.aborted) {
        await running.ask("d1", "all", "INSERT INTO t VALUES(?)", (written += 1));
        await running.ask("object", "wake", `o${written % 5}`, Date.now() + HOUR_MS);
      }
    })();
    for (const job of jobs) assert.ok((await text(await keeper.run(place, job))).length > 0, job.kind);
    over.abort();
    await writing;
    assert.deepEqual(await running.ask("d1", "all", "SELECT count(*) AS n FROM t"), [{ n: written }]);
    await running.stop();
  });

  onEachRung(test, "sweeps what nothing refers to and keeps the rest", async (scene) => {
    const { keeper, place, state, namespace, database, key } = scene;
    const running = await scene.start();
    await running.ask("kv", "put", "small", "v");
    await running.ask("kv", "put", "big", "x".repeat(200_000));
    await running.ask("d1", "all", "CREATE TABLE t(a)");
    await running.ask("object", "put", "o", "k", 1);
    await scene.bookmark();
    await running.stop("terminate");
    const kept = await keeper.runJson(place, { kind: "sweep", keep: { kv: [namespace], d1: [database], objects: [key] } });
    assert.deepEqual(kept, { removed: [], count: 0 });
    const blobs = objectId("kv", namespace);
    assert.ok(existsSync(join(state, "kv", blobs)), "the big value is a file");
    const again = await scene.start();
    assert.equal(((await again.ask("kv", "get", "big")) as string).length, 200_000);
    await again.stop("terminate");
    const { removed, count } = await keeper.runJson(place, { kind: "sweep", keep: { kv: [], d1: [], objects: [] } });
    assert.equal(count, removed.length);
    assert.ok(
      removed.includes(`kv/${blobs}`) && removed.includes(`objects/${key}`) && removed.includes(`snapshots/${database}`),
      String(removed),
    );
    assert.deepEqual(readdirSync(join(state, "objects")), []);
    for (const product of ["kv", "d1"])
      assert.deepEqual(
        readdirSync(join(state, product, product)).filter((name) => !name.startsWith("metadata")),
        [],
      );
    const fresh = await scene.start();
    assert.equal(await fresh.ask("kv", "get", "big"), null);
    await fresh.stop();
  });
});
