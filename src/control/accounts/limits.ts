// Every cap of an account and its use, as the API tells them to agents and the pages to people: what the products say
// of themselves, and what the account has as a whole.
import type { CapsuleHost, Usage } from "../../capsule/messages.ts";
import { CAP_WINDOW_MS, CAPS, type Cap } from "../../capsule/caps.ts";
import type { CapsuleLimits } from "../../capsule/spec.ts";
import { TOKEN_BY_PERSON } from "../people/attempts.ts";
import type { Limit, Product } from "../products/product.ts";
import type { Account, Store } from "../store/store.ts";
import { LIVE_TOKENS_MAX } from "../tokens/owner-tokens.ts";

export type LimitsOptions = {
  readonly store: Store;
  readonly products: readonly Product[];
  readonly host: Pick<CapsuleHost, "usage">;
  readonly capsule: (account: Pick<Account, "state">) => CapsuleLimits;
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
    { name: "account.outbound_connections", unit: "count", max: capsule.egress.maxConnections, used: null },
  ];
}

/** What frees every ten minutes, by the names that the API tells. */
const CAP_LIMITS: Record<Cap, { readonly name: string; readonly unit: Limit["unit"]; readonly per?: number }> = {
  requests: { name: "requests", unit: "requests" },
  cpu_ms: { name: "cpu_seconds", unit: "seconds", per: 1_000 },
  served_bytes: { name: "served_bytes", unit: "bytes" },
  subrequests: { name: "subrequests", unit: "requests" },
  egress_bytes: { name: "egress_bytes", unit: "bytes" },
  egress_hosts: { name: "egress_hosts", unit: "count" },
  log_bytes: { name: "log_bytes", unit: "bytes" },
};

const capLimitName = (what: string): string => `account.${what}_per_${CAP_WINDOW_MS / 60_000}_minutes`;

/** @param usage null where host does not answer */
function ofCaps({ caps }: CapsuleLimits, usage: Usage | null): Limit[] {
  const uses = new Map(usage?.caps.map((use) => [use.cap, use]));
  return CAPS.map((cap) => {
    const { name, unit, per = 1 } = CAP_LIMITS[cap];
    const use = uses.get(cap);
    const used = use === undefined ? null : Math.round(use.used / per);
    return {
      name: capLimitName(name),
      unit,
      max: caps[cap] === 0 ? null : caps[cap] / per,
      used,
      freesAtMs: use?.freesAtMs ?? null,
    };
  });
}

/** How many tokens its owner may make; nobody makes any for an account without one. */
const tokensMade = ({ state }: Account): Limit => ({
  name: capLimitName("tokens_made"),
  unit: "count",
  max: state === "claimed" ? TOKEN_BY_PERSON.max : 0,
  used: null,
});

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
      tokensMade(account),
      ...ofProcess(capsule(account), usage),
      ...ofCaps(capsule(account), usage),
    ];
    const theirs: Limit[] = [];
    for (const { limits } of products) theirs.push(...((await limits?.(store.db, account)) ?? []));
    return [...own, ...theirs];
  };
}
