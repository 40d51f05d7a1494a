// How much accounts keep on disk, for whoever asks. Their directories are walked for it, at the pace of the machine and not
// of the asking: those who ask meanwhile share the next walk, and one account's take at most a tenth of the time.
import { setTimeout as sleep } from "node:timers/promises";
import type { AccountId } from "../../../kernel/ids.ts";
import { Gate } from "./gates.ts";
import type { CapsuleFiles } from "./parts.ts";

/** Of all accounts, at once. */
const MAX_WALKS = 3;
/** Of what a walk took, until the next of the same account. */
const REST_TIMES = 9;

export class DiskQuestions {
  readonly #files: Pick<CapsuleFiles, "diskBytes">;
  readonly #turns = new Gate(MAX_WALKS);
  /** Walks that were asked for and have not begun. */
  readonly #next = new Map<AccountId, Promise<number>>();
  /** Until a walk that has begun is over and its rest, too. */
  readonly #resting = new Map<AccountId, Promise<void>>();

  constructor(files: Pick<CapsuleFiles, "diskBytes">) {
    this.#files = files;
  }

  /** Bytes as they are found after the call. Rejects with what the walk does. */
  ask(account: AccountId): Promise<number> {
    const next = this.#next.get(account) ?? this.#walkAfter(account, this.#resting.get(account));
    this.#next.set(account, next);
    return next;
  }

  async #walkAfter(account: AccountId, rested: Promise<void> | undefined): Promise<number> {
    await rested;
    using _turn = await this.#turns.enter(new AbortController().signal);
    this.#next.delete(account);
    const walk = this.#files.diskBytes(account);
    this.#resting.set(account, this.#rest(account, walk));
    return await walk;
  }

  async #rest(account: AccountId, walk: Promise<number>): Promise<void> {
    const began = performance.now();
    await Promise.allSettled([walk]);
    await sleep((performance.now() - began) * REST_TIMES, undefined, { ref: false });
    this.#resting.delete(account);
  }
}
