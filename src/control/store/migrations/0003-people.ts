// People and their sessions, in the shape that better-auth reads and writes (its camelCase column names).
import { sql } from "kysely";
import type { Migration } from "kysely/migration";
import type { Dialect } from "../migrations.ts";

export function peopleMigration(dialect: Dialect): Migration {
  // better-auth hands SQLite dates as ISO text and booleans as 0 and 1.
  const date = dialect === "sqlite" ? sql`text` : sql`timestamptz`;
  const flag = dialect === "sqlite" ? sql`integer` : sql`boolean`;
  return {
    up: async (db) => {
      await db.schema
        .createTable("person")
        .addColumn("id", "text", (c) => c.primaryKey())
        .addColumn("name", "text", (c) => c.notNull())
        .addColumn("email", "text", (c) => c.notNull().unique())
        .addColumn("emailVerified", flag, (c) => c.notNull())
        .addColumn("image", "text")
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
      await db.schema
        .createTable("person_verification")
        .addColumn("id", "text", (c) => c.primaryKey())
        .addColumn("identifier", "text", (c) => c.notNull())
        .addColumn("value", "text", (c) => c.notNull())
        .addColumn("expiresAt", date, (c) => c.notNull())
        .addColumn("createdAt", date, (c) => c.notNull())
        .addColumn("updatedAt", date, (c) => c.notNull())
        .execute();
    },
  };
}
