// Callers that are refused, as both wings judge them: by the ranges that were told last, each until its own time. A ban
// that is over refuses nobody from that moment on, whoever could not be asked since.
import { z } from "zod";
import { AddressSet, readRange, type AddressRange } from "../kernel/address-ranges.ts";

export const ban = z.object({
  /** A CIDR in its canonical form. */
  range: z.string(),
  /** Milliseconds since the epoch; null: until it is lifted. */
  untilMs: z.number().nullable(),
});
export type Ban = z.infer<typeof ban>;

type Read = Ban & { readonly read: AddressRange | null };

export class BanList {
  /** By range. Reading ten thousand takes long enough to be felt by callers: each is read once. */
  #bans: ReadonlyMap<string, Read> = new Map();
  #set = new AddressSet([]);
  /** When the first of those that act is over. */
  #staleAtMs = Number.POSITIVE_INFINITY;

  /** From now on these and no others. */
  replace(bans: Iterable<Ban>, nowMs: number): void {
    const before = this.#bans;
    const acting = new Map<string, Read>();
    let changed = false;
    for (const { range, untilMs } of bans) {
      if (untilMs !== null && untilMs <= nowMs) continue;
      const known = before.get(range);
      changed ||= known?.untilMs !== untilMs;
      acting.set(range, { range, untilMs, read: known === undefined ? readRange(range) : known.read });
    }
    if (!changed && acting.size === before.size) return;
    this.#bans = acting;
    this.#set = new AddressSet([...acting.values()].flatMap(({ read }) => read ?? []));
    this.#staleAtMs = Number.POSITIVE_INFINITY;
    for (const { untilMs } of acting.values()) if (untilMs !== null && untilMs < this.#staleAtMs) this.#staleAtMs = untilMs;
  }

  refuses(address: string, nowMs: number): boolean {
    if (nowMs >= this.#staleAtMs) this.replace(this.#bans.values(), nowMs);
    return this.#set.has(address);
  }
}
