// An upload is started once in a scratch sandbox, without state and without any way out, before anything accepts it.
// Whether it starts is workerd's own word, which no code of the upload can reach; the list of exports is the
// upload's word about itself, checked for form, so a forged one misleads only the account that forged it.
import { randomBytes } from "node:crypto";
import { checkCompatibility } from "../../../capsule/compatibility.ts";
import { verdict, type Verdict } from "../../../capsule/messages.ts";
import type { Trial } from "../../../capsule/spec.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Exit, Sandbox, Sandboxed } from "../../contract.ts";
import { heapLimit } from "../workerd/config.ts";
import { diagnosticsOf } from "../workerd/diagnostics.ts";
import { moduleReader } from "../workerd/modules.ts";
import { scriptName, withPlaces } from "./places.ts";
import { JUDGE, trialConfig } from "./trial-config.ts";
import { StandBy } from "./stand-by.ts";
import { Turns } from "./turns.ts";

export type TrialOptions = {
  readonly sandbox: Sandbox;
  readonly files: { readCode(account: AccountId, hash: string): Promise<Uint8Array> };
  readonly clock: Clock;
  readonly maxConcurrent?: number;
  readonly maxQueued?: number;
  /** From the hand-over of the upload until it has started and its exports are known. */
  readonly timeoutMs?: number;
  /** Of the scratch process, which holds the upload twice. */
  readonly memoryBytes?: number;
  /** The lowest of some user ids that no capsule has: one for each trial at once, and each process that waits. */
  readonly firstUid?: number;
  /** Processes started ahead of the uploads that they will try; some 5 MB each. */
  readonly waiting?: number;
  /** Between the last trial's begin and the start of what waits for others. */
  readonly refillAfterMs?: number;
};

const DEFAULTS = {
  maxConcurrent: 2,
  maxQueued: 50,
  timeoutMs: 10_000,
  memoryBytes: 536_870_912,
  firstUid: 99_900,
  waiting: 0,
  refillAfterMs: 60,
};

const refuse = (diagnostics: string): Verdict => ({ ok: false, diagnostics });

type Ending = { readonly exit: Exit; readonly timedOut: boolean; readonly startupMs: number };

async function ending(process: Sandboxed, timeoutMs: number, startedMs: number, over: AbortSignal): Promise<Ending> {
  let timedOut = false;
  const kill = (): void => process.kill();
  if (over.aborted) kill();
  over.addEventListener("abort", kill, { once: true });
  const timer = setTimeout(() => {
    timedOut = true;
    process.kill();
  }, timeoutMs);
  try {
    const exit = await process.exited;
    return { exit, timedOut, startupMs: Math.round(performance.now() - startedMs) };
  } finally {
    clearTimeout(timer);
    over.removeEventListener("abort", kill);
  }
}

/** The judge's line, the only one that begins with the nonce; null when there is none or it is malformed. */
function reportIn(stdout: string, nonce: string, startupMs: number): Verdict | null {
  const line = stdout.split("\n").find((candidate) => candidate.startsWith(`${nonce} `));
  if (line === undefined) return null;
  try {
    const parsed = verdict.safeParse({ ...(JSON.parse(line.slice(nonce.length + 1)) as object), ok: true, startupMs });
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

const ABORTED = /out of memory|heap limit|allocation failed/i;

function judged(process: Sandboxed, end: Ending, nonce: string, timeoutMs: number, script: string): Verdict {
  const { exit, timedOut, startupMs } = end;
  if (timedOut) {
    return refuse(
      `Script startup exceeded the time limit of ${timeoutMs / 1000} s. Move the work at the top level of the script into a handler.`,
    );
  }
  const stderr = process.stderr();
  if (exit.code === 0) {
    return (
      reportIn(process.stdout(), nonce, startupMs) ??
      refuse(
        "Script startup succeeded, but the script's exports cannot be read: it prints too much, or alters built-in objects, at its top level.",
      )
    );
  }
  if (exit.outOfMemory || ABORTED.test(stderr)) {
    return refuse("Script startup exceeded the memory limit. Allocate less at the top level of the script.");
  }
  const said = diagnosticsOf(stderr, script);
  if (said !== null) return refuse(said);
  if (exit.signal !== null || (exit.code ?? 0) > 128) {
    return refuse(`Script startup crashed the runtime (${exit.signal ?? `exit code ${exit.code}`}).`);
  }
  throw new PlatformError("capsule_failed", { message: "The upload could not be tried on this machine.", detail: { exit, stderr } });
}

type UnderWay = { readonly over: AbortController; readonly trials: Set<Promise<unknown>> };

export type Trials = AsyncDisposable & {
  /**
   * Starts the Worker alone. `startupMs` is wall-clock time from its hand-over to the verdict.
   * @throws PlatformError too_many_uploads when too many of the account wait, capsule_failed when too many of all do or the machine cannot run it, account_gone when `end` overtakes it.
   */
  validate(trial: Trial): Promise<Verdict>;
  /** From its return on no trial of the account runs or waits; later ones are the caller's to refuse. */
  end(account: AccountId): Promise<void>;
};

/** Tries uploads, a bounded number at once. */
export function createTrials(options: TrialOptions): Trials {
  const { sandbox, files, clock, maxConcurrent, maxQueued, timeoutMs, memoryBytes, firstUid, waiting, refillAfterMs } = {
    ...DEFAULTS,
    ...options,
  };
  const turns = new Turns(maxConcurrent, maxQueued);
  const underWay = new Map<AccountId, UnderWay>();

  const launch = (uid: number): Promise<Sandboxed> =>
    sandbox.launch({
      uid,
      directory: null,
      socketDirectory: null,
      args: ["test", "--experimental", "--no-verbose", "--binary", "-", JUDGE],
      stdin: null,
      limits: { memoryBytes, cpuWeight: 100, maxProcesses: 32 },
      collectStdout: true,
    });
  const standBy = new StandBy({ launch, firstUid, count: waiting, pauseMs: refillAfterMs });

  async function run(trial: Trial, over: AbortSignal): Promise<Verdict> {
    over.throwIfAborted();
    const { account, worker } = trial;
    const read = (hash: string): Promise<Uint8Array> => files.readCode(account, hash);
    const nonce = randomBytes(24).toString("hex");
    const bytes = await moduleReader([worker], read);
    over.throwIfAborted();
    const config = trialConfig(worker, bytes, nonce, [heapLimit(memoryBytes)]);
    const process = await standBy.take();
    const startedMs = performance.now();
    process.feed(config);
    const end = await ending(process, timeoutMs, startedMs, over);
    over.throwIfAborted();
    const verdict = await withPlaces(judged(process, end, nonce, timeoutMs, scriptName(trial)), trial, read, over);
    over.throwIfAborted();
    return verdict;
  }

  async function untilEnd<T>(account: AccountId, work: (over: AbortSignal) => Promise<T>): Promise<T> {
    const mine = underWay.get(account) ?? { over: new AbortController(), trials: new Set() };
    underWay.set(account, mine);
    const trial = work(mine.over.signal);
    mine.trials.add(trial);
    try {
      return await trial;
    } finally {
      mine.trials.delete(trial);
      if (mine.trials.size === 0 && underWay.get(account) === mine) underWay.delete(account);
    }
  }

  return {
    async validate(trial) {
      const problem = checkCompatibility(trial.worker.compatibilityDate, trial.worker.compatibilityFlags, clock.now());
      if (problem !== null) return refuse(problem);
      return untilEnd(trial.account, (over) => turns.take(trial.account, () => run(trial, over), over));
    },
    async end(account) {
      const mine = underWay.get(account);
      if (mine === undefined) return;
      mine.over.abort(new PlatformError("account_gone", { message: "The account has ended." }));
      await Promise.allSettled(mine.trials);
    },
    [Symbol.asyncDispose]: () => standBy[Symbol.asyncDispose](),
  };
}
