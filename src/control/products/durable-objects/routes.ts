// The namespaces of an account and their objects, as clients list them.
import { PlatformError } from "../../../kernel/errors.ts";
import { check } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { accountRoute, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { namespaceOnWire, objectOnWire, objectsQuery } from "./contract.ts";
import { objectsOf } from "./objects.ts";
import * as store from "./store.ts";

const NAMESPACES = "/accounts/:account/workers/durable_objects/namespaces" as const;
const READ = { action: "durable-objects:read", product: "durable-objects" } as const;

/** @param context of the product */
export function objectRoutes(context: ProductContext): Route[] {
  const { db } = context.store;
  return [
    accountRoute("GET", NAMESPACES, READ, async (call) => {
      const page = pageOf(call.url);
      const found = await store.listPage(db, call.account, page);
      return success(found.map(namespaceOnWire), { info: pageInfo(page, found.length, await store.countNamespaces(db, call.account)) });
    }),
    accountRoute("GET", `${NAMESPACES}/:namespace/objects`, { ...READ, param: "namespace" }, async (call) => {
      const id = call.params["namespace"] ?? "";
      const { limit, cursor } = check(objectsQuery, Object.fromEntries(call.url.searchParams), "query");
      // Files are read past the process, which would refuse who is suspended.
      const namespace = await context.store.inAccount(call.principal, (tx) => store.findNamespace(tx, call.account, id));
      if (!namespace) {
        throw new PlatformError("object_namespace_not_found", {
          message: `namespace: this account has no namespace of Durable Objects ${JSON.stringify(id.slice(0, 80))}.`,
        });
      }
      const found = await objectsOf(context, call.account, namespace.uniqueKey, { after: cursor || null, limit });
      // Clients read the cursor in one place or the other.
      const info = { count: found.ids.length, per_page: limit, cursor: found.cursor, cursors: { after: found.cursor } };
      return success(found.ids.map(objectOnWire), { info });
    }),
  ];
}
