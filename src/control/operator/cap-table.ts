// Every number that stops somebody, for temporary and claimed accounts: as this process uses it, with the setting that
// an operator changes it by. The settings' own table is config.ts's; a test holds the two together.
import type { Cap } from "../../capsule/caps.ts";
import type { CapsuleLimits } from "../../capsule/spec.ts";
import { newAccountId, newSubdomain } from "../../kernel/ids.ts";
import { titleOf } from "../accounts/limit-words.ts";
import type { Product } from "../products/product.ts";
import type { Account, Store } from "../store/store.ts";

export type CapRow = {
  readonly name: string;
  /** Null where it is fixed. */
  readonly setting: string | null;
  readonly unit: string;
  /** Null: no cap. Of what concerns no account in particular both are the same. */
  readonly temporary: number | string | null;
  readonly claimed: number | string | null;
  readonly what: string;
};

type CapWords = { readonly setting: string; readonly unit: string; readonly per: number; readonly what: string };
const inTen = (what: string): string => `${what}, in ten minutes`;

const CAP_WORDS: Readonly<Record<Cap, CapWords>> = {
  requests: { setting: "MAYFLY_CAP_REQUESTS", unit: "requests", per: 1, what: inTen("Requests from callers") },
  cpu_ms: { setting: "MAYFLY_CAP_CPU_SECONDS", unit: "seconds", per: 1000, what: inTen("CPU time of the process") },
  served_bytes: { setting: "MAYFLY_CAP_SERVED_BYTES", unit: "bytes", per: 1, what: inTen("Answers to callers") },
  subrequests: { setting: "MAYFLY_CAP_SUBREQUESTS", unit: "requests", per: 1, what: inTen("Requests of its Workers to other hosts") },
  egress_bytes: { setting: "MAYFLY_CAP_EGRESS_BYTES", unit: "bytes", per: 1, what: inTen("Between its Workers and the outside") },
  egress_hosts: { setting: "MAYFLY_CAP_EGRESS_HOSTS", unit: "hosts", per: 1, what: inTen("Hosts outside that its Workers reach") },
  log_bytes: { setting: "MAYFLY_CAP_LOG_BYTES", unit: "bytes", per: 1, what: inTen("Log records") },
};

/** Of the products' limits, by the names under which an account is told of them. */
const SETTING_OF: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "workers.scripts": "MAYFLY_WORKERS_PER_ACCOUNT",
    "workers.script_bytes": "MAYFLY_UPLOAD_MAX_BYTES",
    "workers.cron_triggers": "MAYFLY_CRON_TRIGGERS",
    "assets.files": "MAYFLY_ASSET_FILES",
    "assets.files_held": "MAYFLY_ASSET_FILES",
    "assets.file_bytes": "MAYFLY_ASSET_MAX_BYTES",
    "kv.namespaces": "MAYFLY_KV_NAMESPACES",
    "kv.bytes": "MAYFLY_KV_BYTES",
    "d1.databases": "MAYFLY_D1_DATABASES",
    "d1.database_bytes": "MAYFLY_D1_BYTES",
    "durable_objects.namespaces": "MAYFLY_OBJECT_NAMESPACES",
  }),
);

export type CapTableOptions = {
  readonly store: Store;
  readonly products: readonly Product[];
  readonly limitsOf: (account: Pick<Account, "state">) => CapsuleLimits;
  readonly accountTtlSeconds: number;
  readonly accountTtlMaxSeconds: number;
  readonly claimsPerDay: number;
  readonly accountsPerHourPerIp: number;
  readonly accountsPerHour: number;
  readonly accountsMax: number;
  readonly powHashes: number;
  readonly powMaxHashes: number;
  readonly diskReserveBytes: number;
  readonly connectionsPerAddress: number;
};

/** The two states that limits know. */
type Both<T> = readonly [temporary: T, claimed: T];

/** An account that has nothing, to ask products what it may have. */
const empty = (state: "temporary" | "claimed", nowMs: number): Account => ({
  id: newAccountId(),
  subdomain: newSubdomain(),
  state,
  end_reason: null,
  suspended_at: null,
  suspended_by: null,
  suspended_reason: null,
  created_at: nowMs,
  expires_at: null,
  claimed_at: null,
  ended_at: null,
  deleted_at: null,
  owner_id: null,
  auth_epoch: 1,
  revision: 1,
  generation: 1,
  spec_digest: null,
  task_id: null,
  task_sealed: null,
  claim_hash: null,
});

const ports = (open: CapsuleLimits["egress"]["ports"]): string => (open === "any" ? "any" : open.join(","));

function ofProcess([temporary, claimed]: Both<CapsuleLimits>): CapRow[] {
  const caps = (Object.keys(CAP_WORDS) as Cap[]).map((cap): CapRow => {
    const { setting, unit, per, what } = CAP_WORDS[cap];
    const most = ({ caps }: CapsuleLimits): number | null => (caps[cap] === 0 ? null : caps[cap] / per);
    return { name: `caps.${cap}`, setting, unit, temporary: most(temporary), claimed: most(claimed), what };
  });
  const row = (
    name: string,
    setting: string | null,
    unit: string,
    what: string,
    of: (limits: CapsuleLimits) => number | string,
  ): CapRow => ({
    name,
    setting,
    unit,
    temporary: of(temporary),
    claimed: of(claimed),
    what,
  });
  return [
    ...caps,
    row(
      "egress.ports",
      "MAYFLY_EGRESS_PORTS",
      "ports",
      "Ports outside, never mail's; of claimed accounts MAYFLY_EGRESS_PORTS_CLAIMED",
      (of) => ports(of.egress.ports),
    ),
    row(
      "egress.connections",
      "MAYFLY_EGRESS_CONNECTIONS",
      "connections",
      "Connections to the outside at once",
      (of) => of.egress.maxConnections,
    ),
    row("account.memory_bytes", "MAYFLY_CAPSULE_MEMORY_BYTES", "bytes", "Memory of the process", (of) => of.memoryBytes),
    row("account.disk_bytes", "MAYFLY_CAPSULE_DISK_BYTES", "bytes", "Disk", (of) => of.maxDiskBytes),
    row("account.processes", null, "processes", "Processes and threads", (of) => of.maxProcesses),
    row("account.inner_requests", null, "requests", "Requests in flight to Workers of this installation", (of) => of.maxInnerRequests),
  ];
}

async function ofProducts({ store, products }: CapTableOptions): Promise<CapRow[]> {
  const of = async (state: "temporary" | "claimed") => {
    const account = empty(state, store.clock.now());
    const all = await Promise.all(products.map(async ({ limits }) => (await limits?.(store.db, account)) ?? []));
    return all.flat();
  };
  const claimed = new Map((await of("claimed")).map(({ name, max }) => [name, max]));
  return (await of("temporary")).map(({ name, unit, max }) => ({
    name,
    setting: SETTING_OF.get(name) ?? null,
    unit,
    temporary: max,
    claimed: claimed.get(name) ?? null,
    what: titleOf({ name }),
  }));
}

function ofAdmission(options: CapTableOptions): CapRow[] {
  const row = (name: string, setting: string, unit: string, value: number, what: string): CapRow => ({
    name,
    setting,
    unit,
    temporary: value,
    claimed: value,
    what,
  });
  return [
    { ...row("account.life", "MAYFLY_ACCOUNT_TTL_SECONDS", "seconds", options.accountTtlSeconds, "Life"), claimed: null },
    {
      ...row(
        "account.longest_life",
        "MAYFLY_ACCOUNT_TTL_MAX_SECONDS",
        "seconds",
        options.accountTtlMaxSeconds,
        "Longest life that is given",
      ),
      claimed: null,
    },
    row("admission.hashes", "MAYFLY_POW_HASHES", "hashes", options.powHashes, "Proof of work for an account"),
    row("admission.most_hashes", "MAYFLY_POW_MAX_HASHES", "hashes", options.powMaxHashes, "Proof of work for an account, at most"),
    row(
      "admission.accounts_per_hour",
      "MAYFLY_ACCOUNTS_PER_HOUR_PER_IP",
      "accounts",
      options.accountsPerHourPerIp,
      "Accounts that one address makes in an hour; its network (/24, /48) eight times as many",
    ),
    row("admission.accounts_per_hour_of_all", "MAYFLY_ACCOUNTS_PER_HOUR", "accounts", options.accountsPerHour, "Accounts made in an hour"),
    row("admission.live_accounts", "MAYFLY_ACCOUNTS_MAX", "accounts", options.accountsMax, "Temporary accounts that live at once"),
    row(
      "admission.disk_reserve_bytes",
      "MAYFLY_DISK_RESERVE_BYTES",
      "bytes",
      options.diskReserveBytes,
      "Free disk without which no account is made",
    ),
    row(
      "listeners.connections_per_address",
      "MAYFLY_CONNECTIONS_PER_ADDRESS",
      "connections",
      options.connectionsPerAddress,
      "Connections of one address (IPv6: /56) at once, to each port",
    ),
    row("claims.per_day", "MAYFLY_CLAIMS_PER_DAY", "accounts", options.claimsPerDay, "Accounts that one person claims in a day"),
  ];
}

export async function capTable(options: CapTableOptions): Promise<CapRow[]> {
  const both = [options.limitsOf({ state: "temporary" }), options.limitsOf({ state: "claimed" })] as const;
  return [...ofProcess(both), ...(await ofProducts(options)), ...ofAdmission(options)];
}
