// The watchdog's eye on what an account keeps on disk. Its directory is walked, which costs the more the more files there
// are: at most a tenth of the time where the process may have written past the bound, a fiftieth elsewhere.
import type { AccountId } from "../../../kernel/ids.ts";
import { codeOf } from "../files/durable.ts";
import { writtenBytesOf } from "../sandbox/processes.ts";
import type { Allowance } from "./allowance.ts";
import type { Gate } from "./gates.ts";
import type { CapsuleFiles } from "./parts.ts";

export type DiskWatchParts = {
  readonly files: Pick<CapsuleFiles, "diskBytes">;
  /** Walks of all accounts have their turn here. */
  readonly walks: Gate;
};

type Pace = { readonly leastMs: number; readonly times: number };

/** Between two walks: so long, and so many times what the last one took. */
const URGENT: Pace = { leastMs: 1_000, times: 10 };
/** Where it is not told what the process writes. */
const BLIND: Pace = { leastMs: 3_000, times: 50 };
/** Where all that it wrote would still fit. */
const CALM: Pace = { leastMs: 60_000, times: 50 };

type Process = { readonly pid: number };
type Measured = Pick<Allowance, "diskBytes" | "maxDiskBytes" | "mostDiskBytes" | "measured">;

export class DiskWatch {
  readonly #account: AccountId;
  readonly #allowance: Measured;
  readonly #parts: DiskWatchParts;
  /** Whose writes were looked at last, and how many they were then. */
  #process: Process | null = null;
  #writtenBytes = 0;
  /** Bytes that were written since the last walk, as far as they were seen: by processes that are gone, too. */
  #sinceBytes = 0;
  #endedMs = -Infinity;
  #tookMs = 0;
  #walking: Promise<void> | null = null;
  #later: NodeJS.Timeout | undefined;

  constructor(account: AccountId, allowance: Measured, parts: DiskWatchParts) {
    this.#account = account;
    this.#allowance = allowance;
    this.#parts = parts;
  }

  /** While the process runs: measures the account where that is due. */
  async look(process: Process, signal: AbortSignal): Promise<void> {
    if (this.#walking === null && this.#isDue(process)) await this.#walk(process, signal);
  }

  /** When it is gone: measures the account, now or once that may be. @param again called where it is not to be now */
  async rest(signal: AbortSignal, again: () => void): Promise<void> {
    clearTimeout(this.#later);
    const leftMs = this.#leftMs(URGENT);
    if (leftMs > 0) this.#later = setTimeout(again, leftMs).unref();
    else await this.#walk(null, signal).catch(() => {});
  }

  #leftMs({ leastMs, times }: Pace): number {
    return Math.max(leastMs, this.#tookMs * times) - (performance.now() - this.#endedMs);
  }

  #isDue(process: Process): boolean {
    const { diskBytes, maxDiskBytes } = this.#allowance;
    if (diskBytes === null) return true;
    if (!this.#count(process)) return this.#leftMs(BLIND) <= 0;
    if (this.#sinceBytes === 0) return false;
    return this.#leftMs(diskBytes + this.#sinceBytes > maxDiskBytes ? URGENT : CALM) <= 0;
  }

  /** @returns false where it is not told what the process has written */
  #count(process: Process): boolean {
    const writtenBytes = writtenBytesOf(process.pid);
    if (writtenBytes === null) return false;
    this.#sinceBytes += writtenBytes - (this.#process === process ? this.#writtenBytes : 0);
    this.#process = process;
    this.#writtenBytes = writtenBytes;
    return true;
  }

  /** One at a time: whoever asks meanwhile shares it. */
  #walk(process: Process | null, signal: AbortSignal): Promise<void> {
    this.#walking ??= this.#measure(process, signal).finally(() => (this.#walking = null));
    return this.#walking;
  }

  async #measure(process: Process | null, signal: AbortSignal): Promise<void> {
    using _turn = await this.#parts.walks.enter(signal);
    const began = performance.now();
    if (process) this.#count(process);
    try {
      const bytes = await this.#bytes();
      if (signal.aborted) return;
      this.#allowance.measured(bytes);
      this.#sinceBytes = 0;
    } finally {
      this.#endedMs = performance.now();
      this.#tookMs = this.#endedMs - began;
    }
  }

  async #bytes(): Promise<number> {
    const most = this.#allowance.mostDiskBytes;
    try {
      return await this.#parts.files.diskBytes(this.#account, most);
    } catch (error) {
      // No Worker nests directories so deep: whatever did has more to hide.
      if (error instanceof Error && codeOf(error.cause) === "ENAMETOOLONG") return most + 1;
      throw error;
    }
  }
}
