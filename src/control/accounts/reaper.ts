// Ends what is due and finishes what was begun, a stopped one prolonging nothing: liveness is checked at use.
// On start it also sweeps keys whose account was deleted or never committed.
import type { Log } from "../../kernel/log.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store } from "../store/store.ts";
import type { Ending } from "./ending.ts";

const TICK_MS = 250;
const BATCH = 50;
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

async function begun(store: Store): Promise<AccountId[]> {
  const rows = await store.db.selectFrom("accounts").select("id").where("state", "=", "ending").orderBy("ended_at").limit(BATCH).execute();
  return rows.map((row) => row.id);
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

/** Starts the rounds; dispose to stop them and wait for the one under way. */
export function startReaper({ store, keys, ending, log }: ReaperOptions): Reaper {
  const finishing = new Map<AccountId, Promise<void>>();
  let ticks = 0;

  const finishOnce = async (id: AccountId): Promise<void> => {
    try {
      await ending.finish(id);
    } catch (err) {
      log.error({ err, account: id }, "an ending could not be finished; it is tried again");
    } finally {
      finishing.delete(id);
    }
  };
  const finish = (id: AccountId): Promise<void> => {
    const known = finishing.get(id) ?? finishOnce(id);
    finishing.set(id, known);
    return known;
  };
  const round = async (): Promise<void> => {
    for (const id of await due(store)) await ending.begin(id, "expired", null);
    await Promise.all((await begun(store)).map(finish));
    if (ticks++ % SWEEP_EVERY_TICKS === 0) keys.dropOperatorKeys(store.clock.now() - OPERATOR_RETENTION_MS);
  };

  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  const tick = (): void => {
    running = round()
      .catch((err: unknown) => log.error({ err }, "a round of the reaper failed"))
      .finally(() => {
        if (!stopped) setTimeout(tick, TICK_MS).unref();
      });
  };
  tick();
  return {
    round,
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      await running;
    },
  };
}
