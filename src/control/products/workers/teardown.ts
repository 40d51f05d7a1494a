// How Workers end: rows alone, since code lies in the account's directory, which ends as a whole. Idempotent.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Tx } from "../../store/store.ts";
import { deleteAllTriggers } from "./crons-store.ts";
import { deleteAll } from "./store.ts";

/** Deletes every row of the account's Workers; a second call finds nothing. */
export async function teardownWorkers(tx: Tx, account: AccountId): Promise<{ readonly removed: number }> {
  return { removed: (await deleteAll(tx, account)) + (await deleteAllTriggers(tx, account)) };
}
