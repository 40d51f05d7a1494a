// All SQL of the D1 product: which databases an account has. What is in them lies with its process.
import type { Kysely } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { D1DatabaseTable, Schema } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";

type Db = Kysely<Schema>;

export type ReadReplication = D1DatabaseTable["read_replication"];

export type Database = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly readReplication: ReadReplication;
};

type Row = Pick<D1DatabaseTable, "id" | "name" | "created_at" | "read_replication">;

const toDatabase = (row: Row): Database => ({
  id: row.id,
  name: row.name,
  createdAtMs: row.created_at,
  readReplication: row.read_replication,
});

const ofAccount = (db: Db, account: AccountId) =>
  db.selectFrom("d1_databases").select(["id", "name", "created_at", "read_replication"]).where("account_id", "=", account);

/** No name looks like an id. */
export async function findDatabase(db: Db, account: AccountId, idOrName: string): Promise<Database | null> {
  const row = await ofAccount(db, account)
    .where((or) => or.or([or("id", "=", idOrName), or("name", "=", idOrName)]))
    .executeTakeFirst();
  return row ? toDatabase(row) : null;
}

export async function listDatabases(db: Db, account: AccountId): Promise<Database[]> {
  return (await ofAccount(db, account).orderBy("created_at").orderBy("id").execute()).map(toDatabase);
}

export async function insertDatabase(tx: Tx, account: AccountId, { id, name, createdAtMs, readReplication }: Database): Promise<void> {
  await tx
    .insertInto("d1_databases")
    .values({ id, account_id: account, name, created_at: createdAtMs, read_replication: readReplication })
    .execute();
}

export async function setReadReplication(tx: Tx, account: AccountId, id: string, mode: ReadReplication): Promise<void> {
  await tx.updateTable("d1_databases").set({ read_replication: mode }).where("account_id", "=", account).where("id", "=", id).execute();
}

/** @returns how many rows that were */
export async function deleteDatabases(tx: Tx, account: AccountId, id?: string): Promise<number> {
  let rows = tx.deleteFrom("d1_databases").where("account_id", "=", account);
  if (id !== undefined) rows = rows.where("id", "=", id);
  return Number((await rows.executeTakeFirst()).numDeletedRows);
}
