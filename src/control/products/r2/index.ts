// R2: not there yet. What a deploy asks for says so.
import { notThereYet, type Product } from "../product.ts";

const BUCKETS = "/accounts/:account/r2/buckets" as const;

export function createR2(): Product {
  return notThereYet("r2", "R2", [
    ["GET", BUCKETS, "r2:read"],
    ["GET", `${BUCKETS}/:bucket`, "r2:read"],
    ["POST", BUCKETS, "r2:read"],
  ]);
}
