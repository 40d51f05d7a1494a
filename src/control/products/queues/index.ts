// Queues: not there yet. What a deploy asks for says so.
import { notThereYet, type Product } from "../product.ts";

const QUEUES = "/accounts/:account/queues" as const;

export function createQueues(): Product {
  return notThereYet("queues", "Queues", [
    ["GET", QUEUES, "queues:read"],
    ["POST", QUEUES, "queues:read"],
  ]);
}
