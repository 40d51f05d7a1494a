// Limits of KV, with units. Pure: the operator's settings and the account's state in, numbers out.
import type { QuotaSettings } from "../product.ts";

export type KvLimits = {
  readonly namespaces: number;
  /** Keys, values and metadata of all namespaces together. */
  readonly bytes: number;
};

export function kvLimits(settings: QuotaSettings, state: string): KvLimits {
  const times = state === "claimed" ? 5 : 1;
  return { namespaces: settings.kvNamespaces * times, bytes: settings.kvBytes * times };
}

// The hosted original's, the same for every account.
export const TITLE_MAX_BYTES = 512;
export const KEY_MAX_BYTES = 512;
export const METADATA_MAX_BYTES = 1024;
export const VALUE_MAX_BYTES = 26_214_400;
export const TTL_MIN_SECONDS = 60;
export const LIST_MAX_KEYS = 1000;
export const LIST_MIN_KEYS = 10;
export const BULK_MAX_PAIRS = 10_000;
export const BULK_MAX_BYTES = 104_857_600;
export const BULK_GET_MAX_KEYS = 100;

/** Bodies of bulk writes that are held at once, all accounts' and one account's. */
export const BULKS_BYTES = 268_435_456;
export const BULKS_SHARE_BYTES = BULK_MAX_BYTES;
/** What the values of one bulk read may take as JSON, every character escaped; so much of one account is held at once, of all twice that. */
export const VALUES_MAX_BYTES = VALUE_MAX_BYTES * 6;
/** What one transaction in the process takes of a bulk write. */
export const CHUNK_PAIRS = 1000;
export const CHUNK_BYTES = 4_194_304;
/** A larger value has a file in the process and goes by itself. */
export const CHUNKED_VALUE_MAX_BYTES = 65_536;
