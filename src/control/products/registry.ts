// The list of products: the only place that knows them all.
import { createAnalytics } from "./analytics/index.ts";
import { createAssets } from "./assets/index.ts";
import { createD1 } from "./d1/index.ts";
import { createDurableObjects } from "./durable-objects/index.ts";
import { createKv } from "./kv/index.ts";
import type { BindingKind, Product, ProductContext } from "./product.ts";
import { createQueues } from "./queues/index.ts";
import { createR2 } from "./r2/index.ts";
import { createRateLimits } from "./rate-limits/index.ts";
import { createSecretsStore } from "./secrets-store/index.ts";
import { createWorkers } from "./workers/index.ts";

/** @param given everything but what products learn of each other, which is made here */
export function createProducts(given: Omit<ProductContext, "product" | "bindingKinds">): readonly Product[] {
  const products: Product[] = [];
  const kinds = new Map<string, BindingKind>();
  const context: ProductContext = {
    ...given,
    product: (name) => products.find((product) => product.name === name),
    bindingKinds: () => kinds,
  };
  products.push(
    createWorkers(context),
    createAssets(context),
    createAnalytics(context),
    createKv(context),
    createDurableObjects(context),
    createD1(context),
    createQueues(),
    createR2(),
  );
  products.push(createRateLimits(), createSecretsStore(context));
  for (const { bindings = [] } of products) for (const kind of bindings) kinds.set(kind.type, kind);
  return products;
}
