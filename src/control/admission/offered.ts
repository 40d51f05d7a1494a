// How long an answer may be: as long as the longest challenge that its sender was given lately, or that everybody is
// given now. So nobody can send the megabytes of a dear answer who was not asked for one.
import type { Work } from "./challenge.ts";
import { Recent } from "./recent.ts";

type Longest = { readonly k: number; readonly untilMs: number };

export class Offered {
  readonly #least: number;
  readonly #byAddress = new Recent<Longest>();
  #everybody: Longest;

  /** @param given what counts at first: challenges given before a restart can still be answered */
  constructor(base: Work, given: Longest) {
    this.#least = base.k;
    this.#everybody = given;
  }

  /** @param addressHash null: a price that everybody is told */
  note(addressHash: string | null, k: number, untilMs: number, nowMs: number): void {
    if (k <= this.#least) return;
    const before = addressHash === null ? this.#everybody : this.#byAddress.get(addressHash);
    // The longer of both for the longer of both: a shorter challenge must not be forgotten with a longer one.
    const longest =
      before && before.untilMs > nowMs ? { k: Math.max(before.k, k), untilMs: Math.max(before.untilMs, untilMs) } : { k, untilMs };
    if (addressHash === null) this.#everybody = longest;
    else this.#byAddress.set(addressHash, longest);
  }

  /** Segments of the longest answer that is taken from the address. */
  segments(addressHash: string, nowMs: number): number {
    const counting = [this.#everybody, this.#byAddress.get(addressHash)].filter((longest) => longest && longest.untilMs > nowMs);
    return Math.max(this.#least, ...counting.map((longest) => longest?.k ?? 0));
  }
}
