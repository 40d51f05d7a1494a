// What one account has used of its caps in the window that is open: counted at use, refused at the cap, and free again
// at the window's end. A window opens with the first use, so a quiet account always has all of it.
import { CAP_WINDOW_MS, CAPS, type Cap, type Caps, type CapUse } from "../../capsule/caps.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { Over } from "../contract.ts";
import { reasonOf } from "./words.ts";

type Window = { endsAtMs: number; used: number; refused: number };

export class Budget {
  readonly #clock: Clock;
  readonly #windows = new Map<Cap, Window>();
  caps: Caps;

  constructor(caps: Caps, clock: Clock) {
    this.caps = caps;
    this.#clock = clock;
  }

  /** Counts what is about to be used, unless it would be more than the cap; then nothing is counted but the refusal. */
  take(cap: Cap, amount = 1): Over | null {
    const window = this.#open(cap);
    const max = this.caps[cap];
    if (max === 0 || window.used + amount <= max) {
      window.used += amount;
      return null;
    }
    window.refused++;
    return this.#over(cap, window);
  }

  /** Counts what was used already; a refusal can only come afterwards. */
  note(cap: Cap, amount: number): void {
    this.#open(cap).used += amount;
  }

  /** Whether the cap is reached. @param refusing counts the refusal that follows */
  over(cap: Cap, refusing = false): Over | null {
    const window = this.#live(cap);
    if (window === undefined || this.caps[cap] === 0 || window.used < this.caps[cap]) return null;
    if (refusing) window.refused++;
    return this.#over(cap, window);
  }

  get use(): CapUse[] {
    return CAPS.map((cap) => {
      const window = this.#live(cap);
      return { cap, used: window?.used ?? 0, refused: window?.refused ?? 0, freesAtMs: window?.endsAtMs ?? null };
    });
  }

  #live(cap: Cap): Window | undefined {
    const window = this.#windows.get(cap);
    return window !== undefined && window.endsAtMs > this.#clock.now() ? window : undefined;
  }

  #open(cap: Cap): Window {
    const live = this.#live(cap);
    if (live !== undefined) return live;
    const opened = { endsAtMs: this.#clock.now() + CAP_WINDOW_MS, used: 0, refused: 0 };
    this.#windows.set(cap, opened);
    return opened;
  }

  #over(cap: Cap, { endsAtMs }: Window): Over {
    const retryAfterSeconds = Math.max(1, Math.ceil((endsAtMs - this.#clock.now()) / 1_000));
    return { cap, reason: reasonOf(cap, this.caps[cap]), retryAfterSeconds };
  }
}
