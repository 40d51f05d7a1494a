// Who may speak to the pages: only the exact host of this installation, and forms only from its own origin.
// A cookie therefore never counts for a request that another site, another port or a tenant's host has made.
import { PlatformError } from "../../kernel/errors.ts";

const LOOPBACK_HOST = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?$/i;

/** The API answers on loopback addresses too. @throws PlatformError wrong_host */
export function checkApiHost(headers: Headers, url: URL): void {
  const host = headers.get("host") ?? "";
  if (host === url.host || LOOPBACK_HOST.test(host)) return;
  throw new PlatformError("wrong_host", { message: `Host: this server is ${url.origin}, not ${host.slice(0, 100)}.` });
}

/** @throws PlatformError wrong_host unless the Host header names the public origin exactly */
export function checkHost(headers: Headers, url: URL): void {
  const host = (headers.get("host") ?? "").toLowerCase();
  const withoutPort = url.port === "" ? host.replace(url.protocol === "https:" ? /:443$/ : /:80$/, "") : host;
  if (withoutPort !== url.host) throw new PlatformError("wrong_host", { message: `These pages are at ${url.origin} and nowhere else.` });
}

/**
 * Refuses what another site sends. Browsers name the origin of every form; the pages' Referrer-Policy is
 * `same-origin`, since under `no-referrer` they would name even our own `null`.
 * @throws PlatformError cross_site
 */
export function checkOrigin(headers: Headers, url: URL): void {
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  const sameSite = site === null || site === "same-origin";
  if (origin === url.origin && sameSite) return;
  // A browser that sends no Origin says where the form came from in Sec-Fetch-Site; nothing at all is refused.
  if (origin === null && site === "same-origin") return;
  throw new PlatformError("cross_site", { message: "This form was not sent from a page of this installation." });
}

/**
 * Refuses API calls that a browser makes for another site's page; clients that are no browsers send neither header.
 * @throws PlatformError cross_site
 */
export function checkApiOrigin(headers: Headers, url: URL): void {
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site") ?? "none";
  if ((origin === null || origin === url.origin) && (site === "none" || site === "same-origin")) return;
  throw new PlatformError("cross_site", {
    message: "Origin: the API answers to no page of another site.",
    next: "Call it from a program, or from a page of this installation.",
  });
}
