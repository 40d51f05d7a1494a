// Prometheus figures of this process. Labels are routes and statuses, never a tenant's words.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

export type Metrics = {
  observe(route: string, status: number, ms: number): void;
  /** Prometheus text, exposition format 0.0.4. */
  text(): Promise<string>;
};

export type Gauges = {
  /** Accounts by state, read when the figures are asked for. */
  readonly accounts: () => Promise<Readonly<Record<string, number>>>;
};

export function createMetrics(gauges: Gauges): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "mayfly_control_" });
  const requests = new Counter({
    name: "mayfly_api_requests_total",
    help: "API requests by route and status",
    labelNames: ["route", "status"],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: "mayfly_api_request_seconds",
    help: "Time to answer an API request",
    labelNames: ["route"],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [registry],
  });
  const accounts = new Gauge({
    name: "mayfly_accounts",
    help: "Accounts by state",
    labelNames: ["state"],
    registers: [registry],
    collect: async () => {
      for (const [state, count] of Object.entries(await gauges.accounts())) accounts.set({ state }, count);
    },
  });
  return {
    observe: (route, status, ms) => {
      requests.inc({ route, status: String(status) });
      seconds.observe({ route }, ms / 1000);
    },
    text: () => registry.metrics(),
  };
}
