// The wire of static assets: a manifest comes in, buckets of the client's own hashes go out, files come in as
// base64. The client's hash (BLAKE3 of content and extension) is opaque here; SHA-256 names the bytes.
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";

const clientHash = z.string().regex(/^[0-9a-zA-Z]{1,64}$/, "is not a hash: 1 to 64 letters and digits");
const entry = z.looseObject({ hash: clientHash, size: z.number().int("is not a whole number").min(0, "is negative") });
export const sessionBody = z.looseObject({ manifest: z.record(z.string(), entry) });

/** URL path, percent-decoded → the client's hash and the size in bytes. */
export type Manifest = ReadonlyMap<string, { readonly hash: string; readonly size: number }>;

export const invalidManifest = (message: string, next = "Correct the named file and ask for a new upload session."): PlatformError =>
  new PlatformError("invalid_input", { message, next });

/** Paths arrive as URLs have them; files lie under what they decode to. @throws PlatformError invalid_input */
export function toManifest(sent: z.infer<typeof sessionBody>["manifest"]): Manifest {
  const manifest = new Map<string, { hash: string; size: number }>();
  for (const [encoded, { hash, size }] of Object.entries(sent)) {
    let path: string;
    try {
      path = decodeURIComponent(encoded);
    } catch {
      throw invalidManifest(`manifest: the path ${JSON.stringify(encoded.slice(0, 200))} is not valid percent-encoding.`);
    }
    if (manifest.has(path)) throw invalidManifest(`manifest: the path ${JSON.stringify(path.slice(0, 200))} is named twice.`);
    manifest.set(path, { hash, size });
  }
  return manifest;
}

/** What a session answers. @param buckets hashes to upload, together in one request each */
export const sessionOnWire = (jwt: string, buckets: readonly (readonly string[])[]) => ({ jwt, buckets });
export const uploadOnWire = (jwt: string | null) => (jwt === null ? {} : { jwt });
