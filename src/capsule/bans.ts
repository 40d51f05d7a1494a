// Callers that are refused, as both wings judge them: by the ranges that were told last, each until its own time. A ban
// that is over refuses nobody from that moment on, whoever could not be asked since.
import { z } from "zod";
import { AddressSet, readRange } from "../kernel/address-ranges.ts";

export const ban = z.object({
  /** A CIDR in its canonical form. */
  range: z.string(),
  /** Milliseconds since the epoch; null: until it is lifted. */
  untilMs: z.number().nullable(),
});
export type Ban = z.infer<typeof ban>;

export class BanList {
  #bans: readonly Ban[] = [];
  #set = new AddressSet([]);
  /** When the first of those that act is over. */
  #staleAtMs = Number.POSITIVE_INFINITY;

  /** From now on these and no others. */
  replace(bans: readonly Ban[], nowMs: number): void {
    this.#bans = bans.filter(({ untilMs }) => untilMs === null || untilMs > nowMs);
    this.#set = new AddressSet(this.#bans.flatMap(({ range }) => readRange(range) ?? []));
    this.#staleAtMs = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#bans) if (untilMs !== null && untilMs < this.#staleAtMs) this.#staleAtMs = untilMs;
  }

  refuses(address: string, nowMs: number): boolean {
    if (nowMs >= this.#staleAtMs) this.replace(this.#bans, nowMs);
    return this.#set.has(address);
  }
}
