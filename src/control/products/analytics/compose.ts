// The service behind the bindings: one object of the account keeps every dataset's points.
import type { WorkerService } from "../../../capsule/spec.ts";

export const ANALYTICS_SERVICE = "analytics";

export const analyticsService: WorkerService = {
  kind: "worker",
  id: ANALYTICS_SERVICE,
  origin: null,
  code: { format: "modules", modules: [{ name: "analytics.js", kind: "esm", source: { runtime: "analytics" } }] },
  compatibilityDate: "2026-01-01",
  compatibilityFlags: [],
  bindings: [{ kind: "objects", name: "POINTS", service: ANALYTICS_SERVICE, className: "Points" }],
  objects: { disk: "analytics", namespaces: [{ className: "Points", uniqueKey: "analytics", sql: true }] },
};
