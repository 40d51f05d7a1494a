// One thread of low priority verifies one chain at a time; a bounded queue waits before it, and what finds no room
// there is refused at once. The server's own thread never hashes a chain.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import type { Verdict } from "./chain.ts";
import { hashesOf, type Work } from "./challenge.ts";
import { hasVectors } from "./segments.ts";
import type { Answer, Task } from "./verifier-thread.ts";

/** Pessimistic rates of the thread, with vectors and without, to say how long the queue will take. */
const HASHES_PER_SECOND = { vectors: 8_000_000, node: 2_000_000 };
const RESTART_SECONDS = 5;

export type VerifierLimits = {
  /** Chains in the queue and on the thread. */
  readonly maxChains: number;
  /** Their hashes together; one chain is taken whatever its length. */
  readonly maxHashes: number;
};

export type Verifier = AsyncDisposable & {
  /** Keeps room for one chain of that length until it is used or disposed of. @throws PlatformError verifier_busy */
  reserve(work: Work): Room;
  /** The checkpoints' buffer is handed over and cannot be used afterwards. @throws PlatformError verifier_busy */
  verify(checkpoints: Uint8Array<ArrayBuffer>, work: Work): Promise<Verdict>;
  /** What is queued or on the thread now, and what was computed since the start. */
  stats(): { readonly waitingChains: number; readonly waitingHashes: number; readonly computedHashes: number };
};

type Room = Disposable & {
  /** Once; the checkpoints' buffer is handed over. @throws PlatformError verifier_busy when the verifier ends or fails meanwhile */
  verify(checkpoints: Uint8Array<ArrayBuffer>): Promise<Verdict>;
};

type Waiting = Task & { readonly settle: PromiseWithResolvers<Verdict> };

const busy = (seconds: number): PlatformError =>
  new PlatformError("verifier_busy", { message: "Too many solutions are being verified.", retryAfterSeconds: seconds });

class ThreadVerifier implements Verifier {
  readonly #limits: VerifierLimits;
  readonly #log: Log;
  readonly #hashesPerSecond: number;
  readonly #queue: Waiting[] = [];
  #running: Waiting | null = null;
  #thread: Worker | null = null;
  /** Chains that room is kept for. */
  #reserved = 0;
  #waitingHashes = 0;
  #computedHashes = 0;
  #closed = false;

  constructor(limits: VerifierLimits, log: Log) {
    this.#limits = limits;
    this.#log = log;
    const vectors = hasVectors();
    this.#hashesPerSecond = vectors ? HASHES_PER_SECOND.vectors : HASHES_PER_SECOND.node;
    if (!vectors)
      log.warn("this machine has no vectors for WebAssembly: solutions are verified with Node's own hash, at a quarter of the speed");
  }

  reserve(work: Work): Room {
    const chains = this.#chains();
    const full = chains >= this.#limits.maxChains || (chains > 0 && this.#waitingHashes + hashesOf(work) > this.#limits.maxHashes);
    if (full || this.#closed) throw busy(Math.max(RESTART_SECONDS, Math.ceil(this.#waitingHashes / this.#hashesPerSecond)));
    let kept = true;
    this.#reserved++;
    this.#waitingHashes += hashesOf(work);
    const giveUp = (): void => {
      if (!kept) return;
      kept = false;
      this.#reserved--;
      this.#waitingHashes -= hashesOf(work);
    };
    return {
      verify: async (checkpoints) => {
        giveUp();
        if (this.#closed) throw busy(RESTART_SECONDS);
        const waiting: Waiting = { checkpoints, work, settle: Promise.withResolvers() };
        this.#waitingHashes += hashesOf(work);
        this.#queue.push(waiting);
        this.#next();
        return waiting.settle.promise;
      },
      [Symbol.dispose]: giveUp,
    };
  }

  async verify(checkpoints: Uint8Array<ArrayBuffer>, work: Work): Promise<Verdict> {
    return this.reserve(work).verify(checkpoints);
  }

  #chains(): number {
    return this.#queue.length + this.#reserved + (this.#running ? 1 : 0);
  }

  stats() {
    return { waitingChains: this.#chains(), waitingHashes: this.#waitingHashes, computedHashes: this.#computedHashes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const thread = this.#thread;
    this.#thread = null;
    for (const waiting of this.#queue.splice(0)) this.#finish(waiting, null);
    if (this.#running) this.#finish(this.#running, null);
    await thread?.terminate();
  }

  #next(): void {
    if (this.#running) return;
    const next = this.#queue.shift();
    if (!next) {
      // An idle thread keeps no process alive.
      this.#thread?.unref();
      return;
    }
    this.#running = next;
    this.#thread ??= this.#start();
    this.#thread.ref();
    this.#thread.postMessage({ checkpoints: next.checkpoints, work: next.work } satisfies Task, [next.checkpoints.buffer]);
  }

  /** Starts the thread, which carries nothing of the server's environment. */
  #start(): Worker {
    const thread = new Worker(new URL("./verifier-thread.ts", import.meta.url), { env: {}, execArgv: [], name: "verifier" });
    thread.on("message", (answer: Answer) => {
      this.#computedHashes += answer.hashes;
      if (this.#running) this.#finish(this.#running, answer);
      this.#next();
    });
    thread.on("error", (err) => this.#log.error({ err }, "the verifier's thread failed"));
    void once(thread, "exit").then(
      () => this.#lost(thread),
      () => this.#lost(thread),
    );
    return thread;
  }

  /** The chain that the thread died on is refused, the rest goes to a new one. */
  #lost(thread: Worker): void {
    if (this.#thread !== thread) return;
    this.#thread = null;
    if (this.#running) this.#finish(this.#running, null);
    this.#next();
  }

  #finish(waiting: Waiting, verdict: Verdict | null): void {
    this.#waitingHashes -= hashesOf(waiting.work);
    if (this.#running === waiting) this.#running = null;
    if (verdict) waiting.settle.resolve(verdict);
    else waiting.settle.reject(busy(RESTART_SECONDS));
  }
}

/** The thread starts with the first chain. Dispose refuses what waits and ends it. */
export function createVerifier(limits: VerifierLimits, log: Log): Verifier {
  return new ThreadVerifier(limits, log);
}
