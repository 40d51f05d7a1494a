// How full the whole installation is, read at most once a second and after every account: the price and the first
// refusals need no more. What makes an account asks the database again, in its transaction.
import { statfs } from "node:fs/promises";
import type { Store } from "../store/store.ts";
import { refuseAccounts, refuseFull, type Limits } from "./limits.ts";
import type { Load } from "./pressure.ts";
import { countLive, countMade, liveWaitMs, waitMs } from "./records.ts";

const FRESH_MS = 1000;
/** Until somebody's account ends, or the operator makes room: asked again within the minute. */
const ROOM_WAIT_MS = 60_000;

export type Fullness = {
  /** Accounts made within the hour, and those that live unclaimed. */
  readonly made: number;
  readonly live: number;
  /** When each refusal ends; 0 where there is none. */
  readonly madeFreesAtMs: number;
  readonly liveFreesAtMs: number;
  readonly diskFreesAtMs: number;
};

export type InstallationOptions = {
  readonly store: Store;
  readonly limits: Limits;
  /** Whose file system holds the accounts. */
  readonly data: string;
  /** Bytes of it that stay free; 0: as much as there is. */
  readonly diskReserveBytes: number;
};

const EMPTY: Fullness = { made: 0, live: 0, madeFreesAtMs: 0, liveFreesAtMs: 0, diskFreesAtMs: 0 };

async function isDiskShort({ data, diskReserveBytes }: InstallationOptions): Promise<boolean> {
  if (diskReserveBytes === 0) return false;
  const { bavail, bsize } = await statfs(data);
  return bavail * bsize < diskReserveBytes;
}

async function read(options: InstallationOptions): Promise<Fullness> {
  const { store, limits } = options;
  const [nowMs, diskShort] = [store.clock.now(), await isDiskShort(options)];
  const made = await countMade(store.db, "installation", null, nowMs);
  const live = await countLive(store.db, nowMs);
  const mostMade = limits.accounts.installation;
  const madeWaitMs = made < mostMade ? 0 : await waitMs(store.db, "installation", null, mostMade, nowMs);
  const liveWait = live.count < limits.liveAccounts ? 0 : await liveWaitMs(store.db, limits.liveAccounts, nowMs);
  return {
    made,
    live: live.count,
    madeFreesAtMs: madeWaitMs && nowMs + madeWaitMs,
    liveFreesAtMs: liveWait && nowMs + liveWait,
    diskFreesAtMs: diskShort ? Math.max(nowMs + 1000, live.nextEndMs ?? nowMs + ROOM_WAIT_MS) : 0,
  };
}

export class Installation {
  readonly #options: InstallationOptions;
  #last: Fullness = EMPTY;
  #atMs = -Infinity;
  /** Rises with every account, so that what was read before one is not taken for fresh. */
  #changes = 0;
  #reading: Promise<Fullness> | null = null;

  constructor(options: InstallationOptions) {
    this.#options = options;
  }

  /** What was read last. */
  get last(): Fullness {
    return this.#last;
  }

  /** Somebody made an account: what was read is not so any more. */
  changed(): void {
    this.#changes++;
    this.#atMs = -Infinity;
  }

  async look(): Promise<Fullness> {
    const nowMs = this.#options.store.clock.now();
    if (Math.abs(nowMs - this.#atMs) < FRESH_MS) return this.#last;
    this.#reading ??= this.#read(nowMs).finally(() => (this.#reading = null));
    return this.#reading;
  }

  /** @throws PlatformError machine_full, too_many_accounts */
  async requireRoom(): Promise<void> {
    const { madeFreesAtMs, liveFreesAtMs, diskFreesAtMs } = await this.look();
    const nowMs = this.#options.store.clock.now();
    refuseFull("disk", diskFreesAtMs - nowMs);
    refuseFull("live_accounts", liveFreesAtMs - nowMs);
    refuseAccounts("installation", this.#options.limits.accounts.installation, madeFreesAtMs - nowMs);
  }

  async #read(nowMs: number): Promise<Fullness> {
    const changes = this.#changes;
    this.#last = await read(this.#options);
    if (changes === this.#changes) this.#atMs = nowMs;
    return this.#last;
  }

  loads(): Load[] {
    const { limits } = this.#options;
    return [
      { count: this.#last.made, limit: limits.accounts.installation },
      { count: this.#last.live, limit: limits.liveAccounts },
    ];
  }
}
