// Accounts that callers from a range made of late. Admission keeps hashes of addresses alone, so this opens what the trail
// sealed for the operator at each account's creation.
import { z } from "zod";
import { AddressSet, readRange } from "../../kernel/address-ranges.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store } from "../store/store.ts";

export const WITHIN_MS = 3_600_000;
/** Creations that are looked through, youngest first. */
const MOST = 5_000;

const sealed = z.object({ address: z.string() });

/** The address in what was sealed at an account's creation; null once the month's key is gone. */
export function addressIn(keys: Keys, atMs: number, box: Uint8Array): string | null {
  try {
    return sealed.parse(JSON.parse(keys.openForOperator(atMs, box))).address;
  } catch {
    return null;
  }
}

/** Those that are unclaimed and were made from the range within the hour, youngest first. */
export async function madeFrom({ store, keys }: { readonly store: Store; readonly keys: Keys }, cidr: string): Promise<AccountId[]> {
  const range = readRange(cidr);
  const set = new AddressSet(range ? [range] : []);
  const rows = await store.db
    .selectFrom("trail")
    .innerJoin("accounts", "accounts.id", "trail.account_id")
    .select(["accounts.id", "trail.at", "trail.sealed"])
    .where("trail.action", "=", "account:create")
    .where("trail.at", ">", store.clock.now() - WITHIN_MS)
    .where("accounts.state", "=", "temporary")
    .orderBy("trail.at", "desc")
    .limit(MOST)
    .execute();
  return rows.filter(({ at, sealed: box }) => box !== null && set.has(addressIn(keys, at, box) ?? "")).map(({ id }) => id);
}
