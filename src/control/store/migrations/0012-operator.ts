// What an operator does: ranges of addresses whose callers are refused, keys for scripts, and the trail by time, which
// tells who is refused most and which accounts were made of late.
import type { Migration } from "kysely/migration";

export const operatorMigration: Migration = {
  up: async (db) => {
    await db.schema
      .createTable("bans")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("range", "text", (c) => c.notNull().unique())
      .addColumn("reason", "text", (c) => c.notNull())
      .addColumn("created_by", "text", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addColumn("expires_at", "bigint")
      .execute();
    await db.schema
      .createTable("operator_keys")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("hash", "text", (c) => c.notNull().unique())
      .addColumn("person_id", "text", (c) => c.notNull())
      .addColumn("name", "text", (c) => c.notNull())
      .addColumn("access", "text", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addColumn("expires_at", "bigint", (c) => c.notNull())
      .addColumn("ended_at", "bigint")
      .addColumn("last_used_at", "bigint")
      .execute();
    await db.schema.createIndex("trail_by_outcome").on("trail").columns(["outcome", "at"]).execute();
    await db.schema.createIndex("trail_by_action").on("trail").columns(["action", "at"]).execute();
  },
};
