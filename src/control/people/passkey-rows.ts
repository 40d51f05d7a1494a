// Rows of passkeys. A person's are counted and removed under one lock, so that two removals at once never leave
// somebody without a way in.
import type { Selectable } from "kysely";
import { PlatformError } from "../../kernel/errors.ts";
import { newId } from "../../kernel/ids.ts";
import type { PersonPasskeyTable } from "../store/schema.ts";
import type { Store, Tx } from "../store/store.ts";

const PASSKEYS_MAX = 20;

export type PasskeyRow = Selectable<PersonPasskeyTable>;
export type NewPasskey = Omit<PasskeyRow, "id" | "created_at" | "last_used_at">;

export type PasskeyRows = {
  ofPerson(person: string): Promise<PasskeyRow[]>;
  find(credentialId: string): Promise<PasskeyRow | undefined>;
  /** @throws PlatformError passkey_refused when it is known already, or the person has too many */
  insert(tx: Tx, passkey: NewPasskey): Promise<string>;
  /** Notes a use; false when it was removed, or used at the same moment with another count. */
  use(tx: Tx, row: PasskeyRow, counter: number, backedUp: boolean): Promise<boolean>;
  /** False when the person has no such passkey. @throws PlatformError last_way_in */
  remove(tx: Tx, person: string, id: string): Promise<boolean>;
  /** Ends the person's sessions but one. @returns how many; to be called after `remove`, so that no sign-in slips in between */
  endSessions(tx: Tx, person: string, but: string | null): Promise<number>;
};

export function createPasskeyRows(store: Store): PasskeyRows {
  const lock = (tx: Tx, person: string): Promise<void> => store.lock(tx, `passkeys ${person}`);
  const count = async (tx: Tx, person: string): Promise<number> => {
    const counted = tx.selectFrom("person_passkeys").select((of) => of.fn.countAll<number>().as("count"));
    return (await counted.where("person_id", "=", person).executeTakeFirstOrThrow()).count;
  };
  return {
    ofPerson: (person) =>
      store.db.selectFrom("person_passkeys").selectAll().where("person_id", "=", person).orderBy("created_at").orderBy("id").execute(),
    find: (credentialId) => store.db.selectFrom("person_passkeys").selectAll().where("credential_id", "=", credentialId).executeTakeFirst(),
    insert: async (tx, passkey) => {
      await lock(tx, passkey.person_id);
      if ((await count(tx, passkey.person_id)) >= PASSKEYS_MAX) {
        throw new PlatformError("passkey_refused", {
          message: `You have ${PASSKEYS_MAX} passkeys.`,
          next: "Remove one that you no longer use.",
        });
      }
      const row = await tx
        .insertInto("person_passkeys")
        .values({ ...passkey, id: newId(), created_at: store.clock.now(), last_used_at: null })
        .onConflict((on) => on.column("credential_id").doNothing())
        .returning("id")
        .executeTakeFirst();
      if (!row) {
        throw new PlatformError("passkey_refused", { message: "This passkey is known here already.", next: "Sign in with it." });
      }
      return row.id;
    },
    use: async (tx, row, counter, backedUp) => {
      const used = await tx
        .updateTable("person_passkeys")
        .set({ counter, backed_up: backedUp ? 1 : 0, last_used_at: store.clock.now() })
        .where("id", "=", row.id)
        .where("counter", "=", row.counter)
        .returning("id")
        .executeTakeFirst();
      return used !== undefined;
    },
    remove: async (tx, person, id) => {
      await lock(tx, person);
      const gone = await tx
        .deleteFrom("person_passkeys")
        .where("id", "=", id)
        .where("person_id", "=", person)
        .returning("id")
        .executeTakeFirst();
      if (!gone) return false;
      const password = tx.selectFrom("person_credential").select("id").where("userId", "=", person).where("password", "is not", null);
      if ((await count(tx, person)) === 0 && !(await password.limit(1).executeTakeFirst())) {
        throw new PlatformError("last_way_in", { message: "This passkey is your only way to sign in." });
      }
      return true;
    },
    endSessions: async (tx, person, but) => {
      const sessions = tx.deleteFrom("person_session").where("userId", "=", person);
      return (await (but === null ? sessions : sessions.where("id", "!=", but)).returning("id").execute()).length;
    },
  };
}
