// Links that let one person sign up. Only the hash of a link's secret is stored, and using a link deletes its
// row in the transaction of the sign-up: of two who open the same link, one gets in.
import { newSecret } from "../../kernel/ids.ts";
import type { Keys } from "../keys/keys.ts";
import type { Role } from "../store/schema.ts";
import type { Store, Tx } from "../store/store.ts";

const INVITATION_MS = 7 * 86_400_000;

export type Invitations = {
  /** A secret for the first operator, besides those made before; the first that is used ends the others. Null once there is an operator. */
  forOperator(): Promise<string | null>;
  /** A secret that lets one person sign up within seven days. */
  forPerson(tx: Tx, createdBy: string): Promise<string>;
  /** The role that the secret gives; null when it is not known, used or late. */
  peek(secret: string): Promise<Role | null>;
  /** The same, and it is used up. */
  consume(tx: Tx, secret: string): Promise<Role | null>;
  /** Those of the secrets that are links, used or late ones aside. */
  known(secrets: readonly string[]): Promise<string[]>;
  /** Ends the link without using it; false where there was none. */
  end(tx: Tx, secret: string): Promise<boolean>;
};

export function createInvitations({ store, keys }: { readonly store: Store; readonly keys: Keys }): Invitations {
  const open = (row: { readonly expires_at: number }): boolean => row.expires_at > store.clock.now();
  const insert = async (tx: Tx, secret: string, role: Role, createdBy: string | null): Promise<void> => {
    const now = store.clock.now();
    await tx.deleteFrom("person_invitations").where("expires_at", "<=", now).execute();
    await tx
      .insertInto("person_invitations")
      .values({ hash: keys.lookupHash(secret), role, created_by: createdBy, created_at: now, expires_at: now + INVITATION_MS })
      .execute();
  };
  return {
    forOperator: () =>
      store.transaction(async (tx) => {
        const operator = await tx.selectFrom("person").select("id").where("role", "=", "operator").limit(1).executeTakeFirst();
        if (operator) return null;
        const secret = newSecret("mfo");
        await insert(tx, secret, "operator", null);
        return secret;
      }),
    forPerson: async (tx, createdBy) => {
      const secret = newSecret("mfi");
      await insert(tx, secret, "person", createdBy);
      return secret;
    },
    peek: async (secret) => {
      const row = await store.db
        .selectFrom("person_invitations")
        .selectAll()
        .where("hash", "=", keys.lookupHash(secret))
        .executeTakeFirst();
      return row && open(row) ? row.role : null;
    },
    consume: async (tx, secret) => {
      const hash = keys.lookupHash(secret);
      // One operator's link that is used takes every other with it, in one statement: two used at once let one in.
      const gone = await tx
        .deleteFrom("person_invitations")
        .where((or) =>
          or.or([
            or("hash", "=", hash),
            or.and([
              or("role", "=", "operator"),
              or.exists(
                or
                  .selectFrom("person_invitations as used")
                  .select("used.hash")
                  .where("used.hash", "=", hash)
                  .where("used.role", "=", "operator"),
              ),
            ]),
          ]),
        )
        .returningAll()
        .execute();
      const row = gone.find((invitation) => invitation.hash === hash);
      return row && open(row) ? row.role : null;
    },
    known: async (secrets) => {
      if (secrets.length === 0) return [];
      const byHash = new Map(secrets.map((secret) => [keys.lookupHash(secret), secret]));
      const rows = await store.db
        .selectFrom("person_invitations")
        .select(["hash", "expires_at"])
        .where("hash", "in", [...byHash.keys()])
        .execute();
      return rows.filter(open).flatMap(({ hash }) => byHash.get(hash) ?? []);
    },
    end: async (tx, secret) => {
      const ended = tx.deleteFrom("person_invitations").where("hash", "=", keys.lookupHash(secret)).returning("hash");
      return (await ended.executeTakeFirst()) !== undefined;
    },
  };
}
