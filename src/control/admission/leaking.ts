// Counts that leak away: a limit's worth in an hour. Kept in memory and bounded; a restart forgets them.
import type { Load } from "./pressure.ts";
import { Recent } from "./recent.ts";
import { HOUR_MS } from "./records.ts";

export class Leaking {
  readonly #limit: number;
  readonly #levels = new Recent<{ readonly count: number; readonly atMs: number }>();

  /** @param limit of one key, in an hour and at once */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(key: string, nowMs: number): void {
    this.#levels.set(key, { count: this.load(key, nowMs).count + 1, atMs: nowMs });
  }

  load(key: string, nowMs: number): Load {
    const level = this.#levels.get(key);
    const leaked = level ? (Math.max(0, nowMs - level.atMs) / HOUR_MS) * this.#limit : 0;
    return { count: level ? Math.max(0, level.count - leaked) : 0, limit: this.#limit };
  }

  /** Milliseconds until there is room for one more; 0 when there is now. */
  waitMs(key: string, nowMs: number): number {
    const excess = this.load(key, nowMs).count + 1 - this.#limit;
    return excess > 0 ? (excess / this.#limit) * HOUR_MS : 0;
  }
}
