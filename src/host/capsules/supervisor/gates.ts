// The bounds on the machine: how many processes start at once, how many live at once, and what memory stays free.
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

  /** Whether somebody who comes now would wait. */
  get busy(): boolean {
    return this.#free === 0;
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

/** What a start may do to make room: one victim may not be enough where memory is short. */
const MAX_VICTIMS = 8;

const NO_PLACE = "Every place for a running account is in use.";
const NO_MEMORY = "This machine has no memory to spare for another running account.";

/** Places for living processes, as many as were asked for and as memory allows; the least recently used idle one makes room. */
export class Places {
  readonly #most: number;
  readonly #occupants: () => Iterable<Occupant>;
  readonly #memoryIsShort: () => boolean;
  #taken = 0;

  /** @param memoryIsShort asked before every start and after every stop */
  constructor(most: number, occupants: () => Iterable<Occupant>, memoryIsShort: () => boolean) {
    this.#most = most;
    this.#occupants = occupants;
    this.#memoryIsShort = memoryIsShort;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Why there is no room now, for the caller who asked for it. */
  #refusal(): string | null {
    if (this.#taken >= this.#most) return NO_PLACE;
    return this.#memoryIsShort() ? NO_MEMORY : null;
  }

  /** @throws PlatformError capsule_failed when every place is in use, or memory is short and nobody idle gives any back */
  async take(): Promise<Disposable> {
    // Bounded: another start may take the place that a stop has just freed.
    let refusal = this.#refusal();
    for (let stopped = 0; refusal !== null && stopped < MAX_VICTIMS; stopped++) {
      if (!(await this.#stopOne())) break;
      refusal = this.#refusal();
    }
    if (refusal !== null) throw new PlatformError("capsule_failed", { message: refusal, retryAfterSeconds: 2 });
    return this.#enter();
  }

  /** A place that is free as it is; null when there is none. */
  tryTake(): Disposable | null {
    return this.#refusal() === null ? this.#enter() : null;
  }

  /** Where memory has become short since: stops idle ones, a bounded number, until it no longer is. */
  async relieve(): Promise<number> {
    let stopped = 0;
    while (stopped < MAX_VICTIMS && this.#memoryIsShort() && (await this.#stopOne())) stopped++;
    return stopped;
  }

  #enter(): Disposable {
    this.#taken++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#taken--;
        held = false;
      },
    };
  }

  async #stopOne(): Promise<boolean> {
    const victim = this.#leastRecentlyUsed();
    await victim?.stopIdle();
    return victim !== null;
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
