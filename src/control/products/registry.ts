// The list of products: the only place that knows them all.
import { createAssets } from "./assets/index.ts";
import { createD1 } from "./d1/index.ts";
import { createDurableObjects } from "./durable-objects/index.ts";
import { createKv } from "./kv/index.ts";
import type { Product, ProductContext } from "./product.ts";
import { createQueues } from "./queues/index.ts";
import { createR2 } from "./r2/index.ts";
import { createWorkers } from "./workers/index.ts";

/** @param given everything but the look-up of products by name, which is made here */
export function createProducts(given: Omit<ProductContext, "product">): readonly Product[] {
  const products: Product[] = [];
  const context: ProductContext = { ...given, product: (name) => products.find((product) => product.name === name) };
  products.push(createWorkers(context), createAssets(context), createKv(), createDurableObjects(), createD1(), createQueues(), createR2());
  return products;
}
