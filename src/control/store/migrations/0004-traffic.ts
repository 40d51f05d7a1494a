// A Worker's traffic may be split between versions, and versions have previews. What served alone until now serves
// everything; a column that cannot be null gets its values in the same statement on both databases.
import { sql } from "kysely";
import type { Migration } from "kysely/migration";

export const trafficMigration: Migration = {
  up: async (db) => {
    await db.schema
      .alterTable("workers")
      .addColumn("traffic", "text", (c) => c.notNull().defaultTo("[]"))
      .execute();
    await sql`update workers set traffic = '[{"version_id":"' || active_version_id || '","percentage":100}]'`.execute(db);
    await db.schema.alterTable("workers").dropColumn("active_version_id").execute();
    await db.schema.alterTable("worker_versions").addColumn("alias", "text").execute();
    await db.schema.alterTable("worker_versions").addColumn("previewed_at", "bigint").execute();
    await db.schema.alterTable("worker_versions").addColumn("preview_rested_at", "bigint").execute();
    await db.schema.createIndex("worker_versions_by_alias").on("worker_versions").columns(["worker_id", "alias"]).execute();
  },
};
