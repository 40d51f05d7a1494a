// From a form to a version: parse, check, store the bytes, try the script, and only then one transaction. What
// depends on other rows (inherited bindings, callees, quota) is checked before the trial, to fail early, and
// decided again inside the transaction, since it may have changed.
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { Verdict } from "../../../capsule/messages.ts";
import { checkCompatibility } from "../../../capsule/compatibility.ts";
import type { Trial } from "../../../capsule/spec.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { parseJson } from "../../http/body.ts";
import { readForm, type Part } from "../../http/form.ts";
import type { Room } from "../../http/memory.ts";
import type { AccountCall } from "../../http/routes.ts";
import type { Tx } from "../../store/store.ts";
import type { ObjectPlan, ProductContext } from "../product.ts";
import { assetServiceConfig } from "./asset-config/config.ts";
import { checkEntrypoint, checkResources, resolveBindings } from "./bindings.ts";
import { composeWorker, resourceComposer } from "./compose.ts";
import { checkBindings, checkUpload, invalidUpload, uploadMetadata, type SentBinding, type UploadMetadata } from "./contract.ts";
import { checkQuota } from "./deeds.ts";
import { diagnosed, requireHandlers } from "./diagnosis.ts";
import type { AssetFile } from "../product.ts";
import type { Annotations, Code, Exports, StoredBinding, Version, VersionAssets, VersionDraft, Worker } from "./model.ts";
import { assemble, checkSize, type Assembled } from "./modules.ts";
import { checkScriptName } from "./names.ts";
import { planObjects } from "./objects.ts";
import { checkAlias } from "./previews.ts";
import { bodyMaxBytes, METADATA_MAX_BYTES, MODULES_MAX } from "./quota.ts";
import { asWranglerSends } from "./sdk-form.ts";
import * as store from "./store.ts";

/** The date of Workers that name none, as the hosted original has it. */
const OLDEST_DATE = "2021-11-02";
const PUTS_AT_ONCE = 8;
const TRIAL_SERVICE = "trial";

/** An upload that was parsed and whose own parts agree with each other. */
type Sent = Assembled & {
  readonly script: string;
  readonly metadata: UploadMetadata;
  readonly bindings: readonly SentBinding[];
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  /** Files of a completed asset upload; null when the upload brought none. */
  readonly assetFiles: readonly AssetFile[] | null;
};

/** What rows say at the moment. */
type Standing = { readonly worker: Worker | undefined; readonly latest: Version | undefined };

const FORM = "Send multipart/form-data with a metadata part and one part for each module.";

const refusals = {
  malformed: (message: string) =>
    invalidUpload(message, /more than \d+ parts/.test(message) ? "Bundle the modules into fewer, or move files to static assets." : FORM),
  tooLarge: (message: string) => new PlatformError("upload_too_large", { message }),
};

function parseMetadata(parts: readonly Part[]): UploadMetadata {
  const [part, ...more] = parts.filter((candidate) => candidate.name === "metadata");
  if (!part) throw refusals.malformed("metadata: the form has no such part.");
  if (more.length > 0) throw refusals.malformed("metadata: the form has two such parts.");
  // Not as upload_too_large, at which wrangler would blame the modules.
  if (part.bytes.byteLength > METADATA_MAX_BYTES) {
    throw invalidUpload(
      `metadata: ${part.bytes.byteLength} bytes, more than ${METADATA_MAX_BYTES}.`,
      "Shorten what takes the most of it: _headers, _redirects, variables.",
    );
  }
  const parsed = parseJson(part.bytes);
  if (!parsed.ok) throw invalidUpload(`metadata: ${parsed.problem}.`);
  return checkUpload(uploadMetadata, parsed.value, "metadata");
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === "object" && Object.keys(value).length === 0);

/** Fields that would change what the Worker is, for products that are not there yet. */
function refuseUnknownProducts(metadata: UploadMetadata): void {
  const absent = { exports: "Durable Objects and Workflows by exports", containers: "Containers" } as const;
  for (const [field, product] of Object.entries(absent)) {
    if (isEmpty(metadata[field as keyof typeof absent])) continue;
    throw invalidUpload(
      `metadata.${field}: ${product} are not there yet.`,
      field === "exports"
        ? "Name classes of Durable Objects in migrations (new_sqlite_classes) instead, and deploy again."
        : "Remove the field and deploy again; README.md lists the products that work.",
    );
  }
}

async function parse(context: ProductContext, call: AccountCall, script: string, room: Room): Promise<Sent> {
  const subdomain = await store.subdomainOf(context.store.db, call.account);
  checkScriptName(script, subdomain);
  const limits = { maxBytes: bodyMaxBytes(context.quota), maxParts: MODULES_MAX + 1, room };
  const parts = asWranglerSends(await readForm(call.request, limits, refusals));
  const metadata = parseMetadata(parts);
  refuseUnknownProducts(metadata);
  checkAlias(metadata.annotations?.["workers/alias"], script, subdomain);
  const bindings = checkBindings(metadata.bindings ?? [], context.bindingKinds());
  const compatibilityDate = metadata.compatibility_date ?? OLDEST_DATE;
  const compatibilityFlags = metadata.compatibility_flags ?? [];
  const nowMs = context.store.clock.now();
  const incompatible = checkCompatibility(compatibilityDate, compatibilityFlags, nowMs);
  const assembled = assemble(
    metadata,
    parts.filter((part) => part.name !== "metadata"),
  );
  if (incompatible !== null) throw diagnosed(incompatible, { ...assembled, compatibilityDate, compatibilityFlags, nowMs });
  await checkSize(assembled, context.quota.uploadMaxBytes);
  const assetFiles = await redeemAssets(context, call, script, metadata);
  return { ...assembled, script, metadata, bindings, compatibilityDate, compatibilityFlags, assetFiles };
}

async function redeemAssets(
  context: ProductContext,
  call: AccountCall,
  script: string,
  metadata: UploadMetadata,
): Promise<AssetFile[] | null> {
  const token = metadata.assets?.jwt;
  if (!token) {
    if (!metadata.assets || metadata.keep_assets) return null;
    throw invalidUpload(
      "metadata.assets.jwt: missing.",
      "Upload the files first and send the token that the last answer carries, or keep_assets: true.",
    );
  }
  context.require(call.principal, "assets:write", { account: call.account, product: "assets", id: script });
  const ledger = context.product("assets")?.assets;
  if (!ledger) throw new PlatformError("product_unavailable", { message: "metadata.assets: this installation has no static assets." });
  return ledger.redeem({ account: call.account, epoch: call.principal.epoch }, script, token);
}

async function standing(context: ProductContext, db: Tx | typeof context.store.db, call: AccountCall, script: string): Promise<Standing> {
  const worker = await store.findWorker(db, context.keys, call.account, script);
  const latest = worker && (await store.findVersion(db, context.keys, worker, worker.latestVersionId));
  return { worker, latest };
}

function assetsOf(sent: Sent, latest: Version | undefined): VersionAssets | null {
  const { assets: asked, keep_assets: keep } = sent.metadata;
  const files = sent.assetFiles;
  if (files) return { files, config: assetServiceConfig(asked?.config ?? {}, files) };
  if (!keep) return null;
  if (!latest?.assets)
    throw invalidUpload("metadata.keep_assets: the Worker's latest version has no assets.", "Upload the files and send their token.");
  const kept = latest.assets;
  return { files: kept.files, config: asked?.config ? assetServiceConfig(asked.config, kept.files) : kept.config };
}

/** The bindings, assets and Durable Objects that the version gets, as the rows stand. */
async function settle(
  context: ProductContext,
  db: Tx | typeof context.store.db,
  call: AccountCall,
  sent: Sent,
  { worker, latest }: Standing,
) {
  if (!worker) {
    const account = await db.selectFrom("accounts").select("state").where("id", "=", call.account).executeTakeFirstOrThrow();
    checkQuota(context, account.state, await store.countWorkers(db, call.account));
  }
  const assets = assetsOf(sent, latest);
  const exports = await store.exportsByName(db, call.account);
  const bindings = resolveBindings(sent.bindings, {
    before: latest?.bindings ?? null,
    keep: sent.metadata.keep_bindings ?? [],
    code: sent.code,
    files: sent.files,
    self: sent.script,
    hasAssets: assets !== null,
    callees: new Map([...exports].map(([name, found]) => [name, { name, exports: found }])),
    mayBind: (name) => context.require(call.principal, "workers:read", { account: call.account, product: "workers", id: name }),
  });
  const { migrations } = sent.metadata;
  const objects = await planObjects(context, db, call.principal, { script: sent.script, worker, migrations });
  await checkResources(context, db, call.principal, sent.script, bindings, objects);
  return { assets, bindings, objects };
}

async function storeBytes(context: ProductContext, call: AccountCall, files: ReadonlyMap<string, Buffer>): Promise<void> {
  const missing = await context.host.missing(call.account, "code", [...files.keys()]);
  for (let at = 0; at < missing.length; at += PUTS_AT_ONCE) {
    const some = missing.slice(at, at + PUTS_AT_ONCE);
    await Promise.all(some.map((hash) => context.host.put(call.account, "code", hash, files.get(hash) ?? Readable.from([]))));
  }
}

function exportsOf(verdict: Extract<Verdict, { ok: true }>): Exports {
  const named = verdict.entrypoints.filter(({ kind }) => kind === "entrypoint" || kind === "handlers");
  return {
    handlers: verdict.handlers,
    entrypoints: named.map(({ name }) => name).filter((name) => name !== "default"),
    objects: verdict.entrypoints.filter(isObjectClass).map(({ name }) => name),
  };
}

/** A class that extends nothing is one too, for the runtime as for the hosted original. */
const isObjectClass = ({ kind, methods }: Extract<Verdict, { ok: true }>["entrypoints"][number]): boolean =>
  kind === "durable-object" || (kind === "other" && methods.includes("fetch"));

type Tried = { readonly exports: Exports; readonly startupMs: number };
type Settled = { readonly assets: VersionAssets | null; readonly bindings: readonly StoredBinding[]; readonly objects: ObjectPlan };

/** What the trial needs to tell places in the author's own files. */
function sourcesOf(code: Code): Trial["sources"] {
  if (code.format === "none") return undefined;
  const maps = code.sourceMaps.map(({ name, hash }) => ({ name, hash }));
  return code.format === "service-worker" ? { script: code.script.name, maps } : { maps };
}

/**
 * Starts the script once, away from everything.
 * @param files what was sent, by SHA-256; none for a version whose code is stored already
 * @throws PlatformError invalid_upload with the runtime's own words, no_handlers
 */
export async function tryVersion(
  context: ProductContext,
  call: AccountCall,
  version: Parameters<typeof composeWorker>[1],
  files: Assembled["files"] = new Map(),
): Promise<Tried> {
  const worker = composeWorker(TRIAL_SERVICE, version, {
    script: TRIAL_SERVICE,
    target: () => ({ service: TRIAL_SERVICE }),
    bound: await resourceComposer(context, context.store.db, call.account, [version]),
    serviceOf: () => TRIAL_SERVICE,
    assets: TRIAL_SERVICE,
    versionMetadata: { id: "", tag: "", timestamp: "" },
  });
  // Static assets alone answer requests, without a script that could have handlers.
  if (!worker) return { exports: { handlers: [], entrypoints: [], objects: [] }, startupMs: 0 };
  const verdict = await context.host.validate({ account: call.account, worker, sources: sourcesOf(version.code) });
  if (!verdict.ok) throw diagnosed(verdict.diagnostics, { ...version, files, nowMs: context.store.clock.now() });
  const exports = exportsOf(verdict);
  requireHandlers(exports, verdict.entrypoints.length);
  return { exports, startupMs: Math.round(verdict.startupMs) };
}

function etagOf(code: Code, assets: VersionAssets | null): string {
  const content = JSON.stringify([code, assets?.files.map(({ path, hash }) => [path, hash]) ?? null]);
  return createHash("sha256").update(content).digest("hex");
}

/** `wrangler` or `api`: who made a version or deployment. */
export const sourceOf = (request: Request): string => (request.headers.get("user-agent")?.startsWith("wrangler") ? "wrangler" : "api");

/** @param trigger upload, secret, promotion or rollback: the words that wrangler knows */
export const toAnnotations = (sent: Readonly<Record<string, string>> | null | undefined, trigger: string): Annotations => ({
  ...sent,
  "workers/triggered_by": trigger,
});

/** A Worker that binds itself is checked against what the trial found, as its rows still describe the version before. */
function checkSelf(script: string, bindings: readonly StoredBinding[], exports: Exports): void {
  for (const binding of bindings) if (binding.type === "service" && binding.service === script) checkEntrypoint(binding, exports);
}

function refuseMigration(objects: ObjectPlan): void {
  if (!objects.changes) return;
  throw new PlatformError("migration_not_deployed", {
    message:
      "Version upload failed. You attempted to upload a version of a Worker that includes a Durable Object migration, but migrations must be fully applied via a non-versioned deployment.",
  });
}

/** What an upload needs of the rows, decided inside the transaction. */
export type Ready = {
  readonly metadata: UploadMetadata;
  /** @throws PlatformError as the checks before the trial do; class_not_exported, class_in_use */
  readonly draft: (tx: Tx, worker: Worker | undefined, latest: Version | undefined) => Promise<Drafted>;
};

export type Drafted = {
  readonly draft: VersionDraft;
  /** To be written once the Worker is there, before the version is deployed. */
  readonly objects: ObjectPlan;
};

export type UploadOptions = {
  /** What the version's annotations name as its origin. */
  readonly trigger: string;
  /** Told which Worker there is, before anything is stored; may refuse. */
  readonly found: (worker: Worker | undefined) => void;
  /** Whether it is deployed at once, without which there are no migrations. */
  readonly deployed: boolean;
  /** Memory for the form; the caller disposes of it when the upload is over. */
  readonly room: Room;
};

/**
 * Everything of an upload that happens before its transaction.
 * @throws PlatformError invalid_upload, upload_too_large, invalid_inherit, quota_exceeded, forbidden, capsule_failed,
 *   too_many_uploads, those of planObjects, migration_not_deployed, and whatever `options.found` throws
 */
export async function prepareUpload(context: ProductContext, call: AccountCall, script: string, options: UploadOptions): Promise<Ready> {
  const sent = await parse(context, call, script, options.room);
  const now = await standing(context, context.store.db, call, script);
  options.found(now.worker);
  const settled: Settled = await settle(context, context.store.db, call, sent, now);
  if (!options.deployed) refuseMigration(settled.objects);
  await storeBytes(context, call, sent.files);
  const tried = await tryVersion(context, call, { ...sent, bindings: settled.bindings }, sent.files);
  const { metadata } = sent;
  return {
    metadata,
    draft: async (tx, worker, latest) => {
      const { assets, bindings, objects } = await settle(context, tx, call, sent, { worker, latest });
      if (!options.deployed) refuseMigration(objects);
      objects.checkExports(tried.exports.objects);
      checkSelf(sent.script, bindings, tried.exports);
      const draft = {
        source: sourceOf(call.request),
        annotations: toAnnotations(metadata.annotations, options.trigger),
        compatibilityDate: sent.compatibilityDate,
        compatibilityFlags: sent.compatibilityFlags,
        code: sent.code,
        ...tried,
        etag: etagOf(sent.code, assets),
        bindings,
        assets,
        metadata: { ...(metadata.limits && { limits: metadata.limits }), ...(metadata.placement && { placement: metadata.placement }) },
      };
      return { draft, objects };
    },
  };
}
