// Old records go a few at a time, aside from the calls that come by.
import type { Log } from "../../kernel/log.ts";
import type { Store } from "../store/store.ts";
import { prune } from "./records.ts";

const PRUNE_EVERY_MS = 60_000;

/** Runs `prune` at most once a minute; dispose waits for the one under way. */
export function createPruning(store: Store, log: Log) {
  let nextAtMs = 0;
  let running: Promise<void> = Promise.resolve();
  return {
    passBy: (nowMs: number): void => {
      if (nowMs < nextAtMs) return;
      nextAtMs = nowMs + PRUNE_EVERY_MS;
      running = prune(store.db, nowMs).catch((err: unknown) => log.warn({ err }, "old admissions could not be pruned"));
    },
    [Symbol.asyncDispose]: () => running,
  };
}
