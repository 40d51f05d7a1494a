// Namespaces of KV. That titles are unique within an account is the code's to see to, under the account's row lock:
// a deleted namespace's row stays until its data is purged.
import type { Migration } from "kysely/migration";

export const kvMigration: Migration = {
  up: async (db) => {
    await db.schema
      .createTable("kv_namespaces")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("account_id", "text", (c) => c.notNull())
      .addColumn("title", "text", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addColumn("deleted_at", "bigint")
      .execute();
    await db.schema.createIndex("kv_namespaces_by_account").on("kv_namespaces").columns(["account_id", "title"]).execute();
  },
};
