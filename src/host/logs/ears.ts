// Listens to one process: a call on its control socket waits for tail events, the next follows at a pace that keeps
// a Worker that logs without end from costing the other accounts of this process more than its share.
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { redactSecrets } from "../../kernel/secrets.ts";
import type { Listening, Mouth } from "../contract.ts";
import type { Crowd } from "./crowd.ts";

export type Listener = {
  /** Whether every event is wanted, not only those with something to tell. */
  readonly wantsAll: () => boolean;
  /** Whether nothing but counts is wanted. */
  readonly wantsNone: () => boolean;
  /** Called when `wantsAll` turns; returns how to stop being called. */
  readonly onTurn: (turned: () => void) => () => void;
  /** Takes one answer; resolves when the next may come. */
  readonly take: (answer: string) => Promise<void>;
  /** Told of a last answer that never came; what it would have brought, one event at least, is lost. */
  readonly miss: () => void;
};

const WAIT_MS = 20_000;
const ANSWER_WITHIN_MS = 30_000;
const LAST_WITHIN_MS = 300;
/** For the last answer and what is done with it. */
const FINISH_WITHIN_MS = 500;
/** Calls without an answer that the process is told of. */
const MAX_MISSED = 8;
const MAX_ANSWER_BYTES = 1_572_864;
/** Between an answer and the next call, so that events come together. */
const PAUSE_MS = 20;
/** What the tail events of all accounts may bring a second in the long run, and of how many at least it is shared. */
const BYTES_PER_SECOND = 8_388_608;
const LEAST_SHARES = 4;
/** An answer that counts among those that share. */
const HEAVY_BYTES = 65_536;
const FAILED_PAUSE_MS = 500;
/** Between two calls while nothing is wanted, and how long one waits: it may be wanted again at any time. */
const SILENT_MS = 1_000;
/** Of an answer that is to hold counts alone. */
const MAX_COUNTS_BYTES = 4_096;

/** The whole answer within the time and the bound, else null. */
function ask({ socketPath, agent }: Mouth, path: string, withinMs: number, maxBytes: number): Promise<string | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const tell = (answer: string | null): void => {
      clearTimeout(timer);
      resolve(answer);
      if (answer === null) outgoing.destroy();
    };
    const outgoing = request({ socketPath, path, agent, headers: { host: "control" } }, (incoming) => {
      incoming.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxBytes) tell(null);
        else chunks.push(chunk);
      });
      incoming.once("end", () => tell(incoming.statusCode === 200 ? Buffer.concat(chunks).toString("utf8") : null));
      incoming.once("error", () => tell(null));
    });
    const timer = setTimeout(() => tell(null), withinMs);
    timer.unref();
    outgoing.on("error", () => tell(null));
    outgoing.end();
  });
}

export class Ears implements Listening {
  readonly #mouth: Mouth;
  readonly #ended: AbortSignal;
  readonly #listener: Listener;
  readonly #deaf: () => void;
  readonly #crowd: Crowd;
  #last = false;
  #calls = 0;
  /** Numbers of the latest calls whose answer never came: the process counts as lost what these took along. */
  #missed: readonly number[] = [];

  /** @param ended aborts when the process is gone, or about to be killed */
  constructor(mouth: Mouth, ended: AbortSignal, listener: Listener, crowd: Crowd) {
    this.#mouth = mouth;
    this.#crowd = crowd;
    this.#ended = ended;
    this.#listener = listener;
    // The call that waits does not know yet: another one tells, and lets it go.
    this.#deaf = listener.onTurn(() => void this.#ask(1, LAST_WITHIN_MS));
    void this.#listen();
  }

  /** Takes what is there and calls no more; bounded in time. */
  async finish(): Promise<void> {
    this.#last = true;
    this.#deaf();
    // What was answered may take long to write down, on a disk that stalls.
    await Promise.race([this.#hearLast().catch(() => {}), sleep(FINISH_WITHIN_MS, undefined, { ref: false })]);
  }

  async #hearLast(): Promise<void> {
    const bytes = await this.#ask(0, LAST_WITHIN_MS);
    if (bytes === null && !this.#ended.aborted) this.#listener.miss();
  }

  async #listen(): Promise<void> {
    try {
      while (!this.#ended.aborted && !this.#last) {
        const bytes = await this.#ask(this.#listener.wantsNone() ? SILENT_MS : WAIT_MS, ANSWER_WITHIN_MS);
        if (!this.#last) await this.#pause(bytes);
      }
    } catch {
      // The process is gone while nothing was asked of it.
    } finally {
      this.#deaf();
    }
  }

  async #pause(bytes: number | null): Promise<void> {
    const heavy = bytes !== null && bytes > HEAVY_BYTES ? 1 : 0;
    const crowd = this.#crowd;
    crowd.heavy += heavy;
    try {
      const fairMs = ((bytes ?? 0) * 1_000 * Math.max(LEAST_SHARES, crowd.heavy)) / BYTES_PER_SECOND;
      const leastMs = this.#listener.wantsNone() ? SILENT_MS : PAUSE_MS;
      const pauseMs = bytes === null ? Math.max(FAILED_PAUSE_MS, leastMs) : Math.max(leastMs, fairMs);
      await sleep(pauseMs, undefined, { signal: this.#ended, ref: false });
    } finally {
      crowd.heavy -= heavy;
    }
  }

  /** Length of what came; null when nothing could be had. */
  async #ask(waitMs: number, withinMs: number): Promise<number | null> {
    if (this.#ended.aborted) return null;
    const call = ++this.#calls;
    const quiet = this.#listener.wantsNone();
    const query = `wait=${waitMs}&all=${this.#listener.wantsAll() ? 1 : 0}&quiet=${quiet ? 1 : 0}&call=${call}`;
    const missed = this.#missed.map((number) => `&missed=${number}`).join("");
    const maxBytes = quiet ? MAX_COUNTS_BYTES : MAX_ANSWER_BYTES;
    const answer = await ask(this.#mouth, `/events?${query}${missed}`, withinMs, maxBytes);
    if (this.#ended.aborted) return null;
    if (answer === null) {
      // Told again and again: calls may overtake each other.
      this.#missed = [...this.#missed, call].slice(-MAX_MISSED);
      return null;
    }
    await this.#listener.take(redactSecrets(answer));
    return answer.length;
  }
}
