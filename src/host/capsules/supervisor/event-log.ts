// What happened to capsules, for control to read: a ring with cursors that no two lives of the host share. An account's
// next alarm stays in it until control has it, or a later one.
import type { CapsuleEvent } from "../../../capsule/messages.ts";
import type { Clock } from "../../../kernel/clock.ts";

const CAPACITY = 1_024;

type Without<E> = E extends unknown ? Omit<E, "cursor" | "atMs"> : never;
/** An event as it happens, before it has a place and a time. */
export type Untold = Without<CapsuleEvent>;

export class EventLog {
  readonly #clock: Clock;
  #events: CapsuleEvent[] = [];
  #cursor: number;
  #taken: number;
  readonly #first: number;
  #listeners = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#cursor = clock.now() * 1_000;
    this.#first = this.#cursor;
    this.#taken = this.#cursor;
  }

  /** Returns the event's cursor: whoever asks for what comes after has taken it. */
  append(event: Untold): number {
    const cursor = ++this.#cursor;
    if (event.kind === "cold") this.#events = this.#events.filter(({ kind, account }) => kind !== "cold" || account !== event.account);
    this.#events.push({ ...event, cursor, atMs: this.#clock.now() });
    this.#trim();
    for (const wake of this.#listeners) wake();
    return cursor;
  }

  /** The oldest go, refusals before all others: what a flood of them was is told again, a suspension is not. */
  #trim(): void {
    for (const refusals of [true, false]) {
      let spare = this.#events.length - CAPACITY;
      if (spare <= 0) return;
      this.#events = this.#events.filter((event) => {
        const held = event.kind === "cold" && event.cursor > this.#taken;
        if (spare <= 0 || held || (refusals && event.kind !== "refused")) return true;
        spare--;
        return false;
      });
    }
  }

  /** Whoever asks for what comes after the cursor has everything up to the one that is returned. */
  taken(cursor: number): number {
    const upTo = cursor < this.#first || cursor > this.#cursor ? this.#first : cursor;
    this.#taken = Math.max(this.#taken, upTo);
    return upTo;
  }

  /**
   * Events after the cursor, at once if there are any, else the first within `waitMs`, else none.
   * A cursor that this life never gave out starts from its first event.
   */
  async after(cursor: number, waitMs: number): Promise<CapsuleEvent[]> {
    const from = this.taken(cursor);
    if (this.#cursor === from) await this.#next(waitMs);
    return this.#events.filter((event) => event.cursor > from);
  }

  #next(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, waitMs);
      timer.unref();
      this.#listeners.add(wake);
    });
  }

  /** Lets every waiting reader go. */
  close(): void {
    for (const wake of this.#listeners) wake();
  }
}
