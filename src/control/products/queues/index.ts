// Queues: not there yet. What a deploy asks for, and whatever a client asks of a queue, says so and what to use instead.
import { notThereYet, type Product } from "../product.ts";

const QUEUES = "/accounts/:account/queues" as const;

export function createQueues(): Product {
  return notThereYet(
    "queues",
    "Queues",
    [
      ["GET", QUEUES, "queues:read"],
      ["POST", QUEUES, "queues:read"],
      ["GET", `${QUEUES}/:queue`, "queues:read"],
      ["GET", `${QUEUES}/:queue/consumers`, "queues:read"],
      ["POST", `${QUEUES}/:queue/consumers`, "queues:read"],
    ],
    "Keep the jobs in a Durable Object or in D1 and do them in its alarm() or by a cron trigger",
  );
}
