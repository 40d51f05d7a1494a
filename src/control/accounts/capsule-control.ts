// Control's answers to host: who stands behind a host label, and what host should hold instead of what it holds.
// Composed from the rows at each call, so a host that lost its memory gets all of it back. Anybody can make host ask
// for any label, so one that leads to nothing costs a few small reads and never a write.
import type { CapsuleControl, HeldAccount, LookupAnswer } from "../../capsule/messages.ts";
import type { Composer } from "../composer/composer.ts";
import type { Addressed, Labels, Product } from "../products/product.ts";
import type { Account, Store } from "../store/store.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { Subdomain } from "../../kernel/ids.ts";
import { tombstoneOf } from "./lifecycle.ts";

export type CapsuleControlOptions = {
  readonly store: Store;
  readonly composer: Composer;
  readonly products: readonly Product[];
  readonly bans: CapsuleControl["bans"];
  readonly endLeaked: CapsuleControl["leaked"];
};

/** Of a DNS label: whatever is longer has no address. */
const LABEL_MAX = 63;

/** `<name>--<subdomain>` in its two parts; a subdomain never holds two hyphens in a row. */
function partsOf(label: string): { name: string; subdomain: Subdomain } | null {
  const at = label.lastIndexOf("--");
  return at < 1 || label.length > LABEL_MAX ? null : { name: label.slice(0, at), subdomain: label.slice(at + 2) as Subdomain };
}

/** The first word of any product that is not "nothing". */
async function ask(products: readonly Product[], question: (labels: Labels) => Promise<Addressed>): Promise<Addressed> {
  for (const { labels } of products) {
    const addressed = labels && (await question(labels));
    if (addressed && addressed.kind !== "nothing") return addressed;
  }
  return { kind: "nothing" };
}

export function createCapsuleControl({ store, composer, products, bans, endLeaked }: CapsuleControlOptions): CapsuleControl {
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
  /** Brings a preview's version into the spec. */
  const wake = async (account: Account, name: string): Promise<Addressed> => {
    try {
      return await store.inAccount({ account: account.id, epoch: null, token: null }, async (tx, live) => {
        const woken = await ask(products, (labels) => labels.wake(tx, live, name));
        await composer.recompose(tx, live);
        return woken;
      });
    } catch (error) {
      // It ended meanwhile, as its tombstone says.
      if (error instanceof PlatformError && error.code === "account_gone") return { kind: "served" };
      throw error;
    }
  };
  const byName = async (account: Account, name: string): Promise<LookupAnswer> => {
    const found = await ask(products, (labels) => labels.find(store.db, account.id, name));
    // Nothing of a suspended account serves, so nothing joins it.
    const addressed = found.kind === "asleep" && account.suspended_at === null ? await wake(account, name) : found;
    if (addressed.kind === "nothing") return { kind: "none" };
    return addressed.kind === "unavailable" ? addressed : answer(await byId(account));
  };
  const byId = (account: Account) => store.db.selectFrom("accounts").selectAll().where("id", "=", account.id).executeTakeFirst();
  const instead = (held: HeldAccount, account: Account | undefined): Promise<LookupAnswer | null> => {
    const live = account !== undefined && tombstoneOf(account, store.clock.now()) === null;
    return live && account.generation <= held.generation ? Promise.resolve(null) : answer(account);
  };
  return {
    lookup: async (label) => {
      const parts = partsOf(label);
      if (parts === null) return { kind: "none" };
      const account = await store.db.selectFrom("accounts").selectAll().where("subdomain", "=", parts.subdomain).executeTakeFirst();
      const ended = account && tombstoneOf(account, store.clock.now());
      if (!account || ended) return answer(account);
      return byName(account, parts.name);
    },
    bans,
    leaked: endLeaked,
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
