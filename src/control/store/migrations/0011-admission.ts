// Accounts made within the hour are counted by the wider network and overall too.
import type { Migration } from "kysely/migration";

export const admissionMigration: Migration = {
  up: async (db) => {
    // Null in rows from before, which count for their address until their hour is over.
    await db.schema.alterTable("admissions").addColumn("network_hash", "text").execute();
    await db.schema.createIndex("admissions_by_network").on("admissions").columns(["network_hash", "at"]).execute();
    await db.schema.createIndex("admissions_by_time").on("admissions").column("at").execute();
  },
};
