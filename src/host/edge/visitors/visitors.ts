// What is asked of a person's browser before a page of an account that nobody claimed is shown to it. Decided from the
// request, its cookie and who answers for the account at that moment; no process is started for it and no body read.
import type { Clock } from "../../../kernel/clock.ts";
import type { ClaimState } from "../../contract.ts";
import { pages, type Page } from "../pages.ts";
import { CONTINUE_PATH, isReserved, type Arrival } from "./arrival.ts";
import { isOwnPath, returnPath } from "./return-path.ts";
import { hasVisited, visitCookie } from "./visit-cookie.ts";
import type { IncomingHttpHeaders } from "node:http";
import type { Interstitial } from "./interstitial.ts";

export type VisitorsOptions = {
  readonly clock: Clock;
  /** Of the cookies. */
  readonly key: Uint8Array;
  /** Whether navigations are asked at all; service workers never come before a claim. */
  readonly interstitial: boolean;
  /** Public origin of the pages of this installation. */
  readonly consoleUrl: URL;
};

/** What a caller hears instead of the Worker. */
export type Said =
  | { readonly kind: "page"; readonly page: Page }
  | { readonly kind: "interstitial"; readonly interstitial: Interstitial }
  | { readonly kind: "continue"; readonly location: string; readonly cookie: string };

type Headers = Pick<IncomingHttpHeaders, "cookie" | "origin"> & { readonly "sec-fetch-site"?: string | string[] | undefined };

const LONGEST_VISIT_MS = 86_400_000;

/** Whether a form was sent from a page of the host itself; what cannot be told is refused. */
function fromItself({ origin, "sec-fetch-site": site }: Headers, arrival: Arrival): boolean {
  if (origin === undefined || !URL.canParse(arrival.origin) || !URL.canParse(origin)) return false;
  // Over plain HTTP browsers send no Sec-Fetch-Site, but with every form its origin.
  return new URL(origin).origin === new URL(arrival.origin).origin && (site === undefined || site === "same-origin");
}

export class Visitors {
  readonly #options: VisitorsOptions;

  constructor(options: VisitorsOptions) {
    this.#options = options;
  }

  /** Where what answers at a host can be reported. */
  reportUrl(host: string): string {
    return `${this.#options.consoleUrl.origin}/report?host=${encodeURIComponent(host)}`;
  }

  /** Whether navigations are asked at all. */
  get asks(): boolean {
    return this.#options.interstitial;
  }

  /** Whether it matters to a request who answers for the account: not to those of programs, nor to what a page loads. */
  concerns({ kind, path }: Arrival): boolean {
    if (kind === "service-worker") return true;
    return this.#options.interstitial && (kind === "navigation" || isReserved(path));
  }

  /** @returns null where the request goes on to the Worker */
  say(arrival: Arrival, headers: Headers, state: ClaimState): Said | null {
    if (state.claimed) return null;
    if (this.#options.interstitial && isReserved(arrival.path)) return this.#reserved(arrival, headers, state);
    if (arrival.kind === "service-worker") return { kind: "page", page: pages.serviceWorkerRefused() };
    if (!this.#options.interstitial || arrival.kind !== "navigation") return null;
    const { clock, key } = this.#options;
    if (hasVisited(key, arrival.host, isSecure(arrival), clock.now(), headers.cookie)) return null;
    return this.#interstitial(arrival, state, arrival.path);
  }

  #reserved(arrival: Arrival, headers: Headers, state: ClaimState): Said {
    const [path = ""] = arrival.path.split("?", 1);
    if (path !== CONTINUE_PATH || arrival.kind === "inner") return { kind: "page", page: pages.reserved() };
    const to = returnPath(arrival.path);
    if (arrival.method !== "POST") {
      if (arrival.kind !== "navigation") return { kind: "page", page: pages.reserved() };
      return this.#interstitial({ ...arrival, method: "GET" }, state, to ?? "/");
    }
    if (!fromItself(headers, arrival)) return { kind: "page", page: pages.notFromHere() };
    if (to === null || !isOwnPath(to)) return { kind: "page", page: pages.malformed("`to` is not a path on this host") };
    const { clock, key } = this.#options;
    const now = clock.now();
    const until = Math.min(state.endsAtMs ?? Number.POSITIVE_INFINITY, now + LONGEST_VISIT_MS);
    const cookie = visitCookie(key, arrival.host, isSecure(arrival), now, until);
    // Absolute: whatever the path may look like, it is one on this host.
    return { kind: "continue", location: `${arrival.origin}${to}`, cookie };
  }

  #interstitial({ host, method }: Arrival, { endsAtMs }: ClaimState, path: string): Said {
    const interstitial = {
      host,
      endsAtMs,
      nowMs: this.#options.clock.now(),
      action: `${CONTINUE_PATH}?to=${encodeURIComponent(isOwnPath(path) && !isReserved(path) ? path : "/")}`,
      reportUrl: this.reportUrl(host),
      dropped: method !== "GET" && method !== "HEAD",
    };
    return { kind: "interstitial", interstitial };
  }
}

const isSecure = ({ origin }: Arrival): boolean => origin.startsWith("https:");
