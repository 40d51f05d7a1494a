// All SQL of secrets stores. A secret's value and comment are sealed with the account's key.
import type { Kysely, Selectable } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Keys } from "../../keys/keys.ts";
import type { Schema, SecretTable } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";

type Db = Kysely<Schema>;

export type SecretStore = { readonly id: string; readonly name: string; readonly createdAtMs: number; readonly modifiedAtMs: number };

export type Secret = {
  readonly id: string;
  readonly storeId: string;
  readonly name: string;
  readonly comment: string;
  readonly scopes: readonly string[];
  readonly value: string;
  readonly createdAtMs: number;
  readonly modifiedAtMs: number;
};

type Sealed = Pick<Secret, "comment" | "value">;

const seal = (keys: Keys, account: AccountId, { comment, value }: Sealed): Buffer =>
  keys.sealFor(account, "secrets store", JSON.stringify({ comment, value }));

const toSecret = (row: Selectable<SecretTable>, keys: Keys): Secret => ({
  ...(JSON.parse(keys.openFor(row.account_id, "secrets store", row.sealed)) as Sealed),
  id: row.id,
  storeId: row.store_id,
  name: row.name,
  scopes: JSON.parse(row.scopes) as string[],
  createdAtMs: row.created_at,
  modifiedAtMs: row.modified_at,
});

/** Oldest first. */
export async function listStores(db: Db, account: AccountId): Promise<SecretStore[]> {
  const rows = await db
    .selectFrom("secret_stores")
    .selectAll()
    .where("account_id", "=", account)
    .orderBy("created_at")
    .orderBy("id")
    .execute();
  return rows.map(({ id, name, created_at, modified_at }) => ({ id, name, createdAtMs: created_at, modifiedAtMs: modified_at }));
}

export async function findStore(db: Db, account: AccountId, id: string): Promise<SecretStore | undefined> {
  return (await listStores(db, account)).find((store) => store.id === id);
}

export async function insertStore(tx: Tx, account: AccountId, store: SecretStore): Promise<void> {
  const { id, name, createdAtMs, modifiedAtMs } = store;
  await tx
    .insertInto("secret_stores")
    .values({ id, account_id: account, name, created_at: createdAtMs, modified_at: modifiedAtMs })
    .execute();
}

/** With all its secrets. */
export async function deleteStore(tx: Tx, account: AccountId, id: string): Promise<void> {
  await tx.deleteFrom("secrets").where("account_id", "=", account).where("store_id", "=", id).execute();
  await tx.deleteFrom("secret_stores").where("account_id", "=", account).where("id", "=", id).execute();
}

/** All of the account, oldest first. */
export async function listSecrets(db: Db, keys: Keys, account: AccountId): Promise<Secret[]> {
  const rows = await db.selectFrom("secrets").selectAll().where("account_id", "=", account).orderBy("created_at").orderBy("id").execute();
  return rows.map((row) => toSecret(row, keys));
}

/** Without opening a seal. */
export async function countSecrets(db: Db, account: AccountId): Promise<number> {
  const row = await db
    .selectFrom("secrets")
    .select((of) => of.fn.countAll<number>().as("count"))
    .where("account_id", "=", account)
    .executeTakeFirstOrThrow();
  return row.count;
}

export async function insertSecret(tx: Tx, keys: Keys, account: AccountId, secret: Secret): Promise<void> {
  await tx
    .insertInto("secrets")
    .values({
      id: secret.id,
      account_id: account,
      store_id: secret.storeId,
      name: secret.name,
      scopes: JSON.stringify(secret.scopes),
      sealed: seal(keys, account, secret),
      created_at: secret.createdAtMs,
      modified_at: secret.modifiedAtMs,
    })
    .execute();
}

export async function updateSecret(tx: Tx, keys: Keys, account: AccountId, secret: Secret): Promise<void> {
  await tx
    .updateTable("secrets")
    .set({ scopes: JSON.stringify(secret.scopes), sealed: seal(keys, account, secret), modified_at: secret.modifiedAtMs })
    .where("account_id", "=", account)
    .where("id", "=", secret.id)
    .execute();
}

export async function deleteSecrets(tx: Tx, account: AccountId, ids: readonly string[]): Promise<void> {
  await tx.deleteFrom("secrets").where("account_id", "=", account).where("id", "in", ids).execute();
}

export async function deleteAll(tx: Tx, account: AccountId): Promise<number> {
  let removed = 0;
  for (const table of ["secrets", "secret_stores"] as const) {
    const result = await tx.deleteFrom(table).where("account_id", "=", account).executeTakeFirst();
    removed += Number(result.numDeletedRows);
  }
  return removed;
}
