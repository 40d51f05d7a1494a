// Workers, their versions and deployments, and static assets.
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";
import type { Dialect } from "../schema.ts";

async function workers(db: Kysely<unknown>, blob: "blob" | "bytea"): Promise<void> {
  await db.schema
    .createTable("workers")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("account_id", "text", (c) => c.notNull())
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("modified_at", "bigint", (c) => c.notNull())
    .addColumn("subdomain_enabled", "integer", (c) => c.notNull())
    .addColumn("previews_enabled", "integer", (c) => c.notNull())
    .addColumn("settings", blob, (c) => c.notNull())
    .addColumn("active_version_id", "text", (c) => c.notNull())
    .addColumn("latest_version_id", "text", (c) => c.notNull())
    .addColumn("versions_made", "integer", (c) => c.notNull())
    .addColumn("deployments_made", "integer", (c) => c.notNull())
    .addUniqueConstraint("workers_by_name", ["account_id", "name"])
    .execute();
  await db.schema
    .createTable("worker_versions")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("account_id", "text", (c) => c.notNull())
    .addColumn("worker_id", "text", (c) => c.notNull())
    .addColumn("number", "integer", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("source", "text", (c) => c.notNull())
    .addColumn("compatibility_date", "text", (c) => c.notNull())
    .addColumn("compatibility_flags", "text", (c) => c.notNull())
    .addColumn("code", "text", (c) => c.notNull())
    .addColumn("exports", "text", (c) => c.notNull())
    .addColumn("etag", "text", (c) => c.notNull())
    .addColumn("startup_ms", "integer", (c) => c.notNull())
    .addColumn("sealed", blob, (c) => c.notNull())
    .addColumn("assets", "text")
    .addUniqueConstraint("worker_versions_by_number", ["worker_id", "number"])
    .execute();
  await db.schema.createIndex("worker_versions_by_account").on("worker_versions").column("account_id").execute();
  await db.schema
    .createTable("worker_deployments")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("account_id", "text", (c) => c.notNull())
    .addColumn("worker_id", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("number", "integer", (c) => c.notNull())
    .addColumn("source", "text", (c) => c.notNull())
    .addColumn("versions", "text", (c) => c.notNull())
    .addColumn("annotations", blob, (c) => c.notNull())
    .addUniqueConstraint("worker_deployments_by_number", ["worker_id", "number"])
    .execute();
  await db.schema.createIndex("worker_deployments_by_account").on("worker_deployments").column("account_id").execute();
}

async function assets(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("asset_files")
    .addColumn("account_id", "text", (c) => c.notNull())
    .addColumn("client_hash", "text", (c) => c.notNull())
    .addColumn("hash", "text", (c) => c.notNull())
    .addColumn("size", "bigint", (c) => c.notNull())
    .addColumn("content_type", "text")
    .addColumn("wanted_at", "bigint", (c) => c.notNull())
    .addPrimaryKeyConstraint("asset_files_key", ["account_id", "client_hash"])
    .execute();
  await db.schema
    .createTable("asset_sessions")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("account_id", "text", (c) => c.notNull())
    .addColumn("script", "text", (c) => c.notNull())
    .addColumn("manifest", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("expires_at", "bigint", (c) => c.notNull())
    .execute();
  await db.schema.createIndex("asset_sessions_by_account").on("asset_sessions").column("account_id").execute();
}

export function workersMigration(dialect: Dialect): Migration {
  return {
    up: async (db) => {
      await workers(db, dialect === "sqlite" ? "blob" : "bytea");
      await assets(db);
    },
  };
}
