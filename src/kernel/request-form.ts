// What Node's parser lets through and another reader of the same bytes could understand otherwise: such a request is
// refused before anything of it is looked at, and its connection ends.
import type { IncomingMessage } from "node:http";

/** @property words one sentence */
export type Fault = { readonly status: 400 | 405 | 408 | 413 | 429 | 431 | 503; readonly words: string };

/** Of one request; Node would leave out those beyond a bound without a word, the framing of the body among them. */
export const MAX_HEADERS = 200;

/** A name or an IPv4 address, or an IPv6 address in brackets, and a port; RFC 3986 allows more and no host needs it. */
const HOST = /^(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d{0,5})?$/i;

const fault = (status: Fault["status"], words: string): Fault => ({ status, words });

function hostFault({ url = "", method, httpVersionMinor, headers }: IncomingMessage, hosts: number): Fault | null {
  if (hosts > 1 || (hosts === 0 && httpVersionMinor === 1)) return fault(400, "A request has exactly one Host header.");
  // To the WHATWG parser a name with a number last is an IPv4 address, or nothing.
  if (headers.host !== undefined && !(HOST.test(headers.host) && URL.canParse(`http://${headers.host}`)))
    return fault(400, "The Host header is not a host name.");
  if (url.startsWith("/") || (url === "*" && method === "OPTIONS")) return null;
  // RFC 9112 §3.2.2.
  const authority = /^https?:\/\/([^/?#]+)/i.exec(url)?.[1];
  if (authority === undefined) return fault(400, "The request target is neither a path nor an http or https URL.");
  if (authority.toLowerCase() === headers.host?.toLowerCase()) return null;
  return fault(400, "The Host header and the request target name different hosts.");
}

/** Why the request cannot be taken; null where it can. Source: RFC 9112 §6.1, §3.2; RFC 9110 §9.3.8. */
export function formFault(incoming: IncomingMessage): Fault | null {
  const { rawHeaders, method, httpVersionMajor, httpVersionMinor } = incoming;
  if (httpVersionMajor !== 1) return fault(400, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
  if (rawHeaders.length > MAX_HEADERS * 2) return fault(431, `A request has at most ${MAX_HEADERS} header lines.`);
  if (method === "TRACE") return fault(405, "TRACE is not served: it would show what proxies add to a request.");
  let [hosts, codings] = [0, 0];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
    else if (name.length === 17 && name.toLowerCase() === "transfer-encoding") {
      if (++codings > 1 || rawHeaders[at + 1]?.toLowerCase() !== "chunked") return fault(400, "Transfer-Encoding can be `chunked` alone.");
    }
  }
  if (codings > 0 && httpVersionMinor === 0) return fault(400, "HTTP/1.0 has no Transfer-Encoding.");
  return hostFault(incoming, hosts);
}
