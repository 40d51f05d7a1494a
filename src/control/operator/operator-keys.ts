// Keys with which operators' scripts call the operator's routes: hashed, shown once, never for longer than 90 days, and
// worth nothing from the moment on at which their person is no operator any more.
import { createHash } from "node:crypto";
import { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import { ACCOUNT_ID, isSecret, newSecret } from "../../kernel/ids.ts";
import { check } from "../http/body.ts";
import { PLAIN } from "../http/plain-text.ts";
import type { Operator } from "../http/routes.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store, Tx } from "../store/store.ts";
import type { Refusals } from "../tokens/refusals.ts";
import type { Deed, Trail } from "../trail/trail.ts";

export const KEYS_MAX = 10;
export const KEY_NAME_MAX = 100;
const OVER_SHOWN = 10;
/** Keys that work no more; the trail has the deeds of all. */
const OVER_KEPT = 100;
const ALL_ROWS = 1_000_000;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

export const KEY_LIVES = { "1d": ["in 1 day", 1], "7d": ["in 7 days", 7], "30d": ["in 30 days", 30], "90d": ["in 90 days", 90] } as const;
type KeyLife = keyof typeof KEY_LIVES;
export type KeyAccess = "read" | "full";

export type KeyLine = {
  readonly id: string;
  readonly name: string;
  readonly access: KeyAccess;
  /** Name of the person whose key it is, in their own words. */
  readonly of: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly lastUsedAtMs: number | null;
  readonly endedAtMs: number | null;
};

export type MadeKey = { readonly secret: string; readonly name: string; readonly access: KeyAccess; readonly expiresAtMs: number };

export type OperatorKeys = {
  /** @throws PlatformError operator_key_refused, forbidden for a change with a key that only reads */
  lookUp(secret: string, needs: { readonly full: boolean; readonly route: string }): Promise<Operator>;
  list(): Promise<{ readonly live: KeyLine[]; readonly over: KeyLine[] }>;
  /** @throws PlatformError invalid_input, operator_key_limit, precondition_failed when the same form was sent before */
  make(by: Operator, form: Readonly<Record<string, string>>): Promise<MadeKey>;
  /** Ends it at once, whosever it is; does nothing when there is no such key that works. */
  end(by: Operator, id: string): Promise<void>;
  /** Ends those of the secrets that are keys which work; all others change nothing, and nobody is told. */
  endLeaked(secrets: readonly string[]): Promise<void>;
};

const draft = z.object({
  // Drawn with the form: one that is sent again makes no second key.
  form: z.string("missing").regex(ACCOUNT_ID, "not as the page had it"),
  name: z
    .string("missing")
    .trim()
    .min(1, "missing")
    .max(KEY_NAME_MAX, `longer than ${KEY_NAME_MAX} characters`)
    .regex(PLAIN, "holds characters that cannot be shown"),
  access: z.enum(["read", "full"], "choose what the key may do"),
  life: z.enum(Object.keys(KEY_LIVES) as [KeyLife, ...KeyLife[]], "choose when the key ends"),
});

export type OperatorKeysOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly refusals: Pick<Refusals, "record">;
};

const refused = (message: string): PlatformError => new PlatformError("operator_key_refused", { message });

type Row = {
  readonly id: string;
  readonly person_id: string;
  readonly access: KeyAccess;
  readonly expires_at: number;
  readonly ended_at: number | null;
  readonly last_used_at: number | null;
  readonly role: string | null;
};

function checkLife(row: Row | undefined, nowMs: number): asserts row is Row {
  if (!row) throw refused("This is not an operator's key of this installation.");
  if (row.ended_at !== null) throw refused("This operator's key was ended.");
  if (row.expires_at <= nowMs) throw refused("This operator's key has expired.");
  if (row.role !== "operator") throw refused("The person whose key this is runs this installation no more.");
}

async function lookUp({ store, keys, refusals }: OperatorKeysOptions, secret: string, needs: { full: boolean; route: string }) {
  if (!isSecret("mfk", secret)) throw refused("This is not an operator's key of this installation.");
  const row: Row | undefined = await store.db
    .selectFrom("operator_keys as k")
    .leftJoin("person", "person.id", "k.person_id")
    .select(["k.id", "k.person_id", "k.access", "k.expires_at", "k.ended_at", "k.last_used_at", "person.role"])
    .where("k.hash", "=", keys.lookupHash(secret))
    .executeTakeFirst();
  const now = store.clock.now();
  checkLife(row, now);
  const operator: Operator = { person: row.person_id, key: row.id };
  if (needs.full && row.access !== "full") {
    refusals.record(
      { account: null, task: null, actors: [`person/${row.person_id}`], token: row.id },
      "operator:write",
      "operator/routes",
      needs.route,
    );
    throw new PlatformError("forbidden", { message: "This operator's key only reads.", next: "Use a full key, made at /operations/keys." });
  }
  if (row.last_used_at === null || row.last_used_at <= now - MINUTE_MS)
    await store.db.updateTable("operator_keys").set({ last_used_at: now }).where("id", "=", row.id).execute();
  return operator;
}

function append(
  { store, trail }: OperatorKeysOptions,
  tx: Tx,
  by: Operator | null,
  action: Deed,
  key: string,
  reason?: string,
): Promise<void> {
  return trail.append(tx, {
    at: store.clock.now(),
    account: null,
    task: null,
    actors: [by === null ? "mayfly" : `person/${by.person}`],
    token: by?.key ?? null,
    action,
    resource: `operator-key/${key}`,
    outcome: "done",
    ...(reason !== undefined && { reason }),
  });
}

/** Those that work: neither ended nor late. */
const living = (db: Tx | Store["db"], nowMs: number) =>
  db.selectFrom("operator_keys as k").where("k.ended_at", "is", null).where("k.expires_at", ">", nowMs);

const overOf = (db: Tx | Store["db"], nowMs: number) =>
  db.selectFrom("operator_keys as k").where((or) => or.or([or("k.ended_at", "is not", null), or("k.expires_at", "<=", nowMs)]));

async function make(options: OperatorKeysOptions, by: Operator, form: Readonly<Record<string, string>>): Promise<MadeKey> {
  const { store, keys } = options;
  const { form: drawn, name, access, life } = check(draft, form, "form");
  const id = createHash("sha256").update(`operator key ${by.person} ${drawn}`).digest("hex").slice(0, 32);
  return store.transaction(async (tx) => {
    await store.lock(tx, "operator keys");
    const now = store.clock.now();
    if (await tx.selectFrom("operator_keys").select("id").where("id", "=", id).executeTakeFirst()) {
      throw new PlatformError("precondition_failed", {
        message: "This key was made already, and was shown then.",
        next: "If you did not copy it, end it below and make another.",
      });
    }
    const { count } = await living(tx, now)
      .select((of) => of.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    if (count >= KEYS_MAX) {
      throw new PlatformError("operator_key_limit", {
        message: `This installation has ${KEYS_MAX} operator's keys, and can have no more.`,
      });
    }
    const old = overOf(tx, now).select("k.id").orderBy("k.created_at", "desc").orderBy("k.id").limit(ALL_ROWS).offset(OVER_KEPT);
    await tx.deleteFrom("operator_keys").where("id", "in", old).execute();
    const secret = newSecret("mfk");
    const expiresAtMs = now + KEY_LIVES[life][1] * DAY_MS;
    const row = { id, hash: keys.lookupHash(secret), person_id: by.person, name, access, created_at: now, expires_at: expiresAtMs };
    await tx
      .insertInto("operator_keys")
      .values({ ...row, ended_at: null, last_used_at: null })
      .execute();
    await append(options, tx, by, "operator-key:issue", id, access);
    return { secret, name, access, expiresAtMs };
  });
}

const end = (options: OperatorKeysOptions, by: Operator | null, id: string, reason?: string): Promise<void> =>
  options.store.transaction(async (tx) => {
    const ended = await tx
      .updateTable("operator_keys")
      .set({ ended_at: options.store.clock.now() })
      .where("id", "=", id)
      .where("ended_at", "is", null)
      .returning("id")
      .executeTakeFirst();
    if (ended) await append(options, tx, by, "operator-key:end", id, reason);
  });

/** Only whoever knows a key's secret can have it ended so; those that are none cost one look-up together. */
async function endLeaked(options: OperatorKeysOptions, secrets: readonly string[]): Promise<void> {
  const { store, keys } = options;
  const hashes = secrets.filter((secret) => isSecret("mfk", secret)).map((secret) => keys.lookupHash(secret));
  if (hashes.length === 0) return;
  const known = await living(store.db, store.clock.now()).select("k.id").where("k.hash", "in", hashes).execute();
  for (const { id } of known) await end(options, null, id, "leaked in a URL");
}

export function createOperatorKeys(options: OperatorKeysOptions): OperatorKeys {
  const { store } = options;
  const lines = async (rows: ReturnType<typeof living>, most: number): Promise<KeyLine[]> => {
    const found = await rows
      .leftJoin("person", "person.id", "k.person_id")
      .selectAll("k")
      .select("person.name as of")
      .orderBy("k.created_at", "desc")
      .orderBy("k.id")
      .limit(most)
      .execute();
    return found.map((row) => ({
      id: row.id,
      name: row.name,
      access: row.access,
      of: row.of ?? "",
      createdAtMs: row.created_at,
      expiresAtMs: row.expires_at,
      lastUsedAtMs: row.last_used_at,
      endedAtMs: row.ended_at,
    }));
  };
  return {
    lookUp: (secret, needs) => lookUp(options, secret, needs),
    list: async () => ({
      live: await lines(living(store.db, store.clock.now()), KEYS_MAX),
      over: await lines(overOf(store.db, store.clock.now()), OVER_SHOWN),
    }),
    make: (by, form) => make(options, by, form),
    end: (by, id) => end(options, by, id),
    endLeaked: (secrets) => endLeaked(options, secrets),
  };
}
