// What one account's state is due: a sweep once something was named no longer, bookmarks while databases are written.
// Everything that is under way outside of the process ends with the account.
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { Bounds } from "./parts.ts";
import type { Rest } from "./rest.ts";
import type { Essentials } from "./essentials.ts";

/** Whether state may lie there that the spec does not name: some was named before, or what was is not known. */
function mayHoldMore(before: Essentials | null, next: Essentials): boolean {
  const named = ({ state }: Essentials): string[] => [...state.kv, ...state.d1, ...state.objects];
  if (before === null) return named(next).length > 0;
  const kept = new Set(named(next));
  return named(before).some((id) => !kept.has(id));
}

export class Upkeep {
  readonly #rest: Pick<Rest, "after" | "bookmark">;
  readonly #clock: Clock;
  readonly #bounds: Pick<Bounds, "bookmarkMs">;
  #over = new AbortController();
  #sweepDue = false;
  /** A process ran since everything was last done. */
  #ran = false;
  /** When the databases were last kept; milliseconds since the epoch. */
  #bookmarkedMs = 0;

  constructor(rest: Pick<Rest, "after" | "bookmark">, clock: Clock, bounds: Pick<Bounds, "bookmarkMs">) {
    this.#rest = rest;
    this.#clock = clock;
    this.#bounds = bounds;
  }

  /** Whether state lies there that has to go as soon as no process has it open. */
  get sweepDue(): boolean {
    return this.#sweepDue;
  }

  /** Whether anything is to be done before the account may be left at rest. */
  get due(): boolean {
    return this.#sweepDue || this.#ran;
  }

  /** Aborts when nothing of the account may go on any more. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  changed(before: Essentials | null, next: Essentials): void {
    this.#sweepDue ||= mayHoldMore(before, next);
  }

  started(): void {
    this.#bookmarkedMs = this.#clock.now();
    this.#ran = true;
  }

  /** The account may be used again: an alarm that fell due meanwhile was told for nothing. */
  revived(): void {
    this.#ran = true;
  }

  /**
   * While no process of the account runs. Never rejects.
   * @param off calls off what is not done yet: it stays due @param isFull what was only cached is removed
   */
  async atRest(known: Essentials | null, off: AbortSignal, isFull = false): Promise<void> {
    const signal = AbortSignal.any([this.#over.signal, off]);
    if (known === null || signal.aborted) return;
    const now = this.#clock.now();
    const due = { sweep: this.#sweepDue || isFull, bookmarks: known.state.d1.length > 0, isFull };
    if (!(await this.#rest.after(known, due, signal))) return;
    this.#sweepDue = false;
    this.#ran = false;
    this.#bookmarkedMs = now;
  }

  /** While one runs. @param lastUsedMs milliseconds since the epoch */
  async atWork(known: Essentials | null, lastUsedMs: number): Promise<void> {
    if (known === null || known.state.d1.length === 0) return;
    const now = this.#clock.now();
    if (lastUsedMs <= this.#bookmarkedMs || now - this.#bookmarkedMs < this.#bounds.bookmarkMs) return;
    this.#bookmarkedMs = now;
    await this.#rest.bookmark(known, this.#over.signal);
  }

  /** Ends what is under way. @param forGood false where a later end of the account may yet become known */
  stop(forGood: boolean): void {
    this.#over.abort(new PlatformError("account_gone", { message: "The account has ended." }));
    if (!forGood) this.#over = new AbortController();
  }
}
