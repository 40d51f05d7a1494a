// The namespaces of an account, as clients list them.
import { success } from "../../http/envelope.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { accountRoute, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { namespaceOnWire } from "./contract.ts";
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
  ];
}
