// What admission keeps in the database: accounts made by an address within the hour, and challenges that were spent.
// Addresses stand there as keyed hashes only.
import { newId } from "../../kernel/ids.ts";
import type { Store, Tx } from "../store/store.ts";

export const HOUR_MS = 3_600_000;
// Another control process's clock may run behind ours; what it still takes for unexpired must still be known as spent.
const SPENT_MARGIN_MS = 600_000;
const PRUNE_ROWS = 500;

/**
 * Milliseconds until an address that made `limit` accounts or more within the last hour may make another; 0 when it may now.
 * @param db the transaction that holds the address's lock, for an exact answer
 */
export async function waitMs(db: Store["db"] | Tx, addressHash: string, limit: number, nowMs: number): Promise<number> {
  // With the limit-th youngest gone there is room for one.
  const row = await db
    .selectFrom("admissions")
    .select("at")
    .where("address_hash", "=", addressHash)
    .where("at", ">", nowMs - HOUR_MS)
    .orderBy("at", "desc")
    .limit(1)
    .offset(limit - 1)
    .executeTakeFirst();
  return row ? row.at + HOUR_MS - nowMs : 0;
}

export async function insertAdmission(tx: Tx, addressHash: string, nowMs: number): Promise<void> {
  await tx.insertInto("admissions").values({ id: newId(), address_hash: addressHash, at: nowMs }).execute();
}

/** True for exactly one caller, however many try at once. */
export async function spendChallenge(db: Store["db"], id: string, expiresAtMs: number): Promise<boolean> {
  const row = await db
    .insertInto("spent_challenges")
    .values({ id, expires_at: expiresAtMs })
    .onConflict((on) => on.column("id").doNothing())
    .returning("id")
    .executeTakeFirst();
  return row !== undefined;
}

/** Deletes what can refuse no one any more, at most 500 rows a table. */
export async function prune(db: Store["db"], nowMs: number): Promise<void> {
  const old = db
    .selectFrom("admissions")
    .select("id")
    .where("at", "<=", nowMs - HOUR_MS);
  await db.deleteFrom("admissions").where("id", "in", old.limit(PRUNE_ROWS)).execute();
  const expired = db
    .selectFrom("spent_challenges")
    .select("id")
    .where("expires_at", "<", nowMs - SPENT_MARGIN_MS);
  await db.deleteFrom("spent_challenges").where("id", "in", expired.limit(PRUNE_ROWS)).execute();
}
