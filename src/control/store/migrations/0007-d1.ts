// D1 databases: which there are. What is in them lies in the account's directory.
import type { Migration } from "kysely/migration";

export const d1Migration: Migration = {
  up: async (db) => {
    await db.schema
      .createTable("d1_databases")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("account_id", "text", (c) => c.notNull().references("accounts.id"))
      .addColumn("name", "text", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addColumn("read_replication", "text", (c) => c.notNull())
      .addUniqueConstraint("d1_databases_by_name", ["account_id", "name"])
      .execute();
  },
};
