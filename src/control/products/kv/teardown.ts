// How KV ends: rows alone, since keys and values lie in the account's directory, which ends as a whole. Idempotent.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Tx } from "../../store/store.ts";
import { deleteAll } from "./store.ts";

/** Deletes every row of the account's namespaces; a second call finds nothing. */
export async function teardownKv(tx: Tx, account: AccountId): Promise<{ readonly removed: number }> {
  return { removed: await deleteAll(tx, account) };
}
