// Rows that an earlier release wrote, brought up to date by the next one's start.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Kysely, PostgresDialect } from "kysely";
import { Migrator } from "kysely/migration";
import pg from "pg";
import { migrations } from "../../../src/control/store/migrations.ts";
import { openSqlite } from "../../../src/control/store/sqlite.ts";
import { openStore } from "../../../src/control/store/store.ts";
import { systemClock } from "../../../src/kernel/clock.ts";
import { startPostgres } from "../../fixtures/postgres.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

/** The tables as they were, with what the test puts in. */
// oxlint-disable-next-line typescript/no-explicit-any -- columns that the schema no longer has
type Former = Kysely<any>;

const OLD = "11111111-1111-4111-8111-111111111111";
const NEW = "22222222-2222-4222-8222-222222222222";

async function fill(db: Former): Promise<void> {
  const worker = (id: string, active: string, latest: string) => ({
    id,
    account_id: "a".repeat(32),
    name: id,
    created_at: 1,
    modified_at: 2,
    subdomain_enabled: 1,
    previews_enabled: 0,
    settings: Buffer.from("sealed"),
    active_version_id: active,
    latest_version_id: latest,
    versions_made: 2,
    deployments_made: 1,
  });
  await db
    .insertInto("workers")
    .values([worker("one", OLD, NEW), worker("two", NEW, NEW)])
    .execute();
  const code = { compatibility_date: "2026-06-01", compatibility_flags: "[]", code: "{}", exports: "{}", etag: "e", startup_ms: 3 };
  const version = { id: OLD, account_id: "a".repeat(32), worker_id: "one", number: 1, created_at: 1, source: "api", ...code };
  await db
    .insertInto("worker_versions")
    .values({ ...version, sealed: Buffer.from("sealed"), assets: null })
    .execute();
}

async function migrated(db: Former, kind: "sqlite" | "postgres", open: Parameters<typeof openStore>[0]): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations(kind)) } });
  const { error } = await migrator.migrateTo("0003-people");
  assert.equal(error, undefined);
  await fill(db);
  await db.destroy();
  // Twice: what was brought up to date stays so.
  for (let start = 0; start < 2; start++) {
    await using store = await openStore(open);
    const workers = await store.db.selectFrom("workers").selectAll().orderBy("id").execute();
    assert.deepEqual(
      workers.map(({ id, traffic, latest_version_id, modified_at }) => [id, JSON.parse(traffic), latest_version_id, modified_at]),
      [
        ["one", [{ version_id: OLD, percentage: 100 }], NEW, 2],
        ["two", [{ version_id: NEW, percentage: 100 }], NEW, 2],
      ],
    );
    assert.ok(workers.every((row) => !("active_version_id" in row)));
    const versions = await store.db.selectFrom("worker_versions").selectAll().execute();
    assert.deepEqual(
      versions.map(({ id, alias, previewed_at, sealed }) => [id, alias, previewed_at, Buffer.from(sealed).toString()]),
      [[OLD, null, null, "sealed"]],
    );
  }
}

describe("What served alone serves everything once traffic can be split", () => {
  test("in SQLite", async () => {
    await using directory = await temporaryDirectory("migrations");
    const { dialect } = openSqlite(join(directory.path, "mayfly.db"));
    await migrated(new Kysely({ dialect }), "sqlite", { databaseUrl: null, data: directory.path, clock: systemClock });
  });

  test("in PostgreSQL", async (t) => {
    const database = await startPostgres();
    if ("skip" in database) return t.skip(database.skip);
    await using running = database;
    const pool = new pg.Pool({ connectionString: running.url });
    const open = { databaseUrl: running.url, data: "", clock: systemClock };
    await migrated(new Kysely({ dialect: new PostgresDialect({ pool }) }), "postgres", open);
  });
});
