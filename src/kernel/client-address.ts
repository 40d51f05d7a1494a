// Who is really calling: the socket's peer, or what a trusted proxy says of it. Headers from anyone else are ignored.
import ipaddr from "ipaddr.js";

type Range = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

const parse = (text: string): ipaddr.IPv4 | ipaddr.IPv6 | null => (ipaddr.isValid(text) ? ipaddr.process(text) : null);

function range(text: string): Range {
  if (text.includes("/")) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

/**
 * @param trustedProxies addresses or CIDRs @throws Error on one that is neither
 * @returns the caller's address from the peer's address and X-Forwarded-For: the right-most that is not a trusted proxy
 */
export function clientAddress(trustedProxies: readonly string[]): (peer: string | undefined, forwardedFor: string | undefined) => string {
  const ranges = trustedProxies.map(range);
  const trusted = (address: ipaddr.IPv4 | ipaddr.IPv6): boolean =>
    ranges.some(([base, bits]) => base.kind() === address.kind() && address.match(base, bits));
  return (peer, forwardedFor) => {
    let current = parse(peer ?? "");
    if (!current) return "0.0.0.0";
    for (const hop of (forwardedFor ?? "").split(",").toReversed()) {
      if (!trusted(current)) break;
      const next = parse(hop.trim());
      if (!next) break;
      current = next;
    }
    return current.toString();
  };
}
