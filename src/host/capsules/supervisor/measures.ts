// The figures of the host process, for Prometheus.
import { Counter, Gauge, Histogram, Registry } from "prom-client";

export type Measures = ReturnType<typeof createMeasures>;

/** @param now reads the sizes at the moment of a scrape */
export function createMeasures(now: { hot(): number; known(): number }) {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(read());
        },
      }),
    );
  };
  gauge("mayfly_capsules_hot", "Processes of accounts that serve, without those that wait for a deploy", now.hot);
  gauge("mayfly_capsules_known", "Accounts that this host routes to", now.known);
  return {
    /** Others of this wing register theirs here too. */
    registry,
    starts: new Counter({ name: "mayfly_capsule_starts_total", help: "Processes started", registers }),
    startFailures: new Counter({ name: "mayfly_capsule_start_failures_total", help: "Processes that did not come to answer", registers }),
    restarts: new Counter({ name: "mayfly_capsule_restarts_total", help: "Processes that died or were killed as hung", registers }),
    suspensions: new Counter({ name: "mayfly_capsule_suspensions_total", help: "Accounts suspended by the watchdog", registers }),
    startSeconds: new Histogram({
      name: "mayfly_capsule_start_seconds",
      help: "From the decision to start to the first sign of life",
      buckets: [0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10],
      registers,
    }),
    requests: new Counter({
      name: "mayfly_edge_requests_total",
      help: "Requests to Workers, by how they ended and the first digit of their status; 0 is no answer",
      labelNames: ["outcome", "status"],
      registers,
    }),
    requestSeconds: new Histogram({
      name: "mayfly_edge_request_seconds",
      help: "From the request's head to its end, starts and streams included",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
      registers,
    }),
    retries: new Counter({ name: "mayfly_edge_retries_total", help: "Requests sent again because they did not arrive", registers }),
  };
}
