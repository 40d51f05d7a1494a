// Sets off by the clock what falls due while capsules are cold. Everything is rows: a restart forgets nothing, and of
// two control processes on one database whoever moves a row on first has it. It sleeps until the earliest row is due.
import type { Clock } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { Due } from "../products/product.ts";
import type { Account, Store, Tx } from "../store/store.ts";

/** Handlers that may be under way at once; what falls due beside them waits. */
const MOST = 1_000;
/** The same of one account. */
const MOST_OF_ACCOUNT = 50;
const CROWDED_MS = 5_000;
const BATCH = 50;
const MINUTE_MS = 60_000;
/** Rows of another control process, and a clock that was set, are seen after so long. */
const LONGEST_SLEEP_MS = 15_000;
const AFTER_FAILURE_MS = 1_000;
/** How long a stop waits for calls that may yet be refused, and whose rows must then go back. */
const STOP_WITHIN_MS = 2_000;

/** A kind of thing that falls due. */
export type WakeSource = {
  readonly what: string;
  earliest(): Promise<number | null>;
  /** Longest overdue first. */
  due(most: number): Promise<readonly Due[]>;
  /** Takes one in a transaction; null where another was first or nothing is to be done, else what hands it over. */
  take(due: Due): Promise<(() => Promise<void>) | null>;
  /** Due again at that time. */
  delay(due: Due, atMs: number): Promise<void>;
};

export type Wakes = AsyncDisposable & {
  /** Looks now: something may be due earlier than was known. */
  look(): void;
  /** Resolves when everything that is due has been taken and has run. */
  round(): Promise<void>;
};

export type WakesOptions = { readonly sources: readonly WakeSource[]; readonly clock: Clock; readonly log: Log };

/** From a refusal to the next try: as long again as it is late by half, so that all tries are few. */
export const backOff = (nowMs: number, dueAtMs: number): number => nowMs + Math.min(Math.max((nowMs - dueAtMs) / 2, 1_000), MINUTE_MS);

/** As inAccount for the platform itself; null for an account that has ended: nothing of it falls due. */
export async function whileAlive<T>(store: Store, account: AccountId, fn: (tx: Tx, live: Account) => Promise<T>): Promise<T | null> {
  try {
    return await store.inAccount({ account, epoch: null, token: null }, fn);
  } catch (error) {
    if (error instanceof PlatformError && error.code === "account_gone") return null;
    throw error;
  }
}

/** What has been taken or is being taken, and has not ended, by account. */
class UnderWay {
  readonly #all = new Set<Promise<void>>();
  readonly #byAccount = new Map<AccountId, number>();

  get room(): number {
    return MOST - this.#all.size;
  }

  /** Runs it, unless the account has as many as it may. */
  enter(account: AccountId, run: () => Promise<void>, ended: () => unknown): boolean {
    const held = this.#byAccount.get(account) ?? 0;
    if (held >= MOST_OF_ACCOUNT) return false;
    this.#byAccount.set(account, held + 1);
    const running = run().finally(() => {
      this.#leave(account);
      this.#all.delete(running);
      ended();
    });
    this.#all.add(running);
    return true;
  }

  #leave(account: AccountId): void {
    const left = (this.#byAccount.get(account) ?? 1) - 1;
    if (left === 0) this.#byAccount.delete(account);
    else this.#byAccount.set(account, left);
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#all);
  }
}

/** Takes what is due and starts what it runs. */
class Taking {
  readonly #options: WakesOptions;
  readonly #underWay = new UnderWay();
  /** Called when there is room again. */
  readonly #roomy: () => void;

  constructor(options: WakesOptions, roomy: () => void) {
    this.#options = options;
    this.#roomy = roomy;
  }

  /** Takes everything that is due. @returns when to look again; milliseconds since the epoch */
  async all(): Promise<number> {
    let soonest = Number.POSITIVE_INFINITY;
    for (const source of this.#options.sources) {
      for (let most = BATCH, found = BATCH; found === most;) {
        most = Math.min(BATCH, this.#underWay.room);
        if (most <= 0) return soonest;
        const due = await source.due(most);
        await Promise.all(due.map((one) => this.#begin(source, one)));
        found = due.length;
      }
      soonest = Math.min(soonest, (await source.earliest()) ?? Number.POSITIVE_INFINITY);
    }
    return soonest;
  }

  /** Resolves when it has been taken; what it then runs goes on. */
  async #begin(source: WakeSource, due: Due): Promise<void> {
    const { clock, log } = this.#options;
    const taken = Promise.withResolvers<void>();
    const put = (afterMs: number): Promise<void> => source.delay(due, clock.now() + afterMs).then(taken.resolve, taken.reject);
    const run = async (): Promise<void> => {
      const handOver = await source.take(due).catch((err: unknown) => {
        log.error({ err, account: due.account }, `${source.what} could not be taken; it is tried again`);
        // Left as it is, it would be found again at once, and for ever.
        return put(MINUTE_MS);
      });
      taken.resolve();
      await handOver?.().catch((err: unknown) => log.error({ err, account: due.account }, `${source.what} could not be set off`));
    };
    if (!this.#underWay.enter(due.account, run, () => this.#underWay.room === 1 && this.#roomy())) void put(CROWDED_MS);
    await taken.promise;
  }

  settled(): Promise<void> {
    return this.#underWay.settled();
  }
}

export function startWakes(options: WakesOptions): Wakes {
  const { clock, log } = options;
  const stop = new AbortController();
  const taking = new Taking(options, () => look());
  let timer: NodeJS.Timeout | undefined;
  let asked = false;
  let running: Promise<void> | null = null;
  const run = async (): Promise<void> => {
    let forMs = AFTER_FAILURE_MS;
    try {
      do {
        asked = false;
        const againAtMs = await taking.all();
        forMs = Math.min(Math.max(againAtMs - clock.now(), 0), LONGEST_SLEEP_MS);
      } while (asked && !stop.signal.aborted);
    } catch (err) {
      log.error({ err }, "what is due could not be read; it is tried again");
    }
    running = null;
    if (!stop.signal.aborted) timer = setTimeout(look, forMs).unref();
  };
  function look(): void {
    asked = true;
    if (stop.signal.aborted || running) return;
    clearTimeout(timer);
    running = run();
  }
  look();
  return {
    look,
    round: async () => {
      look();
      await running;
      await taking.settled();
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      clearTimeout(timer);
      await running;
      const late = Promise.withResolvers<void>();
      timer = setTimeout(late.resolve, STOP_WITHIN_MS);
      await Promise.race([taking.settled(), late.promise]);
      clearTimeout(timer);
    },
  };
}
