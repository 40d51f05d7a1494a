// How D1 ends: rows alone, since databases lie in the account's directory, which ends as a whole. Idempotent.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Tx } from "../../store/store.ts";
import { deleteDatabases } from "./store.ts";

type Droppable = { dropAccount(account: AccountId): void };

/** Deletes every row of the account's databases, and what was on its way into them; a second call finds nothing. */
export async function teardownD1(tx: Tx, account: AccountId, transfers: readonly Droppable[]): Promise<{ readonly removed: number }> {
  for (const transfer of transfers) transfer.dropAccount(account);
  return { removed: await deleteDatabases(tx, account) };
}
