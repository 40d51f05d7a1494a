// The claim as a deed: one transaction revokes, raises the epoch, transfers, and makes the owner's token.
// Of any number of racing claims, and of a claim racing the end, exactly one wins: transitions.ts.
import { PlatformError } from "../../kernel/errors.ts";
import { isSecret } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { Composer } from "../composer/composer.ts";
import type { Keys } from "../keys/keys.ts";
import { OWNER_ACTIONS } from "../permissions/actions.ts";
import { onWholeAccount } from "../permissions/authorize.ts";
import type { Account, Store } from "../store/store.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { Trail } from "../trail/trail.ts";
import { claimability, type Claimability } from "./lifecycle.ts";
import * as transitions from "./transitions.ts";

const DAY_MS = 86_400_000;

export type ClaimOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly tokens: Tokens;
  readonly composer: Composer;
  readonly claimsPerDay: number;
  readonly log: Log;
};

export type Claims = {
  /** The state of what a claim secret opens; says nothing else to those who only hold the link. */
  find(secret: string): Promise<{ readonly claimability: Claimability; readonly account: Account | undefined }>;
  /**
   * Makes the person the owner. The secret in the answer is shown once.
   * @throws PlatformError claim_unknown, claim_taken, claim_late, claim_limit
   */
  take(secret: string, person: { readonly id: string }): Promise<{ readonly account: Account; readonly token: string }>;
};

const REFUSALS = {
  unknown: ["claim_unknown", "This link opens no account."],
  taken: ["claim_taken", "This account was claimed before."],
  late: ["claim_late", "This account ended before it was claimed, and everything in it is gone."],
} as const;

export function refusalOf(kind: keyof typeof REFUSALS): PlatformError {
  const [code, message] = REFUSALS[kind];
  return new PlatformError(code, { message });
}

export function createClaims({ store, keys, trail, tokens, composer, claimsPerDay, log }: ClaimOptions): Claims {
  const find = async (secret: string) => {
    const account = isSecret("mfc", secret)
      ? await store.db.selectFrom("accounts").selectAll().where("claim_hash", "=", keys.lookupHash(secret)).executeTakeFirst()
      : undefined;
    return { account, claimability: claimability(account, store.clock.now()) };
  };

  const take: Claims["take"] = async (secret, person) => {
    const found = await find(secret);
    if (found.claimability.kind !== "open") throw refusalOf(found.claimability.kind);
    const claimed = await store.transaction(async (tx) => {
      await store.lock(tx, `claims ${person.id}`);
      const now = store.clock.now();
      const { count } = await tx
        .selectFrom("accounts")
        .select((of) => of.fn.countAll<number>().as("count"))
        .where("owner_id", "=", person.id)
        .where("claimed_at", ">", now - DAY_MS)
        .executeTakeFirstOrThrow();
      if (count >= claimsPerDay) {
        throw new PlatformError("claim_limit", { message: `You have claimed ${claimsPerDay} accounts in the last 24 hours.` });
      }
      const account = await transitions.claim(tx, keys.lookupHash(secret), person.id, now);
      if (!account) return null;
      const token = await tokens.issue(tx, {
        account: account.id,
        person: person.id,
        name: "owner",
        permissions: onWholeAccount(OWNER_ACTIONS),
        task: null,
        epoch: account.auth_epoch,
        expiresAtMs: null,
      });
      await trail.append(tx, {
        at: now,
        account: account.id,
        task: account.task_id,
        actors: [`person/${person.id}`],
        token: token.id,
        action: "account:claim",
        resource: `account/${account.id}`,
        outcome: "done",
      });
      return { account, token: token.secret, spec: await composer.recompose(tx, account) };
    });
    if (!claimed) {
      const now = await find(secret);
      throw refusalOf(now.claimability.kind === "open" ? "taken" : now.claimability.kind);
    }
    // The claim stands whatever host says: it also learns of it when it next compares what it holds.
    await composer.publish(claimed.spec).catch((err: unknown) => {
      log.error({ err, account: claimed.account.id }, "host did not hear of a claim; it is told when it next asks");
    });
    return { account: claimed.account, token: claimed.token };
  };
  return { find, take };
}
