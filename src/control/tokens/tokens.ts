// Tokens: issued inside the caller's transaction, found by keyed hash, alive only while their account is,
// at the account's present epoch. The secret leaves this file once and is stored nowhere.
import type { Selectable } from "kysely";
import { PlatformError } from "../../kernel/errors.ts";
import { isSecret, newId, newSecret, type AccountId } from "../../kernel/ids.ts";
import type { Keys } from "../keys/keys.ts";
import { permission, type Permission, type Principal } from "../permissions/authorize.ts";
import type { AccountTable, TokenTable } from "../store/schema.ts";
import type { Store, Tx } from "../store/store.ts";
import { checkTokenLife, tokenRefused as refused } from "../store/token-life.ts";

export type NewToken = {
  /** Where the caller has chosen one; 32 hex. */
  readonly id?: string;
  readonly account: AccountId;
  /** The owner it is made for; null for the agent's. */
  readonly person: string | null;
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly task: string | null;
  readonly epoch: number;
  readonly expiresAtMs: number | null;
};

export type Tokens = {
  /** Writes the row; the secret is in the answer and nowhere else. */
  issue(tx: Tx, token: NewToken): Promise<{ readonly id: string; readonly secret: string }>;
  /** @throws PlatformError token_refused, saying whether the token or its account ended */
  lookUp(secret: string): Promise<Principal>;
  /** For what goes on after the call that was authorized. An id that is not in the answer is of no token any more. */
  standing(ids: readonly string[]): Promise<Map<string, Standing>>;
};

type Row = Selectable<TokenTable> &
  Pick<Selectable<AccountTable>, "state" | "owner_id" | "auth_epoch" | "end_reason"> & { account_expires_at: number | null };

/** Whether a token still opens anything, and until when at the latest; `why` is a sentence for its holder. */
export type Standing =
  | { readonly stands: true; readonly epoch: number; readonly untilMs: number | null }
  | { readonly stands: false; readonly why: string };

function checkLife(row: Row | undefined, nowMs: number): asserts row is Row {
  if (!row) return checkTokenLife(undefined, false, nowMs);
  const late = row.account_expires_at !== null && row.account_expires_at <= nowMs;
  if (row.state === "ending" || row.state === "deleted" || late) {
    throw refused(`The account of this token has ended (${row.end_reason ?? "expired"}) and everything in it is gone.`);
  }
  if (row.epoch !== row.auth_epoch && row.state === "claimed") {
    throw refused(
      "A person claimed this account, and the agent's token ended with that.",
      "Ask the person who claimed it for a new token.",
    );
  }
  // Of an earlier epoch it ended with that, whatever its own row says.
  const ended_at = row.epoch === row.auth_epoch ? row.ended_at : nowMs;
  checkTokenLife({ ...row, ended_at }, row.owner_id !== null, nowMs);
}

function standingOf(row: Row, nowMs: number): Standing {
  try {
    checkLife(row, nowMs);
  } catch (error) {
    if (error instanceof PlatformError) return { stands: false, why: error.message };
    throw error;
  }
  const ends = [row.expires_at, row.account_expires_at].filter((end) => end !== null);
  return { stands: true, epoch: row.epoch, untilMs: ends.length === 0 ? null : Math.min(...ends) };
}

/** What this code does not know grants nothing: an action that a later version took away, or an earlier one lacks. */
export function readPermissions(json: string): Permission[] {
  const rows: unknown = JSON.parse(json);
  return Array.isArray(rows) ? rows.flatMap((row) => permission.safeParse(row).data ?? []) : [];
}

export type TokensOptions = {
  readonly store: Store;
  readonly keys: Keys;
  /** Hears of every look-up that succeeds; must cost next to nothing. */
  readonly used?: (token: string) => void;
};

export function openTokens({ store, keys, used }: TokensOptions): Tokens {
  const rows = () =>
    store.db
      .selectFrom("tokens")
      .innerJoin("accounts", "accounts.id", "tokens.account_id")
      .selectAll("tokens")
      .select([
        "accounts.state",
        "accounts.owner_id",
        "accounts.auth_epoch",
        "accounts.end_reason",
        "accounts.expires_at as account_expires_at",
      ]);
  return {
    issue: async (tx, token) => {
      const id = token.id ?? newId();
      const secret = newSecret("mft");
      await tx
        .insertInto("tokens")
        .values({
          id,
          account_id: token.account,
          person_id: token.person,
          parent_id: null,
          name: token.name,
          hash: keys.lookupHash(secret),
          permissions: JSON.stringify(token.permissions),
          audience: null,
          cnf: null,
          task_id: token.task,
          epoch: token.epoch,
          created_at: store.clock.now(),
          expires_at: token.expiresAtMs,
          ended_at: null,
          last_used_at: null,
        })
        .execute();
      return { id, secret };
    },
    lookUp: async (secret) => {
      if (!isSecret("mft", secret)) throw refused("This is not a token of this installation.");
      const row = await rows().where("tokens.hash", "=", keys.lookupHash(secret)).executeTakeFirst();
      checkLife(row, store.clock.now());
      used?.(row.id);
      return {
        kind: row.person_id === null ? "agent" : "person",
        account: row.account_id,
        token: row.id,
        lineage: row.parent_id === null ? [] : [row.parent_id],
        actors: row.person_id === null ? ["agent"] : [`person/${row.person_id}`],
        task: row.task_id,
        epoch: row.epoch,
        expiresAtMs: row.expires_at,
        permissions: readPermissions(row.permissions),
      };
    },
    standing: async (ids) => {
      const found = await rows().where("tokens.id", "in", ids).execute();
      const now = store.clock.now();
      return new Map(found.map((row) => [row.id, standingOf(row, now)]));
    },
  };
}
