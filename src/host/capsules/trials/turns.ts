// A bounded number of things at once, and of one account never two, so that nobody's uploads hold up another's;
// a bounded number waits, few of each account, first come first served, and the rest is told to come back.
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";

/** Of one account: of all places that wait, nobody fills more. */
const MAX_WAITING_EACH = 4;

type Waiting = { readonly account: AccountId; readonly start: () => void };

export class Turns {
  #free: number;
  readonly #busy = new Set<AccountId>();
  readonly #waiting: Waiting[] = [];
  readonly #maxWaiting: number;

  constructor(maxConcurrent: number, maxWaiting: number) {
    this.#free = maxConcurrent;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Runs the work in its turn.
   * @param off calls it off while it waits: rejects with the signal's reason.
   * @throws PlatformError too_many_uploads when too many of the account wait already, capsule_failed when too many of all do
   */
  async take<T>(account: AccountId, work: () => Promise<T>, off: AbortSignal): Promise<T> {
    off.throwIfAborted();
    if (this.#waiting.filter((waiting) => waiting.account === account).length >= MAX_WAITING_EACH) {
      throw new PlatformError("too_many_uploads", { message: "Other uploads to this account wait to be tried.", retryAfterSeconds: 5 });
    }
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new PlatformError("capsule_failed", { message: "Too many uploads are being tried at once.", retryAfterSeconds: 5 });
    }
    await this.#turn(account, off);
    try {
      return await work();
    } finally {
      this.#free++;
      this.#busy.delete(account);
      this.#next();
    }
  }

  #turn(account: AccountId, off: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(off.reason as Error);
      };
      const start = (): void => {
        off.removeEventListener("abort", leave);
        resolve();
      };
      const waiting: Waiting = { account, start };
      off.addEventListener("abort", leave, { once: true });
      this.#waiting.push(waiting);
      this.#next();
    });
  }

  #next(): void {
    const index = this.#waiting.findIndex((waiting) => !this.#busy.has(waiting.account));
    if (index === -1 || this.#free === 0) return;
    const [next] = this.#waiting.splice(index, 1);
    if (next === undefined) return;
    this.#free--;
    this.#busy.add(next.account);
    next.start();
    this.#next();
  }
}
