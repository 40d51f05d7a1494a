// The tails that are open or wait to be: made by a call that was authorized, opened once, ended by whichever comes
// first of DELETE, the client, their time, their token's end. In memory, since a tail is a connection to this process;
// each beginning and end is in the trail.
import type { Readable } from "node:stream";
import type { TailQuery } from "../../capsule/logs.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { newId, type AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { Principal } from "../permissions/authorize.ts";
import { noWorker, type Product, type ProductContext } from "../products/product.ts";
import type { Store, Tx } from "../store/store.ts";
import type { Entry, Trail } from "../trail/trail.ts";
import type { Finality } from "./watch.ts";
import { CONNECT_WITHIN_SECONDS, tailRefused } from "./tail-capability.ts";

const LIFE_MS = 4 * 3_600_000;
/** Host carries as many, too. */
export const TAILS_PER_ACCOUNT = 10;
const SWEEP_EVERY_MS = 1000;
/** For a DELETE that comes after the connection is gone. */
const REMEMBERED_MS = 60_000;

export type Tail = {
  readonly id: string;
  readonly account: AccountId;
  readonly script: string;
  readonly query: TailQuery;
  readonly principal: Principal;
  readonly createdAtMs: number;
  expiresAtMs: number;
  state: "waiting" | "opening" | "open" | "ended";
  endedAtMs: number | null;
  /** What host tells; ended with the tail. */
  source: Readable;
  /** Closes the connection. */
  hangUp: (why: string, how: Finality) => void;
};

export type Tails = {
  /** @throws PlatformError worker_not_found, too_many_streams, as `openSource` and store.inAccount */
  create(principal: Principal, script: string, query: TailQuery, openSource: () => Promise<Readable>): Promise<Tail>;
  /** @throws PlatformError worker_not_found */
  checkWorker(account: AccountId, script: string): Promise<void>;
  list(account: AccountId, script: string): readonly Tail[];
  /**
   * Idempotent for a minute. Another token's tail is a change to who else works on the Worker, and wants what that wants.
   * @throws PlatformError tail_not_found; forbidden, after recording the refusal
   */
  remove(principal: Principal, script: string, id: string): void;
  /** The tail, now opening. @throws PlatformError tail_invalid unless it waits */
  take(account: string, id: string): Tail;
  /** @param by who ended it; this installation unless told otherwise */
  end(tail: Tail, why: string, how?: Finality, by?: Principal): void;
  /** Ends all; resolves once that is in the trail. */
  stop(): Promise<void>;
};

export type TailsOptions = {
  readonly store: Store;
  readonly trail: Trail;
  readonly workers: Product;
  readonly require: ProductContext["require"];
  readonly log: Log;
};

type By = Pick<Principal, "task" | "actors"> & { readonly token: string | null };

const ourselves = (tail: Tail): By => ({ task: tail.principal.task, actors: ["mayfly"], token: null });

const entry = (tail: Tail, at: number, action: "tails:open" | "tails:end", { task, actors, token }: By): Entry => ({
  at,
  account: tail.account,
  task,
  actors,
  token,
  action,
  resource: `workers/${tail.script}`,
  outcome: "done",
});

function checkRoom(all: Iterable<Tail>, account: AccountId): void {
  const open = [...all].filter((tail) => tail.account === account && tail.state !== "ended").length;
  if (open < TAILS_PER_ACCOUNT) return;
  throw new PlatformError("too_many_streams", {
    message: `This account has ${open} tails open, as many as it may have.`,
    next: "End one of the other `wrangler tail`s, or DELETE one that GET …/tails lists.",
    retryAfterSeconds: CONNECT_WITHIN_SECONDS,
  });
}

async function begin(options: TailsOptions, tail: Tail): Promise<void> {
  const { store, trail, workers } = options;
  const { account, script, principal } = tail;
  await store.inAccount(principal, async (tx: Tx, row) => {
    if ((await workers.resolve(tx, account, script)) === null) throw noWorker(script);
    const ends = [tail.expiresAtMs, row.expires_at, principal.expiresAtMs].filter((end) => end !== null);
    tail.expiresAtMs = Math.min(...ends);
    await trail.append(tx, entry(tail, store.clock.now(), "tails:open", principal));
  });
}

export function openTails(options: TailsOptions): Tails {
  const { store, trail, workers, require, log } = options;
  const { clock } = store;
  const tails = new Map<string, Tail>();
  const writing = new Set<Promise<void>>();
  let isStopped = false;

  const end: Tails["end"] = (tail, why, how = "final", by) => {
    if (tail.state === "ended") return;
    tail.state = "ended";
    tail.endedAtMs = clock.now();
    tail.source.destroy();
    tail.hangUp(why, how);
    const written = store
      .transaction((tx) => trail.append(tx, { ...entry(tail, clock.now(), "tails:end", by ?? ourselves(tail)), reason: why }))
      .catch((err: unknown) => log.error({ err, tail: tail.id }, "the end of a tail could not be written to the trail"))
      .finally(() => writing.delete(written));
    writing.add(written);
  };
  const sweep = (): void => {
    const now = clock.now();
    for (const tail of tails.values()) {
      if (tail.state === "waiting" && now >= tail.createdAtMs + CONNECT_WITHIN_SECONDS * 1000) end(tail, "nobody connected");
      if (now >= tail.expiresAtMs) end(tail, "The time of this tail is over; run `wrangler tail` again.");
      if (tail.endedAtMs !== null && now >= tail.endedAtMs + REMEMBERED_MS) tails.delete(tail.id);
    }
  };
  const timer = setInterval(sweep, SWEEP_EVERY_MS).unref();

  return {
    checkWorker: async (account, script) => {
      const found = await store.snapshot((tx) => workers.resolve(tx, account, script));
      if (found === null) throw noWorker(script);
    },
    create: async (principal, script, query, openSource) => {
      const { account } = principal;
      if (isStopped) throw new PlatformError("capsule_failed", { message: "The server stops." });
      checkRoom(tails.values(), account);
      const source = await openSource();
      const now = clock.now();
      const life = { createdAtMs: now, expiresAtMs: now + LIFE_MS, state: "waiting" as const, endedAtMs: null };
      const tail: Tail = { id: newId(), account, script, query, principal, ...life, source, hangUp: () => {} };
      try {
        // Again, since other calls may have gone on meanwhile; counted from here on.
        checkRoom(tails.values(), account);
        tails.set(tail.id, tail);
        await begin(options, tail);
      } catch (error) {
        tails.delete(tail.id);
        source.destroy();
        throw error;
      }
      return tail;
    },
    list: (account, script) =>
      [...tails.values()].filter((tail) => tail.account === account && tail.script === script && tail.state !== "ended"),
    remove: (principal, script, id) => {
      const { account } = principal;
      const tail = tails.get(id);
      if (!tail || tail.account !== account || tail.script !== script) {
        throw new PlatformError("tail_not_found", { message: `The Worker has no tail ${JSON.stringify(id.slice(0, 80))}.` });
      }
      if (tail.principal.token !== principal.token) require(principal, "workers:write", { account, product: "workers", id: script });
      end(tail, "The tail was deleted.", "final", principal);
    },
    take: (account, id) => {
      const tail = tails.get(id);
      const isLate = !tail || clock.now() >= Math.min(tail.expiresAtMs, tail.createdAtMs + CONNECT_WITHIN_SECONDS * 1000);
      if (!tail || isLate || tail.account !== account || tail.state !== "waiting") throw tailRefused();
      tail.state = "opening";
      return tail;
    },
    end,
    stop: async () => {
      isStopped = true;
      clearInterval(timer);
      for (const tail of tails.values()) end(tail, "The server stops.", "renew");
      await Promise.all(writing);
    },
  };
}
