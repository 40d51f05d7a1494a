// How secrets stores end: every row goes, and the key that sealed the values with the account. Idempotent.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Tx } from "../../store/store.ts";
import { deleteAll } from "./store.ts";

/** Deletes every row of the account's stores; a second call finds nothing. */
export async function teardownSecretsStore(tx: Tx, account: AccountId): Promise<{ readonly removed: number }> {
  return { removed: await deleteAll(tx, account) };
}
