// Brings together what the edge saw of a request and what its process told, whichever comes first: the edge knows
// the answer and the time, the process how it ended. Only what may have ended badly waits, for a moment and bounded in
// number; of all the others a ring remembers enough to know them again.
import type { Fate, Passed } from "../contract.ts";
import type { Heard } from "./batch.ts";
import type { Known } from "./tail-event.ts";

/** How long one half waits for the other. */
export const HOLD_MS = 400;
/** For a process to be known as killed, its last words included. */
const LOST_HOLD_MS = 1_000;
const MAX_WAITING = 2_048;
const REMEMBERED = 1_024;

export type Join = {
  passed: Passed | null;
  heard: Heard | null;
  /** Milliseconds since the epoch, when the first part came. */
  readonly atMs: number;
  /** Of the machine's own count of time, which nobody sets. */
  readonly dueMs: number;
  fate: Fate | null;
};

/** Requests that were told already, the last so many. */
class Recent {
  readonly #rays: string[] = Array.from({ length: REMEMBERED }, () => "");
  readonly #scripts: string[] = Array.from({ length: REMEMBERED }, () => "");
  readonly #wallMs = new Float64Array(REMEMBERED);
  readonly #cpuMs = new Float64Array(REMEMBERED);
  readonly #status = new Uint16Array(REMEMBERED);
  #next = 0;

  add(passed: Passed, script: string): void {
    const at = this.#next;
    this.#next = (at + 1) % REMEMBERED;
    this.#rays[at] = passed.ray;
    this.#scripts[at] = script;
    this.#wallMs[at] = passed.wallMs;
    this.#cpuMs[at] = passed.cpuMs ?? NaN;
    this.#status[at] = passed.status;
  }

  find(ray: string, script: string): Known | null {
    const at = this.#rays.indexOf(ray);
    if (at === -1 || this.#scripts[at] !== script) return null;
    const cpuMs = this.#cpuMs[at] ?? NaN;
    return { wallMs: this.#wallMs[at] ?? 0, cpuMs: Number.isNaN(cpuMs) ? null : cpuMs, status: this.#status[at] ?? 0 };
  }
}

const keyOf = (ray: string, script: string): string => `${ray} ${script}`;

export class Joins {
  /** By ray and script: a callee that is handed its caller's request has the same ray. */
  readonly #waiting = new Map<string, Join>();
  readonly #recent = new Recent();
  readonly #tell: (join: Join) => void;
  #fate: { readonly fate: Fate; readonly untilMs: number } | null = null;

  /** @param tell called once for every entry, when both parts are there or one is all there will be */
  constructor(tell: (join: Join) => void) {
    this.#tell = tell;
  }

  get waiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** The edge's part. @param heeds whether the process may have something to say about it */
  passed(passed: Passed, script: string, nowMs: number, heeds: boolean): void {
    if (heeds) this.#recent.add(passed, script);
    const key = this.#waiting.size === 0 ? null : keyOf(passed.ray, script);
    const held = key === null ? undefined : this.#waiting.get(key);
    if (held !== undefined && key !== null) {
      held.passed = passed;
      return this.#release(key, held);
    }
    const lost = passed.end === "lost";
    const fate = lost && this.#fate !== null && performance.now() < this.#fate.untilMs ? this.#fate.fate : null;
    const join: Join = { passed, heard: null, atMs: nowMs, dueMs: performance.now() + (lost ? LOST_HOLD_MS : HOLD_MS), fate };
    // The runtime answers 500 for an exception; one after the answer changes no outcome.
    const unsure = lost || (heeds && (passed.status >= 500 || passed.end === "canceled"));
    if (fate !== null || !unsure) return this.#tell(join);
    // The head is for those of which the process cannot tell any more.
    if (!lost) join.passed = { ...passed, head: "" };
    this.#wait(keyOf(passed.ray, script), join);
  }

  /** The process's part. Returns what the edge has told already; null: it is told with the edge's, or alone if none comes. */
  heard(heard: Heard, ray: string, nowMs: number): Known | null {
    const { script } = heard.origin;
    const key = keyOf(ray, script);
    const held = this.#waiting.get(key);
    if (held?.passed != null) {
      held.heard = heard;
      this.#release(key, held);
      return null;
    }
    const known = this.#recent.find(ray, script);
    if (known === null) this.#wait(key, { passed: null, heard, atMs: nowMs, dueMs: performance.now() + HOLD_MS, fate: null });
    return known;
  }

  /** What was lost with the process, now or in a moment, was lost for this reason. Returns how many that are so far. */
  killed(fate: Fate): number {
    this.#fate = { fate, untilMs: performance.now() + LOST_HOLD_MS };
    let count = 0;
    for (const [key, join] of this.#waiting) {
      if (join.passed?.end !== "lost") continue;
      join.fate = fate;
      this.#release(key, join);
      count++;
    }
    return count;
  }

  /** Tells those whose time is up. @param all whatever their time */
  release(all = false): void {
    const nowMs = performance.now();
    for (const [key, join] of this.#waiting) if (all || join.dueMs <= nowMs) this.#release(key, join);
  }

  #release(key: string, join: Join): void {
    this.#waiting.delete(key);
    this.#tell(join);
  }

  #wait(key: string, join: Join): void {
    // Two halves of one kind with one key: a Worker that calls itself with the request it was given.
    const before = this.#waiting.get(key);
    if (before !== undefined) this.#release(key, before);
    this.#waiting.set(key, join);
    if (this.#waiting.size <= MAX_WAITING) return;
    for (const [oldest, entry] of this.#waiting) return this.#release(oldest, entry);
  }
}
