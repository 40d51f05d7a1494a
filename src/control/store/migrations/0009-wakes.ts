// What falls due while a capsule is cold: Workers' cron triggers, and the alarms of Durable Objects.
import type { Migration } from "kysely/migration";

export const wakesMigration: Migration = {
  up: async (db) => {
    await db.schema
      .createTable("worker_crons")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("account_id", "text", (c) => c.notNull())
      .addColumn("worker_id", "text", (c) => c.notNull())
      .addColumn("cron", "text", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addColumn("next_at", "bigint", (c) => c.notNull())
      .addUniqueConstraint("worker_crons_by_cron", ["worker_id", "cron"])
      .execute();
    await db.schema.createIndex("worker_crons_by_account").on("worker_crons").column("account_id").execute();
    await db.schema.createIndex("worker_crons_by_time").on("worker_crons").column("next_at").execute();
    await db.schema
      .createTable("wakes")
      .addColumn("account_id", "text", (c) => c.primaryKey())
      .addColumn("at", "bigint", (c) => c.notNull())
      .addColumn("next_at", "bigint", (c) => c.notNull())
      .execute();
    await db.schema.createIndex("wakes_by_time").on("wakes").column("next_at").execute();
  },
};
