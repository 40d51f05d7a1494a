// Accounts and their tombstones, tokens, admission, the trail.
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";
import type { Dialect } from "../schema.ts";

async function accounts(db: Kysely<unknown>, blob: "blob" | "bytea"): Promise<void> {
  await db.schema
    .createTable("accounts")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("subdomain", "text", (c) => c.notNull().unique())
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("end_reason", "text")
    .addColumn("suspended_at", "bigint")
    .addColumn("suspended_by", "text")
    .addColumn("suspended_reason", "text")
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("expires_at", "bigint")
    .addColumn("claimed_at", "bigint")
    .addColumn("ended_at", "bigint")
    .addColumn("deleted_at", "bigint")
    .addColumn("owner_id", "text")
    .addColumn("auth_epoch", "bigint", (c) => c.notNull().defaultTo(1))
    .addColumn("revision", "bigint", (c) => c.notNull().defaultTo(0))
    .addColumn("generation", "bigint", (c) => c.notNull().defaultTo(0))
    .addColumn("spec_digest", "text")
    .addColumn("task_id", "text")
    .addColumn("task_sealed", blob)
    .addColumn("claim_hash", "text", (c) => c.unique())
    .execute();
  await db.schema.createIndex("accounts_by_expiry").on("accounts").columns(["state", "expires_at"]).execute();
  await db.schema.createIndex("accounts_by_owner").on("accounts").columns(["owner_id", "claimed_at"]).execute();
}

async function tokens(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("tokens")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("account_id", "text", (c) => c.notNull())
    .addColumn("person_id", "text")
    .addColumn("parent_id", "text")
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("hash", "text", (c) => c.notNull().unique())
    .addColumn("permissions", "text", (c) => c.notNull())
    .addColumn("audience", "text")
    .addColumn("cnf", "text")
    .addColumn("task_id", "text")
    .addColumn("epoch", "bigint", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("expires_at", "bigint")
    .addColumn("ended_at", "bigint")
    .execute();
  await db.schema.createIndex("tokens_by_account").on("tokens").column("account_id").execute();
}

async function admission(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("spent_challenges")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("expires_at", "bigint", (c) => c.notNull())
    .execute();
  await db.schema.createIndex("spent_challenges_by_expiry").on("spent_challenges").column("expires_at").execute();
  await db.schema
    .createTable("admissions")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("address_hash", "text", (c) => c.notNull())
    .addColumn("at", "bigint", (c) => c.notNull())
    .execute();
  await db.schema.createIndex("admissions_by_address").on("admissions").columns(["address_hash", "at"]).execute();
}

async function trail(db: Kysely<unknown>, blob: "blob" | "bytea"): Promise<void> {
  await db.schema
    .createTable("trail")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("at", "bigint", (c) => c.notNull())
    .addColumn("account_id", "text")
    .addColumn("task_id", "text")
    .addColumn("actors", "text", (c) => c.notNull())
    .addColumn("token_id", "text")
    .addColumn("action", "text", (c) => c.notNull())
    .addColumn("resource", "text", (c) => c.notNull())
    .addColumn("outcome", "text", (c) => c.notNull())
    .addColumn("reason", "text")
    .addColumn("count", "bigint", (c) => c.notNull())
    .addColumn("sealed", blob)
    .execute();
  await db.schema.createIndex("trail_by_account").on("trail").columns(["account_id", "at"]).execute();
}

export function accountsMigration(dialect: Dialect): Migration {
  // Kysely's types know no "blob" for PostgreSQL; the name is all that differs.
  const blob = dialect === "sqlite" ? "blob" : "bytea";
  return {
    up: async (db) => {
      await accounts(db, blob);
      await tokens(db);
      await admission(db);
      await trail(db, blob);
    },
  };
}
