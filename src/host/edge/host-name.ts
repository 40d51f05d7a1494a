// From a Host header to the label that names a Worker. Anything but letters, digits, hyphens, dots and a port
// is refused, so what comes out of here is safe to print and to look up.

export type Addressed =
  /** `label` and `host` are lower case; `host` is without port and trailing dot. */
  | { readonly kind: "label"; readonly label: string; readonly host: string }
  /** The edge domain itself, or more than one label before it: no Worker can ever answer there. */
  | { readonly kind: "no-worker" }
  /** A name that this edge does not serve. */
  | { readonly kind: "foreign" }
  | { readonly kind: "malformed" };

const HOST = /^([a-z0-9](?:[a-z0-9._-]*[a-z0-9_-])?)\.?(?::\d{0,5})?$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads a Host header (or the authority of an absolute URL).
 *
 * @param domain the edge domain, lower case, without a trailing dot
 */
export function readHost(header: string, domain: string): Addressed {
  const host = HOST.exec(header.toLowerCase())?.[1];
  // An IPv6 literal is well formed but never ours.
  if (host === undefined) return { kind: /^\[[0-9a-f:.]+\](:\d{0,5})?$/i.test(header) ? "foreign" : "malformed" };
  if (host === domain) return { kind: "no-worker" };
  if (!host.endsWith(domain) || host[host.length - domain.length - 1] !== ".") return { kind: "foreign" };
  const label = host.slice(0, -domain.length - 1);
  return LABEL.test(label) ? { kind: "label", label, host } : { kind: "no-worker" };
}
