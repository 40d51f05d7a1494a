// All SQL of KV: which namespaces an account has. Keys and values lie with the account's process. A deleted namespace
// stays as a row that nothing shows until its data is purged, so that the process has what purges it.
import type { Kysely } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Schema } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";

type Db = Kysely<Schema>;

export type Namespace = { readonly id: string; readonly title: string };

const living = (db: Db, account: AccountId) =>
  db.selectFrom("kv_namespaces").select(["id", "title"]).where("account_id", "=", account).where("deleted_at", "is", null);

export type ListOrder = {
  readonly order: "id" | "title";
  readonly direction: "asc" | "desc";
  readonly limit: number;
  readonly offset: number;
};

export const listNamespaces = (db: Db, account: AccountId, { order, direction, limit, offset }: ListOrder): Promise<Namespace[]> =>
  living(db, account).orderBy(order, direction).orderBy("id").limit(limit).offset(offset).execute();

export async function countNamespaces(db: Db, account: AccountId): Promise<number> {
  const row = await db
    .selectFrom("kv_namespaces")
    .select((of) => of.fn.countAll<number>().as("count"))
    .where("account_id", "=", account)
    .where("deleted_at", "is", null)
    .executeTakeFirstOrThrow();
  return row.count;
}

export const findNamespace = (db: Db, account: AccountId, id: string): Promise<Namespace | undefined> =>
  living(db, account).where("id", "=", id).executeTakeFirst();

export const findByTitle = (db: Db, account: AccountId, title: string): Promise<Namespace | undefined> =>
  living(db, account).where("title", "=", title).executeTakeFirst();

export async function namespaceIds(db: Db, account: AccountId): Promise<string[]> {
  return (await living(db, account).orderBy("id").execute()).map(({ id }) => id);
}

export async function insertNamespace(tx: Tx, account: AccountId, { id, title }: Namespace, nowMs: number): Promise<void> {
  await tx.insertInto("kv_namespaces").values({ id, account_id: account, title, created_at: nowMs, deleted_at: null }).execute();
}

export async function renameNamespace(tx: Tx, account: AccountId, { id, title }: Namespace): Promise<void> {
  await tx.updateTable("kv_namespaces").set({ title }).where("account_id", "=", account).where("id", "=", id).execute();
}

/** From now on nothing shows it; what it was called goes at once. */
export async function markDeleted(tx: Tx, account: AccountId, id: string, nowMs: number): Promise<void> {
  await tx
    .updateTable("kv_namespaces")
    .set({ deleted_at: nowMs, title: "" })
    .where("account_id", "=", account)
    .where("id", "=", id)
    .execute();
}

/** Namespaces whose data is still to be purged. */
export async function deletedIds(db: Db, account: AccountId): Promise<string[]> {
  const rows = await db
    .selectFrom("kv_namespaces")
    .select("id")
    .where("account_id", "=", account)
    .where("deleted_at", "is not", null)
    .orderBy("id")
    .execute();
  return rows.map(({ id }) => id);
}

export async function dropDeleted(tx: Tx, account: AccountId, ids: readonly string[]): Promise<void> {
  await tx
    .deleteFrom("kv_namespaces")
    .where("account_id", "=", account)
    .where("deleted_at", "is not", null)
    .where("id", "in", ids)
    .execute();
}

export async function deleteAll(tx: Tx, account: AccountId): Promise<number> {
  const result = await tx.deleteFrom("kv_namespaces").where("account_id", "=", account).executeTakeFirst();
  return Number(result.numDeletedRows);
}
