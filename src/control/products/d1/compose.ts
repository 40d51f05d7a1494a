// What D1 adds to an account's process: one service of ours over workerd's own, in front of all its databases.
import type { WorkerService } from "../../../capsule/spec.ts";
import { NOTHING, ownService, type Composition } from "../product.ts";
import type { Database } from "./store.ts";

export const SERVICE = "d1";
/** Both are for ever: the databases' files are found by them. */
const UNIQUE_KEY = "d1";
const CLASS = "D1Database";

/** Says which database a call is for, to the service and to its entrypoints. */
export const propsOf = (id: string): string => JSON.stringify({ database: id });

const service = (maxBytes: number): WorkerService =>
  ownService(SERVICE, {
    modules: {
      "d1-statements.js": { runtime: "d1-statements" },
      "give-way.js": { runtime: "give-way" },
      "bundled.js": { bundled: "/workerd/d1.js" },
    },
    compatibilityDate: "2026-11-01",
    bindings: [
      { kind: "objects", name: "DATABASE", service: SERVICE, className: CLASS },
      { kind: "json", name: "MAX_BYTES", json: String(maxBytes) },
    ],
    objects: { disk: "d1", namespaces: [{ className: CLASS, uniqueKey: UNIQUE_KEY, sql: true }] },
  });

/** Nothing without a database: an isolate costs memory and time at the start. @param maxBytes of one database */
export function composeD1(databases: readonly Database[], maxBytes: number): Composition {
  if (databases.length === 0) return NOTHING;
  return { ...NOTHING, services: [service(maxBytes)], keep: { ...NOTHING.keep, state: { d1: databases.map(({ id }) => id) } } };
}
