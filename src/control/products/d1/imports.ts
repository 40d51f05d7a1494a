// Imports under way and lately done, one a database: started by a request, they go on without it, and whoever asks waits a
// while for the end. All or nothing of the file is kept, so that one whose end nobody heard may be looked up and repeated.
import { setTimeout as wait } from "node:timers/promises";
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Log } from "../../../kernel/log.ts";
import type { Imported } from "./keeper.ts";
import { HOLD_MS, REMEMBERED_SECONDS } from "./quota.ts";

export type Ended =
  | { readonly status: "complete"; readonly imported: Imported; readonly bookmark: string }
  | { readonly status: "error"; readonly message: string };

export type Progress = { readonly filename: string; readonly atBookmark: string; readonly ended: Ended | null };

type Job = {
  readonly filename: string;
  readonly atBookmark: Promise<string>;
  readonly over: Promise<Ended>;
  ended: Ended | null;
  endedAtMs: number | null;
};

export type Work = {
  /** Before anything changes. */
  readonly begin: () => Promise<string>;
  readonly run: () => Promise<{ readonly imported: Imported; readonly bookmark: string }>;
};

export class Imports {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #jobs = new Map<string, Job>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Starts it, or finds it started already. @throws PlatformError import_running, and whatever `begin` throws */
  async start(account: AccountId, database: string, filename: string, work: () => Work): Promise<Progress> {
    const key = `${account}/${database}`;
    const there = this.#jobs.get(key);
    if (there && there.filename !== filename && !there.ended)
      throw new PlatformError("import_running", { message: "Another file is being imported into this database." });
    const isSame = there?.filename === filename && there.ended?.status !== "error";
    return this.#watch(isSame ? there : this.#begin(key, filename, work()));
  }

  /** @throws PlatformError import_not_found */
  async follow(account: AccountId, database: string, atBookmark: string): Promise<Progress> {
    const job = this.#jobs.get(`${account}/${database}`);
    if (job && (await job.atBookmark) === atBookmark) return this.#watch(job);
    throw new PlatformError("import_not_found", {
      message: "current_bookmark: no import of this database began there, or it ended long ago.",
    });
  }

  dropAccount(account: AccountId): void {
    for (const key of this.#jobs.keys()) if (key.startsWith(`${account}/`)) this.#jobs.delete(key);
  }

  #begin(key: string, filename: string, work: Work): Job {
    for (const [old, { endedAtMs }] of this.#jobs)
      if (endedAtMs !== null && endedAtMs + REMEMBERED_SECONDS * 1000 <= this.#clock.now()) this.#jobs.delete(old);
    const atBookmark = work.begin();
    const over = atBookmark
      .then(() => work.run())
      .then(
        ({ imported, bookmark }): Ended => ({ status: "complete", imported, bookmark }),
        (error: unknown): Ended => this.#failed(error),
      );
    const job: Job = { filename, atBookmark, over, ended: null, endedAtMs: null };
    this.#jobs.set(key, job);
    atBookmark.catch(() => this.#jobs.delete(key));
    void this.#close(job);
    return job;
  }

  async #close(job: Job): Promise<void> {
    job.ended = await job.over;
    job.endedAtMs = this.#clock.now();
  }

  #failed(error: unknown): Ended {
    if (error instanceof PlatformError) return { status: "error", message: `${error.message} ${error.next}` };
    this.#log.error({ err: error }, "an import failed");
    return { status: "error", message: "Something went wrong inside this installation; nothing of the file was kept." };
  }

  async #watch(job: Job): Promise<Progress> {
    const atBookmark = await job.atBookmark;
    await Promise.race([job.over, wait(HOLD_MS, undefined, { ref: false })]);
    return { filename: job.filename, atBookmark, ended: job.ended };
  }
}
