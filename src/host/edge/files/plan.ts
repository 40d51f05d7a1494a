// What the edge makes of a file that the asset service answers with: pure. It adds what that service lacks and takes
// nothing back: a tenant's own Content-Encoding, or a status other than 200, 304 and 404, leaves the answer as it is.
// Source: RFC 9110 §8.8.3, §13.1, §14; RFC 9111 §5.2.
import { chooseEncoding, isCompressible, type Encoding } from "./encodings.ts";
import { readRange } from "./range.ts";

/** What of a request matters; values as they were sent. */
export type FileRequest = {
  readonly method: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly acceptEncoding: string | undefined;
  readonly cacheControl: string | undefined;
};

export type FileResponse = {
  readonly status: number;
  /** Of the body as announced. */
  readonly length: number | null;
  /** Name, value, name, value, … */
  readonly headers: readonly string[];
  /** Whether the ETag may be of the tenant's making and name more than one content. */
  readonly ownTag: boolean;
};

/** The headers are those of the answer, Content-Length included where there is one. */
export type FilePlan =
  | { readonly kind: "pass"; readonly headers: string[] }
  | { readonly kind: "part"; readonly headers: string[]; readonly first: number; readonly last: number }
  | { readonly kind: "unsatisfiable"; readonly headers: string[] }
  | { readonly kind: "not-modified"; readonly headers: string[] }
  /** `plain` where that comes to nothing; in `headers` the length is left out. */
  | { readonly kind: "compress"; readonly headers: string[]; readonly plain: string[]; readonly encoding: Encoding; readonly tag: string };

/** Compressed, smaller files gain nothing: they fit one packet. */
const MIN_BYTES = 1024;
/** A larger one would hold memory and a thread for too long. */
const MAX_BYTES = 10_485_760;

const NO_TRANSFORM = /(?:^|[,\s])no-transform(?:$|[,\s])/i;
const STRONG_TAG = /^"[\x21\x23-\x7e\x80-\xff]*"$/;

function valueOf(headers: readonly string[], name: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) if (headers[at]?.toLowerCase() === name) return headers[at + 1];
  return undefined;
}

function without(headers: readonly string[], name: string): string[] {
  const kept: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]?.toLowerCase() !== name) kept.push(headers[at] as string, headers[at + 1] as string);
  }
  return kept;
}

const withTag = (headers: readonly string[], tag: string): string[] => [...without(headers, "etag"), "ETag", tag];

/** The entity tags that a condition lists; null for `*`. */
function listed(condition: string): readonly string[] | null {
  return condition.trim() === "*" ? null : (condition.match(/(?:W\/)?"[^"]*"/g) ?? []);
}

const opaque = (tag: string): string => tag.replace(/^W\//, "");

/** By weak comparison: a compressed form and the file itself match each other. */
function matches(condition: string, tag: string): boolean {
  const tags = listed(condition);
  return tags === null || tags.some((one) => opaque(one) === opaque(tag));
}

/** A 304 has the ETag of the form that the caller holds. */
function stillGood(headers: readonly string[], condition: string | undefined, tag: string): string[] {
  const held = (condition === undefined ? null : listed(condition)) ?? [];
  return STRONG_TAG.test(tag) && held.includes(`W/${tag}`) && !held.includes(tag) ? withTag(headers, `W/${tag}`) : [...headers];
}

/** What else could be answered is said even where it is not what is answered. */
function varying(request: FileRequest, response: FileResponse): boolean {
  const { headers, length } = response;
  if (!isCompressible(valueOf(headers, "content-type")) || (length !== null && (length < MIN_BYTES || length > MAX_BYTES))) return false;
  return !NO_TRANSFORM.test(valueOf(headers, "cache-control") ?? "") && !NO_TRANSFORM.test(request.cacheControl ?? "");
}

/** A range that is to be answered as such; If-Range compares strongly, and of dates the asset service knows none. */
function asksForPart(request: FileRequest, tag: string | undefined): boolean {
  if (request.method !== "GET") return false;
  return request.ifRange === undefined || (request.ifRange === tag && STRONG_TAG.test(tag));
}

function planPart(request: FileRequest, headers: readonly string[], length: number): FilePlan | null {
  const range = readRange(request.range ?? "", length);
  switch (range.kind) {
    case "whole":
      return null;
    case "unsatisfiable": {
      const bare = without(without(without(headers, "content-length"), "content-type"), "cache-control");
      return { kind: "unsatisfiable", headers: [...bare, "Content-Range", `bytes */${length}`, "Content-Length", "0"] };
    }
    case "part": {
      const { first, last } = range;
      const sized = [...without(headers, "content-length"), "Content-Length", String(last - first + 1)];
      return { kind: "part", headers: [...sized, "Content-Range", `bytes ${first}-${last}/${length}`], first, last };
    }
    default:
      return range satisfies never;
  }
}

/** Decides what becomes of a file. */
export function planFile(request: FileRequest, response: FileResponse): FilePlan {
  const { status, length, ownTag } = response;
  const usual = status === 200 || status === 304 || status === 404;
  if (!usual || valueOf(response.headers, "content-encoding") !== undefined) return { kind: "pass", headers: [...response.headers] };
  const varies = varying(request, response);
  const headers = [...response.headers, ...(varies ? ["Vary", "Accept-Encoding"] : [])];
  const tag = valueOf(headers, "etag");
  if (status === 304) return { kind: "pass", headers: tag === undefined ? headers : stillGood(headers, request.ifNoneMatch, tag) };
  if (status === 200) {
    // The asset service reads conditions of one tag only.
    if (tag !== undefined && request.ifNoneMatch !== undefined && matches(request.ifNoneMatch, tag)) {
      return { kind: "not-modified", headers: stillGood(without(headers, "content-length"), request.ifNoneMatch, tag) };
    }
    if (request.range !== undefined && length !== null && asksForPart(request, tag)) {
      const part = planPart(request, [...headers, "Accept-Ranges", "bytes"], length);
      if (part !== null) return part;
    }
  }
  const plain = status === 200 ? [...headers, "Accept-Ranges", "bytes"] : headers;
  const encoding = varies && request.range === undefined && length !== null ? chooseEncoding(request.acceptEncoding) : null;
  if (encoding === null || ownTag || tag === undefined || !STRONG_TAG.test(tag)) return { kind: "pass", headers: plain };
  const encoded = [...withTag(without(headers, "content-length"), `W/${tag}`), "Content-Encoding", encoding];
  return { kind: "compress", headers: encoded, plain, encoding, tag };
}
