// Rate limits: a binding alone, which names what is counted and how much of it may be; nothing of it is a row.
import { NOTHING, type Product } from "../product.ts";
import { rateLimitBinding } from "./binding.ts";

export function createRateLimits(): Product {
  return {
    name: "rate-limits",
    routes: [],
    resolve: () => Promise.resolve(null),
    bindings: [rateLimitBinding],
    referencedBy: () => Promise.resolve([]),
    compose: () => Promise.resolve(NOTHING),
    teardown: () => Promise.resolve({ removed: 0 }),
  };
}
