// Every cap of an account and its use, as the API tells them to agents and the pages to people: what the products say
// of themselves, and what the account has as a whole.
import type { CapsuleHost, Usage } from "../../capsule/messages.ts";
import type { CapsuleLimits } from "../../capsule/spec.ts";
import type { Limit, Product } from "../products/product.ts";
import type { Account, Store } from "../store/store.ts";
import { LIVE_TOKENS_MAX } from "../tokens/owner-tokens.ts";

export type LimitsOptions = {
  readonly store: Store;
  readonly products: readonly Product[];
  readonly host: Pick<CapsuleHost, "usage">;
  readonly capsule: CapsuleLimits;
};

export type LimitsOf = (account: Account) => Promise<readonly Limit[]>;

async function workingTokens({ db, clock }: Store, account: Account): Promise<number> {
  const row = await db
    .selectFrom("tokens")
    .select((of) => of.fn.countAll<number>().as("count"))
    .where("account_id", "=", account.id)
    .where("ended_at", "is", null)
    .where("epoch", "=", account.auth_epoch)
    .where((or) => or.or([or("expires_at", "is", null), or("expires_at", ">", clock.now())]))
    .executeTakeFirstOrThrow();
  return row.count;
}

function lifeOf({ created_at, expires_at }: Account, nowMs: number): Limit {
  const seconds = (ms: number): number => Math.floor(ms / 1000);
  return {
    name: "account.life",
    unit: "seconds",
    max: expires_at === null ? null : seconds(expires_at - created_at),
    used: seconds(nowMs - created_at),
  };
}

/** @param usage null where host does not answer */
function ofProcess(capsule: CapsuleLimits, usage: Usage | null): Limit[] {
  return [
    { name: "account.disk_bytes", unit: "bytes", max: capsule.maxDiskBytes, used: usage?.diskBytes ?? null },
    { name: "account.memory_bytes", unit: "bytes", max: capsule.memoryBytes, used: usage?.pssBytes ?? null },
    { name: "account.cpu_weight", unit: "count", max: capsule.cpuWeight, used: null },
    { name: "account.inner_requests", unit: "requests", max: capsule.maxInnerRequests, used: null },
  ];
}

export function createLimits({ store, products, host, capsule }: LimitsOptions): LimitsOf {
  return async (account) => {
    const usage = await host.usage(account.id).catch(() => null);
    const own: Limit[] = [
      lifeOf(account, store.clock.now()),
      {
        name: "account.tokens",
        unit: "count",
        max: account.state === "claimed" ? LIVE_TOKENS_MAX : 1,
        used: await workingTokens(store, account),
      },
      ...ofProcess(capsule, usage),
    ];
    const theirs: Limit[] = [];
    for (const { limits } of products) theirs.push(...((await limits?.(store.db, account)) ?? []));
    return [...own, ...theirs];
  };
}
