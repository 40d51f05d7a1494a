// Questions to control about host labels: one at a time for each label, a bounded number in all, and every
// answer believed for a moment while the account stays as it is, so that a flood of requests for nothing stays here.
import type { CapsuleControl, LookupAnswer } from "../../../capsule/messages.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { BoundedMap } from "../../bounded-map.ts";

const MAX_REMEMBERED = 10_000;
const MAX_ASKED_AT_ONCE = 64;
/** Control looks up rows; when it takes longer it is in trouble. */
const ANSWER_WITHIN_MS = 5_000;

/** Control's answer without the spec, which went where it belongs; `down` when control cannot be asked. */
export type Found = Exclude<LookupAnswer, { kind: "spec" }> | { readonly kind: "applied" } | { readonly kind: "down" };

export class Lookups {
  readonly #control: Pick<CapsuleControl, "lookup">;
  readonly #take: (answer: LookupAnswer) => Promise<void>;
  readonly #clock: Clock;
  readonly #believedMs: number;
  #asking = 0;
  readonly #asked = new Map<string, Promise<Found>>();
  readonly #remembered = new BoundedMap<string, { readonly untilMs: number; readonly generation: number; readonly found: Found }>(
    MAX_REMEMBERED,
  );

  /** @param take acts on an answer before those who asked learn of it */
  constructor(control: Pick<CapsuleControl, "lookup">, take: (answer: LookupAnswer) => Promise<void>, clock: Clock, believedMs: number) {
    this.#control = control;
    this.#take = take;
    this.#clock = clock;
    this.#believedMs = believedMs;
  }

  /** @param generation of the account as it is held here; an answer about another one is not believed any more */
  ask(label: string, generation: () => number): Promise<Found> {
    const remembered = this.#remembered.get(label);
    if (remembered !== undefined && this.#clock.now() < remembered.untilMs && remembered.generation === generation()) {
      return Promise.resolve(remembered.found);
    }
    let asked = this.#asked.get(label);
    if (asked === undefined) {
      if (this.#asking >= MAX_ASKED_AT_ONCE) return Promise.resolve({ kind: "down" });
      asked = this.#ask(label, generation).finally(() => this.#asked.delete(label));
      this.#asked.set(label, asked);
    }
    return asked;
  }

  async #ask(label: string, generation: () => number): Promise<Found> {
    const found = await this.#answer(label);
    // A failure is not believed: control may be back for the next caller.
    if (found.kind !== "down") {
      this.#remembered.set(label, { untilMs: this.#clock.now() + this.#believedMs, generation: generation(), found });
    }
    return found;
  }

  async #answer(label: string): Promise<Found> {
    try {
      const answer = await this.#fromControl(label);
      if (answer === null) return { kind: "down" };
      // Not counted as asking: one account that takes long to apply must not keep others from being asked for.
      await this.#take(answer);
      return answer.kind === "spec" ? { kind: "applied" } : answer;
    } catch (error) {
      if (error instanceof PlatformError) return { kind: "down" };
      throw error;
    }
  }

  /** Null when control takes too long. */
  async #fromControl(label: string): Promise<LookupAnswer | null> {
    this.#asking++;
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), ANSWER_WITHIN_MS);
    try {
      return await Promise.race([this.#control.lookup(label), late.promise]);
    } finally {
      clearTimeout(timer);
      this.#asking--;
    }
  }
}
