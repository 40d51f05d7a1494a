// What is this installation's own though its address is public: the machine's interfaces and the small networks that they
// stand in, whatever its public names lead to, and what the operator names. Read anew as it changes.
import { networkInterfaces } from "node:os";
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { parseRanges } from "../../kernel/client-address.ts";
import type { Address, Own, Refusal } from "./address-policy.ts";
import type { Lookup } from "./lookups.ts";

type Range = readonly [Address, number];

export type OwnOptions = {
  /** Addresses and CIDRs that the operator names. */
  readonly deny: readonly string[];
  /** Public host names of this installation, addresses among them. */
  readonly names: readonly string[];
  /** Of proxies in front: a name that leads to one of them says nothing of this machine. */
  readonly proxies: readonly string[];
  readonly lookup: Lookup;
  readonly interfaces?: typeof networkInterfaces;
  /** Milliseconds that only rise. */
  readonly nowMs?: () => number;
};

const INTERFACES_FOR_MS = 10_000;
const NAMES_FOR_MS = 60_000;
/** While a name leads nowhere: the resolver may be away, or the name not be there yet. */
const UNKNOWN_FOR_MS = 10_000;
/** Wider networks are a provider's, and hold strangers that are honest to call. */
const NARROWEST = { ipv4: 24, ipv6: 64 } as const;

const within = (address: Address, ranges: readonly Range[]): boolean =>
  ranges.some(([network, bits]) => address.kind() === network.kind() && address.match(network, bits));

/** Mapped IPv4 ranges as what they are: addresses are judged unmapped. */
function ranges(entries: readonly string[]): readonly Range[] {
  return parseRanges(entries).map(([network, bits]) =>
    network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress() && bits >= 96 ? [network.toIPv4Address(), bits - 96] : [network, bits],
  );
}

export class OwnAddresses {
  readonly #options: OwnOptions;
  readonly #nowMs: () => number;
  readonly #denied: readonly Range[];
  readonly #proxies: readonly Range[];
  readonly #names: readonly string[];
  #machine: readonly Range[] = [];
  #networks: readonly Range[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** Those of the names that are addresses themselves. */
  readonly #literals: readonly Range[];
  /** What each name led to when it last led anywhere. */
  readonly #named = new Map<string, readonly Range[]>();
  #lookingUp: Promise<void> | null = null;
  #askAgainAtMs = Number.NEGATIVE_INFINITY;

  /** @throws Error naming an entry that is no address or range */
  constructor(options: OwnOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#denied = ranges(options.deny);
    this.#proxies = ranges(options.proxies);
    const bare = options.names.map((name) => name.toLowerCase().replace(/^\[(.*)\]$|\.$/, "$1"));
    // Names of this machine alone lead nowhere that is not refused already.
    this.#names = bare.filter((name) => isIP(name) === 0 && !/(^|\.)localhost$/.test(name));
    this.#literals = ranges(bare.filter((name) => isIP(name) !== 0));
  }

  /** To be waited for before the first verdict: what the installation's names lead to. Bounded by the look-up. */
  async known(): Promise<void> {
    if (this.#nowMs() < this.#askAgainAtMs || this.#names.length === 0) return;
    const first = this.#askAgainAtMs === Number.NEGATIVE_INFINITY;
    this.#lookingUp ??= this.#lookUp().finally(() => (this.#lookingUp = null));
    if (first) await this.#lookingUp;
  }

  readonly refuse: Own = (address: Address): Refusal | null => {
    this.#readInterfaces();
    if (within(address, this.#machine)) return "an address of this machine";
    if (within(address, this.#denied)) return "an address that the operator of this installation has closed";
    if (within(address, this.#literals) || [...this.#named.values()].some((led) => within(address, led)))
      return "an address of this installation";
    return within(address, this.#networks) ? "an address of this machine's own network" : null;
  };

  async #lookUp(): Promise<void> {
    await Promise.all(this.#names.map((name) => this.#lookUpOne(name)));
    const all = this.#names.every((name) => this.#named.has(name));
    this.#askAgainAtMs = this.#nowMs() + (all ? NAMES_FOR_MS : UNKNOWN_FOR_MS);
  }

  async #lookUpOne(name: string): Promise<void> {
    const found = await this.#options.lookup(name).catch(() => []);
    const ours = ranges(found.filter((address) => isIP(address) !== 0)).filter(([address]) => !within(address, this.#proxies));
    // A resolver that is away unsays nothing: what a name led to counts until it leads elsewhere.
    if (found.length > 0) this.#named.set(name, ours);
  }

  #readInterfaces(): void {
    if (this.#nowMs() - this.#readAtMs < INTERFACES_FOR_MS) return;
    this.#readAtMs = this.#nowMs();
    const all = Object.values((this.#options.interfaces ?? networkInterfaces)()).flatMap((entries) => entries ?? []);
    this.#machine = ranges(all.map(({ address }) => address.split("%")[0] ?? address));
    this.#networks = ranges(all.flatMap(({ cidr }) => cidr ?? [])).filter(([network, bits]) => bits >= NARROWEST[network.kind()]);
  }
}
