// What a request is to a visitor's browser, told from the request alone. Browsers set these headers themselves and no
// page can; clients that are no browsers send none, and nothing is asked of them.
// Source: W3C Fetch Metadata Request Headers §2.
import type { IncomingHttpHeaders } from "node:http";

export type Arrival = {
  /** `inner`: a Worker of this installation asks; `other`: whatever shows no page and installs nothing. */
  readonly kind: "inner" | "navigation" | "service-worker" | "other";
  readonly method: string;
  /** As it was asked for, with its query. */
  readonly path: string;
  /** Without port, lower case. */
  readonly host: string;
  /** Scheme and authority as the caller addressed them. */
  readonly origin: string;
};

/** Below it the paths are the platform's while an account is unclaimed, as those below `/cdn-cgi/` are on the hosted original. */
const RESERVED = "/cdn-cgi/mayfly/";
export const CONTINUE_PATH = `${RESERVED}continue`;

export const isReserved = (path: string): boolean => path.startsWith(RESERVED);

/** Where an answer becomes a page, be it within another. */
const PAGES: ReadonlySet<string | undefined> = new Set(["document", "iframe", "frame", "fencedframe", "embed", "object"]);

/** @param from `upgrade`: it asks for a WebSocket */
export function kindOf(headers: IncomingHttpHeaders, from: "inner" | "upgrade" | "outside"): Arrival["kind"] {
  if (from === "inner") return "inner";
  if (from === "upgrade") return "other";
  const { "sec-fetch-mode": mode, "sec-fetch-dest": destination, "service-worker": script } = headers;
  if (destination === "serviceworker" || script !== undefined) return "service-worker";
  if (mode === "navigate" || PAGES.has(destination)) return "navigation";
  // Over plain HTTP browsers say nothing of the above, but this they send with navigations alone.
  return mode === undefined && destination === undefined && headers["upgrade-insecure-requests"] === "1" ? "navigation" : "other";
}
