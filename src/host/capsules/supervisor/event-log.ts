// What happened to capsules, for control to read: a ring with cursors that no two lives of the host share.
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
  readonly #first: number;
  #listeners = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#cursor = clock.now() * 1_000;
    this.#first = this.#cursor;
  }

  /** Returns the event's cursor: whoever asks for what comes after has taken it. */
  append(event: Untold): number {
    const cursor = ++this.#cursor;
    this.#events.push({ ...event, cursor, atMs: this.#clock.now() });
    if (this.#events.length > CAPACITY) this.#events = this.#events.slice(-CAPACITY);
    for (const wake of this.#listeners) wake();
    return cursor;
  }

  /**
   * Events after the cursor, at once if there are any, else the first within `waitMs`, else none.
   * A cursor that this life never gave out starts from its first event.
   */
  async after(cursor: number, waitMs: number): Promise<CapsuleEvent[]> {
    const from = cursor < this.#first || cursor > this.#cursor ? this.#first : cursor;
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
