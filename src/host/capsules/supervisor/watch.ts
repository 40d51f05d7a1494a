// The watchdog's eye on one process: it asks for a sign of life while there is anything to do, and tells
// a loop that never yields from a process that is merely starved by its neighbours.
import { setTimeout as sleep } from "node:timers/promises";
import { waitsOf } from "../sandbox/processes.ts";
import type { Bounds } from "./parts.ts";
import type { Run } from "./run.ts";

/** @property computes whether it used the processor all the while, as far as the machine let it */
export type Silence = { readonly silentMs: number; readonly cpuMs: number; readonly computes: boolean };

export type Finding =
  /** No lease, hardly any CPU time since the last look. */
  { readonly kind: "quiet" } | { readonly kind: "answers" } | ({ readonly kind: "hung" } & Silence);

/** A process that is dying refuses at once: asked again without a pause, it would keep this one busy instead. */
const REFUSED_PAUSE_MS = 50;
/** A loop may wait for the garbage collector's other threads now and then. */
const FEW_WAITS = 8;
/** CPU time between two looks below which a process without leases is at rest. */
const REST_CPU_MS = 20;

export class Watch {
  readonly #run: Run;
  readonly #bounds: Pick<Bounds, "pingMs" | "starvedMs">;
  readonly #spent: (cpuMs: number) => void;
  /** CPU milliseconds of the process at the last look. */
  cpuMs = 0;
  #usedMs = 0;
  #looking: Promise<Finding> | null = null;

  /** @param spent told at each look, before anything is waited for, what CPU time was used since the last */
  constructor(run: Run, bounds: Pick<Bounds, "pingMs" | "starvedMs">, spent: (cpuMs: number) => void) {
    this.#run = run;
    this.#spent = spent;
    this.#bounds = bounds;
  }

  /** One look at a time: whoever asks meanwhile shares it. */
  look(): Promise<Finding> {
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  async #look(): Promise<Finding> {
    const cpuMs = await this.#run.process.cpuMs();
    const usedCpuMs = cpuMs - this.cpuMs;
    const quiet = this.#run.leases === 0 && this.#run.lastUsedMs === this.#usedMs && usedCpuMs < REST_CPU_MS;
    this.cpuMs = cpuMs;
    this.#usedMs = this.#run.lastUsedMs;
    this.#spent(usedCpuMs);
    return quiet ? { kind: "quiet" } : this.#listen(cpuMs);
  }

  async #listen(cpuAtStartMs: number): Promise<Finding> {
    const { pingMs, starvedMs } = this.#bounds;
    const began = performance.now();
    const waitsAtStart = waitsOf(this.#run.process.pid);
    for (;;) {
      if (await this.#run.ping(pingMs)) return { kind: "answers" };
      const silentMs = Math.round(performance.now() - began);
      const cpuMs = (await this.#run.process.cpuMs()) - cpuAtStartMs;
      // What waits for its disk, or for products inside the process, gets on; a loop that never yields waits for nothing.
      const waited = waitsAtStart !== null && (waitsOf(this.#run.process.pid) ?? 0) - waitsAtStart > FEW_WAITS;
      // Not a share of the time: on a busy machine a loop gets little of it, and a sign of life costs next to nothing.
      const computes = silentMs >= pingMs && cpuMs >= pingMs / 4 && !waited;
      if (computes || silentMs >= starvedMs) return { kind: "hung", silentMs, cpuMs, computes };
      await sleep(REFUSED_PAUSE_MS, undefined, { ref: false });
    }
  }
}
