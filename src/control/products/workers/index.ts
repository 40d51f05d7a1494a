// Workers: code that answers requests, by version, with its bindings, secrets and place on the subdomain.
import type { Product, ProductContext } from "../product.ts";
import { callersOf } from "./callers.ts";
import { composeWorkers } from "./compose.ts";
import { cronSchedules } from "./crons-routes.ts";
import { createLabels } from "./previews.ts";
import { workerRoutes } from "./routes.ts";
import { findWorker, heldFiles } from "./store.ts";
import { teardownWorkers } from "./teardown.ts";

export function createWorkers(context: ProductContext): Product {
  return {
    name: "workers",
    routes: workerRoutes(context),
    resolve: async (tx, account, name) => {
      const worker = await findWorker(tx, context.keys, account, name);
      return worker ? { id: worker.id, name: worker.name } : null;
    },
    referencedBy: async (tx, account, worker) => (await callersOf(tx, context.keys, account, worker.name)).map(({ caller }) => caller),
    compose: (tx, account) => composeWorkers(context, tx, account),
    labels: createLabels(context),
    schedules: cronSchedules,
    assetsInUse: async (tx, account) => {
      const held = await heldFiles(tx, account);
      return new Set(held.assets.flatMap((files) => files.map((file) => file.hash)));
    },
    teardown: teardownWorkers,
  };
}
