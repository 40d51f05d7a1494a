// The append-only record of every deed, written in the deed's own transaction. What a tenant wrote is sealed
// with the account's key: after the account's end the entry stays and its text cannot be read.
import type { Kysely } from "kysely";
import { newId, type AccountId } from "../../kernel/ids.ts";
import type { Keys } from "../keys/keys.ts";
import type { Schema } from "../store/schema.ts";
import type { Tx } from "../store/store.ts";

/** `<what>:<deed>`, such as `account:claim` or `workers:write`. */
export type Deed = `${string}:${string}`;

export type Entry = {
  readonly at: number;
  readonly account: AccountId | null;
  readonly task: string | null;
  readonly actors: readonly string[];
  readonly token: string | null;
  readonly action: Deed;
  /** `product/id`; never a tenant's text except a name that is part of a public address. */
  readonly resource: string;
  readonly outcome: "done" | "refused" | "failed" | "intent";
  readonly reason?: string;
  readonly count?: number;
  /** What the tenant wrote or must not outlive the account; sealed with its key. */
  readonly tenantText?: string;
  /** What the operator must be able to answer for later; sealed with the month's operator key. */
  readonly operatorText?: string;
};

export type Trail = {
  append(tx: Tx, entry: Entry): Promise<void>;
  read(account: AccountId, page: TrailPage): Promise<TrailLine[]>;
  /** The same for an operator: `text` is what was sealed for them, null once its key is gone, and nothing of the tenant's. */
  readForOperator(account: AccountId, page: TrailPage): Promise<TrailLine[]>;
};

export type TrailPage = { readonly limit: number; readonly offset: number };

export type TrailLine = {
  readonly id: string;
  readonly at: number;
  readonly actors: string[];
  readonly token: string | null;
  readonly action: string;
  readonly resource: string;
  readonly outcome: string;
  readonly reason: string | null;
  readonly count: number;
  /** What the tenant wrote, while its key exists; null where there is nothing, or nothing for the tenant to read. */
  readonly text: string | null;
};

export function openTrail(db: Kysely<Schema>, keys: Keys): Trail {
  const sealed = (entry: Entry): Buffer | null => {
    if (entry.tenantText !== undefined && entry.account !== null) return keys.sealFor(entry.account, "trail", entry.tenantText);
    return entry.operatorText === undefined ? null : keys.sealForOperator(entry.at, entry.operatorText);
  };
  /** Null where it was sealed for the other of the two readers, or the key is gone. */
  const attempt = (open: () => string): string | null => {
    try {
      return open();
    } catch {
      return null;
    }
  };
  type Open = (row: { readonly at: number }, box: Uint8Array) => string;
  const lines = async (account: AccountId, page: TrailPage, open: Open): Promise<TrailLine[]> => {
    const rows = await db
      .selectFrom("trail")
      .select(["id", "at", "actors", "token_id", "action", "resource", "outcome", "reason", "count", "sealed"])
      .where("account_id", "=", account)
      .orderBy("at", "desc")
      .orderBy("id")
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(({ actors, token_id, sealed, ...row }) => ({
      ...row,
      actors: JSON.parse(actors) as string[],
      token: token_id,
      text: sealed && attempt(() => open(row, sealed)),
    }));
  };
  return {
    append: async (tx, entry) => {
      await tx
        .insertInto("trail")
        .values({
          id: newId(),
          at: entry.at,
          account_id: entry.account,
          task_id: entry.task,
          actors: JSON.stringify(entry.actors),
          token_id: entry.token,
          action: entry.action,
          resource: entry.resource,
          outcome: entry.outcome,
          reason: entry.reason ?? null,
          count: entry.count ?? 1,
          sealed: sealed(entry),
        })
        .execute();
    },
    read: (account, page) => lines(account, page, (_row, box) => keys.openFor(account, "trail", box)),
    readForOperator: (account, page) => lines(account, page, ({ at }, box) => keys.openForOperator(at, box)),
  };
}
