// What a Worker's answer must not do while nobody answers for its account: be found by search engines, or leave
// something in a browser that is still there when the account is gone.
import type { Arrival } from "./arrival.ts";

/**
 * Left out: leave to ask for wider service workers, lasting orders to report visits or to go elsewhere for the host,
 * and whatever would stand beside our own word to search engines.
 */
const LEFT_OUT: ReadonlySet<string> = new Set(["x-robots-tag", "service-worker-allowed", "nel", "report-to", "alt-svc"]);

const ASKS_AGAIN: ReadonlySet<string> = new Set(["public", "private", "no-cache", "max-age=0", "must-revalidate"]);

/** A page that a browser keeps would be shown after the end without a word from here: it is asked for again each time. */
function askedAgain(given: string): string {
  const directives = given
    .toLowerCase()
    .split(",")
    .map((one) => one.trim());
  if (directives.includes("no-store")) return "no-store";
  const asks = directives.includes("no-cache") || (directives.includes("max-age=0") && directives.includes("must-revalidate"));
  return asks && directives.every((one) => ASKS_AGAIN.has(one)) ? given : "no-cache";
}

/** What tells a navigation from what a page loads: no cache shows the one what it kept of the other, unasked. */
const TOLD_BY = "Sec-Fetch-Dest, Upgrade-Insecure-Requests";

/** @param flat name, value, name, value, … @param asked whether navigations are asked first */
export function headersBeforeClaim(flat: readonly string[], kind: Arrival["kind"], asked: boolean): string[] {
  const kept: string[] = [];
  const caching: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const [name = "", value = ""] = [flat[i], flat[i + 1]];
    const lower = name.toLowerCase();
    if (LEFT_OUT.has(lower)) continue;
    if (kind === "navigation" && lower === "cache-control") caching.push(value.trim());
    else kept.push(name, value);
  }
  kept.push("X-Robots-Tag", "noindex");
  if (kind === "navigation") kept.push("Cache-Control", askedAgain(caching.join(", ")));
  else if (asked) kept.push("Vary", TOLD_BY);
  return kept;
}
