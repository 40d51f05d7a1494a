// Reports of visitors about what answers at the edge, for the operator's eyes: bounded in number, kept ninety days, closed by
// an operator. What a reporter wrote is sealed with the month's operator key; the account's trail learns that there was a
// report and of what kind, and nothing of who sent it.
import { PlatformError } from "../../kernel/errors.ts";
import { newId, type AccountId, type Subdomain } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { Operator } from "../http/routes.ts";
import type { Keys } from "../keys/keys.ts";
import type { ReportKind } from "../store/schema.ts";
import type { Store, Tx } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";

const RETENTION_MS = 90 * 86_400_000;
const PRUNE_EVERY_MS = 3_600_000;
/** Of all rows; the oldest closed ones make room, and for one about an account those about none. */
const MOST_ROWS = 10_000;
/** Open ones about one account, or about one host where no account is known. */
const MOST_OPEN = 100;
/** What an operator looks at, at once: as many as the largest page of the API. */
const MOST_LISTED = 1_000;

/** What a visitor filled in, checked. */
export type ReportDraft = {
  /** A host name of the edge, lower case. */
  readonly host: string;
  /** The account's part of it; null where it has none. */
  readonly subdomain: Subdomain | null;
  readonly kind: ReportKind;
  /** In the visitor's words; each may be empty. */
  readonly page: string;
  readonly text: string;
  readonly contact: string;
};

/** The texts are strangers', and null once the operator key of their month is gone. */
export type Report = {
  readonly id: string;
  readonly at: number;
  readonly account: AccountId | null;
  readonly host: string;
  readonly kind: ReportKind;
  readonly state: "open" | "closed";
  readonly closedAt: number | null;
  readonly page: string | null;
  readonly text: string | null;
  readonly contact: string | null;
};

export type ReportFilter = {
  readonly account?: AccountId;
  readonly state?: "open" | "closed";
  /** 1,000 at most. */
  readonly limit?: number;
  readonly offset?: number;
};

type Sealed = Pick<ReportDraft, "page" | "text" | "contact">;
export type Desk = { readonly store: Store; readonly keys: Keys; readonly trail: Trail };

const entryOf = (at: number, account: AccountId | null, actor: string, action: Deed, resource: string, kind: ReportKind) => ({
  at,
  account,
  task: null,
  actors: [actor],
  token: null,
  action,
  resource,
  outcome: "done" as const,
  reason: kind,
});

const countOf = async (query: { executeTakeFirstOrThrow(): Promise<{ readonly count: number }> }): Promise<number> =>
  (await query.executeTakeFirstOrThrow()).count;

/** @throws PlatformError too_many_reports */
async function makeRoom(tx: Tx, account: AccountId | null, host: string): Promise<void> {
  const count = tx.selectFrom("reports").select((of) => of.fn.countAll<number>().as("count"));
  const open = count.where("state", "=", "open");
  if ((await countOf(account === null ? open.where("host", "=", host) : open.where("account_id", "=", account))) >= MOST_OPEN) {
    throw new PlatformError("too_many_reports", { message: "This page was reported many times already; the operator has not looked yet." });
  }
  if ((await countOf(count)) < MOST_ROWS) return;
  const oldest = tx.selectFrom("reports").select("id").orderBy("at").limit(1);
  const dropped = async (which: typeof oldest): Promise<boolean> =>
    (await tx.deleteFrom("reports").where("id", "in", which).executeTakeFirst()).numDeletedRows > 0n;
  if (await dropped(oldest.where("state", "=", "closed"))) return;
  // Made-up names must not keep out what is said of pages that are there.
  if (account !== null && (await dropped(oldest.where("account_id", "is", null)))) return;
  throw new PlatformError("too_many_reports", { message: "More reports wait for the operator than can be kept." });
}

/** Stores a report, whether or not an account is or was behind the host. @throws PlatformError too_many_reports */
export async function fileReport({ store, keys, trail }: Desk, draft: ReportDraft): Promise<void> {
  const { host, kind, page, text, contact, subdomain } = draft;
  const at = store.clock.now();
  const sealed = keys.sealForOperator(at, JSON.stringify({ page, text, contact } satisfies Sealed));
  await store.transaction(async (tx) => {
    await store.lock(tx, "reports");
    const account = await tx
      .selectFrom("accounts")
      .select("id")
      .where("subdomain", "=", subdomain ?? ("" as Subdomain))
      .executeTakeFirst();
    const account_id = account?.id ?? null;
    await makeRoom(tx, account_id, host);
    await tx.insertInto("reports").values({ id: newId(), at, account_id, host, kind, sealed, state: "open", closed_at: null }).execute();
    // Not under the account's lock: it may have ended, and what is written is not its own.
    if (account_id !== null) await trail.append(tx, entryOf(at, account_id, "visitor", "report:file", `account/${account_id}`, kind));
  });
}

/** How many are open, by account; accounts without any are left out. */
export async function countOpen({ db }: Store, accounts: readonly AccountId[]): Promise<Map<AccountId, number>> {
  if (accounts.length === 0) return new Map();
  const rows = await db
    .selectFrom("reports")
    .where("state", "=", "open")
    .where("account_id", "in", [...accounts])
    .groupBy("account_id")
    .select((of) => ["account_id as account", of.fn.countAll<number>().as("count")])
    .execute();
  return new Map(rows.flatMap(({ account, count }) => (account === null ? [] : [[account, count] as const])));
}

function opened(keys: Keys, at: number, box: Uint8Array): Sealed | null {
  try {
    return JSON.parse(keys.openForOperator(at, box)) as Sealed;
  } catch {
    return null;
  }
}

/** Reports with what was written, the latest first, and how many there are in all. */
export async function listReports(
  { store, keys }: Pick<Desk, "store" | "keys">,
  filter: ReportFilter = {},
): Promise<{ readonly reports: Report[]; readonly total: number }> {
  const { account, state, limit = 100, offset = 0 } = filter;
  let query = store.db.selectFrom("reports");
  if (account !== undefined) query = query.where("account_id", "=", account);
  if (state !== undefined) query = query.where("state", "=", state);
  const total = await countOf(query.select((of) => of.fn.countAll<number>().as("count")));
  const latest = query.selectAll().orderBy("at", "desc").orderBy("id");
  const rows = await latest.limit(Math.min(limit, MOST_LISTED)).offset(offset).execute();
  const reports = rows.map(({ account_id, closed_at, sealed, ...row }) => {
    const { page, text, contact } = opened(keys, row.at, sealed) ?? { page: null, text: null, contact: null };
    return { ...row, account: account_id, closedAt: closed_at, page, text, contact };
  });
  return { reports, total };
}

/** Marks a report as dealt with; one that is closed already stays so. @throws PlatformError report_not_found */
export async function closeReport({ store, trail }: Pick<Desk, "store" | "trail">, id: string, by: Operator): Promise<void> {
  const at = store.clock.now();
  await store.transaction(async (tx) => {
    const open = tx.updateTable("reports").set({ state: "closed", closed_at: at }).where("id", "=", id).where("state", "=", "open");
    const closed = await open.returning(["account_id", "kind"]).executeTakeFirst();
    if (closed === undefined) {
      const known = await tx.selectFrom("reports").select("id").where("id", "=", id).executeTakeFirst();
      if (known === undefined) throw new PlatformError("report_not_found", { message: "There is no such report." });
      return;
    }
    const { account_id: account, kind } = closed;
    const resource = account === null ? `report/${id}` : `account/${account}`;
    await trail.append(tx, { ...entryOf(at, account, `person/${by.person}`, "report:close", resource, kind), token: by.key });
  });
}

/** Deletes what is older than ninety days. */
export async function pruneReports(store: Store): Promise<void> {
  const before = store.clock.now() - RETENTION_MS;
  await store.db.deleteFrom("reports").where("at", "<", before).execute();
}

/** Prunes at once and every hour, until disposed. */
export function keepReports(store: Store, log: Log): AsyncDisposable {
  let running = Promise.resolve();
  const prune = (): void => {
    running = pruneReports(store).catch((err: unknown) => log.error({ err }, "old reports could not be deleted; it is tried again"));
  };
  prune();
  const timer = setInterval(prune, PRUNE_EVERY_MS).unref();
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await running;
    },
  };
}
