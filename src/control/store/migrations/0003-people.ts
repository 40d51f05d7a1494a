// People, their sessions and credentials in the shape that better-auth reads and writes (its camelCase column
// names; it checks them itself when it is first used), and the invitations that let somebody sign up.
import { sql, type Kysely } from "kysely";
import type { Migration } from "kysely/migration";
import type { Dialect } from "../schema.ts";

type Types = { readonly date: ReturnType<typeof sql>; readonly flag: ReturnType<typeof sql> };

async function people(db: Kysely<unknown>, { date, flag }: Types): Promise<void> {
  await db.schema
    .createTable("person")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("email", "text", (c) => c.notNull().unique())
    .addColumn("emailVerified", flag, (c) => c.notNull())
    .addColumn("image", "text")
    .addColumn("role", "text", (c) => c.notNull())
    .addColumn("createdAt", date, (c) => c.notNull())
    .addColumn("updatedAt", date, (c) => c.notNull())
    .execute();
  await db.schema
    .createTable("person_session")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("token", "text", (c) => c.notNull().unique())
    .addColumn("userId", "text", (c) => c.notNull().references("person.id").onDelete("cascade"))
    .addColumn("expiresAt", date, (c) => c.notNull())
    .addColumn("ipAddress", "text")
    .addColumn("userAgent", "text")
    .addColumn("createdAt", date, (c) => c.notNull())
    .addColumn("updatedAt", date, (c) => c.notNull())
    .execute();
  await db.schema.createIndex("person_session_by_person").on("person_session").column("userId").execute();
  await db.schema.createIndex("person_session_by_expiry").on("person_session").column("expiresAt").execute();
}

async function credentials(db: Kysely<unknown>, { date }: Types): Promise<void> {
  await db.schema
    .createTable("person_credential")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("accountId", "text", (c) => c.notNull())
    .addColumn("providerId", "text", (c) => c.notNull())
    .addColumn("userId", "text", (c) => c.notNull().references("person.id").onDelete("cascade"))
    .addColumn("accessToken", "text")
    .addColumn("refreshToken", "text")
    .addColumn("idToken", "text")
    .addColumn("accessTokenExpiresAt", date)
    .addColumn("refreshTokenExpiresAt", date)
    .addColumn("scope", "text")
    .addColumn("password", "text")
    .addColumn("createdAt", date, (c) => c.notNull())
    .addColumn("updatedAt", date, (c) => c.notNull())
    .execute();
  await db.schema.createIndex("person_credential_by_person").on("person_credential").column("userId").execute();
  await db.schema
    .createTable("person_verification")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("identifier", "text", (c) => c.notNull())
    .addColumn("value", "text", (c) => c.notNull())
    .addColumn("expiresAt", date, (c) => c.notNull())
    .addColumn("createdAt", date, (c) => c.notNull())
    .addColumn("updatedAt", date, (c) => c.notNull())
    .execute();
  await db.schema.createIndex("person_verification_by_identifier").on("person_verification").column("identifier").execute();
}

async function invitations(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("person_invitations")
    .addColumn("hash", "text", (c) => c.primaryKey())
    .addColumn("role", "text", (c) => c.notNull())
    .addColumn("created_by", "text")
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("expires_at", "bigint", (c) => c.notNull())
    .execute();
}

export function peopleMigration(dialect: Dialect): Migration {
  // better-auth hands SQLite dates as ISO text and booleans as 0 and 1.
  const types: Types = dialect === "sqlite" ? { date: sql`text`, flag: sql`integer` } : { date: sql`timestamptz`, flag: sql`boolean` };
  return {
    up: async (db) => {
      await people(db, types);
      await credentials(db, types);
      await invitations(db);
    },
  };
}
