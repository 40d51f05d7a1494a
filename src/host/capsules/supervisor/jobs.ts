// Jobs on accounts' state that have not begun to answer: where one was called off, its process may only just be starting.
import type { AccountId } from "../../../kernel/ids.ts";

export class Jobs {
  readonly #byAccount = new Map<AccountId, Set<Promise<unknown>>>();

  add(account: AccountId, job: Promise<unknown>): void {
    const jobs = this.#byAccount.get(account) ?? new Set();
    this.#byAccount.set(account, jobs.add(job));
    const leave = (): void => {
      jobs.delete(job);
      if (jobs.size === 0 && this.#byAccount.get(account) === jobs) this.#byAccount.delete(account);
    };
    job.then(leave, leave);
  }

  /** Resolves when none that was begun before is left. */
  async over(account: AccountId): Promise<void> {
    const jobs = this.#byAccount.get(account);
    if (jobs !== undefined) await Promise.allSettled(jobs);
  }
}
