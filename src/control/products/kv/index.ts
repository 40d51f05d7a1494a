// KV: keys with values of bytes, by namespace, shared by the API and the account's Workers.
import type { Product, ProductContext } from "../product.ts";
import { kvBinding } from "./binding.ts";
import { composeKv } from "./compose.ts";
import { bytesHeld } from "./process.ts";
import { kvLimits } from "./quota.ts";
import { kvRoutes } from "./routes.ts";
import { findByTitle, findNamespace, namespaceIds } from "./store.ts";
import { teardownKv } from "./teardown.ts";

export function createKv(context: ProductContext): Product {
  return {
    name: "kv",
    routes: kvRoutes(context),
    resolve: async (tx, account, idOrTitle) => {
      const found = (await findNamespace(tx, account, idOrTitle)) ?? (await findByTitle(tx, account, idOrTitle));
      return found ? { id: found.id, name: found.title } : null;
    },
    bindings: [kvBinding],
    limits: async (db, account) => {
      const { namespaces, bytes } = kvLimits(context.quota, account.state);
      const ids = await namespaceIds(db, account.id);
      return [
        { name: "kv.namespaces", unit: "count", max: namespaces, used: ids.length },
        { name: "kv.bytes", unit: "bytes", max: bytes, used: await bytesHeld(context.host, account.id, ids) },
      ];
    },
    // Which Workers bind a namespace, their versions alone know; one that does gets a stand-in that says so.
    referencedBy: () => Promise.resolve([]),
    compose: (tx, account) => composeKv(tx, account, context.quota),
    teardown: teardownKv,
  };
}
