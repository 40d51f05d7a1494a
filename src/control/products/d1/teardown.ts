// How D1 ends: rows alone, since databases lie in the account's directory, which ends as a whole. Idempotent.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Tx } from "../../store/store.ts";
import { deleteDatabases } from "./store.ts";

/** Deletes every row of the account's databases; a second call finds nothing. */
export async function teardownD1(tx: Tx, account: AccountId): Promise<{ readonly removed: number }> {
  return { removed: await deleteDatabases(tx, account) };
}
