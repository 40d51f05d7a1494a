// A keeper that dies at any moment, by our hand or its own limits: the state is the old one or the new one.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createKeeper, type Keeper } from "../../../../src/host/capsules/keeper/keeper.ts";
import type { LaunchRequest, Sandboxed } from "../../../../src/host/contract.ts";
import { newAccountId } from "../../../../src/kernel/ids.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { statusLine } from "../sandbox/site.ts";
import { onEachRung, Scene, strongest } from "./scene.ts";

/** A keeper whose processes can be looked at. */
function watched(scene: Scene, timeMs?: number): { keeper: Keeper; launched: Sandboxed[] } {
  const launched: Sandboxed[] = [];
  const launch = async (request: LaunchRequest): Promise<Sandboxed> => {
    const process = await scene.sandbox.launch(request);
    launched.push(process);
    return process;
  };
  return { keeper: createKeeper({ sandbox: { launch }, ...(timeMs === undefined ? {} : { timeMs }) }), launched };
}

const FILL = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, at) => `INSERT INTO t VALUES(${from + at}, '${"x".repeat(500)}');\n`).join("");

function rowsOf(file: string): number {
  using database = new DatabaseSync(file, { readOnly: true });
  assert.equal(Object.values(database.prepare("PRAGMA integrity_check").get() ?? {})[0], "ok");
  return Number(database.prepare("SELECT count(*) AS n FROM t").get()?.["n"]);
}

const started = (file: string): Promise<boolean> =>
  awaitUntil(() => (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 1_000_000, {
    what: "pages of the import in the log",
  }).then(() => true);

describe("a keeper that is cut short", () => {
  onEachRung(test, "in the middle of an import leaves the database as it was", async (scene) => {
    await scene.importSql(`CREATE TABLE t(a INTEGER PRIMARY KEY, b); ${FILL(0, 100)}`);
    const { keeper, launched } = watched(scene);
    const body = new PassThrough();
    const job = { kind: "d1-import", database: scene.database, maxBytes: 100_000_000 } as const;
    const outcome = keeper.runJson(scene.place, job, { body });
    outcome.catch(() => {});
    body.write(FILL(100, 20_000));
    await started(scene.databaseFile);
    const [process] = launched;
    assert.ok(process !== undefined);
    if (scene.rung === "bubblewrap-root") {
      assert.deepEqual(statusLine(process.pid, "Seccomp"), ["2"]);
      assert.deepEqual(statusLine(process.pid, "CapEff"), ["0000000000000000"]);
      assert.deepEqual(statusLine(process.pid, "Uid"), Array(4).fill(String(scene.place.uid)));
      const root = `/proc/${process.pid}/root`;
      assert.deepEqual(
        readdirSync(root)
          .filter((name) => !name.startsWith("lib"))
          .sort(),
        ["cap", "dev", "keeper", "node"],
      );
      assert.deepEqual(readdirSync(join(root, "cap")), ["state"]);
    }
    process.kill();
    await assert.rejects(outcome, { code: "capsule_failed" });
    assert.equal(rowsOf(scene.databaseFile), 100);
    const running = await scene.start();
    assert.deepEqual(await running.ask("d1", "all", "SELECT count(*) AS n FROM t"), [{ n: 100 }]);
    await running.stop();
  });

  test("a body that breaks off, an abort and the end of its time are no ends of an import", async () => {
    await using scene = await Scene.open(strongest());
    await scene.importSql(`CREATE TABLE t(a INTEGER PRIMARY KEY, b); ${FILL(0, 10)}`);
    const job = { kind: "d1-import", database: scene.database, maxBytes: 100_000_000 } as const;
    const broken = new PassThrough();
    const first = scene.keeper.runJson(scene.place, job, { body: broken });
    broken.write(FILL(10, 20_000));
    await started(scene.databaseFile);
    broken.destroy(new Error("the connection broke"));
    await assert.rejects(first, { code: "capsule_failed" });
    assert.equal(rowsOf(scene.databaseFile), 10);
    const abort = new AbortController();
    const endless = new PassThrough();
    const second = scene.keeper.runJson(scene.place, job, { body: endless, signal: abort.signal });
    second.catch(() => {});
    endless.write(FILL(10, 20_000));
    await started(scene.databaseFile);
    abort.abort(new Error("the caller left"));
    await assert.rejects(second, { code: "capsule_failed", message: /cut off/ });
    const { keeper } = watched(scene, 2000);
    const endlessQuery = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r;";
    await assert.rejects(keeper.runJson(scene.place, job, { body: Readable.from([FILL(10, 20), endlessQuery]) }), {
      code: "capsule_failed",
      message: /too long/,
    });
    assert.equal(rowsOf(scene.databaseFile), 10);
  });

  onEachRung(test, "at any moment of a restore leaves the old database or the new one", async (scene) => {
    await scene.importSql(`CREATE TABLE t(a INTEGER PRIMARY KEY, b); ${FILL(0, 1000)}`);
    const { bookmark } = await scene.bookmark();
    await scene.importSql(FILL(1000, 6000));
    // With a log beside it, as a killed process leaves one.
    const running = await scene.start();
    await running.ask("d1", "all", "INSERT INTO t VALUES(6000, 'last')");
    await running.stop("kill");
    assert.ok(statSync(`${scene.databaseFile}-wal`).size > 0);
    const seen = new Set<number>();
    for (let at = 0; at < 14; at++) {
      const abort = new AbortController();
      const restore = scene.keeper.runJson(
        scene.place,
        { kind: "d1-restore", database: scene.database, bookmark },
        { signal: abort.signal },
      );
      await Promise.race([restore.catch(() => {}), sleep(20 + at * 18)]);
      abort.abort(new Error("now"));
      await restore.catch(() => {});
      const rows = rowsOf(scene.databaseFile);
      assert.ok(rows === 6001 || rows === 1000, String(rows));
      seen.add(rows);
      if (rows === 1000) break;
    }
    if (!seen.has(1000)) await scene.keeper.runJson(scene.place, { kind: "d1-restore", database: scene.database, bookmark });
    assert.equal(rowsOf(scene.databaseFile), 1000);
  });
});

/** A program that stands in for a keeper which a crafted database has taken over. */
function taken(script: string): Keeper {
  const launch = async (): Promise<Sandboxed> => {
    const child = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
    const exited = new Promise<Awaited<Sandboxed["exited"]>>((resolve) =>
      child.once("exit", (code, signal) => resolve({ code, signal, outOfMemory: false })),
    );
    const kill = (): void => void child.kill("SIGKILL");
    return {
      pid: child.pid ?? 0,
      exited,
      feed() {},
      terminate: kill,
      kill,
      cpuMs: async () => 0,
      pssBytes: async () => 0,
      stderr: () => "",
      stdout: () => "",
      pipes: { input: child.stdin, output: child.stdout },
    };
  };
  return createKeeper({ sandbox: { launch } });
}

describe("a keeper that was taken over", () => {
  const place = { account: newAccountId(), uid: 1, directory: "/nowhere" };
  const EXPORT = { kind: "d1-export", database: "a".repeat(32), noSchema: false, noData: false, tables: [] as string[] } as const;
  const LIES: [what: string, script: string][] = [
    ["nothing", "exit 0"],
    ["no JSON", "echo nonsense"],
    ["an endless first line", "exec cat /dev/zero"],
    ["another answer", `printf '{"ok":true}\\n{"nextMs":"soon","skipped":[]}\\n'`],
    ["too long an answer", `printf '{"ok":true}\\n'; exec cat /dev/zero`],
    ["a proper answer and a bad end", `printf '{"ok":true}\\n{"nextMs":1,"skipped":[]}\\n'; exit 1`],
  ];
  test("is told by what it says", async () => {
    for (const [what, script] of LIES) {
      await using keeper = taken(script);
      await assert.rejects(keeper.runJson(place, { kind: "alarms" }), { code: "capsule_failed" }, what);
    }
    await using honest = taken(`printf '{"ok":true}\\n{"nextMs":1,"skipped":[]}\\n'`);
    assert.deepEqual(await honest.runJson(place, { kind: "alarms" }), { nextMs: 1, skipped: [] });
  });

  test("cannot pass off half an export as a whole one, nor hold its place for ever", async () => {
    await using keeper = taken(`printf '{"ok":true}\\nINSERT'; exit 9`);
    await assert.rejects(keeper.run(place, { ...EXPORT, tables: [] }).then(text), { code: "capsule_failed" });
    const abort = new AbortController();
    await using silent = taken("exec sleep 1000");
    const waiting = silent.runJson(place, { kind: "alarms" }, { signal: abort.signal });
    await sleep(50);
    abort.abort(new Error("enough"));
    await assert.rejects(waiting, { code: "capsule_failed", message: /cut off/ });
  });

  test("holds no turn once it is gone, though nobody reads its answer", async () => {
    await using keeper = taken(`printf '{"ok":true}\\n{"nextMs":1,"skipped":[]}\\n'`);
    const unread = await keeper.run(place, { kind: "alarms" });
    const signal = AbortSignal.timeout(10_000);
    assert.deepEqual(await keeper.runJson(place, { kind: "alarms" }, { signal }), { nextMs: 1, skipped: [] });
    assert.equal(await text(unread), '{"nextMs":1,"skipped":[]}\n');
  });

  test("answers before it has read all, and whoever sends the rest is not cut off", async () => {
    await using keeper = taken(`printf '{"ok":true}\\n{"error":{"message":"no","statement":1}}\\n'`);
    const body = Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(65_536)));
    const ended = finished(body);
    const job = { kind: "d1-import", database: "a".repeat(32), maxBytes: 1_000_000 } as const;
    assert.deepEqual(await keeper.runJson(place, job, { body }), { error: { message: "no", statement: 1 } });
    await ended;
  });

  test("is never asked what is no job", async () => {
    await using keeper = taken("exit 0");
    for (const database of ["../../etc", "", "A".repeat(32), `${"a".repeat(32)}/x`]) {
      await assert.rejects(keeper.run(place, { ...EXPORT, tables: [], database }));
    }
  });
});
