// Limits of static assets, with units. Pure: the operator's settings and the account's state in, numbers out.
import type { QuotaSettings } from "../product.ts";

export type AssetLimits = {
  /** In one manifest. */
  readonly files: number;
  readonly fileMaxBytes: number;
  /** Uploaded files that the account may have at once, those of older versions included. */
  readonly filesHeld: number;
};

export function assetLimits(settings: QuotaSettings, state: string): AssetLimits {
  const files = state === "claimed" ? settings.assetFiles * 5 : settings.assetFiles;
  return { files, fileMaxBytes: settings.assetMaxBytes, filesHeld: files * 3 };
}

/** Raw bytes of all asset uploads that are being read or stored at once. */
export const UPLOADS_BYTES = 268_435_456;

/** Files of one upload request, and their bytes: base64 makes four of three, and each part has headers. */
export const BUCKET_FILES = 100;
export const BUCKET_BYTES = 26_214_400;
export const bodyMaxBytes = (fileMaxBytes: number): number =>
  Math.ceil((Math.max(BUCKET_BYTES, fileMaxBytes) * 4) / 3) + BUCKET_FILES * 1024;
/** A manifest of 20,000 long paths. */
export const MANIFEST_MAX_BYTES = 16_777_216;

/**
 * Files to upload, in groups that fit one request each.
 * @param files the client's hash → bytes
 */
export function intoBuckets(files: ReadonlyMap<string, number>): string[][] {
  const buckets: string[][] = [];
  let bucket: string[] = [];
  let bytes = 0;
  for (const [hash, size] of files) {
    if (bucket.length > 0 && (bucket.length === BUCKET_FILES || bytes + size > BUCKET_BYTES)) {
      buckets.push(bucket);
      bucket = [];
      bytes = 0;
    }
    bucket.push(hash);
    bytes += size;
  }
  if (bucket.length > 0) buckets.push(bucket);
  return buckets;
}
