// What admission keeps in the database: accounts made within the hour, by address and network, and challenges that were
// spent. Both stand there as keyed hashes only.
import { newId } from "../../kernel/ids.ts";
import type { Store, Tx } from "../store/store.ts";

export const HOUR_MS = 3_600_000;
// Another control process's clock may run behind ours; what it still takes for unexpired must still be known as spent.
const SPENT_MARGIN_MS = 600_000;
const PRUNE_ROWS = 500;

/** The transaction that holds admission's lock, for an exact answer; else the database. */
export type Reader = Store["db"] | Tx;

/** Keyed hashes of the prefixes that a caller's address lies in. */
export type Caller = { readonly addressHash: string; readonly networkHash: string };

/** Whose accounts a limit counts: one address's, those of the network around it, or all. */
export type Scope = "address" | "network" | "installation";

function made(db: Reader, scope: Scope, caller: Caller | null, nowMs: number) {
  const query = db.selectFrom("admissions").where("at", ">", nowMs - HOUR_MS);
  if (scope === "address") return query.where("address_hash", "=", caller?.addressHash ?? "");
  if (scope === "network") return query.where("network_hash", "=", caller?.networkHash ?? "");
  return query;
}

/** Accounts made within the last hour. @param caller whose; null for the installation's */
export async function countMade(db: Reader, scope: Scope, caller: Caller | null, nowMs: number): Promise<number> {
  const row = await made(db, scope, caller, nowMs)
    .select((of) => of.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  return row.count;
}

/** Milliseconds until those who made `limit` accounts or more within the last hour may make another; 0 when they may now. */
export async function waitMs(db: Reader, scope: Scope, caller: Caller | null, limit: number, nowMs: number): Promise<number> {
  // With the limit-th youngest gone there is room for one.
  const row = await made(db, scope, caller, nowMs)
    .select("at")
    .orderBy("at", "desc")
    .limit(1)
    .offset(limit - 1)
    .executeTakeFirst();
  return row ? row.at + HOUR_MS - nowMs : 0;
}

const live = (db: Reader, nowMs: number) => db.selectFrom("accounts").where("state", "=", "temporary").where("expires_at", ">", nowMs);

/** Accounts that live and that nobody has claimed, and when the next of them ends; null without any. */
export async function countLive(db: Reader, nowMs: number): Promise<{ readonly count: number; readonly nextEndMs: number | null }> {
  const row = await live(db, nowMs)
    .select((of) => [of.fn.countAll<number>().as("count"), of.fn.min("expires_at").as("next")])
    .executeTakeFirstOrThrow();
  return { count: row.count, nextEndMs: row.next };
}

/** Milliseconds until fewer than `most` unclaimed accounts live, if none is claimed or ended before; 0 when that is so now. */
export async function liveWaitMs(db: Reader, most: number, nowMs: number): Promise<number> {
  const row = await live(db, nowMs)
    .select("expires_at")
    .orderBy("expires_at", "desc")
    .limit(1)
    .offset(most - 1)
    .executeTakeFirst();
  return row?.expires_at ? row.expires_at - nowMs : 0;
}

export async function insertAdmission(tx: Tx, { addressHash, networkHash }: Caller, nowMs: number): Promise<void> {
  await tx.insertInto("admissions").values({ id: newId(), address_hash: addressHash, network_hash: networkHash, at: nowMs }).execute();
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
