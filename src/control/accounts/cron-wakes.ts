// Cron triggers that are due. An occurrence is handed to host at most once: it is taken before the call, and given back
// only where host or the process surely never began it. It is tried again until it is handed over, a later one falls due
// or a day has passed; lost is what control held in the instant in which it was killed, and what host held when it died.
import type { ScheduledCall } from "../../capsule/calls.ts";
import type { CapsuleHost } from "../../capsule/messages.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import type { Due, Schedules } from "../products/product.ts";
import type { Store } from "../store/store.ts";
import { backOff, whileAlive, type WakeSource } from "./wakes.ts";

export type CronWakesOptions = {
  readonly store: Store;
  readonly schedules: Schedules;
  readonly host: Pick<CapsuleHost, "schedule">;
  readonly log: Log;
};

/** The account has ended or is suspended. */
const isRefused = (error: unknown): boolean =>
  error instanceof PlatformError && (error.code === "account_gone" || error.code === "account_suspended");

/** Whether the handler cannot have begun. */
const isUnbegun = (error: unknown): boolean =>
  error instanceof PlatformError && (error.code === "over_cap" || (error.code === "capsule_failed" && error.detail["heard"] !== true));

export function cronWakes({ store, schedules, host, log }: CronWakesOptions): WakeSource {
  const { clock } = store;
  const delay = async (due: Due, atMs: number): Promise<void> => {
    await whileAlive(store, due.account, (tx) => schedules.delay(tx, due, clock.now(), atMs));
  };
  const handOver = async (due: Due, call: ScheduledCall): Promise<void> => {
    try {
      const { outcome } = await host.schedule(call);
      if (outcome !== "absent") return;
    } catch (err) {
      if (isRefused(err)) return;
      if (!isUnbegun(err)) throw err;
      log.debug({ err, account: due.account }, "a cron trigger could not be handed over; it is tried again");
    }
    await delay(due, backOff(clock.now(), call.scheduledTimeMs));
  };
  return {
    what: "a cron trigger",
    earliest: () => schedules.earliest(store.db, clock.now()),
    due: (most) => schedules.due(store.db, clock.now(), most),
    take: async (due) => {
      const call = await whileAlive(store, due.account, async (tx, account) => {
        const taken = await schedules.take(tx, due, clock.now());
        return account.suspended_at === null ? taken : null;
      });
      return call && (() => handOver(due, call));
    },
    delay,
  };
}
