// The service behind the bindings: one object of the account keeps every dataset's points.
import { ownService } from "../product.ts";

export const ANALYTICS_SERVICE = "analytics";

export const analyticsService = ownService(ANALYTICS_SERVICE, {
  bindings: [{ kind: "objects", name: "POINTS", service: ANALYTICS_SERVICE, className: "Points" }],
  objects: { disk: "analytics", namespaces: [{ className: "Points", uniqueKey: "analytics", sql: true }] },
});
