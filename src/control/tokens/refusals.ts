// Refusals in the trail: the first per token, action and minute as an entry of its own, the rest of that
// minute as one entry with their count. A flood of refusals costs one row a minute.
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Principal } from "../permissions/authorize.ts";
import type { Store } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";

/** Whoever was refused; `account` is null for an operator. */
export type Refused = Pick<Principal, "task" | "actors" | "token"> & { readonly account: AccountId | null };

type Bucket = {
  readonly principal: Refused;
  readonly action: Deed;
  readonly resource: string;
  readonly text: string;
  readonly reason: string;
  more: number;
};

const MINUTE_MS = 60_000;
/** Of the caller's words. */
const TEXT_MAX = 200;

export type Refusals = AsyncDisposable & {
  /** @param resource `product/id`; the product stands in the entry, the whole is sealed as the caller's words */
  record(principal: Refused, action: string, resource: string, reason: string): void;
  /** Writes the counts gathered so far. */
  flush(): Promise<void>;
};

export function openRefusals(options: { readonly store: Store; readonly trail: Trail; readonly log: Log }): Refusals {
  const { store, trail, log } = options;
  let buckets = new Map<string, Bucket>();

  const append = async (bucket: Bucket, count: number): Promise<void> => {
    const { principal, action, resource, text, reason } = bucket;
    const entry = {
      at: store.clock.now(),
      account: principal.account,
      task: principal.task,
      actors: principal.actors,
      token: principal.token,
      action,
      resource,
      outcome: "refused" as const,
      reason,
      count,
    };
    const write = (told: { readonly tenantText?: string }): Promise<void> =>
      store.transaction((tx) => trail.append(tx, { ...entry, ...told }));
    await write({ tenantText: text }).catch((error: unknown) => {
      // Its account ended meanwhile: what it asked for cannot be sealed any more, that it was refused stays true.
      if (error instanceof PlatformError && error.code === "account_gone") return write({});
      throw error;
    });
  };
  const flush = async (): Promise<void> => {
    const full = [...buckets.values()].filter((bucket) => bucket.more > 0);
    buckets = new Map();
    for (const bucket of full) await append(bucket, bucket.more);
  };
  const complain = (cause: unknown): void => log.error({ err: cause }, "a refusal could not be written to the trail");
  const timer = setInterval(() => void flush().catch(complain), MINUTE_MS).unref();

  return {
    record: (principal, action, resource, reason) => {
      const key = `${principal.token} ${action}`;
      const known = buckets.get(key);
      if (known) {
        known.more += 1;
        return;
      }
      const bucket = {
        principal,
        action: action as Deed,
        resource: resource.split("/", 1)[0] ?? "",
        text: resource.slice(0, TEXT_MAX),
        reason,
        more: 0,
      };
      buckets.set(key, bucket);
      append(bucket, 1).catch(complain);
    },
    flush,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await flush();
    },
  };
}
