// KV: not there yet. The list of namespaces is empty, as clients ask for it when they delete a Worker.
import { accountRoute } from "../../http/routes.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { success } from "../../http/envelope.ts";
import type { Product } from "../product.ts";
import { unavailable } from "../unavailable.ts";

const NAMESPACES = "/accounts/:account/storage/kv/namespaces" as const;

export function createKv(): Product {
  return {
    ...unavailable("kv", "KV"),
    routes: [
      accountRoute("GET", NAMESPACES, { action: "kv:read", product: "kv" }, (call) => {
        const page = pageOf(call.url);
        return Promise.resolve(success([], { info: pageInfo(page, 0, 0) }));
      }),
      ...unavailable("kv", "KV", [["POST", NAMESPACES, "kv:read"]]).routes,
    ],
  };
}
