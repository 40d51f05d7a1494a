// What is done for an account when its process is gone, before the next one may start: state that nothing names is
// removed, databases that were written get a bookmark, and control learns when the next alarm wants the process back.
import { json } from "node:stream/consumers";
import type { Readable } from "node:stream";
import { stateAnswers, type StateJob } from "../../../capsule/state.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Log } from "../../../kernel/log.ts";
import type { EventLog } from "./event-log.ts";
import type { HotMarks } from "./hot-marks.ts";
import type { Essentials } from "./essentials.ts";

export type RestParts = {
  /** A job of the account's keeper. */
  readonly run: (account: AccountId, job: StateJob, signal: AbortSignal) => Promise<Readable>;
  readonly marks: HotMarks;
  readonly events: Pick<EventLog, "append">;
  readonly clock: Clock;
  readonly log: Log;
};

/** @property isFull it keeps too much on disk: what was only cached goes */
export type Due = { readonly sweep: boolean; readonly bookmarks: boolean; readonly isFull: boolean };

/** An account whose alarms cannot be read is woken after so long: the process itself knows them. */
const BLIND_WAKE_MS = 60_000;

export class Rest {
  readonly #parts: RestParts;

  constructor(parts: RestParts) {
    this.#parts = parts;
  }

  /** Never rejects: what fails here is tried again at the next rest. @returns whether everything was done */
  async after(known: Essentials, due: Due, signal: AbortSignal): Promise<boolean> {
    const { account, state } = known;
    const swept = !due.sweep || (await this.#try(account, { kind: "sweep", keep: state, ...(due.isFull && { emptyCache: true }) }, signal));
    const kept = !due.bookmarks || (await this.bookmark(known, signal));
    const told = !known.hasAlarms || (await this.tellAlarm(account, signal));
    return swept && kept && told;
  }

  /** A bookmark of each of the account's databases that changed since its last. Never rejects. */
  async bookmark({ account, state }: Pick<Essentials, "account" | "state">, signal: AbortSignal): Promise<boolean> {
    let all = true;
    for (const database of state.d1) all = (await this.#try(account, { kind: "d1-bookmark", database }, signal)) && all;
    return all;
  }

  /** Tells control when the account's next alarm is due. Never rejects. @returns whether it was told */
  async tellAlarm(account: AccountId, signal: AbortSignal): Promise<boolean> {
    const { run, events, marks, clock, log } = this.#parts;
    let wakeAtMs: number | null;
    try {
      ({ nextMs: wakeAtMs } = stateAnswers.alarms.parse(await json(await run(account, { kind: "alarms" }, signal))));
    } catch (error) {
      if (signal.aborted || (error instanceof PlatformError && error.code === "account_gone")) return false;
      log.error({ err: error, account }, "an account's alarms could not be read");
      wakeAtMs = clock.now() + BLIND_WAKE_MS;
    }
    if (signal.aborted) return false;
    marks.told(account, events.append({ kind: "cold", account, reason: "its process was stopped", wakeAtMs }));
    return true;
  }

  async #try(account: AccountId, job: StateJob, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    try {
      const answer = await this.#parts.run(account, job, signal);
      for await (const _ of answer);
      return true;
    } catch (error) {
      if (!signal.aborted) this.#parts.log.error({ err: error, account, job: job.kind }, "an account's state could not be kept");
      return false;
    }
  }
}
