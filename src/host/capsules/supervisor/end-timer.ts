// Rings at an account's end time, by the clock that everything else is decided by and never before it.
import type { Clock } from "../../../kernel/clock.ts";

/** setTimeout takes no more; longer waits are chained. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class EndTimer {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** @param endsAtMs milliseconds since the epoch; null: never */
  set(endsAtMs: number | null): void {
    clearTimeout(this.#timer);
    if (endsAtMs === null) return;
    const leftMs = endsAtMs - this.#clock.now();
    if (leftMs > 0) this.#timer = setTimeout(() => this.set(endsAtMs), Math.min(leftMs, MAX_TIMER_MS)).unref();
    else this.#ring();
  }
}
