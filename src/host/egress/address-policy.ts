// Which addresses a Worker may reach: public unicast alone. An IPv6 address that carries an IPv4 one is judged
// by both, and what belongs to this machine is refused however public it is.
import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";

/** Why an address is refused, in words for the tenant. */
export type Refusal = string;

const REASONS: Readonly<Record<string, Refusal>> = {
  unspecified: "an unspecified address",
  loopback: "a loopback address",
  private: "a private address",
  uniqueLocal: "a private address",
  linkLocal: "a link-local address (cloud metadata among them)",
  deprecatedSiteLocal: "a private address",
  carrierGradeNat: "a shared address of a provider's network",
  multicast: "a multicast address",
  broadcast: "a broadcast address",
};

/** Public by registry, yet answered by the cloud's own machines with an instance's credentials or settings. */
const METADATA = new Set(["168.63.129.16"]);

/** 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215): the last 32 bits are an IPv4 address. */
const NAT64 = [ipaddr.IPv6.parseCIDR("64:ff9b::/96"), ipaddr.IPv6.parseCIDR("64:ff9b:1::/48")] as const;
/** ::/96, deprecated by RFC 4291 §2.5.5.1, and ::ffff:0:0:0/96 (RFC 2765). */
const COMPATIBLE = [ipaddr.IPv6.parseCIDR("::/96"), ipaddr.IPv6.parseCIDR("::ffff:0:0:0/96")] as const;
/** All of today's global unicast: what lies outside is not assigned for it. RFC 4291 §2.4. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR("2000::/3");

function ipv4At(address: ipaddr.IPv6, part: number, invert = false): ipaddr.IPv4 {
  const mask = invert ? 0xffff : 0;
  const high = (address.parts[part] ?? 0) ^ mask;
  const low = (address.parts[part + 1] ?? 0) ^ mask;
  return new ipaddr.IPv4([high >> 8, high & 255, low >> 8, low & 255]);
}

function refuseIpv4(address: ipaddr.IPv4, own: ReadonlySet<string>): Refusal | null {
  const range = address.range();
  if (range !== "unicast") return REASONS[range] ?? "a reserved address";
  if (METADATA.has(address.toString())) return "a metadata address";
  return own.has(address.toString()) ? "an address of this machine" : null;
}

function refuseIpv6(address: ipaddr.IPv6, own: ReadonlySet<string>): Refusal | null {
  if (own.has(address.toString())) return "an address of this machine";
  if (address.zoneId) return "a link-local address";
  if (address.isIPv4MappedAddress()) return refuseIpv4(address.toIPv4Address(), own);
  const range = address.range();
  if (range === "loopback" || range === "unspecified") return REASONS[range] ?? null;
  if (NAT64.some((block) => address.match(block)) || COMPATIBLE.some((block) => address.match(block))) {
    return refuseIpv4(ipv4At(address, 6), own);
  }
  if (range === "6to4") return refuseIpv4(ipv4At(address, 1), own);
  // RFC 4380 §4: the server's address in the clear, the client's inverted.
  if (range === "teredo") return refuseIpv4(ipv4At(address, 2), own) ?? refuseIpv4(ipv4At(address, 6, true), own);
  if (range !== "unicast") return REASONS[range] ?? "a reserved address";
  if (!address.match(GLOBAL_UNICAST)) return "a reserved address";
  // RFC 5214 §6.1: an ISATAP interface identifier ends in an IPv4 address.
  if (address.parts[5] === 0x5efe) return refuseIpv4(ipv4At(address, 6), own);
  return null;
}

/**
 * Judges an address in its canonical spelling, as a resolver or the WHATWG URL parser gives it.
 *
 * @param own addresses of this machine, canonical
 * @returns why it is refused, or null when it is public
 */
export function refuseAddress(text: string, own: ReadonlySet<string>): Refusal | null {
  if (!ipaddr.isValid(text)) return "not an address";
  const address = ipaddr.parse(text);
  return address instanceof ipaddr.IPv6 ? refuseIpv6(address, own) : refuseIpv4(address, own);
}

const OWN_FOR_MS = 10_000;

/** Addresses of this machine's interfaces, read anew every ten seconds. */
export function machineAddresses(): () => ReadonlySet<string> {
  let known: ReadonlySet<string> = new Set();
  let readAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - readAtMs > OWN_FOR_MS) {
      const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
      known = new Set(all.map(({ address }) => ipaddr.parse(address.split("%")[0] ?? address).toString()));
      readAtMs = performance.now();
    }
    return known;
  };
}
