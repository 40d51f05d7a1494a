// Durable Objects: not there yet. The list of namespaces is empty, as clients ask for it when they delete a Worker.
import { success } from "../../http/envelope.ts";
import { pageInfo, pageOf } from "../../http/pagination.ts";
import { accountRoute } from "../../http/routes.ts";
import { notThereYet, type Product } from "../product.ts";

const NAMESPACES = "/accounts/:account/workers/durable_objects/namespaces" as const;

export function createDurableObjects(): Product {
  const list = accountRoute("GET", NAMESPACES, { action: "durable-objects:read", product: "durable-objects" }, (call) =>
    Promise.resolve(success([], { info: pageInfo(pageOf(call.url), 0, 0) })),
  );
  return { ...notThereYet("durable-objects", "Durable Objects", []), routes: [list] };
}
