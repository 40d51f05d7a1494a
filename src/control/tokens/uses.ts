// When tokens were last used, to the minute: a look-up notes it in memory, and each minute what was noted is
// written. It decides nothing, so a crash may lose the last minute of it.
import type { Log } from "../../kernel/log.ts";
import type { Store } from "../store/store.ts";

const MINUTE_MS = 60_000;

export type TokenUses = AsyncDisposable & {
  note(token: string): void;
  /** The last use that was noted and is not written yet, in ms. */
  pending(token: string): number | null;
  /** Writes what was noted so far. */
  flush(): Promise<void>;
};

export function openTokenUses({ store, log }: { readonly store: Store; readonly log: Log }): TokenUses {
  // SQLite syncs its disk once a transaction, and others write between two of them. In PostgreSQL one that holds several
  // tokens' rows could stand in the way of an account's end that holds others and waits for these.
  const atOnce = store.kind === "sqlite" ? 200 : 1;
  let noted = new Map<string, number>();
  const flush = async (): Promise<void> => {
    if (noted.size === 0) return;
    const batch = noted;
    noted = new Map();
    // Not through inAccount(): nothing of the account changes, and the row of one that ended is gone.
    const uses = [...batch];
    for (let from = 0; from < uses.length; from += atOnce) {
      await store.transaction(async (tx) => {
        for (const [id, at] of uses.slice(from, from + atOnce)) {
          await tx.updateTable("tokens").set({ last_used_at: at }).where("id", "=", id).execute();
        }
      });
    }
  };
  const complain = (err: unknown): void => log.error({ err }, "the last uses of tokens could not be written");
  const timer = setInterval(() => void flush().catch(complain), MINUTE_MS).unref();
  return {
    note: (token) => void noted.set(token, store.clock.now()),
    pending: (token) => noted.get(token) ?? null,
    flush,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await flush().catch(complain);
    },
  };
}
