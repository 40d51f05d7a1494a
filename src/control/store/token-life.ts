// Whether a token's own row lets it go on, in the words that its holder hears: at the look-up, and once more inside
// each write, since a request may take minutes to arrive.
import type { Selectable, Transaction } from "kysely";
import { PlatformError } from "../../kernel/errors.ts";
import type { AccountTable, Schema, TokenTable } from "./schema.ts";

export type TokenLife = Pick<Selectable<TokenTable>, "ended_at" | "expires_at">;

export const tokenRefused = (message: string, next?: string): PlatformError =>
  new PlatformError("token_refused", next === undefined ? { message } : { message, next });

/** @param row undefined where there is none @throws PlatformError token_refused */
export function checkTokenLife(row: TokenLife | undefined, owned: boolean, nowMs: number): void {
  if (!row) throw tokenRefused("This token is unknown here, or its account has ended.");
  // Only an account with an owner goes on without this token.
  const next = owned ? "Ask the account's owner for a new token." : undefined;
  if (row.ended_at !== null) throw tokenRefused("This token was ended.", next);
  if (row.expires_at !== null && row.expires_at <= nowMs) throw tokenRefused("This token has expired.", next);
}

/**
 * The same inside a transaction that holds the account's row, under which tokens are ended too: of a write and an end
 * at once the later sees the earlier. To be its own statement: as a condition of the one that takes the lock, PostgreSQL
 * would judge the token by what was committed before the wait for it.
 * @throws PlatformError token_refused
 */
export async function checkToken(
  tx: Transaction<Schema>,
  account: Pick<Selectable<AccountTable>, "id" | "owner_id">,
  token: string,
  nowMs: number,
) {
  const row = await tx
    .selectFrom("tokens")
    .select(["ended_at", "expires_at"])
    .where("id", "=", token)
    .where("account_id", "=", account.id)
    .executeTakeFirst();
  checkTokenLife(row, account.owner_id !== null, nowMs);
}
