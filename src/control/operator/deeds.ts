// What an operator does to accounts. Each deed and its trail entry are one transaction, under the person's name and the
// key's id; host is told what was committed.
import { PlatformError } from "../../kernel/errors.ts";
import { ACCOUNT_ID, type AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { Ending } from "../accounts/ending.ts";
import * as transitions from "../accounts/transitions.ts";
import type { Composer } from "../composer/composer.ts";
import type { Operator } from "../http/routes.ts";
import type { Keys } from "../keys/keys.ts";
import type { Account, Store, Tx } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";
import { madeFrom } from "./made-from.ts";

/** Accounts that one deed ends. */
export const ENDED_AT_ONCE = 200;

export type DeedsOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly composer: Pick<Composer, "recompose" | "publish">;
  readonly ending: Ending;
  readonly log: Log;
};

export type Ended = {
  readonly account: Account;
  readonly endedAtMs: number;
  /** False where what it held is still to be erased. */
  readonly erased: boolean;
};

export type Deeds = {
  /** @throws PlatformError account_not_found */
  account(id: string): Promise<Account>;
  /** @param reason shown to callers @throws PlatformError account_not_found, account_gone, capsule_failed */
  suspend(by: Operator, id: string, reason: string): Promise<Account>;
  /** @throws PlatformError account_not_found, account_gone, precondition_failed when it is not suspended, capsule_failed */
  release(by: Operator, id: string): Promise<Account>;
  /** @throws PlatformError account_not_found, account_gone */
  end(by: Operator, id: string): Promise<Ended>;
  /** Ends what callers from the range made within the hour and nobody claimed. @returns those that were ended, and how many are left */
  endMadeFrom(by: Operator, range: string): Promise<{ readonly ended: AccountId[]; readonly left: number }>;
};

const noSuch = (): PlatformError =>
  new PlatformError("account_not_found", {
    message: "account: there is no such account.",
    next: "List the accounts and use one of their ids.",
  });

async function read({ store }: DeedsOptions, id: string): Promise<Account> {
  const named = store.db
    .selectFrom("accounts")
    .selectAll()
    .where("id", "=", id as AccountId);
  const account = ACCOUNT_ID.test(id) ? await named.executeTakeFirst() : undefined;
  if (!account) throw noSuch();
  return account;
}

/** Changes the account's row, writes the deed down, and hands host the spec that follows from it. */
async function change(
  options: DeedsOptions,
  by: Operator,
  id: string,
  deed: { readonly action: Deed; readonly reason?: string; readonly perform: (tx: Tx, account: Account) => Promise<Account> },
): Promise<Account> {
  const { store, trail, composer } = options;
  const { id: account } = await read(options, id);
  const { changed, spec } = await store.inAccount({ account, epoch: null, token: null }, async (tx, live) => {
    const changed = await deed.perform(tx, live);
    await trail.append(tx, {
      at: store.clock.now(),
      account,
      task: live.task_id,
      actors: [`person/${by.person}`],
      token: by.key,
      action: deed.action,
      resource: `account/${account}`,
      outcome: "done",
      ...(deed.reason !== undefined && { reason: deed.reason }),
    });
    return { changed, spec: await composer.recompose(tx, changed) };
  });
  try {
    await composer.publish(spec);
  } catch (cause) {
    throw new PlatformError("capsule_failed", {
      message: "This is saved, but the part of this installation that runs Workers could not be told.",
      next: "It is told as soon as it answers; look at the account again in a moment.",
      cause,
    });
  }
  return changed;
}

/** @param epoch under which it may be ended, so that a claim in between saves it; null: under any */
async function end({ store, ending, log }: DeedsOptions, by: Operator, account: Account, epoch: number | null): Promise<Ended> {
  const endedAtMs = store.clock.now();
  const ender = { actors: [`person/${by.person}`], token: null, key: by.key, epoch };
  if (!(await ending.begin(account.id, "operator", ender))) {
    throw new PlatformError("account_gone", { message: "This account has ended.", next: "There is nothing left to end." });
  }
  const erased = await ending.finish(account.id).then(
    () => true,
    (err: unknown) => {
      log.error({ err, account: account.id }, "an ended account could not be erased at once; the reaper goes on");
      return false;
    },
  );
  return { account, endedAtMs, erased };
}

async function endMadeFrom(options: DeedsOptions, by: Operator, range: string) {
  const found = await madeFrom(options, range);
  const ended: AccountId[] = [];
  for (const id of found.slice(0, ENDED_AT_ONCE)) {
    const account = await read(options, id);
    // Claimed since it was found: it is a person's now.
    if (account.state !== "temporary") continue;
    const done = await end(options, by, account, account.auth_epoch).catch((error: unknown) => {
      // Its own end or a claim came first.
      if (error instanceof PlatformError && error.code === "account_gone") return null;
      throw error;
    });
    if (done) ended.push(id);
  }
  return { ended, left: Math.max(0, found.length - ENDED_AT_ONCE) };
}

export function createDeeds(options: DeedsOptions): Deeds {
  const { store } = options;
  const stands = (account: Account | undefined): Account => {
    if (account) return account;
    throw new PlatformError("precondition_failed", { message: "This account is not suspended.", next: "There is nothing to release." });
  };
  return {
    account: (id) => read(options, id),
    suspend: (by, id, reason) =>
      change(options, by, id, {
        action: "account:suspend",
        reason,
        perform: async (tx, { id }) => stands(await transitions.suspend(tx, id, "operator", reason, store.clock.now())),
      }),
    release: (by, id) =>
      change(options, by, id, { action: "account:release", perform: async (tx, { id }) => stands(await transitions.release(tx, id)) }),
    end: async (by, id) => end(options, by, await read(options, id), null),
    endMadeFrom: (by, range) => endMadeFrom(options, by, range),
  };
}
