// What host saw, written down: when a cold capsule is to be woken, goes to its row; restarts go to the account's trail, and a capsule that keeps failing is suspended, with
// the reason that the account's own token can read; but first it loses what strangers' visits brought into it, and goes
// on without. After a restart of ours host tells everything again, so an event that the trail holds already is passed
// over: an account that was mended since stays so.
import type { CapsuleEvent, CapsuleHost } from "../../capsule/messages.ts";
import type { Log } from "../../kernel/log.ts";
import type { Composer } from "../composer/composer.ts";
import { storeFailure } from "../store/failures.ts";
import type { Store, Tx } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";
import { noteAlarm } from "./alarm-wakes.ts";
import * as transitions from "./transitions.ts";
import { whileAlive } from "./wakes.ts";

const RETRY_MS = 1000;
/** Tries of an event that a bug keeps from being written; the events of other accounts wait behind it. */
const TRIES = 3;

export type CapsuleEventsOptions = {
  readonly store: Store;
  readonly trail: Trail;
  readonly composer: Composer;
  readonly host: Pick<CapsuleHost, "events">;
  /** To be told that a capsule is to be woken earlier than was known. */
  readonly rescheduled: () => void;
  readonly log: Log;
};

type Grief = Extract<CapsuleEvent, { kind: "restarted" | "suspend" }>;
type Refused = Extract<CapsuleEvent, { kind: "refused" }>;

const deedOf = (event: Grief): Deed => (event.kind === "suspend" ? "account:suspend" : "capsule:restart");

/** A process that nobody's visits trouble any more goes on. */
const RELIEVED: Deed = "capsule:relieve";

const entryOf = (event: Grief, action = deedOf(event)) => ({
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

async function isWritten(tx: Tx, event: Grief): Promise<boolean> {
  const row = await tx
    .selectFrom("trail")
    .select("id")
    .where("account_id", "=", event.account)
    .where("at", "=", event.atMs)
    .where("action", "in", [deedOf(event), RELIEVED])
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

type Cold = Extract<CapsuleEvent, { kind: "cold" }>;

async function recordCold({ store, rescheduled }: CapsuleEventsOptions, { account, wakeAtMs }: Cold): Promise<void> {
  await whileAlive(store, account, (tx) => noteAlarm(tx, account, wakeAtMs));
  rescheduled();
}

async function recordRefused({ store, trail }: CapsuleEventsOptions, event: Refused): Promise<void> {
  const { account, atMs: at, what, reason, count, hosts } = event;
  const action: Deed = what === "egress" ? "egress:connect" : `caps:${what}`;
  const entry = { at, account, task: null, actors: ["mayfly"], token: null, action, resource: `account/${account}` };
  await store.transaction(async (tx) => {
    // Told again after a restart of ours.
    const written = tx.selectFrom("trail").select("id").where("account_id", "=", account).where("at", "=", at);
    if (await written.where("action", "=", action).where("reason", "=", reason).limit(1).executeTakeFirst()) return;
    const operatorText = hosts.length > 0 ? JSON.stringify({ hosts }) : undefined;
    await trail.append(tx, { ...entry, outcome: "refused", reason, count, ...(operatorText !== undefined && { operatorText }) });
  });
}

/** Writes one event down, once however often it is told. */
export async function recordCapsuleEvent(options: CapsuleEventsOptions, event: CapsuleEvent): Promise<void> {
  if (event.kind === "cold") return recordCold(options, event);
  if (event.kind === "refused") return recordRefused(options, event);
  const { store, trail, composer } = options;
  const spec = await store.transaction(async (tx) => {
    if (await isWritten(tx, event)) return null;
    if (event.kind === "restarted") {
      await trail.append(tx, entryOf(event));
      return null;
    }
    const live = await transitions.hold(tx, event.account);
    if (!live) return null;
    if (await composer.rest(tx, live.id)) {
      await trail.append(tx, entryOf(event, RELIEVED));
      return composer.recompose(tx, live);
    }
    const account = await transitions.suspend(tx, event.account, "watchdog", event.reason, event.atMs);
    if (!account) return null;
    await trail.append(tx, entryOf(event));
    return composer.recompose(tx, account);
  });
  await composer.publish(spec);
}

/** Follows host's events until disposed. */
export function followCapsuleEvents(options: CapsuleEventsOptions): Disposable {
  const { host, log } = options;
  const stop = new AbortController();
  const pause = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, RETRY_MS).unref());

  const record = async (event: CapsuleEvent): Promise<void> => {
    for (let tries = 1; tries <= TRIES && !stop.signal.aborted;) {
      try {
        return await recordCapsuleEvent(options, event);
      } catch (err) {
        // A database that is away comes back, and nothing may be missing then.
        if (!storeFailure(err)) tries++;
        log.error({ err, account: event.account, kind: event.kind }, "what happened to a capsule could not be written down");
        await pause();
      }
    }
  };
  const follow = async (): Promise<void> => {
    let cursor = 0;
    while (!stop.signal.aborted) {
      try {
        for (const event of await host.events(cursor)) {
          await record(event);
          cursor = event.cursor;
        }
      } catch (err) {
        if (stop.signal.aborted) return;
        log.debug({ err }, "host's events could not be read");
        await pause();
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
