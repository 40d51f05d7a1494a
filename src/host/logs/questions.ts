// What is asked of one account's log: few questions at once, answered one after the other, so that an account's take no
// more of this process than one does. None is begun once the log is over, and its end waits for no more than the one.
import { PlatformError } from "../../kernel/errors.ts";

/** One is answered, the others wait. */
const MAX_ASKED = 9;

export class Questions {
  readonly #live: () => void;
  #asked = 0;
  #answering: Promise<unknown> = Promise.resolve();

  /** @param live throws once the log is over */
  constructor(live: () => void) {
    this.#live = live;
  }

  /**
   * Answers with what `read` finds.
   * @param ready resolves when it may begin; others are answered meanwhile
   * @throws PlatformError too_many_questions, what `live` throws
   */
  async ask<T>(ready: () => Promise<void>, read: () => Promise<T>): Promise<T> {
    this.#live();
    if (this.#asked >= MAX_ASKED) {
      throw new PlatformError("too_many_questions", {
        message: `${MAX_ASKED} questions to the logs and metrics of this account wait for their answers, and no more can: they are answered one by one.`,
        retryAfterSeconds: 1,
      });
    }
    this.#asked++;
    try {
      await ready();
      return await this.#inTurn(read);
    } finally {
      this.#asked--;
    }
  }

  /** Resolves when none is being answered; after the log's end, for good. */
  async settled(): Promise<void> {
    await this.#answering;
  }

  #inTurn<T>(read: () => Promise<T>): Promise<T> {
    const result = this.#answering.then(async () => {
      this.#live();
      const answer = await read();
      this.#live();
      return answer;
    });
    this.#answering = result.catch(() => {});
    return result;
  }
}
