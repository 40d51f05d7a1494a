// What an account's processes spend: CPU time, as far as it was counted, and memory now.
import type { Clock } from "../../../kernel/clock.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Budgets } from "../../budgets/budgets.ts";
import type { Journal } from "../../contract.ts";
import { Pace } from "./pace.ts";
import type { Run } from "./run.ts";

export type SpendingParts = {
  readonly clock: Clock;
  readonly journal: Pick<Journal, "cpu">;
  readonly budgets: Pick<Budgets, "of">;
};

export class Spending {
  readonly #account: AccountId;
  readonly #parts: SpendingParts;
  readonly #pace = new Pace();
  /** Of processes that are gone, and of the present one what no further look will find. */
  #beforeMs = 0;

  constructor(account: AccountId, parts: SpendingParts) {
    this.#account = account;
    this.#parts = parts;
  }

  /** CPU time that was used since the last call. */
  add(cpuMs: number): void {
    if (cpuMs <= 0) return;
    this.#parts.budgets.of(this.#account).note("cpu_ms", cpuMs);
    this.#parts.journal.cpu(this.#account, cpuMs);
    this.#pace.add(this.#parts.clock.now(), cpuMs);
  }

  /** CPU time of a process that nobody will ask again. */
  close(cpuMs: number): void {
    this.#beforeMs += cpuMs;
  }

  /** CPU time of the last minute or so. */
  get perMinute(): number {
    return this.#pace.perMinute(this.#parts.clock.now());
  }

  /** Memory now and CPU time since this host knows the account. */
  async usage(run: Run | null): Promise<{ pssBytes: number; cpuMs: number }> {
    if (run === null) return { pssBytes: 0, cpuMs: this.#beforeMs };
    const [pssBytes, cpuMs] = await Promise.all([run.process.pssBytes(), run.process.cpuMs()]);
    return { pssBytes, cpuMs: this.#beforeMs + cpuMs };
  }
}
