// The end of an account, resumable after a crash at any point: every step is idempotent and the row says
// `ending` until the last. Order: row and tokens, 410 and kill, sealing key, directory, remaining rows.
import type { CapsuleHost } from "../../capsule/messages.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { Keys } from "../keys/keys.ts";
import type { Principal } from "../permissions/authorize.ts";
import type { Product } from "../products/product.ts";
import type { EndReason } from "../store/schema.ts";
import type { Account, Store } from "../store/store.ts";
import { checkToken } from "../store/token-life.ts";
import type { Trail } from "../trail/trail.ts";
import { tombstoneOf } from "./lifecycle.ts";
import * as transitions from "./transitions.ts";

export type EndingOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly host: Pick<CapsuleHost, "end" | "erase">;
  readonly products: readonly Product[];
  readonly log: Log;
};

/** Who ends an account: the holder of a token, or its owner or an operator, who need none. */
export type Ender = Pick<Principal, "actors"> & {
  readonly token: string | null;
  /** Under which it may be ended; null: under any. */
  readonly epoch: number | null;
  /** The operator's key that stands in the trail in a token's place. */
  readonly key?: string | null;
};

export type Ending = {
  /** Commits the end: from here on nothing of the account is accepted. False when another end or a claim came first. @throws PlatformError token_refused */
  begin(account: AccountId, reason: EndReason, by: Ender | null): Promise<boolean>;
  /** Carries a begun end through; may be called again after any failure. @throws PlatformError capsule_failed */
  finish(account: AccountId): Promise<void>;
};

export function createEnding({ store, keys, trail, host, products, log }: EndingOptions): Ending {
  const begin: Ending["begin"] = (id, reason, by) =>
    store.transaction(async (tx) => {
      const now = store.clock.now();
      const account = await transitions.beginEnding(tx, id, reason, now, by?.epoch ?? null);
      if (!account) return false;
      if (by?.token) await checkToken(tx, account, by.token, now);
      await trail.append(tx, {
        at: now,
        account: id,
        task: account.task_id,
        actors: by?.actors ?? ["mayfly"],
        token: by?.token ?? by?.key ?? null,
        action: "account:ending",
        resource: `account/${id}`,
        outcome: "done",
        reason,
      });
      return true;
    });

  const eraseRows = (id: AccountId) =>
    store.endingAccount(id, async (tx, account) => {
      const now = store.clock.now();
      for (const product of products) await product.teardown(tx, id);
      await trail.append(tx, {
        at: now,
        account: id,
        task: account.task_id,
        actors: ["mayfly"],
        token: null,
        action: "account:deleted",
        resource: `account/${id}`,
        outcome: "done",
        ...(account.end_reason && { reason: account.end_reason }),
      });
      await transitions.finishEnding(tx, id, now);
    });

  const finish: Ending["finish"] = async (id) => {
    const account = await endingRow(store, id);
    const tombstone = account && tombstoneOf(account, store.clock.now());
    if (!tombstone) return;
    await host.end(tombstone);
    keys.destroyAccountKey(id);
    await host.erase(id);
    await eraseRows(id);
    await store.truncateLog();
    log.info({ account: id, reason: tombstone.reason }, "account deleted");
  };
  return { begin, finish };
}

async function endingRow(store: Store, id: AccountId): Promise<Account | undefined> {
  return store.db.selectFrom("accounts").selectAll().where("id", "=", id).where("state", "=", "ending").executeTakeFirst();
}
