// What one account has used of its caps in the window that is open: counted at use, refused at the cap, and free again
// at the window's end. A window opens with the first use, so a quiet account always has all of it.
import { z } from "zod";
import { CAP_WINDOW_MS, CAPS, type Cap, type Caps, type CapUse } from "../../capsule/caps.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { Over } from "../contract.ts";
import { reasonOf } from "./words.ts";

type Window = { endsAtMs: number; used: number; refused: number };

const count = z.number().nonnegative();
/** What is written down, so that a restart of this host frees nobody. */
export const kept = z.object({
  windows: z.array(z.object({ cap: z.enum(CAPS), endsAtMs: count, used: count, refused: count })),
  diskBytes: count.nullable(),
});
export type Kept = z.infer<typeof kept>;

/** Names remembered where there is no cap; one that is forgotten, as all are when this host restarts, is counted again. */
const MAX_TAKEN = 4_096;

export class Budget {
  readonly #clock: Clock;
  readonly #windows = new Map<Cap, Window>();
  readonly #taken = new WeakMap<Window, Set<string>>();
  #diskBytes: number | null = null;
  caps: Caps;
  /** Whether anything was counted since `keep`. */
  changed = false;

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

  /** As `take` of one, but a name that was taken in this window costs nothing more. */
  takeOnce(cap: Cap, name: string): Over | null {
    const window = this.#open(cap);
    const taken = this.#taken.get(window) ?? new Set();
    if (taken.has(name)) return null;
    this.#taken.set(window, taken);
    const over = this.take(cap);
    if (over === null && taken.size < Math.max(MAX_TAKEN, this.caps[cap])) taken.add(name);
    return over;
  }

  /** Counts what was used already, and tells whether the cap is reached with it; a refusal can only come afterwards. */
  note(cap: Cap, amount: number): Over | null {
    const window = this.#open(cap);
    window.used += amount;
    return this.caps[cap] === 0 || window.used < this.caps[cap] ? null : this.#over(cap, window);
  }

  /** Whether the cap is reached. @param refusing counts the refusal that follows */
  over(cap: Cap, refusing = false): Over | null {
    const window = this.#live(cap);
    if (window === undefined || this.caps[cap] === 0 || window.used < this.caps[cap]) return null;
    if (refusing) {
      window.refused++;
      this.changed = true;
    }
    return this.#over(cap, window);
  }

  get use(): CapUse[] {
    return CAPS.map((cap) => {
      const window = this.#live(cap);
      return { cap, used: window?.used ?? 0, refused: window?.refused ?? 0, freesAtMs: window?.endsAtMs ?? null };
    });
  }

  /** Of the account's directory when it was last measured; null before that. */
  get diskBytes(): number | null {
    return this.#diskBytes;
  }

  measured(diskBytes: number): void {
    this.changed ||= diskBytes !== this.#diskBytes;
    this.#diskBytes = diskBytes;
  }

  /** What is to be written down. */
  keep(): Kept {
    this.changed = false;
    const windows = CAPS.flatMap((cap) => {
      const window = this.#live(cap);
      return window === undefined ? [] : [{ cap, ...window }];
    });
    return { windows, diskBytes: this.#diskBytes };
  }

  /** Goes on from what was written down; windows that ended meanwhile are free. */
  resume({ windows, diskBytes }: Kept): void {
    for (const { cap, ...window } of windows) this.#windows.set(cap, window);
    this.#diskBytes = diskBytes;
  }

  /** A clock that was set back would hold a window for as long: such a window is over. */
  #live(cap: Cap): Window | undefined {
    const window = this.#windows.get(cap);
    if (window === undefined) return undefined;
    const leftMs = window.endsAtMs - this.#clock.now();
    return leftMs > 0 && leftMs <= CAP_WINDOW_MS ? window : undefined;
  }

  /** The window to count in. */
  #open(cap: Cap): Window {
    this.changed = true;
    const live = this.#live(cap);
    if (live !== undefined) return live;
    const opened = { endsAtMs: this.#clock.now() + CAP_WINDOW_MS, used: 0, refused: 0 };
    this.#windows.set(cap, opened);
    return opened;
  }

  #over(cap: Cap, { endsAtMs }: Window): Over {
    const retryAfterSeconds = Math.max(1, Math.ceil((endsAtMs - this.#clock.now()) / 1_000));
    return { cap, reason: reasonOf(cap, this.caps[cap]), retryAfterSeconds, freesAtMs: endsAtMs };
  }
}
