// All SQL of Workers, versions and deployments. Rows in, our own words out; what is a tenant's secret is sealed
// before it gets here and opened after.
import { sql, type Kysely, type Selectable } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Keys } from "../../keys/keys.ts";
import type { Schema, WorkerDeploymentTable, WorkerTable, WorkerVersionTable } from "../../store/schema.ts";
import type { Account, Tx } from "../../store/store.ts";
import type { AssetFile } from "../product.ts";
import { aliasOf, primaryOf, type Annotations, type Deployment, type Exports, type ScriptSettings, type StoredBinding } from "./model.ts";
import type { Traffic, Version, Worker } from "./model.ts";
import { DEPLOYMENTS_LISTED, VERSIONS_KEPT } from "./quota.ts";

type Db = Kysely<Schema>;
type VersionRow = Selectable<WorkerVersionTable>;

/** What a tenant wrote in free text, and every value that a Worker is given, is readable with the account's key alone. */
type SealedVersion = {
  readonly bindings: readonly StoredBinding[];
  readonly annotations: Annotations;
  readonly metadata: Version["metadata"];
  readonly assetsConfig: string | null;
};

type SharesOnRow = readonly { readonly version_id: string; readonly percentage: number }[];
export const readTraffic = (text: string): Traffic =>
  (JSON.parse(text) as SharesOnRow).map(({ version_id, percentage }) => ({ versionId: version_id, percentage }));
const writeTraffic = (traffic: Traffic): string =>
  JSON.stringify(traffic.map(({ versionId, percentage }) => ({ version_id: versionId, percentage })));

const seal = (keys: Keys, account: AccountId, what: string, value: unknown): Buffer => keys.sealFor(account, what, JSON.stringify(value));
const open = (keys: Keys, account: AccountId, what: string, box: Uint8Array): unknown => JSON.parse(keys.openFor(account, what, box));

function toWorker(row: Selectable<WorkerTable>, keys: Keys): Worker {
  return {
    id: row.id,
    name: row.name,
    createdAtMs: row.created_at,
    modifiedAtMs: row.modified_at,
    subdomainEnabled: row.subdomain_enabled === 1,
    previewsEnabled: row.previews_enabled === 1,
    settings: open(keys, row.account_id, "worker settings", row.settings) as ScriptSettings,
    traffic: readTraffic(row.traffic),
    latestVersionId: row.latest_version_id,
    versionsMade: row.versions_made,
    deploymentsMade: row.deployments_made,
    migrationTag: row.migration_tag,
  };
}

/** Versions of earlier releases name no classes of Durable Objects. */
const readExports = (text: string): Exports => ({ objects: [], ...(JSON.parse(text) as Omit<Exports, "objects">) });

function toVersion(row: VersionRow, keys: Keys): Version {
  const { bindings, annotations, metadata, assetsConfig } = open(keys, row.account_id, "worker version", row.sealed) as SealedVersion;
  return {
    id: row.id,
    workerId: row.worker_id,
    number: row.number,
    createdAtMs: row.created_at,
    previewedAtMs: row.previewed_at,
    source: row.source,
    annotations,
    compatibilityDate: row.compatibility_date,
    compatibilityFlags: JSON.parse(row.compatibility_flags) as string[],
    code: JSON.parse(row.code) as Version["code"],
    exports: readExports(row.exports),
    etag: row.etag,
    startupMs: row.startup_ms,
    bindings,
    assets: row.assets === null ? null : { files: JSON.parse(row.assets) as AssetFile[], config: assetsConfig ?? "{}" },
    metadata,
  };
}

function toDeployment(row: Selectable<WorkerDeploymentTable>, keys: Keys): Deployment {
  return {
    id: row.id,
    number: row.number,
    createdAtMs: row.created_at,
    source: row.source,
    traffic: readTraffic(row.versions),
    annotations: open(keys, row.account_id, "worker deployment", row.annotations) as Annotations,
  };
}

/** By name alone: a Worker may be named like another one's id, and permissions are on names. */
export async function findWorker(db: Db, keys: Keys, account: AccountId, name: string): Promise<Worker | undefined> {
  const row = await db.selectFrom("workers").selectAll().where("account_id", "=", account).where("name", "=", name).executeTakeFirst();
  return row && toWorker(row, keys);
}

export async function listWorkers(db: Db, keys: Keys, account: AccountId): Promise<Worker[]> {
  const rows = await db.selectFrom("workers").selectAll().where("account_id", "=", account).orderBy("name").execute();
  return rows.map((row) => toWorker(row, keys));
}

export async function countWorkers(db: Db, account: AccountId): Promise<number> {
  const row = await db
    .selectFrom("workers")
    .select((count) => count.fn.countAll<number>().as("count"))
    .where("account_id", "=", account)
    .executeTakeFirstOrThrow();
  return row.count;
}

export async function findVersion(db: Db, keys: Keys, worker: Worker, id: string): Promise<Version | undefined> {
  const row = await db.selectFrom("worker_versions").selectAll().where("worker_id", "=", worker.id).where("id", "=", id).executeTakeFirst();
  return row && toVersion(row, keys);
}

/** Newest first. */
export async function listVersions(db: Db, keys: Keys, worker: Worker): Promise<Version[]> {
  const rows = await db.selectFrom("worker_versions").selectAll().where("worker_id", "=", worker.id).orderBy("number", "desc").execute();
  return rows.map((row) => toVersion(row, keys));
}

/** Newest first. */
export async function versionIds(db: Db, worker: Worker): Promise<string[]> {
  const rows = await db.selectFrom("worker_versions").select("id").where("worker_id", "=", worker.id).orderBy("number", "desc").execute();
  return rows.map(({ id }) => id);
}

/** The primary version of each of the account's Workers, by the Worker's id. */
export async function primaryVersions(db: Db, keys: Keys, account: AccountId, workers: readonly Worker[]): Promise<Map<string, Version>> {
  const ids = workers.map(({ traffic }) => primaryOf(traffic));
  if (ids.length === 0) return new Map();
  const rows = await db.selectFrom("worker_versions").selectAll().where("account_id", "=", account).where("id", "in", ids).execute();
  return new Map(rows.map((row) => [row.worker_id, toVersion(row, keys)]));
}

/** Every version that is in the process, newest first: those with traffic, and those whose preview was visited. */
export async function runningVersions(db: Db, keys: Keys, account: AccountId, workers: readonly Worker[]): Promise<Version[]> {
  const ids = workers.flatMap(({ traffic }) => traffic.map(({ versionId }) => versionId));
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom("worker_versions")
    .selectAll()
    .where("account_id", "=", account)
    .where((or) => or.or([or("id", "in", ids), or("previewed_at", "is not", null)]))
    .orderBy("number", "desc")
    .execute();
  return rows.map((row) => toVersion(row, keys));
}

/** What some versions of a Worker export, by the version's id. */
export async function exportsOfVersions(db: Db, worker: Worker, traffic: Traffic): Promise<Map<string, Exports>> {
  const ids = traffic.map(({ versionId }) => versionId);
  const rows = await db
    .selectFrom("worker_versions")
    .select(["id", "exports"])
    .where("worker_id", "=", worker.id)
    .where("id", "in", ids)
    .execute();
  return new Map(rows.map((row) => [row.id, readExports(row.exports)]));
}

/** What the Workers of the account export, by name; without opening a seal. */
export async function exportsByName(db: Db, account: AccountId): Promise<Map<string, Exports>> {
  const workers = await db.selectFrom("workers").select(["name", "traffic"]).where("account_id", "=", account).execute();
  const names = new Map(workers.map(({ name, traffic }) => [primaryOf(readTraffic(traffic)), name]));
  if (names.size === 0) return new Map();
  const rows = await db
    .selectFrom("worker_versions")
    .select(["id", "exports"])
    .where("account_id", "=", account)
    .where("id", "in", [...names.keys()])
    .execute();
  return new Map(rows.map((row) => [names.get(row.id) ?? "", readExports(row.exports)]));
}

/** Code and static assets of every version that is kept; equal ones once. */
export async function heldFiles(db: Db, account: AccountId): Promise<{ code: Version["code"][]; assets: AssetFile[][] }> {
  const of = db.selectFrom("worker_versions").where("account_id", "=", account).distinct();
  const code = await of.select("code").orderBy("code").execute();
  const assets = await of.select("assets").where("assets", "is not", null).orderBy("assets").execute();
  return {
    code: code.map((row) => JSON.parse(row.code) as Version["code"]),
    assets: assets.flatMap((row) => (row.assets === null ? [] : [JSON.parse(row.assets) as AssetFile[]])),
  };
}

/** The columns of a Worker that change. */
const mutable = (keys: Keys, account: AccountId, worker: Worker) => ({
  modified_at: worker.modifiedAtMs,
  subdomain_enabled: Number(worker.subdomainEnabled),
  previews_enabled: Number(worker.previewsEnabled),
  settings: seal(keys, account, "worker settings", worker.settings),
  traffic: writeTraffic(worker.traffic),
  latest_version_id: worker.latestVersionId,
  versions_made: worker.versionsMade,
  deployments_made: worker.deploymentsMade,
  migration_tag: worker.migrationTag,
});

export async function insertWorker(tx: Tx, keys: Keys, account: AccountId, worker: Worker): Promise<void> {
  await tx
    .insertInto("workers")
    .values({
      id: worker.id,
      account_id: account,
      name: worker.name,
      created_at: worker.createdAtMs,
      ...mutable(keys, account, worker),
    })
    .execute();
}

export async function updateWorker(tx: Tx, keys: Keys, account: AccountId, worker: Worker): Promise<void> {
  await tx
    .updateTable("workers")
    .set(mutable(keys, account, worker))
    .where("account_id", "=", account)
    .where("id", "=", worker.id)
    .execute();
}

function toRow(keys: Keys, account: AccountId, version: Version): VersionRow {
  const { bindings, annotations, metadata, assets } = version;
  const sealed: SealedVersion = { bindings, annotations, metadata, assetsConfig: assets?.config ?? null };
  return {
    id: version.id,
    account_id: account,
    worker_id: version.workerId,
    number: version.number,
    created_at: version.createdAtMs,
    source: version.source,
    compatibility_date: version.compatibilityDate,
    compatibility_flags: JSON.stringify(version.compatibilityFlags),
    code: JSON.stringify(version.code),
    exports: JSON.stringify(version.exports),
    etag: version.etag,
    startup_ms: version.startupMs,
    sealed: seal(keys, account, "worker version", sealed),
    assets: version.assets === null ? null : JSON.stringify(version.assets.files),
    alias: aliasOf(version),
    previewed_at: version.previewedAtMs,
    preview_rested_at: null,
  };
}

/** @returns bytes of what grows with the version: as `versionSizes` counts them */
export async function insertVersion(tx: Tx, keys: Keys, account: AccountId, version: Version): Promise<number> {
  const row = toRow(keys, account, version);
  await tx.insertInto("worker_versions").values(row).execute();
  return Buffer.byteLength(row.code) + Buffer.byteLength(row.exports) + row.sealed.byteLength + Buffer.byteLength(row.assets ?? "");
}

const SIZE = sql<number>`octet_length(code) + octet_length(exports) + octet_length(sealed) + coalesce(octet_length(assets), 0)`;

/** Bytes of every version of the account that is kept, oldest first; `held` are those that serve or come next. */
export async function versionSizes(tx: Tx, account: AccountId): Promise<{ id: string; bytes: number; held: boolean }[]> {
  const rows = await tx
    .selectFrom("worker_versions")
    .innerJoin("workers", "workers.id", "worker_versions.worker_id")
    .select(["worker_versions.id", SIZE.as("bytes"), "workers.traffic", "workers.latest_version_id"])
    .where("worker_versions.account_id", "=", account)
    .orderBy("worker_versions.created_at")
    .orderBy("worker_versions.number")
    .execute();
  return rows.map(({ id, bytes, traffic, latest_version_id }) => ({
    id,
    bytes,
    held: id === latest_version_id || readTraffic(traffic).some(({ versionId }) => versionId === id),
  }));
}

export async function deleteVersions(tx: Tx, account: AccountId, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await tx.deleteFrom("worker_versions").where("account_id", "=", account).where("id", "in", ids).execute();
}

/** Deletes what is older than the number of versions and deployments that are kept; never a version that serves. */
export async function pruneVersions(tx: Tx, worker: Worker): Promise<void> {
  await tx
    .deleteFrom("worker_versions")
    .where("worker_id", "=", worker.id)
    .where("number", "<=", worker.versionsMade - VERSIONS_KEPT)
    .where(
      "id",
      "not in",
      worker.traffic.map(({ versionId }) => versionId),
    )
    .execute();
  await tx
    .deleteFrom("worker_deployments")
    .where("worker_id", "=", worker.id)
    .where("number", "<=", worker.deploymentsMade - VERSIONS_KEPT)
    .execute();
}

export async function insertDeployment(tx: Tx, keys: Keys, account: AccountId, worker: Worker, deployment: Deployment): Promise<void> {
  await tx
    .insertInto("worker_deployments")
    .values({
      id: deployment.id,
      account_id: account,
      worker_id: worker.id,
      created_at: deployment.createdAtMs,
      number: deployment.number,
      source: deployment.source,
      versions: writeTraffic(deployment.traffic),
      annotations: seal(keys, account, "worker deployment", deployment.annotations),
    })
    .execute();
}

/** The newest, newest first. */
export async function listDeployments(db: Db, keys: Keys, worker: Worker): Promise<Deployment[]> {
  const rows = await db
    .selectFrom("worker_deployments")
    .selectAll()
    .where("worker_id", "=", worker.id)
    .orderBy("number", "desc")
    .limit(DEPLOYMENTS_LISTED)
    .execute();
  return rows.map((row) => toDeployment(row, keys));
}

export async function findDeployment(db: Db, keys: Keys, worker: Worker, id: string): Promise<Deployment | undefined> {
  const row = await db
    .selectFrom("worker_deployments")
    .selectAll()
    .where("worker_id", "=", worker.id)
    .where("id", "=", id)
    .executeTakeFirst();
  return row && toDeployment(row, keys);
}

export async function deleteDeployment(tx: Tx, worker: Worker, id: string): Promise<void> {
  await tx.deleteFrom("worker_deployments").where("worker_id", "=", worker.id).where("id", "=", id).execute();
}

export async function deleteWorker(tx: Tx, worker: Worker): Promise<void> {
  await tx.deleteFrom("worker_deployments").where("worker_id", "=", worker.id).execute();
  await tx.deleteFrom("worker_versions").where("worker_id", "=", worker.id).execute();
  await tx.deleteFrom("workers").where("id", "=", worker.id).execute();
}

export async function deleteAll(tx: Tx, account: AccountId): Promise<number> {
  let removed = 0;
  for (const table of ["worker_deployments", "worker_versions", "workers"] as const) {
    const result = await tx.deleteFrom(table).where("account_id", "=", account).executeTakeFirst();
    removed += Number(result.numDeletedRows);
  }
  return removed;
}

/** Ends a suspension by the watchdog, if that is what stopped the account: new code is a new chance. */
export async function liftWatchdog(tx: Tx, account: Account): Promise<boolean> {
  if (account.suspended_by !== "watchdog") return false;
  await tx
    .updateTable("accounts")
    .set({ suspended_at: null, suspended_by: null, suspended_reason: null })
    .where("id", "=", account.id)
    .where("suspended_by", "=", "watchdog")
    .execute();
  return true;
}

export async function subdomainOf(db: Db, account: AccountId): Promise<Account["subdomain"]> {
  const row = await db
    .selectFrom("accounts")
    .select([sql.ref<Account["subdomain"]>("subdomain").as("subdomain")])
    .where("id", "=", account)
    .executeTakeFirstOrThrow();
  return row.subdomain;
}
