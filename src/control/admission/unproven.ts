// Answers that an address has not made good: being verified, or found wrong within the hour. A forged answer costs
// its sender next to nothing and the verifier some segments of a chain, so an address may have only so many.
import { Recent } from "./recent.ts";
import { HOUR_MS } from "./records.ts";

type Tally = { count: number; readonly endsAtMs: number };

export class Unproven {
  readonly #most: number;
  readonly #tallies = new Recent<Tally>();

  /** @param most answers of one address within an hour of its first */
  constructor(most: number) {
    this.#most = most;
  }

  /** Milliseconds until the address may answer again; 0 when it may now. */
  waitMs(addressHash: string, nowMs: number): number {
    const tally = this.#live(addressHash, nowMs);
    return tally && tally.count >= this.#most ? tally.endsAtMs - nowMs : 0;
  }

  /** Counts an answer that is about to be verified; call what it returns once it proved right, or was never looked at. */
  begin(addressHash: string, nowMs: number): () => void {
    const tally = this.#live(addressHash, nowMs) ?? { count: 0, endsAtMs: nowMs + HOUR_MS };
    tally.count++;
    this.#tallies.set(addressHash, tally);
    return () => {
      if (--tally.count === 0 && this.#tallies.get(addressHash) === tally) this.#tallies.delete(addressHash);
    };
  }

  #live(addressHash: string, nowMs: number): Tally | undefined {
    const tally = this.#tallies.get(addressHash);
    return tally && tally.endsAtMs > nowMs ? tally : undefined;
  }
}
