// Durable Objects: not there yet. The list of namespaces is empty, as clients ask for it when they delete a Worker.
import { accountRoute } from "../../http/routes.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { success } from "../../http/envelope.ts";
import type { Product } from "../product.ts";
import { unavailable } from "../unavailable.ts";

export function createDurableObjects(): Product {
  return {
    ...unavailable("durable-objects", "Durable Objects"),
    routes: [
      accountRoute(
        "GET",
        "/accounts/:account/workers/durable_objects/namespaces",
        { action: "durable-objects:read", product: "durable-objects" },
        (call) => Promise.resolve(success([], { info: pageInfo(pageOf(call.url), 0, 0) })),
      ),
    ],
  };
}
