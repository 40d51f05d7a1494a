// Brings together what the edge saw of a request and what its process told, whichever comes first: the edge knows
// the answer and the time, the process how it ended. Bounded in number and time, so that neither waits for long.
import type { Fate, Passed } from "../contract.ts";
import type { Heard } from "./batch.ts";

/** How long one half waits for the other. */
export const HOLD_MS = 400;
/** For a process to be known as killed, its last words included. */
const LOST_HOLD_MS = 1_000;
const MAX_ENTRIES = 2_048;

export type Join = {
  passed: Passed | null;
  heard: Heard | null;
  /** Milliseconds since the epoch, when the edge's part or, without one, the process's came. */
  readonly atMs: number;
  dueMs: number;
  fate: Fate | null;
  /** Told already; kept so that a part that comes late is known as one. */
  told: boolean;
};

export type Told = (join: Join) => void;

const keyOf = (ray: string, script: string): string => `${ray} ${script}`;

export class Joins {
  readonly #entries = new Map<string, Join>();
  readonly #tell: Told;
  /** Entries that wait, oldest first; those of lost requests wait longer and may hold the others up by as much. */
  #waiting: Join[] = [];
  #fate: { readonly fate: Fate; readonly untilMs: number } | null = null;

  /** @param tell called once for every entry, when both parts are there or the time is up */
  constructor(tell: Told) {
    this.#tell = tell;
  }

  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** The edge's part. @param wait whether the process may have something to say about it */
  passed(passed: Passed, script: string, nowMs: number, wait: boolean): void {
    const key = keyOf(passed.ray, script);
    const held = this.#entries.get(key);
    const lost = passed.end === "lost";
    const join: Join = held ?? {
      passed,
      heard: null,
      atMs: nowMs,
      dueMs: nowMs + (lost ? LOST_HOLD_MS : HOLD_MS),
      fate: null,
      told: false,
    };
    join.passed = passed;
    if (lost && this.#fate !== null && nowMs < this.#fate.untilMs) join.fate = this.#fate.fate;
    if (held !== undefined || join.fate !== null || !(wait || lost)) {
      // One that was told as an invocation is told again, as what it turned out to be.
      join.told = true;
      this.#tell(join);
      if (held === undefined && wait) this.#remember(key, join);
      return;
    }
    this.#remember(key, join);
    this.#waiting.push(join);
  }

  /** The process's part. Returns what the edge told before, if it has. */
  heard(heard: Heard, ray: string, nowMs: number): Join {
    const key = keyOf(ray, heard.origin.script);
    const held = this.#entries.get(key);
    if (held !== undefined) {
      held.heard ??= heard;
      if (!held.told && held.passed !== null) {
        held.told = true;
        this.#tell(held);
      }
      return held;
    }
    const join: Join = { passed: null, heard, atMs: nowMs, dueMs: nowMs + HOLD_MS, fate: null, told: false };
    this.#remember(key, join);
    this.#waiting.push(join);
    return join;
  }

  /** What was lost with the process, now or in a moment, was lost for this reason. Returns how many that are so far. */
  killed(fate: Fate, nowMs: number): number {
    this.#fate = { fate, untilMs: nowMs + LOST_HOLD_MS };
    let count = 0;
    for (const join of this.#waiting) {
      if (join.told || join.passed?.end !== "lost") continue;
      join.fate = fate;
      join.told = true;
      this.#tell(join);
      count++;
    }
    return count;
  }

  /** Tells those whose time is up. */
  release(nowMs: number): void {
    let first = 0;
    for (const join of this.#waiting) {
      if (!join.told && join.dueMs > nowMs) break;
      first++;
      if (join.told) continue;
      join.told = true;
      this.#tell(join);
    }
    if (first > 0) this.#waiting = this.#waiting.slice(first);
  }

  #remember(key: string, join: Join): void {
    this.#entries.set(key, join);
    if (this.#entries.size <= MAX_ENTRIES) return;
    for (const [oldest, entry] of this.#entries) {
      this.#entries.delete(oldest);
      if (!entry.told) {
        entry.told = true;
        this.#tell(entry);
      }
      return;
    }
  }
}
