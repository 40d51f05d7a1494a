// Workers: code that answers requests, by version, with its bindings, secrets and place on the subdomain.
import type { Product, ProductContext } from "../product.ts";
import { callersOf } from "./callers.ts";
import { composeWorkers } from "./compose.ts";
import { countTriggers } from "./crons-store.ts";
import { cronSchedules } from "./crons-routes.ts";
import { createLabels } from "./previews.ts";
import { cronTriggersAllowed, PREVIEWS_RUNNING, workersAllowed } from "./quota.ts";
import { workerRoutes } from "./routes.ts";
import { countWorkers, findWorker, heldFiles } from "./store.ts";
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
    limits: async (db, account) => [
      {
        name: "workers.scripts",
        unit: "count",
        max: workersAllowed(context.quota, account.state),
        used: await countWorkers(db, account.id),
      },
      {
        name: "workers.cron_triggers",
        unit: "count",
        max: cronTriggersAllowed(context.quota, account.state),
        used: await countTriggers(db, account.id),
      },
      { name: "workers.script_bytes", unit: "bytes", max: context.quota.uploadMaxBytes, used: null },
      { name: "workers.previews_running", unit: "count", max: PREVIEWS_RUNNING, used: null },
    ],
    assetsInUse: async (tx, account) => {
      const held = await heldFiles(tx, account);
      return new Set(held.assets.flatMap((files) => files.map((file) => file.hash)));
    },
    teardown: teardownWorkers,
  };
}
