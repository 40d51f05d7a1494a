// Durable Objects: namespaces of stateful objects, each owned by the Worker that exports its class.
import { NOTHING, type Product, type ProductContext } from "../product.ts";
import { objectBinding } from "./bindings.ts";
import { createLedger } from "./ledger.ts";
import { namespacesAllowed } from "./quota.ts";
import { objectRoutes } from "./routes.ts";
import { countNamespaces, findNamespace, listNamespaces } from "./store.ts";
import { teardownObjects } from "./teardown.ts";

export function createDurableObjects(context: ProductContext): Product {
  return {
    name: "durable-objects",
    routes: objectRoutes(context),
    resolve: async (tx, account, id) => {
      const found = await findNamespace(tx, account, id);
      return found ? { id: found.id, name: found.className } : null;
    },
    bindings: [objectBinding],
    namespaces: async (db, account) => {
      const byWorker = Map.groupBy(await listNamespaces(db, account), ({ workerId }) => workerId);
      return new Map(
        [...byWorker].map(([worker, owned]) => [worker, owned.map(({ className, uniqueKey, sql }) => ({ className, uniqueKey, sql }))]),
      );
    },
    limits: async (db, account) => [
      {
        name: "durable_objects.namespaces",
        unit: "count",
        max: namespacesAllowed(context.quota, account.state),
        used: await countNamespaces(db, account.id),
      },
    ],
    // Which Workers bind a class, Workers know, who alone read their versions.
    referencedBy: () => Promise.resolve([]),
    compose: async (tx, account) => {
      const objects = (await listNamespaces(tx, account.id)).map(({ uniqueKey }) => uniqueKey);
      return objects.length === 0 ? NOTHING : { ...NOTHING, keep: { ...NOTHING.keep, state: { objects } } };
    },
    teardown: teardownObjects,
    objects: createLedger(context),
  };
}
