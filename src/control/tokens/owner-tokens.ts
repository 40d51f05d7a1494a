// The tokens of a claimed account as its owner sees, makes and ends them. Whoever is not the owner is told what
// they would be told of an account that does not exist; who owns it is read again under the account's lock.
import { createHash } from "node:crypto";
import type { Selectable } from "kysely";
import { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import { ACCOUNT_ID, type AccountId } from "../../kernel/ids.ts";
import { check } from "../http/body.ts";
import { PLAIN } from "../http/plain-text.ts";
import { GRANTS, type Grant } from "../permissions/actions.ts";
import { onWholeAccount, type Permission } from "../permissions/authorize.ts";
import type { TokenTable } from "../store/schema.ts";
import type { Account, Store, Tx } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";
import { readPermissions, type Tokens } from "./tokens.ts";
import type { TokenUses } from "./uses.ts";

export const LIVE_TOKENS_MAX = 50;
export const TOKEN_NAME_MAX = 100;
const OVER_SHOWN = 20;
/** Rows of the owner's tokens that work no more; the trail keeps the deeds of all. */
export const OVER_KEPT = 200;
/** SQLite takes no offset without a limit. */
const ALL_ROWS = 1_000_000;
const HOUR_MS = 3_600_000;

export const LIVES = {
  "1h": ["in 1 hour", HOUR_MS],
  "1d": ["in 1 day", 24 * HOUR_MS],
  "30d": ["in 30 days", 720 * HOUR_MS],
  "90d": ["in 90 days", 2160 * HOUR_MS],
  never: ["never, until you end it", null],
} as const satisfies Record<string, readonly [string, number | null]>;
export type TokenLife = keyof typeof LIVES;

export type TokenLine = {
  readonly id: string;
  readonly name: string;
  /** Made with the account, for the agent. */
  readonly agent: boolean;
  readonly permissions: readonly Permission[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly lastUsedAtMs: number | null;
  /** When somebody ended it; null where nobody did. */
  readonly endedAtMs: number | null;
};

export type MadeToken = { readonly secret: string; readonly name: string; readonly grant: Grant; readonly expiresAtMs: number | null };

/** An account, and the person who says that it is theirs. */
export type Owner = { readonly account: AccountId; readonly person: string };

export type OwnerTokens = {
  /** The account, if the person owns it and it lives. @throws PlatformError account_not_found */
  account(id: string, person: string): Promise<Account>;
  /** Those that work, youngest first, and the last of those that no longer do. */
  list(account: Account): Promise<{ readonly live: TokenLine[]; readonly over: TokenLine[] }>;
  /**
   * The secret in the answer is shown once.
   * @throws PlatformError invalid_input, token_limit, precondition_failed when the same form was sent before
   */
  make(owner: Owner, form: Readonly<Record<string, string>>): Promise<MadeToken>;
  /** Ends it at once; does nothing when the account has no such token that lives. */
  end(owner: Owner, token: string): Promise<void>;
};

const draft = z.object({
  // Drawn with the form, and the token's id comes from it: a form that is sent again makes no second token.
  form: z.string("missing").regex(ACCOUNT_ID, "not as the page had it"),
  name: z
    .string("missing")
    .trim()
    .min(1, "missing")
    .max(TOKEN_NAME_MAX, `longer than ${TOKEN_NAME_MAX} characters`)
    .regex(PLAIN, "holds characters that cannot be shown"),
  grant: z.enum(Object.keys(GRANTS) as [Grant, ...Grant[]], "choose what the token may do"),
  life: z.enum(Object.keys(LIVES) as [TokenLife, ...TokenLife[]], "choose when the token ends"),
});

export type OwnerTokensOptions = {
  readonly store: Store;
  readonly trail: Trail;
  readonly tokens: Pick<Tokens, "issue">;
  readonly uses: Pick<TokenUses, "pending">;
};

const notFound = (): PlatformError =>
  new PlatformError("account_not_found", {
    message: "None of your accounts is at this address.",
    next: "Your home page lists those that you own.",
  });

const isOwned = (account: Account | undefined, person: string): account is Account =>
  account !== undefined && account.state === "claimed" && account.owner_id === person;

/** Reads of tokens, the account being read before. */
function reader({ store, uses }: Pick<OwnerTokensOptions, "store" | "uses">) {
  const line = (row: Selectable<TokenTable>): TokenLine => ({
    id: row.id,
    name: row.name,
    agent: row.person_id === null,
    permissions: readPermissions(row.permissions),
    createdAtMs: row.created_at,
    expiresAtMs: row.expires_at,
    endedAtMs: row.ended_at,
    lastUsedAtMs: uses.pending(row.id) ?? row.last_used_at,
  });
  /** Those that work at the moment. */
  const living = (db: Tx | Store["db"], account: Account) =>
    db
      .selectFrom("tokens")
      .where("account_id", "=", account.id)
      .where("epoch", "=", account.auth_epoch)
      .where("ended_at", "is", null)
      .where((or) => or.or([or("expires_at", "is", null), or("expires_at", ">", store.clock.now())]));
  const over = (db: Tx | Store["db"], account: Account) =>
    db
      .selectFrom("tokens")
      .where("account_id", "=", account.id)
      .where((or) =>
        or.or([
          or("epoch", "!=", account.auth_epoch),
          or("ended_at", "is not", null),
          or.and([or("expires_at", "is not", null), or("expires_at", "<=", store.clock.now())]),
        ]),
      );
  return {
    count: async (tx: Tx, account: Account): Promise<number> => {
      const counted = living(tx, account).select((of) => of.fn.countAll<number>().as("count"));
      return (await counted.executeTakeFirstOrThrow()).count;
    },
    /** Deletes the oldest of those that are over, but the agent's, whose holder is told of the claim by it. */
    prune: async (tx: Tx, account: Account): Promise<void> => {
      const ofPerson = over(tx, account).where("person_id", "is not", null);
      const old = ofPerson.select("id").orderBy("created_at", "desc").orderBy("id").limit(ALL_ROWS).offset(OVER_KEPT);
      await tx.deleteFrom("tokens").where("id", "in", old).execute();
    },
    live: async (account: Account): Promise<TokenLine[]> =>
      (await living(store.db, account).selectAll().orderBy("created_at", "desc").orderBy("id").execute()).map(line),
    over: async (account: Account): Promise<TokenLine[]> =>
      (await over(store.db, account).selectAll().orderBy("created_at", "desc").orderBy("id").limit(OVER_SHOWN).execute()).map(line),
  };
}

type Deeds = OwnerTokensOptions & { readonly read: ReturnType<typeof reader> };

/** Runs `fn` under the lock of an account that the person owns. */
const inOwned = <T>(store: Store, { account: id, person }: Owner, fn: (tx: Tx, account: Account) => Promise<T>): Promise<T> =>
  store.inAccount({ account: id, epoch: null, token: null }, async (tx, account) => {
    if (!isOwned(account, person)) throw notFound();
    return fn(tx, account);
  });

function append({ store, trail }: Deeds, tx: Tx, account: Account, deed: { person: string; token: string; action: Deed; text?: string }) {
  return trail.append(tx, {
    at: store.clock.now(),
    account: account.id,
    task: account.task_id,
    actors: [`person/${deed.person}`],
    token: deed.token,
    action: deed.action,
    resource: `token/${deed.token}`,
    outcome: "done",
    ...(deed.text !== undefined && { tenantText: deed.text }),
  });
}

async function make(deeds: Deeds, owner: Owner, form: Readonly<Record<string, string>>): Promise<MadeToken> {
  const { store, tokens, read } = deeds;
  const { form: drawn, name, grant, life } = check(draft, form, "form");
  const duration = LIVES[life][1];
  const expiresAtMs = duration === null ? null : store.clock.now() + duration;
  const id = createHash("sha256").update(`${owner.account} ${drawn}`).digest("hex").slice(0, 32);
  return inOwned(store, owner, async (tx, account) => {
    if (await tx.selectFrom("tokens").select("id").where("id", "=", id).executeTakeFirst()) {
      throw new PlatformError("precondition_failed", {
        message: "This token was made already, and was shown then.",
        next: "If you did not copy it, end it above and make another.",
      });
    }
    if ((await read.count(tx, account)) >= LIVE_TOKENS_MAX) {
      throw new PlatformError("token_limit", { message: `This account has ${LIVE_TOKENS_MAX} tokens, and can have no more.` });
    }
    await read.prune(tx, account);
    const { secret } = await tokens.issue(tx, {
      id,
      account: account.id,
      person: owner.person,
      name,
      permissions: onWholeAccount(GRANTS[grant]),
      task: null,
      epoch: account.auth_epoch,
      expiresAtMs,
    });
    await append(deeds, tx, account, {
      person: owner.person,
      token: id,
      action: "token:issue",
      text: JSON.stringify({ name, grant }),
    });
    return { secret, name, grant, expiresAtMs };
  });
}

const end = (deeds: Deeds, owner: Owner, token: string): Promise<void> =>
  inOwned(deeds.store, owner, async (tx, account) => {
    const ended = await tx
      .updateTable("tokens")
      .set({ ended_at: deeds.store.clock.now() })
      .where("id", "=", token)
      .where("account_id", "=", account.id)
      .where("ended_at", "is", null)
      .returning("id")
      .executeTakeFirst();
    if (ended) await append(deeds, tx, account, { person: owner.person, token, action: "token:end" });
  });

export function createOwnerTokens(options: OwnerTokensOptions): OwnerTokens {
  const { store } = options;
  const read = reader(options);
  const deeds = { ...options, read };
  return {
    account: async (id, person) => {
      const named = store.db
        .selectFrom("accounts")
        .selectAll()
        .where("id", "=", id as AccountId);
      const account = ACCOUNT_ID.test(id) ? await named.executeTakeFirst() : undefined;
      if (!isOwned(account, person)) throw notFound();
      return account;
    },
    list: async (account) => ({ live: await read.live(account), over: await read.over(account) }),
    make: (owner, form) => make(deeds, owner, form),
    end: (owner, token) => end(deeds, owner, token),
  };
}
