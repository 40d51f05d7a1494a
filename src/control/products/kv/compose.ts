// KV in the account's process: one service of ours for all namespaces, there only while the account has one.
import type { WorkerService } from "../../../capsule/spec.ts";
import type { Account, Tx } from "../../store/store.ts";
import { NOTHING, ownService, type Composition, type QuotaSettings } from "../product.ts";
import { kvLimits } from "./quota.ts";
import { deletedIds, namespaceIds } from "./store.ts";

export const SERVICE = "kv";
/** Of `runtime/kv.js`: what control reaches and no Worker does. */
export const CONTROL_ENTRYPOINT = "Control";

/** What says which namespace a call is about. */
export const propsOf = (namespace: string): string => JSON.stringify({ namespace });

const service = (maxBytes: number): WorkerService =>
  ownService(SERVICE, {
    modules: { "bundled.js": { bundled: "/workerd/kv.js" }, "give-way.js": { runtime: "give-way" } },
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
