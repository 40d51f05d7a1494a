// The list of products: the only place that knows them all.
import { createAssets } from "./assets/index.ts";
import { createDurableObjects } from "./durable-objects/index.ts";
import { createKv } from "./kv/index.ts";
import type { Product, ProductContext } from "./product.ts";
import { unavailable } from "./unavailable.ts";
import { createWorkers } from "./workers/index.ts";

/** @param given everything but the look-up of products by name, which is made here */
export function createProducts(given: Omit<ProductContext, "product">): readonly Product[] {
  const products: Product[] = [];
  const context: ProductContext = { ...given, product: (name) => products.find((product) => product.name === name) };
  products.push(
    createWorkers(context),
    createAssets(context),
    createKv(),
    createDurableObjects(),
    unavailable("d1", "D1", [
      ["GET", "/accounts/:account/d1/database", "d1:read"],
      ["GET", "/accounts/:account/d1/database/:database", "d1:read"],
      ["POST", "/accounts/:account/d1/database", "d1:read"],
    ]),
    unavailable("queues", "Queues", [
      ["GET", "/accounts/:account/queues", "queues:read"],
      ["POST", "/accounts/:account/queues", "queues:read"],
    ]),
    unavailable("r2", "R2", [
      ["GET", "/accounts/:account/r2/buckets", "r2:read"],
      ["GET", "/accounts/:account/r2/buckets/:bucket", "r2:read"],
      ["POST", "/accounts/:account/r2/buckets", "r2:read"],
    ]),
  );
  return products;
}
