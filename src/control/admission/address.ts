// Whom a limit counts: one IPv4 address, or the IPv6 network that one customer is given.
import ipaddr from "ipaddr.js";

const IPV6_PREFIX_BITS = 56;

/**
 * The network behind an address: `192.0.2.1/32` or `2001:db8:0:100::/56`. IPv4-mapped IPv6 counts as its IPv4 address,
 * loopback as any other. Whatever is no address shares the one prefix `unknown`.
 */
export function addressPrefix(address: string): string {
  if (!ipaddr.isValid(address)) return "unknown";
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) return `${parsed.toString()}/32`;
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString().replace(/%.*/, "")}/${IPV6_PREFIX_BITS}`).toString()}/${IPV6_PREFIX_BITS}`;
}
