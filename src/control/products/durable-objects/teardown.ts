// How Durable Objects end: rows alone, since objects lie in the account's directory, which ends as a whole. Idempotent.
import type { AccountId } from "../../../kernel/ids.ts";
import type { Tx } from "../../store/store.ts";
import { deleteAll } from "./store.ts";

/** Deletes every namespace of the account; a second call finds nothing. */
export async function teardownObjects(tx: Tx, account: AccountId): Promise<{ readonly removed: number }> {
  return { removed: await deleteAll(tx, account) };
}
