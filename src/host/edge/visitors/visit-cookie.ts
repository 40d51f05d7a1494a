// The cookie by which a visitor is not asked twice: good for one host name until the time that it bears, made by nobody
// without the key. No Worker sees it or sets one of its name, in any spelling that a browser could take for it.
import { createHmac, timingSafeEqual } from "node:crypto";

const NAME = "mayfly_visit";

/** With whatever prefix and in whatever case: browsers of the future may know further prefixes. */
const ANY_NAME = /^(?:__[a-z-]+-)?mayfly_visit$/i;
const MENTIONED = /mayfly_visit/i;

const VALUE = /^([0-9a-z]{1,11})\.([\w-]{43})$/;

const nameOf = (secure: boolean): string => (secure ? `__Host-${NAME}` : NAME);

const macOf = (key: Uint8Array, host: string, until: string): Buffer =>
  Buffer.from(createHmac("sha256", key).update(`visit\n${host}\n${until}`).digest("base64url"));

/** @returns a Set-Cookie header @param host without port, lower case */
export function visitCookie(key: Uint8Array, host: string, secure: boolean, nowMs: number, untilMs: number): string {
  const seconds = Math.floor(untilMs / 1000);
  const until = seconds.toString(36);
  const maxAge = Math.max(0, seconds - Math.floor(nowMs / 1000));
  const value = `${until}.${macOf(key, host, until).toString()}`;
  return `${nameOf(secure)}=${value}; Max-Age=${maxAge}; Path=/; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
}

/** Name and value of a cookie or of a Set-Cookie header up to its first semicolon; a nameless one is sent as its value is. */
function pairOf(text: string): { readonly name: string; readonly value: string } {
  const pair = text.trim().replace(/^[\s=]+/, "");
  const at = pair.indexOf("=");
  return at < 0 ? { name: pair, value: "" } : { name: pair.slice(0, at).trim(), value: pair.slice(at + 1).trim() };
}

const isOurs = (text: string): boolean => ANY_NAME.test(pairOf(text).name);

/** Whether a request brings the one cookie that lets it pass. @param header all Cookie headers in one, joined by semicolons */
export function hasVisited(key: Uint8Array, host: string, secure: boolean, nowMs: number, header: string | undefined): boolean {
  if (header === undefined || !MENTIONED.test(header)) return false;
  const found = header
    .split(";")
    .map(pairOf)
    .filter(({ name }) => name === nameOf(secure));
  const [, until = "", mac = ""] = found.length === 1 ? (VALUE.exec(found[0]?.value ?? "") ?? []) : [];
  if (until === "" || !timingSafeEqual(Buffer.from(mac), macOf(key, host, until))) return false;
  return nowMs < Number.parseInt(until, 36) * 1000;
}

/** A Cookie header without ours; null when nothing is left. */
export function withoutVisit(header: string): string | null {
  if (!MENTIONED.test(header)) return header;
  const kept = header.split(";").filter((pair) => pair.trim() !== "" && !isOurs(pair));
  return kept.length === 0 ? null : kept.join(";").trim();
}

/** Whether a Set-Cookie header could make a browser send a cookie of our name. */
export const setsVisit = (header: string): boolean => MENTIONED.test(header) && isOurs(header.split(";", 1)[0] ?? "");
