// What host saw, written down: restarts go to the account's trail, a capsule that keeps failing is suspended,
// with the reason that the account's own token can read.
import type { CapsuleEvent, CapsuleHost } from "../../capsule/messages.ts";
import type { Log } from "../../kernel/log.ts";
import type { Composer } from "../composer/composer.ts";
import type { Store } from "../store/store.ts";
import type { Trail } from "../trail/trail.ts";
import * as transitions from "./transitions.ts";

const RETRY_MS = 1000;

export type CapsuleEventsOptions = {
  readonly store: Store;
  readonly trail: Trail;
  readonly composer: Composer;
  readonly host: Pick<CapsuleHost, "events">;
  readonly log: Log;
};

const entryOf = (event: CapsuleEvent, action: "capsule:restart" | "account:suspend") => ({
  at: event.atMs,
  account: event.account,
  task: null,
  actors: ["mayfly"],
  token: null,
  action,
  resource: `account/${event.account}`,
  outcome: "done" as const,
  reason: event.reason,
});

/** Follows host's events until disposed. */
export function followCapsuleEvents({ store, trail, composer, host, log }: CapsuleEventsOptions): Disposable {
  let cursor = 0;
  const stop = new AbortController();

  const restarted = (event: CapsuleEvent): Promise<void> => store.transaction((tx) => trail.append(tx, entryOf(event, "capsule:restart")));
  const suspend = async (event: CapsuleEvent): Promise<void> => {
    const spec = await store.transaction(async (tx) => {
      const account = await transitions.suspend(tx, event.account, "watchdog", event.reason, event.atMs);
      if (!account) return null;
      await trail.append(tx, entryOf(event, "account:suspend"));
      return composer.recompose(tx, account);
    });
    await composer.publish(spec);
  };
  const follow = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        for (const event of await host.events(cursor)) {
          await (event.kind === "suspend" ? suspend(event) : restarted(event));
          cursor = event.cursor;
        }
      } catch (err) {
        if (stop.signal.aborted) return;
        log.debug({ err }, "host's events could not be read");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
  };
  void follow();
  return {
    [Symbol.dispose]: () => {
      stop.abort();
    },
  };
}
