// Analytics Engine: datasets come to be when a Worker writes to them, and are asked for in SQL. No rows of ours.
import { NOTHING, type Product, type ProductContext } from "../product.ts";
import { datasetFields } from "./contract.ts";
import { analyticsRoutes } from "./routes.ts";
import { ANALYTICS_SERVICE, analyticsService } from "./compose.ts";

export function createAnalytics(context: ProductContext): Product {
  return {
    name: "analytics",
    routes: analyticsRoutes(context),
    // A dataset is no more than the name that its points carry.
    resolve: () => Promise.resolve(null),
    bindings: [
      {
        type: "analytics_engine",
        fields: datasetFields,
        settle: () => Promise.resolve(null),
        compose: () =>
          Promise.resolve(({ dataset }) => ({ kind: "analytics-engine", service: ANALYTICS_SERVICE, props: JSON.stringify({ dataset }) })),
        services: [analyticsService],
        describe: ({ dataset }) => `The dataset ${JSON.stringify(dataset)}`,
      },
    ],
    referencedBy: () => Promise.resolve([]),
    compose: () => Promise.resolve(NOTHING),
    teardown: () => Promise.resolve({ removed: 0 }),
  };
}
