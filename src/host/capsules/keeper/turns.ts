// Who may start when: few jobs at once, fewer of those that take long, one of an account, and a bounded crowd that waits.
import { PlatformError } from "../../../kernel/errors.ts";

export type TurnBounds = {
  readonly atOnce: number;
  /** Of these, how many may be long ones; the rest is always there for the quick. */
  readonly longAtOnce: number;
  readonly waiting: number;
  /** Of these, how many may be one account's: it crowds nobody else out. */
  readonly waitingOfOne: number;
};

type Claim = { readonly account: string; readonly long: boolean };
type Waiter = Claim & { readonly begin: () => void };

const isOver = (signal: AbortSignal | undefined): boolean => signal?.aborted ?? false;

export class Turns {
  readonly #bounds: TurnBounds;
  readonly #running = new Set<Claim>();
  readonly #waiting = new Set<Waiter>();

  constructor(bounds: TurnBounds) {
    this.#bounds = bounds;
  }

  /** @throws PlatformError capsule_failed when too many wait; the signal's reason when it aborts meanwhile. */
  async take(claim: Claim, signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted();
    if (!this.#fits(claim)) await this.#wait(claim, signal);
    else this.#running.add(claim);
    return {
      [Symbol.dispose]: () => {
        if (this.#running.delete(claim)) this.#admit();
      },
    };
  }

  #wait(claim: Claim, signal: AbortSignal | undefined): Promise<void> {
    const ofOne = [...this.#waiting].filter(({ account }) => account === claim.account).length;
    if (this.#waiting.size >= this.#bounds.waiting || ofOne >= this.#bounds.waitingOfOne) {
      throw new PlatformError("capsule_failed", {
        message: `Too many jobs on stored data are waiting ${ofOne >= this.#bounds.waitingOfOne ? "for this account" : "on this machine"}.`,
        retryAfterSeconds: 5,
      });
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(waiter);
        reject(signal?.reason as Error);
      };
      const waiter: Waiter = {
        ...claim,
        begin: () => {
          signal?.removeEventListener("abort", leave);
          this.#waiting.delete(waiter);
          this.#running.add(claim);
          resolve();
        },
      };
      this.#waiting.add(waiter);
      signal?.addEventListener("abort", leave, { once: true });
      if (isOver(signal)) leave();
    });
  }

  #fits({ account, long }: Claim): boolean {
    const running = [...this.#running];
    if (running.length >= this.#bounds.atOnce) return false;
    if (long && running.filter((claim) => claim.long).length >= this.#bounds.longAtOnce) return false;
    return running.every((claim) => claim.account !== account);
  }

  #admit(): void {
    for (const waiter of this.#waiting) if (this.#fits(waiter)) waiter.begin();
  }
}
