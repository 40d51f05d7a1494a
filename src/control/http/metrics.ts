// Prometheus figures of this process. Labels are routes and statuses, never a tenant's words.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

export type Metrics = {
  observe(route: string, status: number, ms: number): void;
  /** Prometheus text, exposition format 0.0.4. */
  text(): Promise<string>;
};

export type Gauges = {
  /** Of admission since the start, and now; `price` in hashes. */
  readonly admission: () => Promise<{
    readonly challenges: number;
    readonly admitted: number;
    readonly refused: Readonly<Record<string, number>>;
    readonly price: number;
    readonly pressure: number;
    readonly waitingChains: number;
    readonly verifiedHashes: number;
  }>;
  /** Accounts by state, read when the figures are asked for. */
  readonly accounts: () => Promise<Readonly<Record<string, number>>>;
};

/** Price, queue and refusals of admission, read by what is answered; no caller's address is in a label. */
function admissionFigures(registry: Registry, read: Gauges["admission"]): () => Promise<void> {
  const registers = [registry];
  const gauge = (name: string, help: string) => new Gauge({ name: `mayfly_admission_${name}`, help, registers });
  const counter = (name: string, help: string) => new Counter({ name: `mayfly_admission_${name}`, help, registers });
  const price = gauge("price_hashes", "Proof of work that an account costs somebody unknown");
  const pressure = gauge("pressure_ratio", "How much of the fullest limit of the installation is taken, 1 when nobody gets an account");
  const waiting = gauge("waiting_chains", "Answers being verified or waiting for it");
  const challenges = counter("challenges_total", "Challenges given");
  const admitted = counter("admitted_total", "Right answers taken");
  const hashes = counter("verified_hashes_total", "Hashes computed to verify answers");
  const refused = new Counter({
    name: "mayfly_admission_refused_total",
    help: "Challenges, answers and accounts refused by reason",
    labelNames: ["reason"],
    registers,
  });
  return async () => {
    const now = await read();
    price.set(now.price);
    pressure.set(now.pressure);
    waiting.set(now.waitingChains);
    for (const each of [challenges, admitted, hashes, refused]) each.reset();
    challenges.inc(now.challenges);
    admitted.inc(now.admitted);
    hashes.inc(now.verifiedHashes);
    for (const [reason, count] of Object.entries(now.refused)) refused.inc({ reason }, count);
  };
}

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
  const readAdmission = admissionFigures(registry, gauges.admission);
  return {
    observe: (route, status, ms) => {
      requests.inc({ route, status: String(status) });
      seconds.observe({ route }, ms / 1000);
    },
    text: async () => {
      await readAdmission();
      return registry.metrics();
    },
  };
}
