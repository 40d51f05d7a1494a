// Processes started before what they will run is there: an account whose upload is being tried wants one in a moment.
// One an account, and that account's alone: its user id, its directories, its groups. It has nothing of a tenant's and
// touches no state until it is taken; unused it is killed after a while, and first of all when there is need.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Occupant } from "./gates.ts";
import type { Prepared, RunLimits } from "./run.ts";

export type AheadOptions = {
  readonly prepare: (account: AccountId, limits: RunLimits) => Promise<Prepared>;
  /** A place among the living processes, if one is free. */
  readonly tryPlace: () => Disposable | null;
  /** How long one waits to be taken. */
  readonly keepMs: number;
  /** Those that come up at once; further accounts get theirs when they deploy, through the gate. */
  readonly maxPreparing: number;
};

class Waiting implements Occupant {
  readonly limits: RunLimits;
  readonly #prepared: Promise<Prepared | null>;
  /** Takes it off the list and gives its place back; repeating it is harmless. */
  readonly #leave: () => void;
  #gone: Promise<void> | null = null;
  #taken = false;

  constructor(prepared: Promise<Prepared>, limits: RunLimits, leave: () => void) {
    this.limits = limits;
    this.#leave = leave;
    // Why it did not start is told by the start that somebody waits for.
    this.#prepared = prepared.catch(() => null);
    void this.#endsByItself();
  }

  /** Before everyone who serves: nobody has asked for it. */
  get idleSinceMs(): number | null {
    return this.#gone === null ? 0 : null;
  }

  async #endsByItself(): Promise<void> {
    const prepared = await this.#prepared;
    const process = await prepared?.process.catch(() => null);
    await process?.exited;
    if (!this.#taken) await this.stopIdle();
  }

  /** From the call on it is the caller's; null when it is on its way out, and gone then. */
  async take(): Promise<Prepared | null> {
    if (this.#gone !== null) {
      await this.#gone;
      return null;
    }
    this.#taken = true;
    this.#leave();
    return this.#prepared;
  }

  stopIdle(): Promise<void> {
    this.#gone ??= this.#discard();
    return this.#gone;
  }

  async #discard(): Promise<void> {
    await (await this.#prepared)?.discard();
    this.#leave();
  }
}

const equal = (a: RunLimits, b: RunLimits): boolean =>
  a.memoryBytes === b.memoryBytes && a.cpuWeight === b.cpuWeight && a.maxProcesses === b.maxProcesses && a.maxDiskBytes === b.maxDiskBytes;

export class Ahead implements AsyncDisposable {
  readonly #options: AheadOptions;
  /** Those on their way out included, so that an account's end waits for them too. */
  readonly #waiting = new Map<AccountId, Waiting>();
  #preparing = 0;
  #over = false;

  constructor(options: AheadOptions) {
    this.#options = options;
  }

  /** Starts one for the account, unless it has one or there is no room. */
  begin(account: AccountId, limits: RunLimits): void {
    if (this.#over || this.#waiting.has(account) || this.#preparing >= this.#options.maxPreparing) return;
    const place = this.#options.tryPlace();
    if (place === null) return;
    const waiting: Waiting = new Waiting(this.#prepare(account, limits), limits, () => {
      clearTimeout(timer);
      place[Symbol.dispose]();
      if (this.#waiting.get(account) === waiting) this.#waiting.delete(account);
    });
    const timer = setTimeout(() => void waiting.stopIdle(), this.#options.keepMs).unref();
    this.#waiting.set(account, waiting);
  }

  #prepare(account: AccountId, limits: RunLimits): Promise<Prepared> {
    const prepared = this.#options.prepare(account, limits);
    this.#preparing++;
    const up = (): void => void this.#preparing--;
    prepared.then(({ process }) => process).then(up, up);
    return prepared;
  }

  /** Places that are held by none who serves. */
  get places(): number {
    return this.#waiting.size;
  }

  has(account: AccountId): boolean {
    return this.#waiting.has(account);
  }

  /** The account's, if one waits under these very limits; any other is gone then. */
  async take(account: AccountId, limits: RunLimits): Promise<Prepared | null> {
    const waiting = this.#waiting.get(account);
    if (waiting === undefined) return null;
    if (equal(waiting.limits, limits)) return waiting.take();
    await waiting.stopIdle();
    return null;
  }

  /** From its return on none of the account's is left that nobody took. */
  async drop(account: AccountId): Promise<void> {
    await this.#waiting.get(account)?.stopIdle();
  }

  occupants(): Iterable<Occupant> {
    return this.#waiting.values();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await Promise.all(Array.from(this.#waiting.values(), (waiting) => waiting.stopIdle()));
  }
}
