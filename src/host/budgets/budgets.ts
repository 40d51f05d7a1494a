// The budgets of all accounts that this host knows.
import { NO_CAPS, type Caps } from "../../capsule/caps.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { AccountId } from "../../kernel/ids.ts";
import { Budget } from "./budget.ts";

export class Budgets {
  readonly #clock: Clock;
  readonly #held = new Map<AccountId, Budget>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What control says now; what was used stays used. */
  set(account: AccountId, caps: Caps): void {
    const held = this.#held.get(account);
    if (held === undefined) this.#held.set(account, new Budget(caps, this.#clock));
    else held.caps = caps;
  }

  /** Of an account that is not known here, one without caps that nothing keeps. */
  of(account: AccountId): Budget {
    return this.#held.get(account) ?? new Budget(NO_CAPS, this.#clock);
  }

  forget(account: AccountId): void {
    this.#held.delete(account);
  }
}
