// How much an account's log may take in ten minutes. At the cap nothing is taken for what is left of them, not even what
// would still fit: whoever reads the log sees where it breaks off, and until when.
import { iso } from "../../kernel/clock.ts";
import type { Budget } from "../budgets/budget.ts";
import type { Over } from "../contract.ts";

export class Volume {
  readonly #budget: () => Pick<Budget, "take">;
  readonly #now: () => number;
  #over: Over | null = null;
  /** What was left out since it broke off. */
  missed = 0;

  /** @param budget the account's, at the moment of use */
  constructor(budget: () => Pick<Budget, "take">, now: () => number) {
    this.#budget = budget;
    this.#now = now;
  }

  /** Whether nothing is taken now. */
  get isSilent(): boolean {
    if (this.#over === null) return false;
    if ((this.#over.freesAtMs ?? 0) > this.#now()) return true;
    this.#over = null;
    return false;
  }

  /** Counts a record of so many bytes while it is not silent. @returns why it is from here on */
  take(bytes: number): Over | null {
    return (this.#over = this.#budget().take("log_bytes", bytes));
  }
}

/** In the log, where it breaks off. */
export const silenceNotice = ({ reason, freesAtMs }: Over): string =>
  `${reason} Nothing more is written to it, nor sent to whoever follows it, until ${iso(freesAtMs ?? 0)}; what is left out is counted.`;
