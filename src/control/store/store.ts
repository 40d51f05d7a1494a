// The one way to the database. Every write of an account goes through inAccount(), whose first statement
// takes the account's row lock and proves that the account is alive, in one, on both databases.
import { join } from "node:path";
import { Kysely, PostgresDialect, sql, type Selectable, type Transaction } from "kysely";
import { Migrator, type Migration } from "kysely/migration";
import pg from "pg";
import type { Clock } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { AccountId } from "../../kernel/ids.ts";
import { migrations } from "./migrations.ts";
import type { AccountTable, Schema } from "./schema.ts";
import { openSqlite } from "./sqlite.ts";
import { checkToken } from "./token-life.ts";

export type Tx = Transaction<Schema>;
export type Account = Selectable<AccountTable>;
/** Who writes to the account: the token, and the epoch under which it was authenticated; both null for the platform itself. */
export type Writer = { readonly account: AccountId; readonly epoch: number | null; readonly token: string | null };

export type Store = AsyncDisposable & {
  readonly kind: "sqlite" | "postgres";
  /** For reads, and for better-auth. */
  readonly db: Kysely<Schema>;
  readonly clock: Clock;
  /**
   * Runs `fn` in one transaction that holds the account's row.
   * @throws PlatformError account_gone when it no longer lives, token_refused when the epoch is another or
   *   the token was ended or has expired, account_suspended when an operator stopped it
   */
  inAccount<T>(writer: Writer, fn: (tx: Tx, account: Account) => Promise<T>): Promise<T>;
  /** The same for an account that is `ending`; the only writer then. Undefined when it is not. */
  endingAccount<T>(account: AccountId, fn: (tx: Tx, account: Account) => Promise<T>): Promise<T | undefined>;
  /** A transaction that belongs to no account. */
  transaction<T>(fn: (tx: Tx) => Promise<T>): Promise<T>;
  /** Reads alone, all of one moment: in PostgreSQL's ordinary transactions each statement sees a later one. */
  snapshot<T>(fn: (tx: Tx) => Promise<T>): Promise<T>;
  /** Until the transaction ends, no other one that locks the name goes on: for counting rows before one is added. */
  lock(tx: Tx, name: string): Promise<void>;
  /** Makes what was deleted unreadable in the log files too. */
  truncateLog(): Promise<void>;
};

// PostgreSQL's bigint arrives as text by default; every number of ours is far below 2^53.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/** A caller hears that the database cannot be reached rather than nothing. */
const CONNECT_WITHIN_MS = 30_000;

function connect(options: { readonly databaseUrl: string | null; readonly data: string }) {
  if (options.databaseUrl !== null) {
    const pool = new pg.Pool({ connectionString: options.databaseUrl, max: 10, connectionTimeoutMillis: CONNECT_WITHIN_MS });
    // An idle connection that breaks must not end the process; the next query opens another.
    pool.on("error", () => undefined);
    return {
      kind: "postgres" as const,
      db: new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }),
      truncateLog: () => Promise.resolve(),
    };
  }
  const sqlite = openSqlite(join(options.data, "mayfly.db"));
  const db = new Kysely<Schema>({ dialect: sqlite.dialect });
  // Through a connection of Kysely's, so that it never runs inside another caller's transaction.
  const truncate = () => db.connection().execute(() => Promise.resolve(sqlite.truncateLog()));
  return { kind: "sqlite" as const, db, truncateLog: truncate };
}

async function migrate(db: Kysely<Schema>, kind: "sqlite" | "postgres"): Promise<void> {
  const provider = { getMigrations: (): Promise<Record<string, Migration>> => Promise.resolve(migrations(kind)) };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  if (error) throw new Error("The database could not be brought up to date", { cause: error });
}

/** Tells a caller why its write found no living account. */
async function refuse(tx: Tx, writer: Writer, nowMs: number): Promise<never> {
  const account = await tx.selectFrom("accounts").selectAll().where("id", "=", writer.account).executeTakeFirst();
  if (!account) throw new PlatformError("account_not_found", { message: "There is no such account." });
  const lives =
    (account.state === "temporary" || account.state === "claimed") && (account.expires_at === null || account.expires_at > nowMs);
  if (lives) {
    const claimed = account.state === "claimed";
    throw new PlatformError("token_refused", {
      message: claimed
        ? "A person claimed this account while the request was on its way; the token ended with that."
        : "The token ended while the request was on its way.",
      ...(claimed && { next: "Ask the person who claimed it for a new token." }),
    });
  }
  const why = account.end_reason ?? "expired";
  throw new PlatformError("account_gone", { message: `The account has ended (${why}).` });
}

/** Opens the database and brings its tables up to date. @throws Error when it cannot be reached */
export async function openStore(options: {
  readonly databaseUrl: string | null;
  readonly data: string;
  readonly clock: Clock;
}): Promise<Store> {
  const { kind, db, truncateLog } = connect(options);
  await migrate(db, kind);
  const { clock } = options;

  const locked = (tx: Tx, id: AccountId) =>
    tx
      .updateTable("accounts")
      .set({ revision: sql<number>`revision + 1` })
      .where("id", "=", id);

  return {
    kind,
    db,
    clock,
    inAccount: (writer, fn) =>
      db.transaction().execute(async (tx) => {
        let update = locked(tx, writer.account)
          .where("state", "in", ["temporary", "claimed"])
          .where((or) => or.or([or("expires_at", "is", null), or("expires_at", ">", clock.now())]));
        if (writer.epoch !== null) update = update.where("auth_epoch", "=", writer.epoch);
        const account = await update.returningAll().executeTakeFirst();
        if (!account) return refuse(tx, writer, clock.now());
        if (writer.token !== null) await checkToken(tx, account, writer.token, clock.now());
        if (writer.epoch !== null && account.suspended_by === "operator") {
          throw new PlatformError("account_suspended", {
            message: `The operator suspended this account: ${account.suspended_reason ?? "no reason given"}.`,
          });
        }
        return fn(tx, account);
      }),
    endingAccount: (id, fn) =>
      db.transaction().execute(async (tx) => {
        const account = await locked(tx, id).where("state", "=", "ending").returningAll().executeTakeFirst();
        return account && fn(tx, account);
      }),
    transaction: (fn) => db.transaction().execute(fn),
    snapshot: (fn) => (kind === "sqlite" ? db.transaction() : db.transaction().setIsolationLevel("repeatable read")).execute(fn),
    lock: async (tx, name) => {
      // SQLite's transactions are one queue already.
      if (kind === "postgres") await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(tx);
    },
    truncateLog,
    [Symbol.asyncDispose]: () => db.destroy(),
  };
}
