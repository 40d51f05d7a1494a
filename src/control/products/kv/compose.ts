// KV in the account's process: one service of ours for all namespaces, there only while the account has one.
import type { WorkerService } from "../../../capsule/spec.ts";
import type { Account, Tx } from "../../store/store.ts";
import { NOTHING, type Composition, type QuotaSettings } from "../product.ts";
import { kvLimits } from "./quota.ts";
import { deletedIds, namespaceIds } from "./store.ts";

export const SERVICE = "kv";
/** Of `runtime/kv.js`: what control reaches and no Worker does. */
export const CONTROL_ENTRYPOINT = "Control";

/** What says which namespace a call is about. */
export const propsOf = (namespace: string): string => JSON.stringify({ namespace });

const service = (maxBytes: number): WorkerService => ({
  kind: "worker",
  id: SERVICE,
  origin: null,
  code: {
    format: "modules",
    modules: [
      { name: "kv.js", kind: "esm", source: { runtime: "kv" } },
      { name: "bundled.js", kind: "esm", source: { bundled: "/workerd/kv.js" } },
      { name: "give-way.js", kind: "esm", source: { runtime: "give-way" } },
    ],
  },
  compatibilityDate: "2026-01-01",
  compatibilityFlags: [],
  bindings: [
    { kind: "objects", name: "SHARD", service: SERVICE, className: "KVNamespace" },
    { kind: "disk", name: "BLOBS", disk: "kv" },
    { kind: "json", name: "MAX_BYTES", json: String(maxBytes) },
  ],
  objects: { disk: "kv", namespaces: [{ className: "KVNamespace", uniqueKey: "kv", sql: true }] },
});

export async function composeKv(tx: Tx, account: Account, settings: QuotaSettings): Promise<Composition> {
  const ids = await namespaceIds(tx, account.id);
  const deleted = await deletedIds(tx, account.id);
  if (ids.length + deleted.length === 0) return NOTHING;
  return {
    services: [service(kvLimits(settings, account.state).bytes)],
    fronts: [],
    ingress: [],
    keep: { code: [], assets: [], state: { kv: ids } },
  };
}
