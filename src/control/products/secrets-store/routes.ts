// Stores by their own routes, secrets by those below one.
import { check, readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { accountRoute, type AccountCall, type Method, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import * as wire from "./contract.ts";
import { createDeeds, findSecret, noStore, secretsOf } from "./deeds.ts";
import { BODY_MAX_BYTES, SECRETS_MAX } from "./quota.ts";
import { findStore, listSecrets, listStores, type Secret } from "./store.ts";

const BASE = "/accounts/:account/secrets_store" as const;
const STORE = `${BASE}/stores/:store` as const;
const SECRET = `${STORE}/secrets/:secret` as const;

const queryOf = (call: AccountCall): Record<string, string> => Object.fromEntries(call.url.searchParams);
const storeOf = (call: AccountCall): string => call.params["store"] ?? "";
const secretOf = (call: AccountCall): string => call.params["secret"] ?? "";

/** A page of what was sorted. */
function paged<T>(call: AccountCall, all: readonly T[], show: (one: T) => unknown): Response {
  const page = pageOf(call.url);
  const shown = all.slice(page.offset, page.offset + page.perPage);
  return success(shown.map(show), { info: pageInfo(page, shown.length, all.length) });
}

function sorted<T>(all: readonly T[], by: (one: T) => string | number, direction: "asc" | "desc"): T[] {
  const sign = direction === "asc" ? 1 : -1;
  return all.toSorted((a, b) => (by(a) < by(b) ? -sign : by(a) > by(b) ? sign : 0));
}

const ORDERS = {
  name: ({ name }: Secret) => name,
  comment: ({ comment }: Secret) => comment,
  created: ({ createdAtMs }: Secret) => createdAtMs,
  modified: ({ modifiedAtMs }: Secret) => modifiedAtMs,
  status: () => "active",
};

function matching(call: AccountCall, secrets: readonly Secret[]): Secret[] {
  const { order, direction, search } = check(wire.secretsQuery, queryOf(call), "query");
  const asked = [...call.url.searchParams].flatMap(([name, value]) => (/^scopes(\[\])?$/.test(name) ? value.split(",") : []));
  const scopes = check(wire.scopesQuery, asked, "scopes");
  const found = secrets.filter(
    (secret) =>
      (secret.name.includes(search) || secret.comment.includes(search)) &&
      (scopes.length === 0 || secret.scopes.some((scope) => scopes.some((wanted) => wanted === scope))),
  );
  return sorted(found, ORDERS[order], direction);
}

function storeRoutes(context: ProductContext): Route[] {
  const deeds = createDeeds(context);
  const { db } = context.store;
  const product = "secrets-store" as const;
  const one = (method: Method, action: "secrets-store:read" | "secrets-store:write", handle: (call: AccountCall) => Promise<Response>) =>
    accountRoute(method, STORE, { action, product, param: "store" }, handle);
  return [
    accountRoute("GET", `${BASE}/quota`, { action: "secrets-store:read", product }, async (call) =>
      success({ secrets: { quota: SECRETS_MAX, usage: (await listSecrets(db, context.keys, call.account)).length } }),
    ),
    accountRoute("GET", `${BASE}/stores`, { action: "secrets-store:read", product }, async (call) => {
      const { order, direction } = check(wire.storesQuery, queryOf(call), "query");
      const by = { name: "name", created: "createdAtMs", modified: "modifiedAtMs" } as const;
      const stores = sorted(await listStores(db, call.account), (store) => store[by[order]], direction);
      return paged(call, stores, (store) => wire.storeOnWire(call.account, store));
    }),
    accountRoute("POST", `${BASE}/stores`, { action: "secrets-store:write", product }, async (call) => {
      const { name } = await readJson(call.request, wire.storeBody);
      return success(wire.storeOnWire(call.account, await deeds.createStore(call.principal, name)));
    }),
    one("GET", "secrets-store:read", async (call) => {
      const found = await findStore(db, call.account, storeOf(call));
      if (!found) throw noStore(storeOf(call));
      return success(wire.storeOnWire(call.account, found));
    }),
    one("DELETE", "secrets-store:write", async (call) => {
      await deeds.deleteStore(call.principal, storeOf(call));
      return success(null);
    }),
  ];
}

function secretRoutes(context: ProductContext): Route[] {
  const deeds = createDeeds(context);
  const secretsIn = (call: AccountCall): Promise<Secret[]> =>
    context.store.snapshot((tx) => secretsOf(context, tx, call.account, storeOf(call)));
  const below = (
    method: Method,
    path: `${typeof STORE}/${string}`,
    action: "secrets-store:read" | "secrets-store:write",
    handle: (call: AccountCall) => Promise<Response>,
  ) => accountRoute(method, path, { action, product: "secrets-store", param: "store" }, handle);
  return [
    below("GET", `${STORE}/secrets`, "secrets-store:read", async (call) =>
      paged(call, matching(call, await secretsIn(call)), wire.secretOnWire),
    ),
    below("POST", `${STORE}/secrets`, "secrets-store:write", async (call) => {
      const sent = await readJson(call.request, wire.createBody, BODY_MAX_BYTES);
      return success((await deeds.create(call.principal, storeOf(call), sent)).map(wire.secretOnWire));
    }),
    below("DELETE", `${STORE}/secrets`, "secrets-store:write", async (call) => {
      const ids = (await readJson(call.request, wire.deleteBody)).map(({ id }) => id);
      await deeds.remove(call.principal, storeOf(call), ids);
      return success(null);
    }),
    below("GET", SECRET, "secrets-store:read", async (call) =>
      success(wire.secretOnWire(findSecret(await secretsIn(call), secretOf(call)))),
    ),
    below("PATCH", SECRET, "secrets-store:write", async (call) => {
      const change = await readJson(call.request, wire.editBody);
      return success(wire.secretOnWire(await deeds.edit(call.principal, storeOf(call), secretOf(call), change)));
    }),
    below("DELETE", SECRET, "secrets-store:write", async (call) => {
      await deeds.remove(call.principal, storeOf(call), [secretOf(call)]);
      return success(null);
    }),
    below("POST", `${SECRET}/duplicate`, "secrets-store:write", async (call) => {
      const as = await readJson(call.request, wire.duplicateBody);
      return success(wire.secretOnWire(await deeds.duplicate(call.principal, storeOf(call), secretOf(call), as)));
    }),
  ];
}

export const secretsStoreRoutes = (context: ProductContext): Route[] => [...storeRoutes(context), ...secretRoutes(context)];
