// Namespaces by their own routes, keys and values by those below one of them.
import { check, readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { accountRoute, type AccountCall, type Method, type Route } from "../../http/routes.ts";
import { isDeploying, type ProductContext } from "../product.ts";
import { listQuery, namespaceOnWire, titleBody } from "./contract.ts";
import { createNamespaces, noNamespace } from "./namespaces.ts";
import * as store from "./store.ts";
import { valueRoutes } from "./value-routes.ts";

const NAMESPACES = "/accounts/:account/storage/kv/namespaces" as const;

const queryOf = (call: AccountCall): Record<string, string> => Object.fromEntries(call.url.searchParams);

export function kvRoutes(context: ProductContext): Route[] {
  const { db } = context.store;
  const namespaces = createNamespaces(context);
  const idOf = (call: AccountCall): string => call.params["namespace"] ?? "";
  const one = (method: Method, action: "kv:read" | "kv:write", handle: (call: AccountCall) => Promise<Response>) =>
    accountRoute(method, `${NAMESPACES}/:namespace`, { action, product: "kv", param: "namespace" }, handle);
  return [
    accountRoute("GET", NAMESPACES, { action: "kv:read", product: "kv" }, async (call) => {
      const page = pageOf(call.url);
      const order = check(listQuery, queryOf(call), "query");
      const found = await store.listNamespaces(db, call.account, { ...order, limit: page.perPage, offset: page.offset });
      const total = await store.countNamespaces(db, call.account);
      return success(found.map(namespaceOnWire), { info: pageInfo(page, found.length, total) });
    }),
    accountRoute("POST", NAMESPACES, { action: "kv:write", product: "kv" }, async (call) => {
      const { title } = await readJson(call.request, titleBody);
      return success(namespaceOnWire(await namespaces.create(call.principal, title, isDeploying(call.request))));
    }),
    one("GET", "kv:read", async (call) => {
      const found = await store.findNamespace(db, call.account, idOf(call));
      if (!found) throw noNamespace(idOf(call));
      return success(namespaceOnWire(found));
    }),
    one("PUT", "kv:write", async (call) => {
      if (!(await store.findNamespace(db, call.account, idOf(call)))) throw noNamespace(idOf(call));
      const { title } = await readJson(call.request, titleBody);
      return success(namespaceOnWire(await namespaces.rename(call.principal, { id: idOf(call), title })));
    }),
    one("DELETE", "kv:write", async (call) => {
      await namespaces.remove(call.principal, idOf(call));
      return success(null);
    }),
    ...valueRoutes(context, `${NAMESPACES}/:namespace`),
  ];
}
