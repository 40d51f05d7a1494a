// What passes between a caller and a Worker. Headers by which the platform speaks to Workers are never taken
// from a caller or a Worker, hop-by-hop ones end here, and a response can set cookies for its own host only.
import { randomFillSync } from "node:crypto";
import type { Choice } from "../contract.ts";
import { FIELD_LINES } from "./field-lines.ts";
import { FILE_MARK } from "../file-mark.ts";
import { HOP_BY_HOP } from "../hop-by-hop.ts";
import { setsVisit, withoutVisit } from "./visitors/visit-cookie.ts";

/** What the platform says about a request, in place of whatever the caller wrote. */
export type Statement = {
  readonly address: string;
  readonly scheme: "http" | "https";
  readonly ray: string;
  /** JSON of `request.cf`. */
  readonly cf: string;
};

export type HeaderNames = {
  /** Both lower case, as the capsule's sockets are configured with. */
  readonly cfBlobHeader: string;
  readonly forwardedProtoHeader: string;
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Of the hosted original: a caller's say in which version answers. */
const VERSION_KEY = "cloudflare-workers-version-key";
const VERSION_OVERRIDES = "cloudflare-workers-version-overrides";

const REPLACED = new Set(["cdn-loop", "expect", "forwarded", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "x-real-ip"]);
const FORBIDDEN_RESPONSE = new Set([...HOP_BY_HOP, "server", "cf-ray"]);

/** The names that a Connection header declares to be hop-by-hop, or undefined for the usual `keep-alive`. */
function declaredHops(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || connection === "keep-alive" || connection === "close") return undefined;
  return new Set(connection.split(",").map((name) => name.trim().toLowerCase()));
}

export type RequestHeaders = {
  /** Header lines, each with its CRLF; without hop-by-hop headers and framing of our own making. */
  readonly lines: string;
  readonly hosts: number;
  readonly forwardedFor: string | undefined;
  readonly forwardedProto: string | undefined;
  readonly acceptEncoding: string | undefined;
  /** What the caller says about the version that is to answer; the Worker sees it too. */
  readonly choice: Choice;
};

/**
 * Copies a caller's headers, leaving out everything that is not theirs to say.
 *
 * @param keepHost false where the host is named otherwise: it is counted and left out
 */
export function readRequestHeaders(
  raw: readonly string[],
  connection: string | undefined,
  names: HeaderNames,
  keepHost: boolean,
): RequestHeaders {
  const declared = declaredHops(connection);
  let lines = "";
  let hosts = 0;
  let forwardedFor: string | undefined;
  let forwardedProto: string | undefined;
  let acceptEncoding: string | undefined;
  const choice: Mutable<Choice> = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const lower = name.toLowerCase();
    if (lower === "host") {
      hosts += 1;
      if (!keepHost) continue;
    } else if (lower === "x-forwarded-for") forwardedFor = forwardedFor === undefined ? value : `${forwardedFor},${value}`;
    else if (lower === "x-forwarded-proto") forwardedProto = value;
    else if (lower === "accept-encoding") acceptEncoding = value;
    else if (lower === VERSION_KEY) choice.key = choice.key === undefined ? value : `${choice.key}, ${value}`;
    else if (lower === VERSION_OVERRIDES) choice.overrides = choice.overrides === undefined ? value : `${choice.overrides}, ${value}`;
    // Framing is not a caller's to declare away.
    const hop = HOP_BY_HOP.has(lower) || (declared?.has(lower) === true && lower !== "host" && lower !== "content-length");
    if (hop || REPLACED.has(lower) || lower.startsWith("cf-") || lower.startsWith("x-forwarded-") || lower.startsWith("mayfly-")) continue;
    if (lower === names.cfBlobHeader || lower === names.forwardedProtoHeader) continue;
    const kept = lower === "cookie" ? withoutVisit(value) : value;
    if (kept !== null) lines += `${name}: ${kept}\r\n`;
  }
  return { lines, hosts, forwardedFor, forwardedProto, acceptEncoding, choice };
}

/** What the platform says, as header lines; the names and their meaning are those of Cloudflare's HTTP request headers. */
export function state({ address, scheme, ray, cf }: Statement, names: HeaderNames): string {
  const proto = names.forwardedProtoHeader === "x-forwarded-proto" ? "" : `${names.forwardedProtoHeader}: ${scheme}\r\n`;
  return `CF-Connecting-IP: ${address}\r\nCF-IPCountry: XX\r\nCF-Ray: ${ray}\r\nCF-Visitor: {"scheme":"${scheme}"}\r\nX-Real-IP: ${address}\r\nX-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${scheme}\r\n${names.cfBlobHeader}: ${cf}\r\n${proto}`;
}

const TARGET = /^\/[\x21-\x7e\x80-\xff]*$/;

/**
 * The head of a request as it is sent to a capsule, or null when what the caller wrote would not be one line and its
 * headers: what a parser let through must not become two requests here.
 *
 * @param lines what came from the caller; @param own what is ours
 */
export function requestHead(method: string, path: string, lines: string, own: string): string | null {
  if (!TARGET.test(path) || !FIELD_LINES.test(lines)) return null;
  return `${method} ${path} HTTP/1.1\r\n${lines}${own}\r\n`;
}

/**
 * Whether a browser would keep this cookie for no other host than the one that set it.
 *
 * Every Domain attribute counts, though RFC 6265 §5.3 takes the last: user agents differ.
 */
export function cookieStaysHome(cookie: string, host: string): boolean {
  if (!/domain/i.test(cookie)) return true;
  return cookie
    .split(";")
    .slice(1)
    .every((attribute) => {
      const [name, ...rest] = attribute.split("=");
      if (name?.trim().toLowerCase() !== "domain") return true;
      const domain = rest.join("=").trim().toLowerCase().replace(/^\./, "");
      return domain === "" || domain === host;
    });
}

export type ResponseHeaders = {
  /** Name, value, name, value, … */
  readonly flat: string[];
  /** By which the asset service tells that a response is a file; the caller never sees it. */
  readonly fileMark: string | undefined;
};

/**
 * A Worker's response headers as the caller gets them, with our CF-Ray.
 *
 * Clear-Site-Data does not pass where it would clear cookies: browsers take those of the whole registrable domain,
 * which is every other account's too.
 */
export function responseHeaders(raw: readonly string[], connection: string | undefined, host: string, ray: string): ResponseHeaders {
  const declared = declaredHops(connection);
  const flat: string[] = [];
  let fileMark: string | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const lower = name.toLowerCase();
    if (FORBIDDEN_RESPONSE.has(lower) || (declared?.has(lower) === true && lower !== "content-length")) continue;
    if (lower.startsWith("mayfly-")) {
      if (lower === FILE_MARK) fileMark = fileMark === undefined ? value : `${fileMark}, ${value}`;
      continue;
    }
    if (lower === "set-cookie" && (!cookieStaysHome(value, host) || setsVisit(value))) continue;
    if (lower === "clear-site-data" && /\*|cookies/i.test(value)) continue;
    flat.push(name, value);
  }
  flat.push("CF-Ray", ray);
  return { flat, fileMark };
}

const pool = Buffer.alloc(8192);
let used = pool.length;

/** 16 hexadecimal digits and the name of this place. */
export function newRay(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += 8;
  return `${pool.toString("hex", used - 8, used)}-MAY`;
}
