// Scratch processes, a few of them started before anyone wants them: most of a trial's time is a process that comes up.
// None is used twice, and nothing of any account is in one that waits. Each has a user id of its own for all its life.
import type { Sandboxed } from "../../contract.ts";

export type StandByOptions = {
  /** Starts a process that waits for its standard input. @param uid of no other process */
  readonly launch: (uid: number) => Promise<Sandboxed>;
  readonly firstUid: number;
  /** Processes that wait; none: each is started when it is wanted. */
  readonly count: number;
  /** After the last one was taken, until others are started: whoever took it has work to do with the processor. */
  readonly pauseMs: number;
};

export class StandBy implements AsyncDisposable {
  readonly #options: StandByOptions;
  readonly #waiting = new Set<Promise<Sandboxed>>();
  readonly #dead = new WeakSet<Sandboxed>();
  readonly #freeUids: number[] = [];
  #nextUid: number;
  #refill: NodeJS.Timeout | undefined;
  #over = false;

  constructor(options: StandByOptions) {
    this.#options = options;
    this.#nextUid = options.firstUid;
    this.#fillLater();
  }

  /** A process that nobody had before. @throws PlatformError capsule_failed when none can be started */
  async take(): Promise<Sandboxed> {
    this.#fillLater();
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      const process = await waiting.catch(() => null);
      // Killed while it waited, by the machine for its memory perhaps: no word on whoever comes now.
      if (process !== null && !this.#dead.has(process)) return process;
    }
    return this.#launch();
  }

  async #launch(): Promise<Sandboxed> {
    const uid = this.#freeUids.pop() ?? this.#nextUid++;
    try {
      const process = await this.#options.launch(uid);
      void process.exited.finally(() => {
        this.#dead.add(process);
        this.#freeUids.push(uid);
      });
      return process;
    } catch (error) {
      this.#freeUids.push(uid);
      throw error;
    }
  }

  #fillLater(): void {
    clearTimeout(this.#refill);
    if (this.#over || this.#options.count === 0) return;
    this.#refill = setTimeout(() => this.#fill(), this.#options.pauseMs);
    this.#refill.unref();
  }

  #fill(): void {
    while (this.#waiting.size < this.#options.count) {
      const waiting = this.#launch();
      this.#waiting.add(waiting);
      waiting.then(
        ({ exited }) => void exited.finally(() => this.#waiting.delete(waiting)),
        // Tried again after the next trial, which starts its own.
        () => this.#waiting.delete(waiting),
      );
    }
  }

  /** Those that wait are killed and gone; those that were taken are their takers'. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    clearTimeout(this.#refill);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const process of await Promise.allSettled(waiting)) {
      if (process.status !== "fulfilled") continue;
      process.value.kill();
      await process.value.exited;
    }
  }
}
