// KV: not there yet. The list of namespaces is empty, as clients ask for it when they delete a Worker.
import { success } from "../../http/envelope.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { accountRoute } from "../../http/routes.ts";
import { notThereYet, type Product } from "../product.ts";

const NAMESPACES = "/accounts/:account/storage/kv/namespaces" as const;

export function createKv(): Product {
  const absent = notThereYet("kv", "KV", [["POST", NAMESPACES, "kv:read"]]);
  const list = accountRoute("GET", NAMESPACES, { action: "kv:read", product: "kv" }, (call) =>
    Promise.resolve(success([], { info: pageInfo(pageOf(call.url), 0, 0) })),
  );
  return { ...absent, routes: [list, ...absent.routes] };
}
