// All SQL of previews: which version a label names, and which versions are in the process because of their preview.
// What looks a label up reads few columns and opens no seal, as strangers can ask for any.
import type { Kysely } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Schema } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import { readTraffic } from "./store.ts";

type Db = Kysely<Schema>;

export type Addressee = {
  readonly id: string;
  readonly subdomainEnabled: boolean;
  readonly previewsEnabled: boolean;
  /** Ids of the versions that serve. */
  readonly serving: readonly string[];
};

export async function findAddressee(db: Db, account: AccountId, script: string): Promise<Addressee | undefined> {
  const row = await db
    .selectFrom("workers")
    .select(["id", "subdomain_enabled", "previews_enabled", "traffic"])
    .where("account_id", "=", account)
    .where("name", "=", script)
    .executeTakeFirst();
  return (
    row && {
      id: row.id,
      subdomainEnabled: row.subdomain_enabled === 1,
      previewsEnabled: row.previews_enabled === 1,
      serving: readTraffic(row.traffic).map(({ versionId }) => versionId),
    }
  );
}

export type Previewed = {
  readonly id: string;
  readonly previewedAtMs: number | null;
  /** When trouble of the process stopped it. */
  readonly restedAtMs: number | null;
};

/** The newest version whose id begins with the digits, or that has the alias. */
export async function findPreviewed(
  db: Db,
  workerId: string,
  by: { readonly digits: string } | { readonly alias: string },
): Promise<Previewed | undefined> {
  const of = db.selectFrom("worker_versions").select(["id", "previewed_at", "preview_rested_at"]).where("worker_id", "=", workerId);
  const found = "alias" in by ? of.where("alias", "=", by.alias) : of.where("id", "like", `${by.digits}-%`);
  const row = await found.orderBy("number", "desc").limit(1).executeTakeFirst();
  return row && { id: row.id, previewedAtMs: row.previewed_at, restedAtMs: row.preview_rested_at };
}

/** Ids of versions that are the newest of their Worker with the alias that they have. */
export async function aliasHolders(db: Db, account: AccountId): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom("worker_versions")
    .select(["id", "worker_id", "alias"])
    .where("account_id", "=", account)
    .where("alias", "is not", null)
    .orderBy("number")
    .execute();
  return new Set(new Map(rows.map((row) => [`${row.worker_id} ${row.alias}`, row.id])).values());
}

export type Mark = { readonly id: string; readonly atMs: number };

/** Versions of the account that are in the process for their preview, the one marked first first. */
export async function listMarks(db: Db, account: AccountId): Promise<Mark[]> {
  const rows = await db
    .selectFrom("worker_versions")
    .select(["id", "previewed_at"])
    .where("account_id", "=", account)
    .where("previewed_at", "is not", null)
    .orderBy("previewed_at")
    .orderBy("id")
    .execute();
  return rows.map((row) => ({ id: row.id, atMs: row.previewed_at ?? 0 }));
}

/** @param atMs null takes the mark off */
export async function setMark(tx: Tx, account: AccountId, ids: readonly string[], atMs: number | null): Promise<void> {
  await tx.updateTable("worker_versions").set({ previewed_at: atMs }).where("account_id", "=", account).where("id", "in", ids).execute();
}

/** Takes the marks off, and remembers that it was for trouble. */
export async function restMarks(tx: Tx, account: AccountId, ids: readonly string[], atMs: number): Promise<void> {
  const columns = { previewed_at: null, preview_rested_at: atMs };
  await tx.updateTable("worker_versions").set(columns).where("account_id", "=", account).where("id", "in", ids).execute();
}

export async function clearMarks(tx: Tx, account: AccountId, workerId: string): Promise<void> {
  await tx
    .updateTable("worker_versions")
    .set({ previewed_at: null })
    .where("account_id", "=", account)
    .where("worker_id", "=", workerId)
    .execute();
}
