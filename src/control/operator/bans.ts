// Ranges of addresses whose callers are refused. The rows are the truth; what acts is a list in memory, replaced at each
// deed of this process and every few seconds for those of others. A range that is wide or holds its own maker wants its name twice.
import { z } from "zod";
import { BanList, type Ban } from "../../capsule/bans.ts";
import { AddressSet, readRange, type AddressRange } from "../../kernel/address-ranges.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { newId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { PLAIN } from "../http/plain-text.ts";
import type { Operator } from "../http/routes.ts";
import type { Store, Tx } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";
import { REASON_MAX } from "./ban-words.ts";

const REFRESH_MS = 5_000;
const BANS_MAX = 10_000;
/** Shorter prefixes are somebody's whole country. */
const WIDE = { IPv4: 8, IPv6: 16 } as const;
const LOOPBACK = ["127.0.0.1", "::1"];
const IS_LOOPBACK = new AddressSet([readRange("127.0.0.0/8"), readRange("::1")].flatMap((range) => range ?? []));

export const reason = z
  .string("missing")
  .trim()
  .min(1, "missing: say why")
  .max(REASON_MAX, `longer than ${REASON_MAX} characters`)
  .regex(PLAIN, "holds characters that cannot be shown");

export const newBan = z.object({
  range: z.string("missing").trim().min(1, "missing").max(60, "too long"),
  reason,
  /** RFC 3339; absent or null: until it is lifted. */
  expires_at: z.iso.datetime({ offset: true, message: "not an RFC 3339 time such as 2026-12-01T00:00:00Z" }).nullish(),
  confirm: z.string().trim().max(60, "too long").optional(),
});
export type NewBan = z.infer<typeof newBan>;

export type BanLine = {
  readonly id: string;
  readonly range: string;
  readonly reason: string;
  /** Name of the person who made it, in their own words. */
  readonly by: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
};

export type Bans = AsyncDisposable & {
  /** Those that act, for host. */
  active(): Promise<Ban[]>;
  list(page: { readonly limit: number; readonly offset: number }): Promise<{ readonly bans: BanLine[]; readonly total: number }>;
  /** @throws PlatformError ban_not_found */
  find(id: string): Promise<BanLine>;
  /** @param address of the caller @throws PlatformError invalid_input, ban_unconfirmed, precondition_failed, quota_exceeded */
  add(by: Operator, ban: NewBan, address: string): Promise<BanLine>;
  /** @throws PlatformError ban_not_found */
  remove(by: Operator, id: string): Promise<void>;
  /** Loopback is never refused: the machine's own operator must get in. */
  refuses(address: string): boolean;
  /** @throws PlatformError address_banned */
  refuse(address: string): void;
};

/** Why the range is to be named twice; null where it need not. */
function doubtOf({ cidr, family, bits }: AddressRange, address: string): string | null {
  const range = readRange(cidr);
  const set = new AddressSet(range ? [range] : []);
  if (bits < WIDE[family]) return `${cidr} is wider than /${WIDE[family]}`;
  if (set.has(address)) return `${cidr} holds the address from which you call, ${address}`;
  return LOOPBACK.some((own) => set.has(own)) ? `${cidr} holds this machine's own address` : null;
}

export type BansOptions = { readonly store: Store; readonly trail: Trail; readonly log: Log };

function rowsOf(store: Store) {
  const all = (db: Tx | Store["db"]) =>
    db
      .selectFrom("bans")
      .leftJoin("person", "person.id", "bans.created_by")
      .select([
        "bans.id",
        "bans.range",
        "bans.reason",
        "bans.created_at as createdAtMs",
        "bans.expires_at as expiresAtMs",
        "person.name as by",
      ]);
  const acting = (db: Tx | Store["db"]) =>
    all(db).where((or) => or.or([or("bans.expires_at", "is", null), or("bans.expires_at", ">", store.clock.now())]));
  return { all, acting };
}

const lineOf = (row: Omit<BanLine, "by"> & { readonly by: string | null }): BanLine => ({ ...row, by: row.by ?? "" });

const notFound = (): PlatformError => new PlatformError("ban_not_found", { message: "ban: there is no such ban." });

function appendTo(
  { store, trail }: BansOptions,
  tx: Tx,
  by: Operator,
  action: Deed,
  { id, range, why }: { id: string; range: string; why: string },
) {
  return trail.append(tx, {
    at: store.clock.now(),
    account: null,
    task: null,
    actors: [`person/${by.person}`],
    token: by.key,
    action,
    resource: `ban/${id}`,
    outcome: "done",
    // Whose addresses these are is for the operator, and no longer than other addresses.
    operatorText: JSON.stringify({ range, reason: why }),
  });
}

async function add(options: BansOptions, by: Operator, ban: NewBan, address: string): Promise<BanLine> {
  const { store } = options;
  const range = readRange(ban.range);
  if (range === null) {
    throw new PlatformError("invalid_input", { message: "range: neither an address nor a CIDR such as 192.0.2.0/24 or 2001:db8::/32." });
  }
  const now = store.clock.now();
  const expiresAtMs = ban.expires_at ? Date.parse(ban.expires_at) : null;
  if (expiresAtMs !== null && expiresAtMs <= now) throw new PlatformError("invalid_input", { message: "expires_at: in the past." });
  const doubt = doubtOf(range, address);
  if (doubt !== null && ban.confirm !== range.cidr) throw new PlatformError("ban_unconfirmed", { message: `range: ${doubt}.` });
  return store.transaction(async (tx) => {
    await store.lock(tx, "bans");
    await tx.deleteFrom("bans").where("expires_at", "<=", now).execute();
    if (await tx.selectFrom("bans").select("id").where("range", "=", range.cidr).executeTakeFirst()) {
      throw new PlatformError("precondition_failed", {
        message: `range: ${range.cidr} is banned already.`,
        next: "To change its end or reason, remove that ban first.",
      });
    }
    const { count } = await tx
      .selectFrom("bans")
      .select((of) => of.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    if (count >= BANS_MAX) {
      throw new PlatformError("quota_exceeded", {
        message: `There are ${BANS_MAX} bans.`,
        next: "Remove some, or ban a range that holds several.",
      });
    }
    const id = newId();
    const row = { id, range: range.cidr, reason: ban.reason, created_by: by.person, created_at: now, expires_at: expiresAtMs };
    await tx.insertInto("bans").values(row).execute();
    await appendTo(options, tx, by, "ban:add", { id, range: range.cidr, why: ban.reason });
    return lineOf(await rowsOf(store).all(tx).where("bans.id", "=", id).executeTakeFirstOrThrow());
  });
}

const remove = (options: BansOptions, by: Operator, id: string): Promise<void> =>
  options.store.transaction(async (tx) => {
    const gone = await tx.deleteFrom("bans").where("id", "=", id).returning(["range", "reason"]).executeTakeFirst();
    if (!gone) throw notFound();
    await appendTo(options, tx, by, "ban:remove", { id, range: gone.range, why: gone.reason });
  });

/** Reads those that stand, and goes on reading. */
export async function openBans(options: BansOptions): Promise<Bans> {
  const { store, log } = options;
  const rows = rowsOf(store);
  const acting = new BanList();
  const active = async (): Promise<Ban[]> =>
    (await rows.acting(store.db).execute()).map(({ range, expiresAtMs }) => ({ range, untilMs: expiresAtMs }));
  let [begun, shown] = [0, 0];
  const refresh = async (): Promise<void> => {
    const turn = ++begun;
    const bans = await active();
    // Of readings at the same time the one that began last is the newest, whichever ends last.
    if (turn < shown) return;
    shown = turn;
    acting.replace(bans, store.clock.now());
  };
  await refresh();
  let running: Promise<void> = Promise.resolve();
  const complain = (err: unknown): void => log.warn({ err }, "the bans could not be read; those that were read last act");
  const timer = setInterval(() => void (running = refresh().catch(complain)), REFRESH_MS).unref();
  const refuses = (address: string): boolean => acting.refuses(address, store.clock.now()) && !IS_LOOPBACK.has(address);
  return {
    active,
    refuses,
    refuse: (address) => {
      if (!refuses(address)) return;
      throw new PlatformError("address_banned", { message: `The operator of this installation refuses calls from ${address}.` });
    },
    list: async ({ limit, offset }) => {
      const found = await rows.acting(store.db).orderBy("bans.created_at", "desc").orderBy("bans.id").limit(limit).offset(offset).execute();
      const { total } = await rows
        .acting(store.db)
        .clearSelect()
        .select((of) => of.fn.countAll<number>().as("total"))
        .executeTakeFirstOrThrow();
      return { bans: found.map(lineOf), total };
    },
    find: async (id) => {
      const row = await rows.acting(store.db).where("bans.id", "=", id).executeTakeFirst();
      if (!row) throw notFound();
      return lineOf(row);
    },
    add: async (by, ban, address) => {
      const made = await add(options, by, ban, address);
      await refresh();
      return made;
    },
    remove: async (by, id) => {
      await remove(options, by, id);
      await refresh();
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await running;
    },
  };
}
