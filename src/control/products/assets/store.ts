// All SQL of static assets: which files an account has uploaded, and the sessions under way.
import type { Kysely } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Schema } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { Manifest } from "./contract.ts";

type Db = Kysely<Schema>;

export type UploadedFile = {
  readonly clientHash: string;
  /** SHA-256 of the bytes. */
  readonly hash: string;
  readonly size: number;
  readonly contentType: string | null;
  /** When it was uploaded or last named by a session. */
  readonly wantedAtMs: number;
};

export type Session = {
  readonly id: string;
  readonly script: string;
  readonly manifest: Manifest;
  readonly expiresAtMs: number;
};

/** All files of the account, by the client's hash. */
export async function uploadedFiles(db: Db, account: AccountId): Promise<Map<string, UploadedFile>> {
  const rows = await db.selectFrom("asset_files").selectAll().where("account_id", "=", account).orderBy("client_hash").execute();
  return new Map(
    rows.map((row) => [
      row.client_hash,
      { clientHash: row.client_hash, hash: row.hash, size: row.size, contentType: row.content_type, wantedAtMs: row.wanted_at },
    ]),
  );
}

/** Writes down uploaded files; the first upload of a client's hash stands. */
export async function insertFiles(tx: Tx, account: AccountId, files: readonly UploadedFile[]): Promise<void> {
  for (const file of files) {
    await tx
      .insertInto("asset_files")
      .values({
        account_id: account,
        client_hash: file.clientHash,
        hash: file.hash,
        size: file.size,
        content_type: file.contentType,
        wanted_at: file.wantedAtMs,
      })
      .onConflict((conflict) => conflict.columns(["account_id", "client_hash"]).doNothing())
      .execute();
  }
}

const AT_ONCE = 500;

function* slices<T>(all: readonly T[]): Generator<T[]> {
  for (let at = 0; at < all.length; at += AT_ONCE) yield all.slice(at, at + AT_ONCE);
}

/** Marks files as named by a session, so that none is swept before it ends. */
export async function wantFiles(tx: Tx, account: AccountId, clientHashes: readonly string[], atMs: number): Promise<void> {
  for (const some of slices(clientHashes)) {
    await tx
      .updateTable("asset_files")
      .set({ wanted_at: atMs })
      .where("account_id", "=", account)
      .where("client_hash", "in", some)
      .execute();
  }
}

export async function deleteFiles(tx: Tx, account: AccountId, clientHashes: readonly string[]): Promise<void> {
  for (const some of slices(clientHashes)) {
    await tx.deleteFrom("asset_files").where("account_id", "=", account).where("client_hash", "in", some).execute();
  }
}

export async function insertSession(tx: Tx, account: AccountId, session: Session, nowMs: number): Promise<void> {
  await tx.deleteFrom("asset_sessions").where("account_id", "=", account).where("expires_at", "<=", nowMs).execute();
  await tx
    .insertInto("asset_sessions")
    .values({
      id: session.id,
      account_id: account,
      script: session.script,
      manifest: JSON.stringify([...session.manifest]),
      created_at: nowMs,
      expires_at: session.expiresAtMs,
    })
    .execute();
}

/** Drops the account's oldest sessions but for so many; their tokens are then refused. */
export async function dropOldSessions(tx: Tx, account: AccountId, kept: number): Promise<void> {
  const rows = await tx
    .selectFrom("asset_sessions")
    .select("id")
    .where("account_id", "=", account)
    .orderBy("created_at", "desc")
    .orderBy("id")
    .offset(kept)
    .limit(AT_ONCE)
    .execute();
  if (rows.length === 0) return;
  await tx
    .deleteFrom("asset_sessions")
    .where("account_id", "=", account)
    .where(
      "id",
      "in",
      rows.map(({ id }) => id),
    )
    .execute();
}

export async function findSession(db: Db, account: AccountId, id: string): Promise<Session | undefined> {
  const row = await db.selectFrom("asset_sessions").selectAll().where("account_id", "=", account).where("id", "=", id).executeTakeFirst();
  return (
    row && {
      id: row.id,
      script: row.script,
      manifest: new Map(JSON.parse(row.manifest) as [string, { hash: string; size: number }][]),
      expiresAtMs: row.expires_at,
    }
  );
}

export async function deleteAll(tx: Tx, account: AccountId): Promise<number> {
  let removed = 0;
  for (const table of ["asset_sessions", "asset_files"] as const) {
    const result = await tx.deleteFrom(table).where("account_id", "=", account).executeTakeFirst();
    removed += Number(result.numDeletedRows);
  }
  return removed;
}
