// All SQL of cron triggers. A row says when it is next to be set off; whoever moves it on has taken that occurrence, so
// a transaction that finds it moved already leaves it alone.
import type { Kysely } from "kysely";
import { newId, type AccountId } from "../../../kernel/ids.ts";
import type { Schema } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { Due } from "../product.ts";
import { primaryOf } from "./model.ts";
import { readTraffic } from "./store.ts";

type Db = Kysely<Schema>;

export type CronTrigger = { readonly cron: string; readonly createdAtMs: number };

/** As they were first set, oldest first. */
export async function triggersOf(db: Db, account: AccountId, workerId: string): Promise<CronTrigger[]> {
  const rows = await db
    .selectFrom("worker_crons")
    .select(["cron", "created_at"])
    .where("account_id", "=", account)
    .where("worker_id", "=", workerId)
    .orderBy("created_at")
    .orderBy("cron")
    .execute();
  return rows.map(({ cron, created_at }) => ({ cron, createdAtMs: created_at }));
}

/** Of all the account's Workers. @param but one of them whose triggers are not counted */
export async function countTriggers(db: Db, account: AccountId, but?: string): Promise<number> {
  let query = db
    .selectFrom("worker_crons")
    .select((of) => of.fn.countAll<number>().as("count"))
    .where("account_id", "=", account);
  if (but !== undefined) query = query.where("worker_id", "!=", but);
  return (await query.executeTakeFirstOrThrow()).count;
}

export async function insertTrigger(
  tx: Tx,
  account: AccountId,
  workerId: string,
  trigger: CronTrigger & { readonly nextAtMs: number },
): Promise<void> {
  const { cron, createdAtMs, nextAtMs } = trigger;
  await tx
    .insertInto("worker_crons")
    .values({ id: newId(), account_id: account, worker_id: workerId, cron, created_at: createdAtMs, next_at: nextAtMs })
    .execute();
}

export async function deleteTriggers(tx: Tx, account: AccountId, workerId: string, crons: readonly string[]): Promise<void> {
  if (crons.length === 0) return;
  await tx
    .deleteFrom("worker_crons")
    .where("account_id", "=", account)
    .where("worker_id", "=", workerId)
    .where("cron", "in", crons)
    .execute();
}

export async function deleteWorkersTriggers(tx: Tx, workerId: string): Promise<void> {
  await tx.deleteFrom("worker_crons").where("worker_id", "=", workerId).execute();
}

export async function deleteAllTriggers(tx: Tx, account: AccountId): Promise<number> {
  const result = await tx.deleteFrom("worker_crons").where("account_id", "=", account).executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** Rows of accounts that live; a suspended one's move on too, so that nothing has piled up when it serves again. */
const ofTheLiving = (db: Db, nowMs: number) =>
  db
    .selectFrom("worker_crons")
    .innerJoin("accounts", "accounts.id", "worker_crons.account_id")
    .where("accounts.state", "in", ["temporary", "claimed"])
    .where((or) => or.or([or("accounts.expires_at", "is", null), or("accounts.expires_at", ">", nowMs)]));

export async function earliestTrigger(db: Db, nowMs: number): Promise<number | null> {
  const row = await ofTheLiving(db, nowMs).select("worker_crons.next_at").orderBy("worker_crons.next_at").limit(1).executeTakeFirst();
  return row?.next_at ?? null;
}

export async function dueTriggers(db: Db, nowMs: number, most: number): Promise<Due[]> {
  return ofTheLiving(db, nowMs)
    .select(["worker_crons.id", "worker_crons.account_id as account"])
    .where("worker_crons.next_at", "<=", nowMs)
    .orderBy("worker_crons.next_at")
    .limit(most)
    .execute();
}

export type DueTrigger = {
  readonly cron: string;
  readonly workerId: string;
  /** Of the Worker's primary version. */
  readonly number: number;
  readonly hasCode: boolean;
};

/** A trigger that has fallen due and that nobody has moved on; undefined otherwise. */
export async function dueTrigger(tx: Tx, account: AccountId, id: string, nowMs: number): Promise<DueTrigger | undefined> {
  const row = await tx
    .selectFrom("worker_crons")
    .innerJoin("workers", "workers.id", "worker_crons.worker_id")
    .select(["worker_crons.cron", "worker_crons.worker_id", "workers.traffic"])
    .where("worker_crons.account_id", "=", account)
    .where("worker_crons.id", "=", id)
    .where("worker_crons.next_at", "<=", nowMs)
    .executeTakeFirst();
  if (!row) return undefined;
  const version = await tx
    .selectFrom("worker_versions")
    .select(["number", "code"])
    .where("account_id", "=", account)
    .where("id", "=", primaryOf(readTraffic(row.traffic)))
    .executeTakeFirstOrThrow();
  const { format } = JSON.parse(version.code) as { format: string };
  return { cron: row.cron, workerId: row.worker_id, number: version.number, hasCode: format !== "none" };
}

export async function moveOn(tx: Tx, account: AccountId, id: string, nextAtMs: number): Promise<void> {
  await tx.updateTable("worker_crons").set({ next_at: nextAtMs }).where("account_id", "=", account).where("id", "=", id).execute();
}

/** A row that is due, or that has been moved on beyond that time. */
export async function delay(tx: Tx, { account, id }: Due, nowMs: number, atMs: number): Promise<void> {
  await tx
    .updateTable("worker_crons")
    .set({ next_at: atMs })
    .where("account_id", "=", account)
    .where("id", "=", id)
    .where((or) => or.or([or("next_at", ">", atMs), or("next_at", "<=", nowMs)]))
    .execute();
}
