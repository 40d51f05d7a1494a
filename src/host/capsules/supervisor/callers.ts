// Callers of one account, held while its process starts or is replaced: bounded in time and number, all woken at
// every change of anything that decides about them, and told why when it does not come.
import { PlatformError } from "../../../kernel/errors.ts";
import type { Answerer } from "../../contract.ts";
import type { Bounds } from "./parts.ts";
import type { Hold } from "./run.ts";
import { Waiters } from "./waiters.ts";

export type Refusal = Exclude<Answerer, { kind: "lease" }>;
/** What control gets of an account: a way in, or why there is none. */
export type Entered = { readonly kind: "hold"; readonly hold: Hold } | Refusal;

export function unavailable(reason: string, retryAfterSeconds: number): Refusal {
  return { kind: "unavailable", reason, retryAfterSeconds: Math.max(1, retryAfterSeconds) };
}

export class Callers {
  readonly #bounds: Pick<Bounds, "waitMs" | "maxWaiting">;
  readonly #waiters = new Waiters();

  constructor(bounds: Pick<Bounds, "waitMs" | "maxWaiting">) {
    this.#bounds = bounds;
  }

  wake(): void {
    this.#waiters.wake();
  }

  /**
   * Asks again at every change until there is a decision.
   * @param decide about one caller, at the moment of the call @param start is called whenever the caller has to wait
   */
  async admit<T>(decide: () => T | "wait", start: () => void): Promise<Exclude<T, "wait"> | Refusal> {
    const deadline = performance.now() + this.#bounds.waitMs;
    for (;;) {
      const decision = decide();
      if (decision !== "wait") return decision as Exclude<T, "wait">;
      if (this.#waiters.size >= this.#bounds.maxWaiting) return unavailable("Too many requests wait for this Worker to start.", 1);
      start();
      const left = deadline - performance.now();
      if (left <= 0 || !(await this.#waiters.wait(left))) return unavailable("The Worker took too long to start.", 2);
    }
  }
}

/** What control hears of an account that cannot be entered. */
export function refused(refusal: Refusal | undefined): PlatformError {
  if (refusal?.kind === "suspended") {
    return new PlatformError("account_suspended", { message: `This account is suspended: ${refusal.reason}` });
  }
  if (refusal?.kind === "capped") {
    const { reason, retryAfterSeconds } = refusal.over;
    return new PlatformError("over_cap", { message: reason, retryAfterSeconds });
  }
  if (refusal?.kind === "unavailable") {
    return new PlatformError("capsule_failed", { message: refusal.reason, retryAfterSeconds: refusal.retryAfterSeconds });
  }
  return new PlatformError("account_gone", { message: "The account has ended." });
}
