// When a running process must stop because its account is at a cap. One that is full may still be started for control's
// own calls, since some of them free space: such a process serves nobody else, and goes soon after the last of them.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Over } from "../../contract.ts";
import type { Allowance } from "./allowance.ts";
import { DiskWatch } from "./disk-watch.ts";
import type { CapsuleParts } from "./capsule-parts.ts";
import type { Run } from "./run.ts";

const CALLS_IDLE_MS = 5_000;

export class CapWatch {
  readonly #account: AccountId;
  readonly #allowance: Allowance;
  readonly #parts: Pick<CapsuleParts, "files" | "walks" | "clock" | "log">;
  readonly #disk: DiskWatch;
  readonly #stop: (run: Run, over: Over | null) => void;
  /** The process that was started while the account was full. */
  #forCalls: Run | null = null;

  /** @param stop with the cap that says so; null where a process is only not wanted any more */
  constructor(
    account: AccountId,
    allowance: Allowance,
    parts: Pick<CapsuleParts, "files" | "walks" | "clock" | "log">,
    stop: (run: Run, over: Over | null) => void,
  ) {
    this.#account = account;
    this.#allowance = allowance;
    this.#parts = parts;
    this.#disk = new DiskWatch(account, allowance, parts);
    this.#stop = stop;
  }

  began(run: Run): void {
    this.#forCalls = this.#allowance.stopped === null ? null : run;
  }

  /** Looks at the account's disk, where that is due, and heeds what it finds. Never rejects. */
  async look(run: Run, signal: AbortSignal): Promise<void> {
    try {
      await this.#disk.look(run.process, signal);
      this.heed(run);
    } catch (error) {
      if (!signal.aborted) this.#parts.log.error({ err: error, account: this.#account }, "an account's disk could not be measured");
    }
  }

  /** After anything was counted. */
  heed(run: Run): void {
    const { closed, stopped } = this.#allowance;
    const over = run === this.#forCalls ? closed : stopped;
    if (over !== null) this.#stop(run, over);
    else if (stopped !== null && this.#parts.clock.now() - run.lastUsedMs >= CALLS_IDLE_MS) this.#stop(run, null);
  }

  /** Measures the account while no process runs. @param again called where it is too early */
  rest(signal: AbortSignal, again: () => void): Promise<void> {
    return this.#disk.rest(signal, again);
  }
}
