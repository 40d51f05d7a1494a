// Links that let one person sign up. Only the hash of a link's secret is stored, and using a link deletes its
// row in the transaction of the sign-up: of two who open the same link, one gets in.
import { newSecret } from "../../kernel/ids.ts";
import type { Keys } from "../keys/keys.ts";
import type { Role } from "../store/schema.ts";
import type { Store, Tx } from "../store/store.ts";

const INVITATION_DAYS = 7;
const DAY_MS = 86_400_000;

export type Invitations = {
  /** A link's secret for the first operator, in place of any made before; null once there is an operator. */
  forOperator(): Promise<string | null>;
  /** A secret that lets one person sign up within seven days. */
  forPerson(tx: Tx, createdBy: string): Promise<string>;
  /** The role that the secret gives; null when it is not known, used or late. */
  peek(secret: string): Promise<Role | null>;
  /** The same, and it is used up. */
  consume(tx: Tx, secret: string): Promise<Role | null>;
};

export function createInvitations({ store, keys }: { readonly store: Store; readonly keys: Keys }): Invitations {
  const open = (expiresAt: number | null): boolean => expiresAt === null || expiresAt > store.clock.now();
  return {
    forOperator: () =>
      store.transaction(async (tx) => {
        const operator = await tx.selectFrom("person").select("id").where("role", "=", "operator").limit(1).executeTakeFirst();
        await tx.deleteFrom("person_invitations").where("role", "=", "operator").execute();
        if (operator) return null;
        const secret = newSecret("mfo");
        const row = { hash: keys.lookupHash(secret), role: "operator" as const, created_by: null, created_at: store.clock.now() };
        await tx
          .insertInto("person_invitations")
          .values({ ...row, expires_at: null })
          .execute();
        return secret;
      }),
    forPerson: async (tx, createdBy) => {
      const now = store.clock.now();
      await tx.deleteFrom("person_invitations").where("expires_at", "<=", now).execute();
      const secret = newSecret("mfi");
      const row = { hash: keys.lookupHash(secret), role: "person" as const, created_by: createdBy, created_at: now };
      await tx
        .insertInto("person_invitations")
        .values({ ...row, expires_at: now + INVITATION_DAYS * DAY_MS })
        .execute();
      return secret;
    },
    peek: async (secret) => {
      const row = await store.db
        .selectFrom("person_invitations")
        .selectAll()
        .where("hash", "=", keys.lookupHash(secret))
        .executeTakeFirst();
      return row && open(row.expires_at) ? row.role : null;
    },
    consume: async (tx, secret) => {
      const row = await tx.deleteFrom("person_invitations").where("hash", "=", keys.lookupHash(secret)).returningAll().executeTakeFirst();
      return row && open(row.expires_at) ? row.role : null;
    },
  };
}
