// Ends what is due and finishes what was begun, a stopped one prolonging nothing: liveness is checked at use.
// On start it also sweeps keys whose account was deleted or never committed.
import type { Log } from "../../kernel/log.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store } from "../store/store.ts";
import type { Ending } from "./ending.ts";

const TICK_MS = 250;
const BATCH = 50;
const MOST_AT_ONCE = 100;
/** Bound parameters of one statement. */
const MOST_PASSED_OVER = 500;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
const OPERATOR_RETENTION_MS = 90 * 86_400_000;
const SWEEP_EVERY_TICKS = 14_400;
/** A key this young without a row is of an account whose creation a crash cut short. */
const UNCOMMITTED_MS = 3_600_000;

export type Reaper = AsyncDisposable & {
  /** One round; resolves when everything due at its start has ended or failed. */
  round(): Promise<void>;
};

export type ReaperOptions = { readonly store: Store; readonly keys: Keys; readonly ending: Ending; readonly log: Log };

async function due(store: Store): Promise<AccountId[]> {
  const rows = await store.db
    .selectFrom("accounts")
    .select("id")
    .where("state", "in", ["temporary", "claimed"])
    .where("expires_at", "<=", store.clock.now())
    .orderBy("expires_at")
    .limit(BATCH)
    .execute();
  return rows.map((row) => row.id);
}

/** Endings to carry on, oldest first. @param passedOver under way, or to be left alone for now */
async function begun(store: Store, passedOver: readonly AccountId[]): Promise<AccountId[]> {
  let query = store.db.selectFrom("accounts").select("id").where("state", "=", "ending").orderBy("ended_at").limit(BATCH);
  if (passedOver.length > 0) query = query.where("id", "not in", passedOver);
  return (await query.execute()).map((row) => row.id);
}

/**
 * Destroys keys of deleted accounts, and fresh ones that no row knows: a crash between key and commit leaves one.
 * An older key without a row means another database than the one it belongs to, and is never touched: destroying it
 * could not be taken back. Run before requests are served.
 */
export async function sweepKeys(store: Store, keys: Keys, log: Log): Promise<void> {
  let foreign = 0;
  for (const id of keys.accountsWithKeys()) {
    const row = await store.db.selectFrom("accounts").select("state").where("id", "=", id).executeTakeFirst();
    const fresh = (keys.accountKeyMadeAtMs(id) ?? 0) > store.clock.now() - UNCOMMITTED_MS;
    if (row?.state === "deleted" || (!row && fresh)) keys.destroyAccountKey(id);
    else if (!row) foreign += 1;
  }
  if (foreign > 0) log.warn({ keys: foreign }, "keys of accounts that this database does not know: is MAYFLY_DATABASE_URL the right one?");
}

/** Endings that failed, each with the time before which it is not tried again: one in trouble never holds up the others. */
class Pauses {
  readonly #until = new Map<AccountId, { readonly atMs: number; readonly forMs: number }>();

  failed(id: AccountId): number {
    const forMs = Math.min((this.#until.get(id)?.forMs ?? FIRST_PAUSE_MS / 2) * 2, LONGEST_PAUSE_MS);
    this.#until.set(id, { atMs: performance.now() + forMs, forMs });
    return forMs;
  }

  done(id: AccountId): void {
    this.#until.delete(id);
  }

  get paused(): AccountId[] {
    const now = performance.now();
    return [...this.#until].filter(([, { atMs }]) => atMs > now).map(([id]) => id);
  }
}

/** Starts the rounds; dispose to stop them and wait for what is under way. */
export function startReaper({ store, keys, ending, log }: ReaperOptions): Reaper {
  const finishing = new Map<AccountId, Promise<void>>();
  const pauses = new Pauses();

  const finishOnce = async (id: AccountId): Promise<void> => {
    try {
      await ending.finish(id);
      pauses.done(id);
    } catch (err) {
      log.error({ err, account: id, againInMs: pauses.failed(id) }, "an ending could not be finished; it is tried again");
    } finally {
      finishing.delete(id);
    }
  };
  const finish = (id: AccountId): Promise<void> => {
    const known = finishing.get(id) ?? finishOnce(id);
    finishing.set(id, known);
    return known;
  };
  const beginDue = async (): Promise<void> => {
    for (const id of await due(store)) await ending.begin(id, "expired", null);
  };
  /** Does not wait for an ending: the next that falls due must not wait for a host that hangs. */
  const step = async (): Promise<void> => {
    await beginDue();
    const further =
      finishing.size < MOST_AT_ONCE ? await begun(store, [...finishing.keys(), ...pauses.paused].slice(0, MOST_PASSED_OVER)) : [];
    for (const id of further) void finish(id);
  };

  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  let steps = 0;
  const tick = (): void => {
    if (steps++ % SWEEP_EVERY_TICKS === 0) keys.dropOperatorKeys(store.clock.now() - OPERATOR_RETENTION_MS);
    running = step()
      .catch((err: unknown) => log.error({ err }, "a round of the reaper failed"))
      .finally(() => {
        if (!stopped) setTimeout(tick, TICK_MS).unref();
      });
  };
  tick();
  return {
    round: async () => {
      await beginDue();
      await Promise.all((await begun(store, [])).map(finish));
    },
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      await running;
      await Promise.all(finishing.values());
    },
  };
}
