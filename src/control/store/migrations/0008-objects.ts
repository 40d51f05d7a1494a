// Namespaces of Durable Objects, and the tag of the last migration of each Worker's classes.
import type { Migration } from "kysely/migration";

export const objectsMigration: Migration = {
  up: async (db) => {
    await db.schema
      .createTable("object_namespaces")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("account_id", "text", (c) => c.notNull())
      .addColumn("worker_id", "text", (c) => c.notNull())
      .addColumn("class_name", "text", (c) => c.notNull())
      .addColumn("unique_key", "text", (c) => c.notNull().unique())
      .addColumn("sql", "integer", (c) => c.notNull())
      .addColumn("former_names", "text", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addUniqueConstraint("object_namespaces_by_class", ["worker_id", "class_name"])
      .execute();
    await db.schema.createIndex("object_namespaces_by_account").on("object_namespaces").column("account_id").execute();
    await db.schema.alterTable("workers").addColumn("migration_tag", "text").execute();
  },
};
