// An account's state as whoever broke out of the engine would leave it: links, pipes, nonsense, too much of everything.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { objectId } from "../../../../src/capsule/object-id.ts";
import { newId } from "../../../../src/kernel/ids.ts";
import { ownUsers } from "../sandbox/site.ts";
import { onEachRung, type Scene } from "./scene.ts";

const SECRET = "what the neighbour wrote";
const SOONEST_NS = 1_000_000_000n;

type Neighbour = { readonly directory: string; readonly state: string; print(): string };

/** Another account with the same layout, and what all of it amounts to. */
function neighbourOf(scene: Scene): Neighbour {
  const { directory } = scene.site.capsule("neighbour", ownUsers(scene.rung));
  const state = join(directory, "state");
  for (const parts of [
    ["d1", "d1"],
    ["kv", "kv"],
    ["objects", scene.key],
    ["snapshots", scene.database],
  ])
    mkdirSync(join(state, ...parts), { recursive: true });
  for (const file of [`d1/d1/${objectId("d1", scene.database)}.sqlite`, `objects/${scene.key}/metadata.sqlite`]) {
    using database = new DatabaseSync(join(state, file));
    database.exec(
      `CREATE TABLE t(a); INSERT INTO t VALUES('${SECRET}'); CREATE TABLE _cf_ALARM(actor_id, scheduled_time); INSERT INTO _cf_ALARM VALUES('a', ${SOONEST_NS})`,
    );
  }
  writeFileSync(join(state, "snapshots", scene.database, "file"), SECRET);
  if (ownUsers(scene.rung)) execFileSync("chown", ["-R", "299999:299999", state]);
  const print = (): string =>
    execFileSync("/bin/sh", ["-c", 'cd "$1" && find . -type f -exec sha256sum {} + | sort; find . | sort', "sh", state], {
      encoding: "utf8",
    });
  return { directory, state, print };
}

/** Every job, one after the other, with what each answers or why it does not. */
async function tryAll(scene: Scene): Promise<string> {
  const { keeper, place, database, key } = scene;
  const said: string[] = [];
  const deeds: (() => Promise<unknown>)[] = [
    () => keeper.runJson(place, { kind: "alarms" }),
    () => keeper.runJson(place, { kind: "objects", key, after: null, limit: 10 }),
    () => keeper.runJson(place, { kind: "d1-sizes", databases: [database] }),
    () => scene.exportSql(),
    () => scene.bookmark(),
    () => keeper.runJson(place, { kind: "d1-bookmarks", database }),
    () => scene.importSql("CREATE TABLE mine(a);"),
    () => keeper.runJson(place, { kind: "sweep", keep: { kv: [], d1: [], objects: [] } }),
  ];
  for (const deed of deeds) {
    said.push(
      await deed().then(
        (answer) => JSON.stringify(answer),
        (error: Error & { code?: string }) => `${error.code}: ${error.message}`,
      ),
    );
  }
  return said.join("\n");
}

const PLANTED: [where: string, path: (scene: Scene) => string[]][] = [
  ["the database", (scene) => ["d1", "d1", `${objectId("d1", scene.database)}.sqlite`]],
  ["the databases' directory", () => ["d1", "d1"]],
  ["the product's directory", () => ["d1"]],
  ["a namespace's directory", (scene) => ["objects", scene.key]],
  ["a namespace's alarms", (scene) => ["objects", scene.key, "metadata.sqlite"]],
  ["all namespaces", () => ["objects"]],
  ["a database's snapshots", (scene) => ["snapshots", scene.database]],
  ["all snapshots", () => ["snapshots"]],
];

describe("what was planted in an account's state", () => {
  onEachRung(test, "a link in any place leads to nothing of another account's", async (scene) => {
    const neighbour = neighbourOf(scene);
    // As an operator's mistake would have it: only the keeper's own care is left.
    execFileSync("chmod", ["-R", "a+rwX", neighbour.state]);
    chmodSync(neighbour.directory, 0o777);
    const before = neighbour.print();
    for (const [where, pathOf] of PLANTED) {
      const parts = pathOf(scene);
      scene.directory(...parts.slice(0, -1));
      rmSync(join(scene.state, ...parts), { recursive: true, force: true });
      symlinkSync(join(neighbour.state, ...parts), join(scene.state, ...parts));
      const said = await tryAll(scene);
      assert.doesNotMatch(said, /neighbour|"nextMs":1000,/, `${where}: ${said}`);
      assert.equal(neighbour.print(), before, where);
      for (const name of readdirSync(scene.state)) rmSync(join(scene.state, name), { recursive: true });
    }
  });

  onEachRung(test, "pipes and nonsense in a database's place are skipped or refused, and soon", async (scene) => {
    const { keeper, place, key } = scene;
    const [bad, worse, good] = [key, newId(), newId()];
    for (const namespace of [bad, worse, good]) scene.directory("objects", namespace);
    execFileSync("mkfifo", ["-m", "666", join(scene.state, "objects", bad, "metadata.sqlite"), scene.databaseFile]);
    writeFileSync(join(scene.state, "objects", worse, "metadata.sqlite"), "SQLite format 3\0".padEnd(9000, "nonsense"), { mode: 0o666 });
    const file = join(scene.state, "objects", good, "metadata.sqlite");
    {
      using database = new DatabaseSync(file);
      database.exec("CREATE TABLE _cf_ALARM(actor_id, scheduled_time); INSERT INTO _cf_ALARM VALUES('a', 1700000000000000001)");
    }
    scene.own(file);
    const { nextMs, skipped } = await keeper.runJson(place, { kind: "alarms" });
    assert.equal(nextMs, 1_700_000_000_001);
    assert.deepEqual(skipped.sort(), [bad, worse].sort());
    await assert.rejects(scene.exportSql(), { code: "invalid_input", message: /no plain file/ });
    await assert.rejects(scene.importSql("SELECT 1"), { code: "invalid_input" });
    rmSync(scene.databaseFile);
    writeFileSync(scene.databaseFile, "SQLite format 3\0".padEnd(9000, "nonsense"));
    scene.own(scene.databaseFile);
    await assert.rejects(scene.exportSql(), { code: "invalid_input", message: /not a database|malformed/ });
    await assert.rejects(scene.bookmark(), { code: "invalid_input" });
    await assert.rejects(
      keeper.runJson(place, { kind: "d1-restore", database: scene.database, bookmark: "00000000-00000000-00000000-".padEnd(59, "0") }),
      {
        code: "invalid_input",
        message: "there is no such bookmark",
      },
    );
  });

  onEachRung(test, "a log that is a link, and a snapshot that was tampered with, change nothing", async (scene) => {
    const { keeper, place, database } = scene;
    const target = join(scene.directory("cache"), "target");
    await scene.importSql("CREATE TABLE t(a); INSERT INTO t VALUES(1);");
    const { bookmark } = await scene.bookmark();
    await scene.importSql("INSERT INTO t VALUES(2);");
    const snapshot = join(scene.state, "snapshots", database, `${bookmark}.zst`);
    const bytes = readFileSync(snapshot);
    const restore = () => keeper.runJson(place, { kind: "d1-restore", database, bookmark });
    for (const damaged of [bytes.subarray(0, 20), Buffer.from("nonsense"), Buffer.alloc(0)]) {
      writeFileSync(snapshot, damaged);
      await assert.rejects(restore(), { code: "invalid_input", message: "the bookmark's data is damaged" });
      assert.match(await scene.exportSql(), /VALUES\(2\)/);
    }
    writeFileSync(snapshot, bytes);
    writeFileSync(target, "untouched");
    scene.own(target);
    rmSync(`${scene.databaseFile}-wal`, { force: true });
    symlinkSync(target, `${scene.databaseFile}-wal`);
    await assert.rejects(scene.importSql("INSERT INTO t VALUES(3);"));
    assert.equal(readFileSync(target, "utf8"), "untouched");
    await restore();
    assert.equal(readFileSync(target, "utf8"), "untouched");
    assert.doesNotMatch(await scene.exportSql(), /VALUES\(2\)/);
  });

  onEachRung(test, "depth, number and closed doors do not stop a sweep", async (scene) => {
    const { keeper, place } = scene;
    const directory = scene.directory("objects", newId());
    // Deeper than any path that the kernel takes.
    const dig = `process.chdir(process.argv[1]); for (let at = 0; at < 1500; at++) { fs.mkdirSync("ddddd"); process.chdir("ddddd"); } fs.writeFileSync("file", "deep");`;
    execFileSync(process.execPath, ["-e", dig, directory]);
    for (let at = 0; at < 3000; at++) writeFileSync(join(directory, `f${at}`), "");
    mkdirSync(join(directory, "closed", "within"), { recursive: true });
    chmodSync(join(directory, "closed"), 0);
    symlinkSync("/", join(directory, "link"));
    if (ownUsers(scene.rung)) execFileSync("/bin/sh", ["-c", 'chown -hR "$2:$2" "$1"', "sh", directory, String(place.uid)]);
    const { count } = await keeper.runJson(place, { kind: "sweep", keep: { kv: [], d1: [], objects: [] } });
    assert.equal(count, 1);
    assert.equal(existsSync(directory), false);
    assert.ok(existsSync("/bin/sh"));
  });

  onEachRung(test, "a schema made to mislead is read as what it is", async (scene) => {
    const { keeper, place, key } = scene;
    scene.directory("objects", key);
    const metadata = join(scene.state, "objects", key, "metadata.sqlite");
    {
      using database = new DatabaseSync(metadata);
      database.exec(
        "CREATE VIEW _cf_ALARM AS WITH RECURSIVE r(scheduled_time) AS (SELECT 1 UNION ALL SELECT scheduled_time + 1 FROM r) SELECT * FROM r",
      );
    }
    scene.own(metadata);
    assert.deepEqual(await keeper.runJson(place, { kind: "alarms" }), { nextMs: null, skipped: [] });
    rmSync(metadata);
    {
      using database = new DatabaseSync(metadata);
      database.exec("CREATE TABLE _cf_ALARM(actor_id, scheduled_time); INSERT INTO _cf_ALARM VALUES('a', 'soon')");
    }
    scene.own(metadata);
    assert.deepEqual(await keeper.runJson(place, { kind: "alarms" }), { nextMs: null, skipped: [key] });
    {
      using database = new DatabaseSync(scene.databaseFile);
      database.exec("CREATE TABLE t(a); INSERT INTO t VALUES(1); CREATE VIEW v AS SELECT load_extension('/cap/state/x')");
    }
    scene.own(scene.databaseFile);
    const dump = await scene.exportSql();
    assert.match(dump, /INSERT INTO "t" \("a"\) VALUES\(1\);/);
    const outcome = await scene.importSql("CREATE TABLE u AS SELECT * FROM v;");
    assert.match("error" in outcome ? outcome.error.message : "", /not authorized|unsafe use|no such function/);
  });
});
