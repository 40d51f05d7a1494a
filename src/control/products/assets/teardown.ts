// How static assets end: rows alone, since files lie in the account's directory, which ends as a whole. Idempotent.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Tx } from "../../store/store.ts";
import { deleteAll } from "./store.ts";

/** Deletes every row of the account's files and sessions; a second call finds nothing. */
export async function teardownAssets(tx: Tx, account: AccountId): Promise<{ readonly removed: number }> {
  return { removed: await deleteAll(tx, account) };
}
