// What an account may still use, as its capsule asks: of every caller before any process starts for it, at each look of
// the watchdog, for every piece of an answer. Whoever is refused, the account's log and the trail are told.
import type { Clock } from "../../../kernel/clock.ts";
import { iso } from "../../../kernel/clock.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Budget } from "../../budgets/budget.ts";
import type { Budgets } from "../../budgets/budgets.ts";
import { diskReason } from "../../budgets/words.ts";
import type { Journal, Over, Refusals } from "../../contract.ts";

export type AllowanceParts = {
  readonly budgets: Pick<Budgets, "of">;
  readonly refusals: Pick<Refusals, "note">;
  readonly journal: Pick<Journal, "notice">;
  readonly clock: Clock;
};

/** Of the bound of its disk: so far above it the account's own API calls may still go, since some of them free space. */
const DISK_MARGIN = 0.1;
/** When a caller of an account that keeps too much may find it served again: nobody knows. */
const DISK_RETRY_SECONDS = 60;

/** What happens at a cap, after the reason. */
const AND_SO: Record<Over["cap"], string> = {
  requests: "Requests are refused",
  served_bytes: "Requests are refused, and answers under way were cut",
  cpu_ms: "Its process was stopped and does not start",
  disk_bytes: "Its process was stopped and does not start for callers, alarms and crons",
  subrequests: "They are refused",
  egress_bytes: "Its Workers reach no other host",
  egress_hosts: "Its Workers reach no further host",
  log_bytes: "Nothing more is written to its log",
};

const UNTIL_DELETED =
  "until something is deleted: keys of KV as long as it is little too much, else whole namespaces, databases and Workers with their Durable Objects.";

/** For the account's log. */
export const noticeOf = ({ cap, reason, freesAtMs }: Over): string =>
  `${reason} ${AND_SO[cap]} ${freesAtMs === null ? UNTIL_DELETED : `until ${iso(freesAtMs)}.`}`;

export class Allowance {
  readonly #account: AccountId;
  readonly #parts: AllowanceParts;
  /** From its spec; 0 until one was seen. */
  maxDiskBytes = 0;

  constructor(account: AccountId, parts: AllowanceParts) {
    this.#account = account;
    this.#parts = parts;
  }

  get #budget(): Budget {
    return this.#parts.budgets.of(this.#account);
  }

  /** Counts one caller from outside. @returns why it is not served */
  admit(): Over | null {
    const budget = this.#budget;
    const over = budget.over("cpu_ms", true) ?? this.#disk(0) ?? budget.over("served_bytes", true) ?? budget.take("requests");
    return over && this.#told(over);
  }

  /** Why no process may run but for control's own calls. */
  get stopped(): Over | null {
    return this.#budget.over("cpu_ms") ?? this.#disk(0);
  }

  /** Why none may run at all. */
  get closed(): Over | null {
    return this.#budget.over("cpu_ms") ?? this.#disk(DISK_MARGIN);
  }

  /** Whether it keeps more on disk than it may. */
  get isFull(): boolean {
    return this.#disk(0) !== null;
  }

  /** Where it is more, it does not matter how much. */
  get mostDiskBytes(): number {
    return Math.ceil(this.maxDiskBytes * (1 + DISK_MARGIN));
  }

  get diskBytes(): number | null {
    return this.#budget.diskBytes;
  }

  measured(diskBytes: number): void {
    this.#budget.measured(diskBytes);
  }

  /** Counts bytes of an answer. @returns whether those were too many */
  served(bytes: number): boolean {
    const over = this.#budget.note("served_bytes", bytes);
    if (over !== null) this.#told(over);
    return over !== null;
  }

  /** Something was refused, cut or stopped for it. */
  tell(over: Over): void {
    this.#told(over);
  }

  #told(over: Over): Over {
    this.#parts.refusals.note(this.#account, over.cap, over.reason);
    this.#parts.journal.notice(this.#account, noticeOf(over));
    return over;
  }

  #disk(margin: number): Over | null {
    const bytes = this.#budget.diskBytes;
    const most = this.maxDiskBytes;
    if (bytes === null || most === 0 || bytes <= most * (1 + margin)) return null;
    return { cap: "disk_bytes", reason: diskReason(most), retryAfterSeconds: DISK_RETRY_SECONDS, freesAtMs: null };
  }
}
