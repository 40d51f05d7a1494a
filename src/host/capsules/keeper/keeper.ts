// Reads and changes what lies under an account's `state/`, which nothing else outside its process may open: a second program
// does it, as the account's user, in the sandbox, one process a job. What it answers is untrusted and bounded like anything
// that a tenant's process says.
import { finished, Readable, type Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { stateAnswers, stateJob, type StateAnswer, type AnsweredJob, type StateJob } from "../../../capsule/state.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Sandbox, Sandboxed } from "../../contract.ts";
import { Turns } from "./turns.ts";

type Kind = StateJob["kind"];

/** Jobs that change what a running process holds open: the account's must be stopped, and stay so until they are done. */
export const NEEDS_REST: ReadonlySet<Kind> = new Set<Kind>(["sweep", "d1-restore", "d1-import"]);

const MB = 1024 * 1024;
const QUICK_MS = 20_000;
const LONG_MS = 300_000;
/** A backup or an import is as large as what it is of. */
const LIMITS = { memoryBytes: 256 * MB, cpuWeight: 50, maxProcesses: 32, maxFileBytes: 2048 * MB };
const HEADER_BYTES = 8192;
const JSON_BYTES = 2 * MB;
/** Text of a database of 1 GB in its wordiest form. */
const EXPORT_BYTES = 4096 * MB;
const MESSAGE_LENGTH = 500;

/** Time from its start to the end of its answer. */
const TIME_MS: Readonly<Record<Kind, number>> = {
  alarms: QUICK_MS,
  objects: QUICK_MS,
  "d1-sizes": QUICK_MS,
  "d1-bookmarks": QUICK_MS,
  sweep: LONG_MS,
  "d1-bookmark": LONG_MS,
  "d1-restore": LONG_MS,
  "d1-import": LONG_MS,
  "d1-export": LONG_MS,
};

const header = z.union([z.object({ ok: z.literal(true) }), z.object({ refused: z.string() })]);

/** Whose state, where it lies on this host, and the user that its files belong to (of no account on rungs without own users). */
export type Place = { readonly account: AccountId; readonly uid: number; readonly directory: string };

export type RunOptions = {
  /** What is imported. */
  readonly body?: Readable;
  /** Kills the process, whatever it is at. */
  readonly signal?: AbortSignal;
};

export type Keeper = AsyncDisposable & {
  /**
   * Resolves once the answer begins; it errors when the process ends in another way than it should.
   * Whoever takes it must read it or destroy it.
   * @throws PlatformError invalid_input when the job cannot be done on what is there, capsule_failed when it was not done.
   */
  run(place: Place, job: StateJob, options?: RunOptions): Promise<Readable>;
  /** A job with one answer. */
  runJson<J extends AnsweredJob>(place: Place, job: J, options?: RunOptions): Promise<StateAnswer<J["kind"]>>;
};

export type KeeperOptions = {
  readonly sandbox: Pick<Sandbox, "launch">;
  /** Processes at once for the whole installation, and how many of them may be at something long. */
  readonly atOnce?: number;
  readonly longAtOnce?: number;
  /** Jobs that wait for their turn. */
  readonly waiting?: number;
  readonly waitingOfOne?: number;
  /** For tests: milliseconds instead of each job's own. */
  readonly timeMs?: number;
};

const failed = (message: string, detail: Record<string, unknown> = {}, cause?: unknown): PlatformError =>
  new PlatformError("capsule_failed", { message, detail, cause });

/** A process at its job, with what ends it. */
type Work = { readonly process: Sandboxed; readonly job: StateJob; readonly over: AbortSignal };

/** How it ended, in words, when not as it should have. */
async function verdict({ process, job, over }: Work): Promise<PlatformError | null> {
  const exit = await process.exited;
  if (exit.code === 0) return null;
  const detail = { job: job.kind, ...exit, stderr: process.stderr() };
  if (over.aborted) return failed("Work on the account's stored data was cut off or took too long.", detail, over.reason);
  if (exit.outOfMemory) return failed("Work on the account's stored data needed too much memory.", detail);
  return failed("Work on the account's stored data did not succeed.", detail);
}

/** The output up to its first line break, and the iterator behind it. @throws PlatformError */
async function firstLine(work: Work, chunks: AsyncIterator<Buffer>): Promise<{ line: string; rest: Buffer }> {
  const parts: Buffer[] = [];
  for (let bytes = 0; bytes <= HEADER_BYTES;) {
    const { value, done } = await chunks.next().catch(() => ({ value: undefined, done: true as const }));
    if (done === true || value === undefined) break;
    const end = value.indexOf(10);
    if (end !== -1) return { line: Buffer.concat([...parts, value.subarray(0, end)]).toString("utf8"), rest: value.subarray(end + 1) };
    parts.push(value);
    bytes += value.length;
  }
  work.process.kill();
  throw (await verdict(work)) ?? failed("Work on the account's stored data gave no answer.");
}

function readHeader(line: string): z.infer<typeof header> | null {
  try {
    return header.parse(JSON.parse(line));
  } catch {
    return null;
  }
}

/** What follows the first line, to its proper end. */
async function* answerOf(work: Work, chunks: AsyncIterator<Buffer>, rest: Buffer): AsyncGenerator<Buffer> {
  try {
    let left = work.job.kind === "d1-export" ? EXPORT_BYTES : JSON_BYTES;
    for (let chunk: Buffer | undefined = rest; chunk !== undefined;) {
      left -= chunk.length;
      if (left < 0) throw failed("Work on the account's stored data gave too long an answer.", { job: work.job.kind });
      if (chunk.length > 0) yield chunk;
      const next: IteratorResult<Buffer, unknown> = await chunks.next();
      chunk = next.done === true ? undefined : next.value;
    }
    const problem = await verdict(work);
    if (problem !== null) throw problem;
  } finally {
    work.process.kill();
    await work.process.exited;
  }
}

/**
 * Sends the job and its body. A program that has ended takes nothing more, and its exit tells why; the rest of the body is
 * thrown away, since whoever sends it hears the answer only then. One that broke off must not be taken for one that ended.
 */
function feed({ process, job }: Work, input: Writable, body: Readable | undefined): void {
  input.write(`${JSON.stringify(job)}\n`);
  if (body === undefined) return void input.end();
  input.once("close", () => body.unpipe(input).resume());
  finished(body, { writable: false }, (error) => error && process.kill());
  body.pipe(input);
}

async function begin(work: Work, body: Readable | undefined): Promise<Readable> {
  const { pipes } = work.process;
  if (pipes === undefined) throw new Error("the sandbox gave the keeper no pipes");
  pipes.input.on("error", () => {});
  feed(work, pipes.input, body);
  const chunks: AsyncIterator<Buffer> = pipes.output[Symbol.asyncIterator]();
  const { line, rest } = await firstLine(work, chunks);
  const told = readHeader(line);
  if (told === null) throw failed("Work on the account's stored data gave no proper answer.");
  if ("refused" in told) {
    throw new PlatformError("invalid_input", {
      message: told.refused.slice(0, MESSAGE_LENGTH),
      next: "Read what it says of the stored data.",
    });
  }
  const answer = Readable.from(answerOf(work, chunks, rest), { objectMode: false });
  // A generator that never began has no end either.
  answer.once("close", () => work.process.kill());
  return answer;
}

/** Starts keepers over a sandbox. */
export function createKeeper({ sandbox, atOnce = 3, longAtOnce = 2, waiting = 64, waitingOfOne = 8, timeMs }: KeeperOptions): Keeper {
  const turns = new Turns({ atOnce, longAtOnce, waiting, waitingOfOne });
  const closing = new AbortController();
  const working = new Set<Sandboxed>();

  const run: Keeper["run"] = async ({ account, uid, directory }, wanted, { body, signal } = {}) => {
    const job = stateJob.parse(wanted);
    const asked = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
    const turn = await turns.take({ account, long: TIME_MS[job.kind] > QUICK_MS }, asked);
    const limit = new AbortController();
    const over = AbortSignal.any([asked, limit.signal]);
    const timer = setTimeout(() => limit.abort(new Error("its time is up")), timeMs ?? TIME_MS[job.kind]);
    let process: Sandboxed | undefined;
    const kill = (): void => process?.kill();
    const done = (): void => {
      clearTimeout(timer);
      over.removeEventListener("abort", kill);
      turn[Symbol.dispose]();
    };
    try {
      over.throwIfAborted();
      process = await sandbox.launch({
        program: "keeper",
        uid,
        directory,
        socketDirectory: null,
        args: [],
        stdin: null,
        limits: LIMITS,
        collectStdout: false,
      });
      working.add(process);
      // A process that is gone holds no turn, whether or not anybody reads what it left.
      void process.exited.finally(() => {
        if (process !== undefined) working.delete(process);
        done();
      });
      over.addEventListener("abort", kill);
      if (over.aborted) kill();
      return await begin({ process, job, over }, body);
    } catch (error) {
      process?.kill();
      await process?.exited;
      done();
      throw error;
    }
  };

  return {
    run,
    async runJson(place, job, options) {
      const line = await text(await run(place, job, options));
      try {
        // The kind's own schema; the compiler cannot follow the pair through the look-up.
        return stateAnswers[job.kind].parse(JSON.parse(line)) as StateAnswer<(typeof job)["kind"]>;
      } catch (error) {
        throw failed("Work on the account's stored data gave no proper answer.", { job: job.kind }, error);
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new Error("the host is stopping"));
      for (const process of working) process.kill();
      await Promise.all(Array.from(working, ({ exited }) => exited));
    },
  };
}
