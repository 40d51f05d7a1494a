// Content types: the asset service goes by a file's extension and knows the usual ones; the upload names a type for each
// file. For an extension that the service does not know, a header rule says it.
import { withHeaderRule } from "../../../../capsule/header-rules.ts";
import type { AssetFile } from "../../product.ts";
import { HEADER_RULES_MAX } from "./headers.ts";

/** By type, the extensions that the asset service gives it. */
const SERVED: Readonly<Record<string, string>> = {
  "text/html": "html htm",
  "text/css": "css",
  "text/javascript": "js mjs cjs",
  "text/plain": "txt",
  "text/markdown": "md",
  "text/csv": "csv",
  "text/calendar": "ics",
  "application/json": "json map",
  "application/ld+json": "jsonld",
  "application/manifest+json": "webmanifest",
  "application/xml": "xml",
  "application/rss+xml": "rss",
  "application/atom+xml": "atom",
  "application/wasm": "wasm",
  "application/pdf": "pdf",
  "application/zip": "zip",
  "application/gzip": "gz",
  "application/x-tar": "tar",
  "application/vnd.ms-fontobject": "eot",
  "image/svg+xml": "svg",
  "image/png": "png",
  "image/apng": "apng",
  "image/jpeg": "jpg jpeg",
  "image/gif": "gif",
  "image/webp": "webp",
  "image/avif": "avif",
  "image/vnd.microsoft.icon": "ico",
  "image/bmp": "bmp",
  "font/woff": "woff",
  "font/woff2": "woff2",
  "font/ttf": "ttf",
  "font/otf": "otf",
  "audio/mpeg": "mp3",
  "audio/mp4": "m4a",
  "audio/wav": "wav",
  "audio/ogg": "ogg",
  "audio/flac": "flac",
  "video/mp4": "mp4",
  "video/webm": "webm",
  "video/quicktime": "mov",
};
/** Extension, lower case → type without its charset, which every text has. */
export const SERVED_TYPES: ReadonlyMap<string, string> = new Map(
  Object.entries(SERVED).flatMap(([type, extensions]) => extensions.split(" ").map((extension) => [extension, type] as const)),
);

/** What can stand in a rule as it is. */
const TYPE = /^[a-z0-9][\w!#$&^.+-]{0,60}\/[a-z0-9][\w!#$&^.+-]{0,60}$/;
const EXTENSION = /\.([A-Za-z0-9]{1,16})$/;

/** Extensions whose files were uploaded with one type that the asset service would not give them. */
function unknownTypes(files: readonly AssetFile[]): Map<string, string> {
  const types = new Map<string, Set<string | null>>();
  for (const { path, contentType } of files) {
    const extension = EXTENSION.exec(path)?.[1];
    if (extension === undefined || SERVED_TYPES.has(extension.toLowerCase())) continue;
    types.set(extension, (types.get(extension) ?? new Set()).add(contentType));
  }
  const unknown = new Map<string, string>();
  for (const [extension, [type, ...others]] of types) {
    if (others.length === 0 && typeof type === "string" && TYPE.test(type)) unknown.set(extension, type);
  }
  return unknown;
}

/**
 * The header rules with those that give files the types with which they were uploaded: none where the tenant's own speak
 * of the type, which a second one would be added to.
 * @param headers the tenant's `_headers`; @param rules how many it has
 */
export function withTypes(files: readonly AssetFile[], headers: string, rules: number): string {
  if (/content-type/i.test(headers)) return headers;
  return [...unknownTypes(files)].slice(0, HEADER_RULES_MAX - rules).reduce((text, [extension, type]) => {
    const charset = type.startsWith("text/") ? "; charset=utf-8" : "";
    return withHeaderRule(text, `/*.${extension}`, `Content-Type: ${type}${charset}`);
  }, headers);
}
