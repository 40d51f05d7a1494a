// Secrets stores and their secrets; values and comments are sealed.
import type { Migration } from "kysely/migration";
import type { Dialect } from "../schema.ts";

export const secretsStoreMigration = (dialect: Dialect): Migration => ({
  up: async (db) => {
    await db.schema
      .createTable("secret_stores")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("account_id", "text", (c) => c.notNull())
      .addColumn("name", "text", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addColumn("modified_at", "bigint", (c) => c.notNull())
      .addUniqueConstraint("secret_stores_by_name", ["account_id", "name"])
      .execute();
    await db.schema
      .createTable("secrets")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("account_id", "text", (c) => c.notNull())
      .addColumn("store_id", "text", (c) => c.notNull())
      .addColumn("name", "text", (c) => c.notNull())
      .addColumn("scopes", "text", (c) => c.notNull())
      .addColumn("sealed", dialect === "sqlite" ? "blob" : "bytea", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addColumn("modified_at", "bigint", (c) => c.notNull())
      .addUniqueConstraint("secrets_by_name", ["account_id", "store_id", "name"])
      .execute();
  },
});
