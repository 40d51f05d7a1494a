// What an account holds, in the few words that a person needs who is about to take it over.
import type { Limit } from "../products/product.ts";
import type { Store } from "../store/store.ts";
import type { Account } from "../store/store.ts";

const WORKERS_SHOWN = 100;

/** Without those of the account's life and tokens, which its pages tell by themselves. */
export const shownLimits = (limits: readonly Limit[]): readonly Limit[] =>
  limits.filter(({ name, used }) => used !== null && used > 0 && name !== "account.life" && name !== "account.tokens");

export type Holdings = {
  /** `url` is null where the Worker answers at no address of its own. */
  readonly workers: readonly { readonly name: string; readonly url: string | null }[];
  /** Static files of all its Workers. */
  readonly files: number;
};

/** @param urlOf turns a host label into the URL at which it answers */
export function createHoldings(store: Store, urlOf: (label: string) => string): (account: Account) => Promise<Holdings> {
  return async (account) => {
    const workers = await store.db
      .selectFrom("workers")
      .select(["name", "subdomain_enabled"])
      .where("account_id", "=", account.id)
      .orderBy("name")
      .limit(WORKERS_SHOWN)
      .execute();
    const { files } = await store.db
      .selectFrom("asset_files")
      .select((of) => of.fn.countAll<number>().as("files"))
      .where("account_id", "=", account.id)
      .executeTakeFirstOrThrow();
    return {
      workers: workers.map(({ name, subdomain_enabled }) => ({
        name,
        url: subdomain_enabled === 1 ? urlOf(`${name}--${account.subdomain}`) : null,
      })),
      files,
    };
  };
}
