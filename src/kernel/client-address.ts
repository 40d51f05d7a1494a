// Who is calling. The socket's address is the truth; X-Forwarded-For counts only when the peer is a trusted
// proxy, and then from the right, so that nothing a caller writes can name an address for them.
import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = readonly [Address, number];

/** `1.2.3.4`, `::1`, `1.2.3.4:80`, `[::1]:80`; undefined when it is none of these. */
function parse(text: string): Address | undefined {
  const bare = text.trim().replace(/^\[(.*)\](:\d+)?$|^(\d+\.\d+\.\d+\.\d+):\d+$/, "$1$3");
  return ipaddr.IPv4.isValidFourPartDecimal(bare) || ipaddr.IPv6.isValid(bare) ? ipaddr.process(bare) : undefined;
}

/** Reads addresses or CIDRs. @throws Error naming the entry that is neither. */
export function parseRanges(entries: readonly string[]): readonly Range[] {
  return entries.map((entry) => {
    try {
      if (entry.includes("/")) return ipaddr.parseCIDR(entry);
      const address = ipaddr.process(entry);
      return [address, address.kind() === "ipv4" ? 32 : 128];
    } catch (cause) {
      throw new Error(`"${entry}" is neither an address nor a CIDR range`, { cause });
    }
  });
}

function within(address: Address, ranges: readonly Range[]): boolean {
  return ranges.some(([network, bits]) => address.kind() === network.kind() && address.match(network, bits));
}

export type ClientAddresses = {
  /** Whether headers of this peer that speak for somebody else are believed. */
  trusts(peer: string): boolean;
  /**
   * @param peer address of the other end of the socket
   * @param forwardedFor the X-Forwarded-For headers, joined by commas; undefined when there is none
   * @returns the client's address, IPv4 where it is a mapped one
   */
  of(peer: string, forwardedFor: string | undefined): string;
};

/** @param trustedProxies addresses or CIDRs. @throws Error when one is neither */
export function clientAddresses(trustedProxies: readonly string[]): ClientAddresses {
  const ranges = parseRanges(trustedProxies);
  const trusts = (peer: string): boolean => {
    if (ranges.length === 0) return false;
    const address = parse(peer);
    return address !== undefined && within(address, ranges);
  };
  return {
    trusts,
    of: (peer, forwardedFor) => {
      const direct = peer.startsWith("::ffff:") ? peer.slice(7) : peer;
      if (forwardedFor === undefined || !trusts(peer)) return direct;
      let nearest = direct;
      for (const entry of forwardedFor.split(",").toReversed()) {
        const address = parse(entry);
        // What stands left of an unreadable entry was not written by a proxy of ours.
        if (address === undefined) break;
        nearest = address.toString();
        if (!within(address, ranges)) break;
      }
      return nearest;
    },
  };
}
