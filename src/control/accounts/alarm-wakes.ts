// Alarms of Durable Objects in cold capsules: host says when the next one is due, and at that time the process is
// started, which runs it. Starting twice does no harm, so a row goes only after its start.
import type { Kysely } from "kysely";
import type { CapsuleHost } from "../../capsule/messages.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { Schema } from "../store/schema.ts";
import type { Store, Tx } from "../store/store.ts";
import { backOff, whileAlive, type WakeSource } from "./wakes.ts";

/** A process that is being started is left alone for so long, by whoever else looks. */
const STARTING_MS = 120_000;
/** An alarm that no start reached for so long waits for the next request like any other work. */
const LATE_MS = 86_400_000;

export type AlarmWakesOptions = { readonly store: Store; readonly host: Pick<CapsuleHost, "wake">; readonly log: Log };

/** What a database's whole numbers hold on either side; the time was read from what a tenant's process wrote. */
const LAST_MS = 8_640_000_000_000_000;

/** What host said last stands. @param wakeAtMs null where nothing in the account falls due */
export async function noteAlarm(tx: Tx, account: AccountId, wakeAtMs: number | null): Promise<void> {
  if (wakeAtMs === null) {
    await tx.deleteFrom("wakes").where("account_id", "=", account).execute();
    return;
  }
  const atMs = Math.min(Math.max(Math.ceil(wakeAtMs), 0), LAST_MS);
  await tx
    .insertInto("wakes")
    .values({ account_id: account, at: atMs, next_at: atMs })
    .onConflict((conflict) => conflict.column("account_id").doUpdateSet({ at: atMs, next_at: atMs }))
    .execute();
}

const serving = (db: Kysely<Schema>, nowMs: number) =>
  db
    .selectFrom("wakes")
    .innerJoin("accounts", "accounts.id", "wakes.account_id")
    .where("accounts.state", "in", ["temporary", "claimed"])
    .where("accounts.suspended_at", "is", null)
    .where((or) => or.or([or("accounts.expires_at", "is", null), or("accounts.expires_at", ">", nowMs)]));

/** Takes the row for one start. @returns the alarm's own time; null where another was first or the account stopped serving */
async function take({ store }: AlarmWakesOptions, account: AccountId): Promise<number | null> {
  const now = store.clock.now();
  const row = await whileAlive(store, account, async (tx, live) => {
    if (live.suspended_at !== null) return undefined;
    const due = tx.updateTable("wakes").set({ next_at: now + STARTING_MS });
    return due.where("account_id", "=", account).where("next_at", "<=", now).returning("at").executeTakeFirst();
  });
  return row?.at ?? null;
}

/** Whether the process may be had a little later. */
const isPassing = (error: unknown): boolean =>
  error instanceof PlatformError && (error.code === "capsule_failed" || error.code === "over_cap");

async function handOver({ store, host, log }: AlarmWakesOptions, account: AccountId, atMs: number): Promise<void> {
  const now = store.clock.now;
  try {
    await host.wake(account);
  } catch (err) {
    log.debug({ err, account }, "a capsule could not be woken");
    if (isPassing(err) && now() < atMs + LATE_MS) {
      await whileAlive(store, account, (tx) =>
        tx
          .updateTable("wakes")
          .set({ next_at: backOff(now(), atMs) })
          .where("account_id", "=", account)
          .where("at", "=", atMs)
          .execute(),
      );
      return;
    }
  }
  // Another time that host told meanwhile stays.
  await whileAlive(store, account, (tx) => tx.deleteFrom("wakes").where("account_id", "=", account).where("at", "=", atMs).execute());
}

export function alarmWakes(options: AlarmWakesOptions): WakeSource {
  const { store } = options;
  const { clock, db } = store;
  return {
    what: "an alarm",
    earliest: async () => {
      const row = await serving(db, clock.now()).select("wakes.next_at").orderBy("wakes.next_at").limit(1).executeTakeFirst();
      return row?.next_at ?? null;
    },
    due: (most) =>
      serving(db, clock.now())
        .select(["wakes.account_id as account", "wakes.account_id as id"])
        .where("wakes.next_at", "<=", clock.now())
        .orderBy("wakes.next_at")
        .limit(most)
        .execute(),
    take: async ({ account }) => {
      const atMs = await take(options, account);
      return atMs === null ? null : () => handOver(options, account, atMs);
    },
    delay: async ({ account }, atMs) => {
      await whileAlive(store, account, (tx) =>
        tx.updateTable("wakes").set({ next_at: atMs }).where("account_id", "=", account).where("next_at", "<=", clock.now()).execute(),
      );
    },
  };
}
