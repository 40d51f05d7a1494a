// How often a capsule came to grief lately, and what follows: a pause before the next start, then suspension.
import type { Clock } from "../../../kernel/clock.ts";
import type { Exit, Fate } from "../../contract.ts";
import type { Bounds } from "./parts.ts";
import type { Silence } from "./watch.ts";

const MIB = 1_048_576;
/** Pauses before a start, by the number of mishaps before it. */
const PAUSES_MS = [0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];

export class Mishaps {
  readonly #bounds: Pick<Bounds, "maxMishaps" | "mishapWindowMs">;
  readonly #clock: Clock;
  #times: number[] = [];
  #failedStarts = 0;
  /** Milliseconds since the epoch before which no start is tried. */
  notBeforeMs = 0;
  /** Why, for callers. */
  reason = "";

  constructor(bounds: Pick<Bounds, "maxMishaps" | "mishapWindowMs">, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  /** A running process died. Returns whether it was once too often. */
  died(): boolean {
    const now = this.#clock.now();
    this.#times = [...this.#times.filter((at) => at > now - this.#bounds.mishapWindowMs), now];
    this.#pause(this.#times.length, "The Worker was stopped because it did not work properly; it is started again in a moment.");
    return this.#times.length >= this.#bounds.maxMishaps;
  }

  get count(): number {
    return this.#times.length;
  }

  /** A start failed; `reason` is for callers. */
  startFailed(reason: string): void {
    // The first failure already pauses: callers that waited for it would otherwise start the next at once.
    this.#pause(++this.#failedStarts + 1, reason);
  }

  /** There is no room now: nothing that the account did. */
  noRoom(reason: string, retryAfterSeconds: number): void {
    this.notBeforeMs = this.#clock.now() + retryAfterSeconds * 1_000;
    this.reason = reason;
  }

  started(): void {
    this.#failedStarts = 0;
  }

  /** Other code may do better. */
  forget(): void {
    this.#times = [];
    this.#failedStarts = 0;
    this.notBeforeMs = 0;
  }

  #pause(count: number, reason: string): void {
    this.notBeforeMs = this.#clock.now() + (PAUSES_MS[Math.min(count, PAUSES_MS.length - 1)] ?? 0);
    this.reason = reason;
  }
}

/**
 * Why a process died that nobody told to, for the account's own eyes.
 * @param lastWords what it wrote to standard error; a tenant may have written into it, and deceives nobody else
 */
export function causeOfDeath(exit: Exit, memoryBytes: number, lastWords: string): Fate {
  if (/JavaScript heap out of memory/.test(lastWords))
    return { outcome: "exceededMemory", reason: "Its JavaScript heap was full, so it was restarted." };
  if (exit.outOfMemory) {
    const reason = `It used more than ${Math.round(memoryBytes / MIB)} MiB of memory and was restarted.`;
    return { outcome: "exceededMemory", reason };
  }
  const how = exit.signal === null ? `exit code ${exit.code}` : exit.signal;
  return { outcome: "exception", reason: `Its process ended unexpectedly (${how}) and was restarted.` };
}

/** Why a process that did not answer was killed, for the account's own eyes. */
export function hangFate({ silentMs, cpuMs, computes }: Silence, atMs: number): Fate {
  const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
  const what = computes ? "a loop that never yields" : "it was blocked";
  const reason = `It did not answer for ${seconds(silentMs)} s and was restarted: ${what}, at ${new Date(atMs).toISOString()}, using ${seconds(cpuMs)} s of CPU meanwhile.`;
  return { outcome: computes ? "exceededCpu" : "exception", reason };
}
