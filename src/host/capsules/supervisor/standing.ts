// Whether an account may be served, by everything that was said of it here: control's spec, the clock, its end, the
// watchdog. Read at the moment of use.
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { Tombstone } from "../../../capsule/spec.ts";
import { unavailable, type Refusal } from "./callers.ts";
import { lapse, type Essentials } from "./essentials.ts";

export class Standing {
  readonly #clock: Clock;
  known: Essentials | null = null;
  tombstone: Tombstone | null = null;
  /** Let go: as if it had never been known here. */
  dropped = false;
  /** The host is going down. */
  closing = false;
  /** By the watchdog, until control says so or other code comes. */
  localSuspension: string | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the end time has passed, by the clock and nothing else. */
  get lapsed(): boolean {
    const endsAtMs = this.known?.endsAtMs ?? null;
    return endsAtMs !== null && this.#clock.now() >= endsAtMs;
  }

  /** Whether anything of the account may be written down now. */
  get lives(): boolean {
    return this.tombstone === null && !this.dropped && !this.lapsed;
  }

  /** Whether a process of the account may run now. */
  get serves(): boolean {
    if (this.tombstone !== null || this.dropped || this.closing || this.known === null) return false;
    return !this.lapsed && this.known.suspended === null && this.localSuspension === null;
  }

  /** Why nothing of the account answers now; null while it may. */
  refusal(): Refusal | null {
    const { tombstone, known } = this;
    if (tombstone !== null) return { kind: "gone", tombstone };
    if (this.closing) return unavailable("This machine is going down.", 5);
    if (this.dropped || known === null) return { kind: "none" };
    if (this.lapsed) return { kind: "gone", tombstone: lapse(known, known.endsAtMs ?? 0) };
    const reason = known.suspended ?? this.localSuspension;
    return reason === null ? null : { kind: "suspended", reason };
  }

  refuseIfGone(): void {
    if (this.tombstone !== null) throw new PlatformError("account_gone", { message: "The account has ended." });
    if (this.dropped || this.closing) throw new PlatformError("capsule_failed", { message: "The account was just let go here." });
  }
}
