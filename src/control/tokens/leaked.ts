// Tokens that were seen where others can read them, ended at once. Only whoever knows a token's secret can have it
// ended so, and nobody is told whether there was anything to end.
import { PlatformError } from "../../kernel/errors.ts";
import { isSecret, type AccountId } from "../../kernel/ids.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store } from "../store/store.ts";
import type { Trail } from "../trail/trail.ts";

/** Stands in the trail. */
const REASON = "leaked in a URL";

export type LeaksOptions = { readonly store: Store; readonly keys: Keys; readonly trail: Trail };

type Known = { readonly id: string; readonly account_id: AccountId };

/**
 * Ends those of the secrets that are living tokens, each with its trail entry in one transaction; all others change
 * nothing. Anybody can make up hundreds of them for one address: all of those are one look-up.
 */
export async function endLeakedTokens(options: LeaksOptions, secrets: readonly string[]): Promise<void> {
  const { store, keys } = options;
  const hashes = secrets.filter((secret) => isSecret("mft", secret)).map((secret) => keys.lookupHash(secret));
  if (hashes.length === 0) return;
  const known = await store.db
    .selectFrom("tokens")
    .select(["id", "account_id"])
    .where("hash", "in", hashes)
    .where("ended_at", "is", null)
    .execute();
  for (const token of known) await endOne(options, token);
}

async function endOne({ store, trail }: LeaksOptions, known: Known): Promise<void> {
  const writer = { account: known.account_id, epoch: null, token: null };
  try {
    await store.inAccount(writer, async (tx, account) => {
      const at = store.clock.now();
      const ended = await tx
        .updateTable("tokens")
        .set({ ended_at: at })
        .where("id", "=", known.id)
        .where("epoch", "=", account.auth_epoch)
        .where("ended_at", "is", null)
        .where((or) => or.or([or("expires_at", "is", null), or("expires_at", ">", at)]))
        .returning("id")
        .executeTakeFirst();
      if (!ended) return;
      const entry = { at, account: account.id, task: account.task_id, actors: ["mayfly"], token: known.id };
      await trail.append(tx, { ...entry, action: "token:end", resource: `token/${known.id}`, outcome: "done", reason: REASON });
    });
  } catch (error) {
    // With its account the token has ended too.
    if (error instanceof PlatformError && (error.code === "account_gone" || error.code === "account_not_found")) return;
    throw error;
  }
}
