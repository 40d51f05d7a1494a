// Memory for the bodies of all callers together, so that many large ones cannot exhaust it, and of it a share that
// no one account passes, so that none keeps the others out by sending slowly.
import { PlatformError } from "../../kernel/errors.ts";

/** What one body takes of the budget; given back when it is disposed of. */
export type Room = Disposable & {
  /** @throws PlatformError capsule_failed, to be tried again in a moment */
  take(bytes: number): void;
};

const busy = (message: string): PlatformError => new PlatformError("capsule_failed", { message, retryAfterSeconds: 2 });

export class BodyMemory {
  readonly #maxBytes: number;
  readonly #shareBytes: number;
  readonly #whose: string;
  readonly #held = new Map<string, number>();
  #taken = 0;

  /** @param shareBytes of one account at most @param whose what else holds a share */
  constructor(maxBytes: number, shareBytes: number, whose = "account") {
    this.#maxBytes = maxBytes;
    this.#shareBytes = shareBytes;
    this.#whose = whose;
  }

  /** @param holder the account that sends the body @param freeBytes first ones that count for nobody */
  open(holder: string, freeBytes = 0): Room {
    let own = 0;
    let free = freeBytes;
    const add = (bytes: number): void => {
      own += bytes;
      this.#taken += bytes;
      const held = (this.#held.get(holder) ?? 0) + bytes;
      if (held > 0) this.#held.set(holder, held);
      else this.#held.delete(holder);
    };
    return {
      take: (all) => {
        const bytes = Math.max(0, all - free);
        free = Math.max(0, free - all);
        if ((this.#held.get(holder) ?? 0) + bytes > this.#shareBytes) {
          throw busy(`This ${this.#whose} has as much under way at once as it may; wait until its other requests are through.`);
        }
        if (this.#taken + bytes > this.#maxBytes) {
          throw busy("This installation has as much under way as its memory allows.");
        }
        add(bytes);
      },
      [Symbol.dispose]: () => add(-own),
    };
  }
}

/** Wrangler sends three at once. */
const UPLOADS_AT_ONCE = 3;

/** For uploads of at most so many bytes each: all that one account sends at once, and of other accounts as much again. */
export function uploadMemory(totalBytes: number, uploadMaxBytes: number): BodyMemory {
  const shareBytes = uploadMaxBytes * UPLOADS_AT_ONCE;
  return new BodyMemory(Math.max(totalBytes, shareBytes * 2), shareBytes);
}
