// Everything that an operator can know of one account, its tombstone included: what it uses, where it answers, which code
// it runs by hash, and its trail with what was sealed for the operator. What the tenant sealed stays sealed.
import { z } from "zod";
import type { CapsuleHost, Usage } from "../../capsule/messages.ts";
import type { Holdings } from "../accounts/holdings.ts";
import type { LimitsOf } from "../accounts/limits.ts";
import type { Keys } from "../keys/keys.ts";
import type { Limit } from "../products/product.ts";
import type { Account, Store } from "../store/store.ts";
import type { Trail, TrailLine, TrailPage } from "../trail/trail.ts";
import { addressIn } from "./made-from.ts";
import type { AccountLine, Sight } from "./sight.ts";

const FILES_SHOWN = 200;
const VERSIONS_READ = 50;

/** A file of code, by the SHA-256 of its bytes. */
export type CodeHash = { readonly worker: string; readonly version: string; readonly file: string; readonly sha256: string };

export type Dossier = AccountLine & {
  /** Null where host does not answer. */
  readonly usage: Usage | null;
  readonly limits: readonly Limit[];
  readonly holdings: Holdings;
  readonly hashes: readonly CodeHash[];
  /** Whose call made it; null once the month's operator key is gone. */
  readonly madeFrom: string | null;
  readonly trail: readonly TrailLine[];
};

export type DossierOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly host: Pick<CapsuleHost, "usage">;
  readonly sight: Sight;
  readonly limitsOf: LimitsOf;
  readonly holdingsOf: (account: Account) => Promise<Holdings>;
};

const file = z.object({ name: z.string(), hash: z.string() });
/** Of a version's code, whatever its format. */
const code = z.object({ modules: z.array(file).default([]), script: file.optional(), parts: z.array(file).default([]) });

async function hashesOf({ db }: Store, account: Account): Promise<CodeHash[]> {
  const rows = await db
    .selectFrom("worker_versions as v")
    .innerJoin("workers as w", "w.id", "v.worker_id")
    .select(["w.name as worker", "v.id as version", "v.code"])
    .where("v.account_id", "=", account.id)
    .orderBy("v.created_at", "desc")
    .limit(VERSIONS_READ)
    .execute();
  const all = rows.flatMap(({ worker, version, code: json }) => {
    const { modules, script, parts } = code.parse(JSON.parse(json));
    return [...(script ? [script] : []), ...modules, ...parts].map(({ name, hash }) => ({ worker, version, file: name, sha256: hash }));
  });
  return all.slice(0, FILES_SHOWN);
}

async function madeFrom({ store, keys }: DossierOptions, account: Account): Promise<string | null> {
  const row = await store.db
    .selectFrom("trail")
    .select(["at", "sealed"])
    .where("account_id", "=", account.id)
    .where("action", "=", "account:create")
    .executeTakeFirst();
  return row?.sealed ? addressIn(keys, row.at, row.sealed) : null;
}

/** @param page of the trail, youngest entries first */
export async function dossierOf(options: DossierOptions, account: Account, page: TrailPage): Promise<Dossier> {
  const { store, trail, host, sight, limitsOf, holdingsOf } = options;
  const ended = account.state === "ending" || account.state === "deleted";
  return {
    ...(await sight.line(account)),
    usage: ended ? null : await host.usage(account.id).catch(() => null),
    limits: ended ? [] : await limitsOf(account),
    holdings: ended ? { workers: [], files: 0 } : await holdingsOf(account),
    hashes: ended ? [] : await hashesOf(store, account),
    madeFrom: await madeFrom(options, account),
    trail: await trail.readForOperator(account.id, page),
  };
}
