// Whom a limit counts: one IPv4 address, or the IPv6 network that one customer is given; and the wider network around it.
import ipaddr from "ipaddr.js";

type Bits = { readonly ipv4: number; readonly ipv6: number };

const ADDRESS: Bits = { ipv4: 32, ipv6: 56 };
const NETWORK: Bits = { ipv4: 24, ipv6: 48 };

function prefix(address: string, bits: Bits): string {
  if (!ipaddr.isValid(address)) return "unknown";
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) {
    return `${ipaddr.IPv4.networkAddressFromCIDR(`${parsed.toString()}/${bits.ipv4}`).toString()}/${bits.ipv4}`;
  }
  const plain = parsed.toNormalizedString().replace(/%.*/, "");
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${plain}/${bits.ipv6}`).toString()}/${bits.ipv6}`;
}

/**
 * What counts as one address: `192.0.2.1/32` or `2001:db8:0:100::/56`. IPv4-mapped IPv6 counts as its IPv4 address,
 * loopback as any other. Whatever is no address shares the one prefix `unknown`.
 */
export const addressPrefix = (address: string): string => prefix(address, ADDRESS);

/** The network around it: `192.0.2.0/24` or `2001:db8::/48`; `unknown` likewise. */
export const networkPrefix = (address: string): string => prefix(address, NETWORK);
