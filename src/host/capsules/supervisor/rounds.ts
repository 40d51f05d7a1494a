// What is done again and again, one round after the other, until it is over: a round that fails ends nothing.
import { setTimeout as sleep } from "node:timers/promises";
import { PlatformError } from "../../../kernel/errors.ts";
import type { Log } from "../../../kernel/log.ts";

export type RoundsOptions = { readonly pauseMs: number; readonly signal: AbortSignal; readonly log: Log };

/** Works after each pause; returns once the signal is aborted. */
export async function rounds({ pauseMs, signal, log }: RoundsOptions, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    try {
      await sleep(pauseMs, undefined, { signal, ref: false });
      await work();
    } catch (error) {
      // Control being down is no news: lookups say so to whoever is concerned.
      if (!signal.aborted && !(error instanceof PlatformError)) log.error({ err: error }, "a round of upkeep failed");
    }
  }
}
