// What visitors report to the operator about a host name of the edge; it outlives the account that answered there.
import type { Migration } from "kysely/migration";
import type { Dialect } from "../schema.ts";

export const reportsMigration = (dialect: Dialect): Migration => ({
  up: async (db) => {
    await db.schema
      .createTable("reports")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("at", "bigint", (c) => c.notNull())
      .addColumn("account_id", "text")
      .addColumn("host", "text", (c) => c.notNull())
      .addColumn("kind", "text", (c) => c.notNull())
      .addColumn("sealed", dialect === "sqlite" ? "blob" : "bytea", (c) => c.notNull())
      .addColumn("state", "text", (c) => c.notNull())
      .addColumn("closed_at", "bigint")
      .execute();
    await db.schema.createIndex("reports_by_time").on("reports").column("at").execute();
    await db.schema.createIndex("reports_by_account").on("reports").columns(["account_id", "state"]).execute();
    await db.schema.createIndex("reports_by_host").on("reports").columns(["host", "state"]).execute();
  },
});
