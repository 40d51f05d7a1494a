// R2: not there yet. What a deploy asks for, and whatever a client asks of a bucket, says so and what to use instead.
import { notThereYet, type Product } from "../product.ts";

const BUCKETS = "/accounts/:account/r2/buckets" as const;

export function createR2(): Product {
  return notThereYet(
    "r2",
    "R2",
    [
      ["GET", BUCKETS, "r2:read"],
      ["GET", `${BUCKETS}/:bucket`, "r2:read"],
      ["POST", BUCKETS, "r2:read"],
    ],
    "Keep values in KV, up to 25 MiB each, and files that come with the deploy as static assets",
  );
}
