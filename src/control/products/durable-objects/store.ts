// All SQL of Durable Objects: namespaces are rows, objects are files of the account's process.
import type { Kysely, Selectable } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { ObjectNamespaceTable, Schema } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { Namespace } from "./migrations.ts";

type Db = Kysely<Schema>;
type FormerOnRow = readonly { readonly worker_id: string; readonly class_name: string }[];

const toNamespace = (row: Selectable<ObjectNamespaceTable>): Namespace => ({
  id: row.id,
  workerId: row.worker_id,
  className: row.class_name,
  uniqueKey: row.unique_key,
  sql: row.sql === 1,
  formerNames: (JSON.parse(row.former_names) as FormerOnRow).map(({ worker_id, class_name }) => ({
    workerId: worker_id,
    className: class_name,
  })),
  createdAtMs: row.created_at,
});

const toRow = (account: AccountId, namespace: Namespace): ObjectNamespaceTable => ({
  id: namespace.id,
  account_id: account,
  worker_id: namespace.workerId,
  class_name: namespace.className,
  unique_key: namespace.uniqueKey,
  sql: Number(namespace.sql),
  former_names: JSON.stringify(namespace.formerNames.map(({ workerId, className }) => ({ worker_id: workerId, class_name: className }))),
  created_at: namespace.createdAtMs,
});

/** Oldest first; those of one upload by name. */
export async function listNamespaces(db: Db, account: AccountId): Promise<Namespace[]> {
  const rows = await db
    .selectFrom("object_namespaces")
    .selectAll()
    .where("account_id", "=", account)
    .orderBy("created_at")
    .orderBy("class_name")
    .orderBy("id")
    .execute();
  return rows.map(toNamespace);
}

export async function namespacesOfWorker(db: Db, workerId: string): Promise<Namespace[]> {
  const rows = await db.selectFrom("object_namespaces").selectAll().where("worker_id", "=", workerId).orderBy("id").execute();
  return rows.map(toNamespace);
}

export async function findNamespace(db: Db, account: AccountId, id: string): Promise<Namespace | undefined> {
  const row = await db
    .selectFrom("object_namespaces")
    .selectAll()
    .where("account_id", "=", account)
    .where("id", "=", id)
    .executeTakeFirst();
  return row && toNamespace(row);
}

export async function countNamespaces(db: Db, account: AccountId): Promise<number> {
  const row = await db
    .selectFrom("object_namespaces")
    .select((count) => count.fn.countAll<number>().as("count"))
    .where("account_id", "=", account)
    .executeTakeFirstOrThrow();
  return row.count;
}

export type Listed = Pick<Namespace, "id" | "className" | "sql"> & { readonly script: string };

/** With the names of their Workers, oldest first. */
export async function listPage(db: Db, account: AccountId, page: { readonly perPage: number; readonly offset: number }): Promise<Listed[]> {
  const rows = await db
    .selectFrom("object_namespaces")
    .innerJoin("workers", "workers.id", "object_namespaces.worker_id")
    .select(["object_namespaces.id", "object_namespaces.class_name", "object_namespaces.sql", "workers.name"])
    .where("object_namespaces.account_id", "=", account)
    .orderBy("object_namespaces.created_at")
    .orderBy("object_namespaces.class_name")
    .orderBy("object_namespaces.id")
    .limit(page.perPage)
    .offset(page.offset)
    .execute();
  return rows.map((row) => ({ id: row.id, className: row.class_name, sql: row.sql === 1, script: row.name }));
}

/** Ids of the account's Workers by name. */
export async function workerIds(db: Db, account: AccountId): Promise<Map<string, string>> {
  const rows = await db.selectFrom("workers").select(["id", "name"]).where("account_id", "=", account).execute();
  return new Map(rows.map(({ id, name }) => [name, id]));
}

export async function stateOf(db: Db, account: AccountId): Promise<string> {
  return (await db.selectFrom("accounts").select("state").where("id", "=", account).executeTakeFirstOrThrow()).state;
}

/** Writes namespaces anew, all at once: two of them may change names. */
export async function putNamespaces(tx: Tx, account: AccountId, namespaces: readonly Namespace[]): Promise<void> {
  await deleteNamespaces(tx, account, namespaces);
  if (namespaces.length === 0) return;
  await tx
    .insertInto("object_namespaces")
    .values(namespaces.map((namespace) => toRow(account, namespace)))
    .execute();
}

export async function deleteNamespaces(tx: Tx, account: AccountId, namespaces: readonly Pick<Namespace, "id">[]): Promise<void> {
  if (namespaces.length === 0) return;
  const ids = namespaces.map(({ id }) => id);
  await tx.deleteFrom("object_namespaces").where("account_id", "=", account).where("id", "in", ids).execute();
}

export async function deleteAll(tx: Tx, account: AccountId): Promise<number> {
  const result = await tx.deleteFrom("object_namespaces").where("account_id", "=", account).executeTakeFirst();
  return Number(result.numDeletedRows);
}
