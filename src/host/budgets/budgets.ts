// The budgets of all accounts that this host knows, written down every few seconds where they change: a host that is
// killed forgets no more than that.
import { NO_CAPS, type Caps, type CapUse } from "../../capsule/caps.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { AccountId } from "../../kernel/ids.ts";
import { Budget } from "./budget.ts";
import type { Ledger } from "./ledger.ts";

const WRITE_EVERY_MS = 5_000;
/** Files that are written at once. */
const WRITES = 16;

export class Budgets implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #ledger: Ledger | null;
  readonly #held = new Map<AccountId, Budget>();
  readonly #timer: NodeJS.Timeout | null;
  #writing: Promise<void> | null = null;

  /** @param ledger null keeps them in memory alone */
  constructor(clock: Clock, ledger: Ledger | null = null) {
    this.#clock = clock;
    this.#ledger = ledger;
    this.#timer = ledger && setInterval(() => void this.#writeAll(), WRITE_EVERY_MS).unref();
  }

  /** Before the account is served for the first time here: goes on from what an earlier life of this host wrote down. */
  async open(account: AccountId, caps: Caps): Promise<void> {
    const found = this.#held.has(account) ? null : await this.#ledger?.read(account);
    // Another call may have been faster.
    if (found && !this.#held.has(account)) this.set(account, caps).resume(found);
    this.set(account, caps);
  }

  /** What control says now; what was used stays used. */
  set(account: AccountId, caps: Caps): Budget {
    const held = this.#held.get(account) ?? new Budget(caps, this.#clock);
    held.caps = caps;
    this.#held.set(account, held);
    return held;
  }

  /** Of an account that is not known here, one without caps that nothing keeps. */
  of(account: AccountId): Budget {
    return this.#held.get(account) ?? new Budget(NO_CAPS, this.#clock);
  }

  /** What was used, of an account that is not known here as it was written down. */
  async useOf(account: AccountId): Promise<CapUse[]> {
    const budget = this.of(account);
    const found = this.#held.has(account) ? null : await this.#ledger?.read(account);
    if (found) budget.resume(found);
    return budget.use;
  }

  /** The account has ended. From its return on nothing of it is being written. */
  async forget(account: AccountId): Promise<void> {
    this.#held.delete(account);
    await this.#ledger?.settled(account);
  }

  /** The account is let go here, and may come back. */
  async drop(account: AccountId): Promise<void> {
    const held = this.#held.get(account);
    if (held === undefined) return;
    await this.#write(account, held);
    if (this.#held.get(account) === held) this.#held.delete(account);
  }

  /** Accounts that are held in memory. */
  get size(): number {
    return this.#held.size;
  }

  async #write(account: AccountId, budget: Budget): Promise<void> {
    if (budget.changed) await this.#ledger?.write(account, budget.keep());
  }

  async #writeAll(): Promise<void> {
    this.#writing ??= this.#writeChanged().finally(() => (this.#writing = null));
    await this.#writing;
  }

  async #writeChanged(): Promise<void> {
    const changed = [...this.#held].filter(([, budget]) => budget.changed);
    for (let at = 0; at < changed.length; at += WRITES) {
      const batch = changed.slice(at, at + WRITES).filter(([account, budget]) => this.#held.get(account) === budget);
      await Promise.all(batch.map(([account, budget]) => this.#write(account, budget)));
    }
  }

  /** Writes down what is there. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#writeAll();
    await this.#writeAll();
  }
}
