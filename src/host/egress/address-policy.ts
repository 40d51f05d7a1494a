// Which addresses a Worker may reach: public unicast alone. An IPv6 address that carries an IPv4 one is judged
// by both, and what belongs to this machine is refused however public it is.
import ipaddr from "ipaddr.js";

/** Why an address is refused, in words for the tenant. */
export type Refusal = string;

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** What is refused beside the registries' ranges: whatever is this machine's, or the operator's. */
export type Own = (address: Address) => Refusal | null;

type Block<A extends Address> = readonly [network: A, bits: number, why: Refusal];

const RESERVED = "a reserved address";
const DOCUMENTATION = "an address of documentation";
const PRIVATE = "a private address";
const LINK_LOCAL = "a link-local address (cloud metadata among them)";

/** Source: IANA IPv4 Special-Purpose Address Registry, all of it, be it reachable or not; multicast; and METADATA. */
const IPV4 = blocks((cidr) => ipaddr.IPv4.parseCIDR(cidr), {
  "0.0.0.0/8": "an unspecified address",
  "10.0.0.0/8": PRIVATE,
  "100.64.0.0/10": "a shared address of a provider's network (cloud metadata among them)",
  "127.0.0.0/8": "a loopback address",
  "169.254.0.0/16": LINK_LOCAL,
  "172.16.0.0/12": PRIVATE,
  // Oracle's metadata at 192.0.0.192 among them.
  "192.0.0.0/24": RESERVED,
  "192.0.2.0/24": DOCUMENTATION,
  "192.31.196.0/24": RESERVED,
  "192.52.193.0/24": RESERVED,
  "192.88.99.0/24": RESERVED,
  "192.168.0.0/16": PRIVATE,
  "192.175.48.0/24": RESERVED,
  "198.18.0.0/15": RESERVED,
  "198.51.100.0/24": DOCUMENTATION,
  "203.0.113.0/24": DOCUMENTATION,
  "224.0.0.0/4": "a multicast address",
  "255.255.255.255/32": "a broadcast address",
  "240.0.0.0/4": RESERVED,
  // Public by registry, yet answered by Azure's own machines with an instance's settings.
  "168.63.129.16/32": "a metadata address",
});

/**
 * Source: IANA IPv6 Special-Purpose Address Registry. Tunnels (6to4, Teredo) are refused whatever lies at their end: nothing
 * honest is there any more, and what they carry is decided by whoever runs the next relay.
 */
const IPV6 = blocks((cidr) => ipaddr.IPv6.parseCIDR(cidr), {
  "::/128": "an unspecified address",
  "::1/128": "a loopback address",
  "fc00::/7": PRIVATE,
  "fec0::/10": PRIVATE,
  "fe80::/10": LINK_LOCAL,
  "ff00::/8": "a multicast address",
  "2001::/32": "an address of a tunnel (Teredo)",
  "2001::/23": RESERVED,
  "2001:db8::/32": DOCUMENTATION,
  "2002::/16": "an address of a tunnel (6to4)",
  "2620:4f:8000::/48": RESERVED,
  "3fff::/20": DOCUMENTATION,
});

/** All of today's global unicast: what lies outside is not assigned for it. RFC 4291 §2.4. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR("2000::/3");
/** RFC 6052: the last 32 bits are an IPv4 address. What a network has of its own (RFC 8215) may carry it elsewhere: reserved. */
const NAT64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");

function blocks<A extends Address>(parse: (cidr: string) => [A, number], table: Readonly<Record<string, Refusal>>): readonly Block<A>[] {
  return Object.entries(table).map(([cidr, why]) => [...parse(cidr), why] as const);
}

/** An IPv4 address that an IPv6 one ends in. */
function ipv4At(address: ipaddr.IPv6): ipaddr.IPv4 {
  const [high = 0, low = 0] = address.parts.slice(6);
  return new ipaddr.IPv4([high >> 8, high & 255, low >> 8, low & 255]);
}

function refuseIpv4(address: ipaddr.IPv4, own: Own): Refusal | null {
  return IPV4.find(([network, bits]) => address.match(network, bits))?.[2] ?? own(address);
}

function refuseIpv6(address: ipaddr.IPv6, own: Own): Refusal | null {
  if (address.zoneId) return LINK_LOCAL;
  if (address.isIPv4MappedAddress()) return refuseIpv4(address.toIPv4Address(), own);
  const special = IPV6.find(([network, bits]) => address.match(network, bits))?.[2] ?? own(address);
  if (special !== null) return special;
  if (address.match(NAT64)) return refuseIpv4(ipv4At(address), own);
  if (!address.match(GLOBAL_UNICAST)) return RESERVED;
  // RFC 5214 §6.1: an ISATAP interface identifier ends in an IPv4 address.
  return address.parts[5] === 0x5efe ? refuseIpv4(ipv4At(address), own) : null;
}

/**
 * Judges an address in its canonical spelling, as a resolver or the WHATWG URL parser gives it.
 *
 * @returns why it is refused, or null when it is public
 */
export function refuseAddress(text: string, own: Own): Refusal | null {
  if (!ipaddr.isValid(text)) return "not an address";
  const address = ipaddr.parse(text);
  return address instanceof ipaddr.IPv6 ? refuseIpv6(address, own) : refuseIpv4(address, own);
}
