// Limits of Workers, with units. Pure: the operator's settings and the account's state in, numbers out.
import type { QuotaSettings } from "../product.ts";

/** Workers that an account may have; a claimed one has a person who answers for it. */
export function workersAllowed(settings: QuotaSettings, state: string): number {
  return state === "claimed" ? settings.workersPerAccount * 5 : settings.workersPerAccount;
}

/** Cron triggers of all its Workers together. */
export function cronTriggersAllowed(settings: QuotaSettings, state: string): number {
  return state === "claimed" ? settings.cronTriggers * 5 : settings.cronTriggers;
}

/** Raw bytes of an upload's body: four times what the modules may have when compressed. */
export const bodyMaxBytes = (settings: QuotaSettings): number => settings.uploadMaxBytes * 4;

/** Raw bytes of all uploads that are being read or tried at once. */
export const UPLOADS_BYTES = 268_435_456;

export const MODULES_MAX = 1000;
export const MODULE_NAME_MAX_BYTES = 512;
/** The form's JSON part; the texts of _headers and _redirects travel in it. */
export const METADATA_MAX_BYTES = 4_194_304;

export const BINDINGS_MAX = 128;
export const BINDING_NAME_MAX_BYTES = 255;
/** Of a variable or secret. */
export const TEXT_MAX_BYTES = 5120;
export const TEXT_BLOB_MAX_BYTES = 1_048_576;
/** Of all text blobs of a version. */
export const TEXT_BLOBS_MAX_BYTES = 2_097_152;
export const ANNOTATIONS_MAX = 20;

/** Versions between which a deployment splits the requests. */
export const SPLIT_MAX = 2;
/** Versions of an account that are in its process only because their previews were visited; each is an isolate. */
export const PREVIEWS_RUNNING = 10;
/** For so long none of them gives way to another: a change of what runs is a redeploy. Milliseconds. */
export const PREVIEW_KEPT_MS = 60_000;
/** So long one stays out of the process that was in trouble with it. */
export const PREVIEW_REST_MS = 600_000;
/** Versions and deployments kept of a Worker, newest first; those that serve are always kept. */
export const VERSIONS_KEPT = 50;
/**
 * Of one version's row: names, variables, secrets, text blobs, exports, paths of assets. Whoever deploys makes control
 * read all versions of the account, so what they take together is bounded too, the oldest giving way.
 */
export const VERSION_MAX_BYTES = 4_194_304;
export const VERSIONS_MAX_BYTES = 33_554_432;
/** Deployments in a list. */
export const DEPLOYMENTS_LISTED = 10;
