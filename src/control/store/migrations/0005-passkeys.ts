// Passkeys of people, and when a token was last used.
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";
import type { Dialect } from "../schema.ts";

async function passkeys(db: Kysely<unknown>, blob: "blob" | "bytea"): Promise<void> {
  await db.schema
    .createTable("person_passkeys")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("person_id", "text", (c) => c.notNull().references("person.id").onDelete("cascade"))
    .addColumn("credential_id", "text", (c) => c.notNull().unique())
    .addColumn("public_key", blob, (c) => c.notNull())
    .addColumn("counter", "bigint", (c) => c.notNull())
    .addColumn("transports", "text", (c) => c.notNull())
    .addColumn("backed_up", "integer", (c) => c.notNull())
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("last_used_at", "bigint")
    .execute();
  await db.schema.createIndex("person_passkeys_by_person").on("person_passkeys").column("person_id").execute();
}

export function passkeysMigration(dialect: Dialect): Migration {
  const blob = dialect === "sqlite" ? "blob" : "bytea";
  return {
    up: async (db) => {
      await passkeys(db, blob);
      await db.schema.alterTable("tokens").addColumn("last_used_at", "bigint").execute();
    },
  };
}
