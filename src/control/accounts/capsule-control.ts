// Control's answers to host: who stands behind a host label, and what host should hold instead of what it holds.
// Composed from the rows at each call, so a host that lost its memory gets all of it back.
import type { CapsuleControl, HeldAccount, LookupAnswer } from "../../capsule/messages.ts";
import type { Composer } from "../composer/composer.ts";
import type { Account, Store } from "../store/store.ts";
import type { Subdomain } from "../../kernel/ids.ts";
import { tombstoneOf } from "./lifecycle.ts";

export type CapsuleControlOptions = { readonly store: Store; readonly composer: Composer };

/** The subdomain in `worker--subdomain`; a subdomain never holds two hyphens in a row. */
function subdomainOf(label: string): Subdomain | null {
  const at = label.lastIndexOf("--");
  return at < 1 ? null : (label.slice(at + 2) as Subdomain);
}

export function createCapsuleControl({ store, composer }: CapsuleControlOptions): CapsuleControl {
  const answer = (account: Account | undefined): Promise<LookupAnswer> => {
    if (!account) return Promise.resolve({ kind: "none" });
    const tombstone = tombstoneOf(account, store.clock.now());
    if (tombstone) return Promise.resolve({ kind: "tombstone", tombstone });
    return store.snapshot(async (tx) => {
      // Read again inside it: rows and generation must be of one moment.
      const row = await tx.selectFrom("accounts").selectAll().where("id", "=", account.id).executeTakeFirst();
      const ended = row && tombstoneOf(row, store.clock.now());
      if (!row) return { kind: "none" };
      return ended ? { kind: "tombstone", tombstone: ended } : { kind: "spec", spec: await composer.compose(tx, row) };
    });
  };
  const instead = (held: HeldAccount, account: Account | undefined): Promise<LookupAnswer | null> => {
    const live = account !== undefined && tombstoneOf(account, store.clock.now()) === null;
    return live && account.generation <= held.generation ? Promise.resolve(null) : answer(account);
  };
  return {
    lookup: async (label) => {
      const subdomain = subdomainOf(label);
      if (subdomain === null) return { kind: "none" };
      return answer(await store.db.selectFrom("accounts").selectAll().where("subdomain", "=", subdomain).executeTakeFirst());
    },
    held: async (accounts) => {
      const ids = accounts.map(({ account }) => account);
      const rows = ids.length === 0 ? [] : await store.db.selectFrom("accounts").selectAll().where("id", "in", ids).execute();
      const byId = new Map(rows.map((row) => [row.id, row]));
      const answers: (LookupAnswer | null)[] = [];
      for (const held of accounts) answers.push(await instead(held, byId.get(held.account)));
      return answers;
    },
  };
}
