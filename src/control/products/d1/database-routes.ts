// Databases as things of the account: made, listed, looked at, changed, deleted. A name stands wherever an id may.
import type { Kysely } from "kysely";
import { PlatformError } from "../../../kernel/errors.ts";
import { newUuid, type AccountId } from "../../../kernel/ids.ts";
import { success } from "../../http/envelope.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import type { Principal } from "../../permissions/authorize.ts";
import type { Schema } from "../../store/schema.ts";
import type { Account, Tx } from "../../store/store.ts";
import type { Deed } from "../../trail/trail.ts";
import { isDeploying, type ProductContext } from "../product.ts";
import { createBody, databaseOnWire, listedOnWire, patchBody, readBody, replaceBody } from "./contract.ts";
import type { Databases } from "./process.ts";
import { databasesAllowed } from "./quota.ts";
import { deleteDatabases, findDatabase, insertDatabase, listDatabases, setReadReplication, type Database } from "./store.ts";

const ALL = "/accounts/:account/d1/database" as const;
export const ONE = `${ALL}/:database` as const;
const BODY_MAX_BYTES = 65_536;

export const READ = { action: "d1:read", product: "d1", param: "database" } as const;
export const WRITE = { action: "d1:write", product: "d1", param: "database" } as const;

/** @throws PlatformError database_not_found */
export async function presentDatabase(db: Kysely<Schema>, account: AccountId, idOrName: string): Promise<Database> {
  const found = await findDatabase(db, account, idOrName);
  if (found) return found;
  throw new PlatformError("database_not_found", {
    message: `The database ${JSON.stringify(idOrName.slice(0, 80))} could not be found.`,
  });
}

export const databaseOf = (context: ProductContext, call: AccountCall): Promise<Database> =>
  presentDatabase(context.store.db, call.account, call.params["database"] ?? "");

/** The same for what is then read where it lies: past the process, which would refuse who is suspended. @throws PlatformError as store.inAccount */
export const reachableDatabase = (context: ProductContext, call: AccountCall): Promise<Database> =>
  context.store.inAccount(call.principal, (tx) => presentDatabase(tx, call.account, call.params["database"] ?? ""));

/** Writes what was done into the trail, in the same transaction. */
async function record(context: ProductContext, tx: Tx, principal: Principal, action: Deed, id: string, name: string): Promise<void> {
  const { account, task, actors, token } = principal;
  const at = context.store.clock.now();
  await context.trail.append(tx, { at, account, task, actors, token, action, resource: `d1/${id}`, outcome: "done", tenantText: name });
}

type Draft = Omit<Database, "id" | "createdAtMs">;

/** @param there the databases that the account has, none of the name @throws PlatformError database_limit */
async function make(context: ProductContext, tx: Tx, account: Account, there: readonly Database[], draft: Draft): Promise<Database> {
  if (there.length >= databasesAllowed(context.quota, account.state)) {
    throw new PlatformError("database_limit", { message: `This account has ${there.length} D1 databases, as many as it may have.` });
  }
  const database = { ...draft, id: newUuid(), createdAtMs: context.store.clock.now() };
  await insertDatabase(tx, account.id, database);
  return database;
}

/** How long after a list a deploy that makes databases may take. */
const DEPLOY_MS = 60_000;
/** Of such a list; nothing else of wrangler's asks for so many. */
const DEPLOY_LIST = "1000";

/**
 * Which tokens list databases as a deploy does before it makes what its bindings lack: it is given the database that an
 * earlier deploy made before it failed. `d1 create` sends the same request, but lists nothing before.
 */
class Deploys {
  readonly #listedMs = new Map<string, number>();

  note(token: string, nowMs: number): void {
    for (const [known, atMs] of this.#listedMs) if (nowMs - atMs > DEPLOY_MS) this.#listedMs.delete(known);
    this.#listedMs.set(token, nowMs);
  }

  has(token: string, nowMs: number): boolean {
    return nowMs - (this.#listedMs.get(token) ?? -Infinity) <= DEPLOY_MS;
  }
}

async function create(context: ProductContext, deploys: Deploys, { request, principal }: AccountCall): Promise<Response> {
  const { name, read_replication } = await readBody(request, createBody, BODY_MAX_BYTES);
  const adopt = isDeploying(request) && deploys.has(principal.token, context.store.clock.now());
  const made = await context.change(principal, async (tx, account) => {
    const there = await listDatabases(tx, account.id);
    const known = there.find((one) => one.name === name);
    // What it holds by now only the process knows.
    if (known && adopt) return databaseOnWire(known, null);
    if (known)
      throw new PlatformError("database_exists", { message: `name: a database with the name ${JSON.stringify(name)} already exists.` });
    const database = await make(context, tx, account, there, { name, readReplication: read_replication?.mode ?? "disabled" });
    await record(context, tx, principal, "d1:create", database.id, name);
    return databaseOnWire(database, { bytes: 0, tables: 0 });
  });
  return success(made);
}

async function list(context: ProductContext, deploys: Deploys, { request, url, account, principal }: AccountCall): Promise<Response> {
  if (isDeploying(request) && url.searchParams.get("per_page") === DEPLOY_LIST) deploys.note(principal.token, context.store.clock.now());
  const page = pageOf(url);
  const name = url.searchParams.get("name");
  const all = (await listDatabases(context.store.db, account)).filter((one) => name === null || one.name === name);
  const rows = all.slice(page.offset, page.offset + page.perPage);
  return success(rows.map(listedOnWire), { info: pageInfo(page, rows.length, all.length) });
}

/** @param fields names of what the caller wants to know, by comma; the process is asked for the rest alone */
async function show(context: ProductContext, databases: Databases, call: AccountCall): Promise<Response> {
  const database = await databaseOf(context, call);
  const fields = call.url.searchParams.get("fields")?.split(",") ?? null;
  const wantsSizes = fields === null || fields.includes("file_size") || fields.includes("num_tables");
  const all = databaseOnWire(database, wantsSizes ? await databases.sizes(call.account, database.id) : null);
  return success(fields === null ? all : Object.fromEntries(Object.entries(all).filter(([field]) => fields.includes(field))));
}

async function update(context: ProductContext, databases: Databases, call: AccountCall, isWhole: boolean): Promise<Response> {
  const { read_replication } = await readBody(call.request, isWhole ? replaceBody : patchBody, BODY_MAX_BYTES);
  const { principal, account } = call;
  const changed = await context.change(principal, async (tx) => {
    const database = await presentDatabase(tx, account, call.params["database"] ?? "");
    if (!read_replication) return database;
    await setReadReplication(tx, account, database.id, read_replication.mode);
    await record(context, tx, principal, "d1:update", database.id, database.name);
    return { ...database, readReplication: read_replication.mode };
  });
  return success(databaseOnWire(changed, await databases.sizes(account, changed.id)));
}

/** The row goes with its trail entry; the process that is started next does not know the database, and its files go. */
async function remove(context: ProductContext, { principal, account, params }: AccountCall): Promise<Response> {
  await context.change(principal, async (tx) => {
    const { id, name } = await presentDatabase(tx, account, params["database"] ?? "");
    await deleteDatabases(tx, account, id);
    await record(context, tx, principal, "d1:delete", id, name);
  });
  return success(null);
}

export function databaseRoutes(context: ProductContext, databases: Databases): Route[] {
  const deploys = new Deploys();
  return [
    accountRoute("POST", ALL, { action: "d1:write", product: "d1" }, (call) => create(context, deploys, call)),
    accountRoute("GET", ALL, { action: "d1:read", product: "d1" }, (call) => list(context, deploys, call)),
    accountRoute("GET", ONE, READ, (call) => show(context, databases, call)),
    accountRoute("PUT", ONE, WRITE, (call) => update(context, databases, call, true)),
    accountRoute("PATCH", ONE, WRITE, (call) => update(context, databases, call, false)),
    accountRoute("DELETE", ONE, WRITE, (call) => remove(context, call)),
  ];
}
