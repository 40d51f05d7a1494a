// Two bounds on the machine: how many processes start at once, and how many live at once.
// Whoever waits can be called off; a place is given back exactly once.
import { PlatformError } from "../../../kernel/errors.ts";

/** First come, first served; at most `places` hold it. */
export class Gate {
  #free: number;
  readonly #queue = new Set<() => void>();

  constructor(places: number) {
    this.#free = places;
  }

  /** Waits for a place. Rejects with the signal's reason when it aborts first. */
  async enter(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#leave();
      },
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener("abort", off);
        resolve();
      };
      const off = (): void => {
        this.#queue.delete(enter);
        reject(signal.reason as Error);
      };
      this.#queue.add(enter);
      signal.addEventListener("abort", off, { once: true });
    });
  }

  #leave(): void {
    const [next] = this.#queue;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#queue.delete(next);
    next();
  }
}

/** Something that can give its place up. */
export type Occupant = {
  /** Milliseconds since the epoch of the last use; null while it must not be stopped. */
  readonly idleSinceMs: number | null;
  /** Resolves once its place is free, or it turned out to be in use. */
  stopIdle(): Promise<void>;
};

/** Places for living processes; the least recently used idle one makes room. */
export class Places {
  readonly #most: number;
  readonly #occupants: () => Iterable<Occupant>;
  #taken = 0;

  constructor(most: number, occupants: () => Iterable<Occupant>) {
    this.#most = most;
    this.#occupants = occupants;
  }

  get taken(): number {
    return this.#taken;
  }

  /** @throws PlatformError capsule_failed when every place is in use */
  async take(): Promise<Disposable> {
    // Bounded: another start may take the place that a stop has just freed.
    for (let tries = 0; this.#taken >= this.#most && tries < 8; tries++) {
      const victim = this.#leastRecentlyUsed();
      if (victim === null) break;
      await victim.stopIdle();
    }
    if (this.#taken >= this.#most) {
      throw new PlatformError("capsule_failed", { message: "Every place for a running account is in use.", retryAfterSeconds: 2 });
    }
    this.#taken++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#taken--;
        held = false;
      },
    };
  }

  #leastRecentlyUsed(): Occupant | null {
    let oldest: Occupant | null = null;
    for (const occupant of this.#occupants()) {
      if (occupant.idleSinceMs === null) continue;
      if (oldest === null || occupant.idleSinceMs < (oldest.idleSinceMs ?? 0)) oldest = occupant;
    }
    return oldest;
  }
}
