// The Cache API of Workers: a service of ours that keeps what they put, each Worker's entries for itself. It takes an
// isolate, so it is there only for accounts whose code names the API.
import type { WorkerService } from "../../../capsule/spec.ts";
import { ownService } from "../product.ts";

const SERVICE = "cache";

export const cacheService = ownService(SERVICE, {
  bindings: [{ kind: "objects", name: "STORE", service: SERVICE, className: "CacheStore" }],
  objects: { disk: "cache", namespaces: [{ className: "CacheStore", uniqueKey: "cache", sql: true }] },
});

/** Where the Cache API of a Worker leads; all its versions share the entries. */
export const cacheOf = (workerId: string): NonNullable<WorkerService["cache"]> => ({
  service: SERVICE,
  props: JSON.stringify({ worker: workerId }),
});

/** Whether code may use the API: a script that hides the name gets workerd's own refusal instead. */
export const namesCaches = (text: string): boolean => /\bcaches\b/.test(text);
