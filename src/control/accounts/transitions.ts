// One SQL statement per transition, each naming the state it leaves: of two racing callers the database lets
// exactly one through, and the other gets `undefined`.
import { sql } from "kysely";
import { newSubdomain, type AccountId } from "../../kernel/ids.ts";
import type { EndReason } from "../store/schema.ts";
import type { Account, Tx } from "../store/store.ts";

export type NewAccount = {
  readonly id: AccountId;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly taskId: string;
  readonly taskSealed: Uint8Array | null;
  readonly claimHash: string;
};

const SUBDOMAIN_TRIES = 8;

/** Inserts the account under a subdomain that no account ever had. */
export async function create(tx: Tx, account: NewAccount): Promise<Account> {
  for (let attempt = 0; attempt < SUBDOMAIN_TRIES; attempt++) {
    const row = await tx
      .insertInto("accounts")
      .values({
        id: account.id,
        subdomain: newSubdomain(),
        state: "temporary",
        end_reason: null,
        suspended_at: null,
        suspended_by: null,
        suspended_reason: null,
        created_at: account.createdAt,
        expires_at: account.expiresAt,
        claimed_at: null,
        ended_at: null,
        deleted_at: null,
        owner_id: null,
        spec_digest: null,
        task_id: account.taskId,
        task_sealed: account.taskSealed,
        claim_hash: account.claimHash,
      })
      .onConflict((conflict) => conflict.column("subdomain").doNothing())
      .returningAll()
      .executeTakeFirst();
    if (row) return row;
  }
  throw new Error("No free subdomain was found in eight tries");
}

/** temporary → claimed: new owner, new epoch, no end. Undefined when it was claimed, ended or late before. */
export async function claim(tx: Tx, claimHash: string, personId: string, nowMs: number): Promise<Account | undefined> {
  const account = await tx
    .updateTable("accounts")
    .set({
      state: "claimed",
      owner_id: personId,
      claimed_at: nowMs,
      expires_at: null,
      auth_epoch: sql<number>`auth_epoch + 1`,
      revision: sql<number>`revision + 1`,
    })
    .where("claim_hash", "=", claimHash)
    .where("state", "=", "temporary")
    .where("expires_at", ">", nowMs)
    .returningAll()
    .executeTakeFirst();
  if (account)
    await tx.updateTable("tokens").set({ ended_at: nowMs }).where("account_id", "=", account.id).where("ended_at", "is", null).execute();
  return account;
}

/**
 * temporary | claimed → ending: every token and derived capability is dead from the commit on.
 * @param epoch under which the token that asks is valid, so that a claim in between saves the account; null for the platform
 */
export async function beginEnding(
  tx: Tx,
  id: AccountId,
  reason: EndReason,
  nowMs: number,
  epoch: number | null = null,
): Promise<Account | undefined> {
  let update = tx
    .updateTable("accounts")
    .set({
      state: "ending",
      end_reason: reason,
      ended_at: nowMs,
      auth_epoch: sql<number>`auth_epoch + 1`,
      revision: sql<number>`revision + 1`,
    })
    .where("id", "=", id)
    .where("state", "in", ["temporary", "claimed"]);
  // A claim that was committed in time has removed the expiry; the clock alone never ends a claimed account.
  if (reason === "expired") update = update.where("expires_at", "<=", nowMs);
  if (epoch !== null) update = update.where("auth_epoch", "=", epoch);
  return update.returningAll().executeTakeFirst();
}

/** ending → deleted, inside store.endingAccount: the row becomes the tombstone. */
export async function finishEnding(tx: Tx, id: AccountId, nowMs: number): Promise<void> {
  await tx.deleteFrom("tokens").where("account_id", "=", id).execute();
  await tx.deleteFrom("wakes").where("account_id", "=", id).execute();
  await tx
    .updateTable("accounts")
    .set({
      state: "deleted",
      deleted_at: nowMs,
      expires_at: null,
      owner_id: null,
      suspended_at: null,
      suspended_by: null,
      suspended_reason: null,
      spec_digest: null,
      task_id: null,
      task_sealed: null,
    })
    .where("id", "=", id)
    .where("state", "=", "ending")
    .execute();
}

/** Holds an account that serves until the transaction ends. Undefined when it does not live or is stopped. */
export async function hold(tx: Tx, id: AccountId): Promise<Account | undefined> {
  return tx
    .updateTable("accounts")
    .set({ revision: sql<number>`revision + 1` })
    .where("id", "=", id)
    .where("state", "in", ["temporary", "claimed"])
    .where("suspended_at", "is", null)
    .returningAll()
    .executeTakeFirst();
}

/**
 * Stops an account from serving; its clock runs on. Undefined when it does not live or is stopped already; but an
 * operator's word replaces the watchdog's, which a deploy would lift, and their own of before.
 */
export async function suspend(
  tx: Tx,
  id: AccountId,
  by: "watchdog" | "operator",
  reason: string,
  nowMs: number,
): Promise<Account | undefined> {
  const update = tx
    .updateTable("accounts")
    .set({ suspended_at: nowMs, suspended_by: by, suspended_reason: reason, revision: sql<number>`revision + 1` })
    .where("id", "=", id)
    .where("state", "in", ["temporary", "claimed"]);
  return (by === "operator" ? update : update.where("suspended_at", "is", null)).returningAll().executeTakeFirst();
}

/** Lets a suspended account serve again, whoever stopped it. Undefined when it does not live or is not stopped. */
export async function release(tx: Tx, id: AccountId): Promise<Account | undefined> {
  return tx
    .updateTable("accounts")
    .set({ suspended_at: null, suspended_by: null, suspended_reason: null, revision: sql<number>`revision + 1` })
    .where("id", "=", id)
    .where("state", "in", ["temporary", "claimed"])
    .where("suspended_at", "is not", null)
    .returningAll()
    .executeTakeFirst();
}
