// All accounts as an operator looks at them: the rows, and beside them what host says of each one's load. The heavy ones
// come first by what host told this moment; everything else follows by age. Nothing here writes.
import { sql, type SelectQueryBuilder } from "kysely";
import { CAPS } from "../../capsule/caps.ts";
import type { AccountLoad, CapsuleHost } from "../../capsule/messages.ts";
import type { CapsuleLimits } from "../../capsule/spec.ts";
import type { AccountId, Subdomain } from "../../kernel/ids.ts";
import { ACCOUNT_ID } from "../../kernel/ids.ts";
import type { AccountState, Schema } from "../store/schema.ts";
import type { Account, Store } from "../store/store.ts";

export const SORTS = ["load", "memory", "refusals", "age"] as const;
export type Sort = (typeof SORTS)[number];
export const FILTERS = ["live", "temporary", "claimed", "hot", "suspended", "ended", "any"] as const;
export type Filter = (typeof FILTERS)[number];

/** Refusals older than this count no more. */
export const RECENT_MS = 3_600_000;
/** Accounts that are put in order by what host says of them. */
const MOST_RANKED = 5_000;

export type Question = {
  readonly sort: Sort;
  readonly filter: Filter;
  /** Id, subdomain or its beginning, or a host name of the edge; empty: every account. */
  readonly search: string;
  readonly limit: number;
  readonly offset: number;
};

/** Of one cap; `max` 0: none. */
export type CapLine = AccountLoad["caps"][number] & { readonly max: number };

export type AccountLine = {
  readonly account: Account;
  /** Null while it is cold and has used nothing, or host does not answer. */
  readonly load: AccountLoad | null;
  readonly caps: readonly CapLine[];
  /** At caps in their window, and in the trail of the last hour. */
  readonly refusals: number;
  readonly reports: number;
};

export type Seen = {
  readonly lines: readonly AccountLine[];
  readonly total: number;
  /** False: loads are unknown and count as none. */
  readonly hostAnswers: boolean;
};

/** How many open reports there are about accounts. */
export type CountReports = (accounts: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, number>>;

export type SightOptions = {
  readonly store: Store;
  readonly host: Pick<CapsuleHost, "loads">;
  readonly limitsOf: (account: Pick<Account, "state">) => CapsuleLimits;
  readonly reports: CountReports;
};

export type Sight = {
  look(question: Question): Promise<Seen>;
  line(account: Account): Promise<AccountLine>;
  /** Accounts by state, and of those that live how many are suspended. */
  counts(): Promise<{ readonly byState: Readonly<Record<AccountState, number>>; readonly suspended: number }>;
};

/** The subdomain or id in what an operator pasted: a URL, a host name, a label, or the thing itself. */
export function wanted(search: string): string {
  const host = search
    .trim()
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/[:/?#].*$/, "");
  const label = host.split(".", 1)[0] ?? "";
  const at = label.lastIndexOf("--");
  return at < 0 ? label : label.slice(at + 2);
}

type Rows = SelectQueryBuilder<Schema, "accounts", object>;

function matching({ db, clock }: Store, { filter, search }: Pick<Question, "filter" | "search">, hot: readonly AccountId[]): Rows {
  let rows: Rows = db.selectFrom("accounts");
  const live = (): Rows =>
    rows
      .where("state", "in", ["temporary", "claimed"])
      .where((or) => or.or([or("expires_at", "is", null), or("expires_at", ">", clock.now())]));
  if (filter === "ended") rows = rows.where("state", "in", ["ending", "deleted"]);
  else if (filter !== "any") rows = live();
  if (filter === "temporary" || filter === "claimed") rows = rows.where("state", "=", filter);
  if (filter === "suspended") rows = rows.where("suspended_at", "is not", null);
  if (filter === "hot") rows = rows.where("id", "in", hot.length > 0 ? hot : ["" as AccountId]);
  if (search.trim() === "") return rows;
  const name = wanted(search);
  if (ACCOUNT_ID.test(name)) return rows.where("id", "=", name as AccountId);
  if (!/^[a-z0-9-]{1,63}$/.test(name)) return rows.where(sql<boolean>`1 = 0`);
  // The index is of the subdomain; a beginning is enough to find it by. None of these characters means anything to LIKE.
  return rows.where("subdomain", "like", `${name}%` as Subdomain);
}

const TOLD_BY_WINDOW = CAPS.map((cap) => `caps:${cap}`);

/** Entries that say "refused", without those of caps, which the window tells. */
async function refusedLately({ db, clock }: Store, accounts?: readonly AccountId[]): Promise<Map<AccountId, number>> {
  let rows = db
    .selectFrom("trail")
    .select((of) => ["account_id", of.fn.sum<number | string>("count").as("refused")])
    .where("outcome", "=", "refused")
    .where("at", ">", clock.now() - RECENT_MS)
    .where("account_id", "is not", null)
    .where("action", "not in", TOLD_BY_WINDOW);
  if (accounts) rows = rows.where("account_id", "in", [...accounts]);
  const found = await rows.groupBy("account_id").orderBy("refused", "desc").limit(MOST_RANKED).execute();
  return new Map(found.flatMap(({ account_id, refused }) => (account_id === null ? [] : [[account_id, Number(refused)] as const])));
}

const atCaps = (load: AccountLoad | undefined): number => (load?.caps ?? []).reduce((sum, { refused }) => sum + refused, 0);

type Picture = { readonly loads: ReadonlyMap<AccountId, AccountLoad>; readonly refused: ReadonlyMap<AccountId, number> };

/** What an account weighs in that order; 0 where nothing tells it from others. */
function weigh(sort: Sort, { loads, refused }: Picture): Map<AccountId, number> {
  const weights = new Map<AccountId, number>();
  if (sort === "age") return weights;
  for (const [id, load] of loads) weights.set(id, sort === "load" ? load.cpuMsPerMinute : sort === "memory" ? load.pssBytes : atCaps(load));
  if (sort === "refusals") for (const [id, count] of refused) weights.set(id, (weights.get(id) ?? 0) + count);
  return weights;
}

/** Heaviest first, without those that weigh nothing. */
const ranked = (weights: ReadonlyMap<AccountId, number>): AccountId[] =>
  [...weights]
    .filter(([, weight]) => weight > 0)
    .toSorted(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))
    .slice(0, MOST_RANKED)
    .map(([id]) => id);

async function page(rows: Rows, first: readonly AccountId[], { limit, offset }: Question): Promise<Account[]> {
  const known = new Set(first.length === 0 ? [] : (await rows.select("id").where("id", "in", first).execute()).map(({ id }) => id));
  const heavy = first.filter((id) => known.has(id));
  const shown = heavy.slice(offset, offset + limit);
  const found = shown.length === 0 ? [] : await rows.selectAll().where("id", "in", shown).execute();
  const byId = new Map(found.map((account) => [account.id, account]));
  const top = shown.flatMap((id) => byId.get(id) ?? []);
  if (top.length === limit) return top;
  let rest = rows.selectAll();
  if (heavy.length > 0) rest = rest.where("id", "not in", heavy);
  const others = rest
    .orderBy("created_at", "desc")
    .orderBy("id")
    .limit(limit - shown.length);
  return [...top, ...(await others.offset(Math.max(0, offset - heavy.length)).execute())];
}

export function createSight({ store, host, limitsOf, reports }: SightOptions): Sight {
  const loadsNow = (): Promise<AccountLoad[] | null> => host.loads().catch(() => null);
  const lines = async (accounts: readonly Account[], { loads, refused }: Picture): Promise<AccountLine[]> => {
    const open = await reports(accounts.map(({ id }) => id));
    return accounts.map((account) => {
      const load = loads.get(account.id);
      const { caps } = limitsOf(account);
      return {
        account,
        load: load ?? null,
        caps: (load?.caps ?? []).map((use) => ({ ...use, max: caps[use.cap] })),
        refusals: atCaps(load) + (refused.get(account.id) ?? 0),
        reports: open.get(account.id) ?? 0,
      };
    });
  };
  return {
    look: async (question) => {
      const told = await loadsNow();
      const loads = new Map((told ?? []).map((load) => [load.account, load]));
      const refused = await refusedLately(store);
      const hot = (told ?? []).filter((load) => load.hot).map(({ account }) => account);
      const rows = matching(store, question, hot);
      const { total } = await rows.select((of) => of.fn.countAll<number>().as("total")).executeTakeFirstOrThrow();
      const accounts = await page(rows, ranked(weigh(question.sort, { loads, refused })), question);
      return { lines: await lines(accounts, { loads, refused }), total, hostAnswers: told !== null };
    },
    line: async (account) => {
      const loads = new Map(((await loadsNow()) ?? []).map((load) => [load.account, load]));
      const [line] = await lines([account], { loads, refused: await refusedLately(store, [account.id]) });
      if (!line) throw new Error("An account has no line");
      return line;
    },
    counts: async () => {
      const rows = await store.db
        .selectFrom("accounts")
        .select(["state", (of) => of.fn.countAll<number>().as("count"), (of) => of.fn.count<number>("suspended_at").as("suspended")])
        .groupBy("state")
        .execute();
      const byState = { temporary: 0, claimed: 0, ending: 0, deleted: 0 };
      for (const { state, count } of rows) byState[state] = count;
      return { byState, suspended: rows.reduce((sum, row) => sum + row.suspended, 0) };
    },
  };
}
