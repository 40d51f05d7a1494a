// What a Worker wants to reach, read from a proxy request. Every spelling of an address becomes the canonical one
// here, by the same WHATWG parser that workerd uses, so that the policy judges what will be connected to.
import { isIP } from "node:net";

export type Target = {
  readonly secure: boolean;
  /** Lower case, without brackets and trailing dot; punycode. */
  readonly hostname: string;
  readonly port: number;
  /** Whether `hostname` is an address. */
  readonly literal: boolean;
  /** With the port where it is not the scheme's own: the Host header. */
  readonly authority: string;
  /** Path and query as they were written; empty for CONNECT. */
  readonly path: string;
};

/** As DNS can ask for it: labels that are not empty, and no more of them than fit. RFC 1035 §2.3.4. */
const NAME = /^(?=.{1,253}$)[^.]{1,63}(\.[^.]{1,63})*$/;

function read(authority: string, secure: boolean, path: string, defaultPort: number | null): Target | null {
  // A user part, or anything that a URL parser would take for the end of the host, is nobody's honest spelling.
  if (/[\s@/\\?#]/.test(authority) || authority === "") return null;
  let url: URL;
  try {
    // A scheme without special ports, yet with special hosts, does not exist: the port is read by hand.
    url = new URL(`http://${authority.replace(/:\d*$/, "")}/`);
  } catch {
    return null;
  }
  const written = /:(\d*)$/.exec(authority)?.[1];
  const port = written === undefined || written === "" ? defaultPort : Number(written);
  if (port === null || port < 1 || port > 65_535) return null;
  const bare = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  if (url.port !== "" || /:\d*$/.test(authority.replace(/:\d*$/, "").replace(/\[.*\]/, ""))) return null;
  const literal = isIP(bare) !== 0;
  if (!literal && !NAME.test(bare)) return null;
  const shown = bare.includes(":") ? `[${bare}]` : bare;
  return { secure, hostname: bare, port, literal, authority: port === defaultPort ? shown : `${shown}:${port}`, path };
}

/** Reads the target of a proxy request: `http://host:port/path`. Null when it is no such thing. */
export function readUrl(text: string): Target | null {
  const parts = /^(https?):\/\/([^/?#]*)([/?][^#]*)?$/i.exec(text);
  if (parts?.[1] === undefined || parts[2] === undefined) return null;
  const secure = parts[1].toLowerCase() === "https";
  const rest = parts[3] ?? "/";
  return read(parts[2], secure, rest.startsWith("?") ? `/${rest}` : rest, secure ? 443 : 80);
}

/** Reads the target of a CONNECT: `host:port`, the port being required. */
export function readAuthority(text: string): Target | null {
  return read(text, false, "", null);
}

/** Whether a host name belongs to this installation's edge. */
export function isInner(hostname: string, edgeDomain: string): boolean {
  return hostname === edgeDomain || hostname.endsWith(`.${edgeDomain}`);
}
