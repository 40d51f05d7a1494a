// The log of one account: what the edge and the account's process tell becomes records on disk, lines for followers and
// events for tails. Every part is bounded, and nothing is written or sent after `end`.
import { setTimeout as sleep } from "node:timers/promises";
import { join as joinPath } from "node:path";
import type { Readable } from "node:stream";
import type { FollowQuery, LogOutcome, LogPage, LogQuery, LogRecord, MetricsMinute, TailQuery } from "../../capsule/logs.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { BoundedMap } from "../bounded-map.ts";
import type { Budget } from "../budgets/budget.ts";
import type { Fate, Listening, Mouth, Origin, Over, Passed } from "../contract.ts";
import { readBatch, type Heard } from "./batch.ts";
import type { Crowd } from "./crowd.ts";
import { Ears } from "./ears.ts";
import { HOLD_MS, Joins, type Join } from "./joins.ts";
import { Minutes } from "./minutes.ts";
import { Outlet } from "./outlet.ts";
import { filter, readPage } from "./pages.ts";
import { Questions } from "./questions.ts";
import { Segments } from "./segments.ts";
import { Volume, silenceNotice } from "./volume.ts";
import { capEvent, heardEvent, lostEvent, overloadEvent, overloadStopEvent, wants, type TailEvent } from "./tail-event.ts";

/** After an answer, until what its request logged is here. */
const SETTLED_MS = 250;
const MAX_URL_CHARS = 4_096;
const NOTICE_AGAIN_MS = 60_000;
/** Different notices of which it is known when they were last written. */
const MAX_NOTICES = 64;
/** Streams of one account that are open at once. */
const MAX_FOLLOWERS = 10;
const MAX_TAILS = 20;

export type AccountLogOptions = {
  /** The account's. */
  readonly directory: string;
  readonly maxBytes: number;
  /** Whether records are kept and sent at all; counts are. */
  readonly records: boolean;
  /** Whether processes tell anything. */
  readonly tails: boolean;
  readonly now: () => number;
  readonly crowd: Crowd;
  /** What the account may still use, at the moment of use. */
  readonly budget: () => Pick<Budget, "take">;
  /** The log has reached its cap. */
  readonly onSilence: (over: Over) => void;
  readonly onTrouble: (error: unknown) => void;
  /** What must be over before the directory is touched. */
  readonly after: Promise<void>;
  /** Called when `tick` is wanted. */
  readonly onWaiting: () => void;
};

const ENDED: Record<Passed["end"], LogOutcome> = { answered: "ok", refused: "refused", canceled: "canceled", lost: "canceled" };

const tooMany = (what: string, most: number): PlatformError =>
  new PlatformError("quota_exceeded", {
    message: `${most} ${what} of this account are open, and no more can be.`,
    next: "Close one of them and try again.",
  });

export class AccountLog {
  readonly #options: AccountLogOptions;
  readonly #segments: Segments;
  readonly #minutes: Minutes;
  readonly #joins: Joins;
  readonly #volume: Volume;
  readonly #followers = new Map<Outlet, (record: LogRecord) => boolean>();
  readonly #tails = new Map<Outlet, TailQuery>();
  readonly #turned = new Set<() => void>();
  readonly #noticed = new BoundedMap<string, number>(MAX_NOTICES);
  #listening = 0;
  readonly #questions = new Questions(() => this.#live());
  #over: "closed" | "ended" | null = null;
  #usedMs: number;
  /** When the last request ended, by the machine's own count of time. */
  #passedMs = -Infinity;

  constructor(options: AccountLogOptions) {
    this.#options = options;
    const { after, maxBytes, now, onTrouble } = options;
    const directory = joinPath(options.directory, "logs");
    this.#segments = new Segments({ directory, maxBytes: options.records ? maxBytes : 0, now, onTrouble, after });
    this.#minutes = new Minutes(directory, after, onTrouble);
    this.#joins = new Joins((entry) => this.#safely(() => this.#tell(entry)));
    this.#volume = new Volume(options.budget, now);
    this.#usedMs = now();
  }

  /** Since when nothing has happened here; null while something may. */
  get idleSinceMs(): number | null {
    const busy = this.#listening > 0 || this.#followers.size > 0 || this.#tails.size > 0 || this.#joins.waiting;
    return busy ? null : this.#usedMs;
  }

  /** A request that has come to its end at the edge. */
  passed(passed: Passed): void {
    if (this.#over !== null) return;
    const nowMs = this.#options.now();
    this.#usedMs = nowMs;
    this.#passedMs = performance.now();
    const { origin } = passed;
    this.#safely(() => {
      if (origin === null || passed.end === "refused") this.#tellPassed(passed, ENDED[passed.end], nowMs);
      else this.#joins.passed(passed, origin.script, nowMs, this.#listening > 0);
    });
    if (this.#joins.waiting) this.#options.onWaiting();
  }

  /** The account's process was killed: its requests in flight, told of before or within a moment, ended so. */
  killed(fate: Fate): void {
    if (this.#over !== null) return;
    this.#safely(() => {
      if (this.#joins.killed(fate) === 0) this.#thrown(fate.reason, null, null, this.#options.now());
    });
  }

  /** The platform's own word to the account, once a minute however often it is said. */
  notice(text: string): void {
    const nowMs = this.#options.now();
    if (nowMs - (this.#noticed.get(text) ?? -Infinity) < NOTICE_AGAIN_MS) return;
    this.#noticed.set(text, nowMs);
    this.#usedMs = nowMs;
    this.#safely(() => this.#say(text, nowMs));
  }

  cpu(cpuMs: number): void {
    if (this.#over === null) this.#minutes.cpu(this.#options.now(), cpuMs);
  }

  /** Listens to a process of the account until it is gone. */
  hear(mouth: Mouth, ended: AbortSignal, origins: ReadonlyMap<string, Origin>): Listening {
    if (!ended.aborted) {
      this.#listening++;
      ended.addEventListener("abort", () => this.#listening--, { once: true });
    }
    const listener = {
      wantsAll: () => this.#tails.size > 0,
      wantsNone: () => this.#volume.isSilent,
      onTurn: (turned: () => void) => {
        this.#turned.add(turned);
        return () => this.#turned.delete(turned);
      },
      take: (answer: string) => this.#take(answer, origins),
      miss: () => this.#lose(1),
    };
    return new Ears(mouth, ended, listener, this.#options.crowd);
  }

  /** Tells what has waited long enough. Returns whether more waits. */
  tick(): boolean {
    this.#joins.release();
    return this.#joins.waiting;
  }

  /** @throws PlatformError account_gone, too_many_questions, invalid_input for a cursor of another make */
  page(query: LogQuery): Promise<LogPage> {
    this.#usedMs = this.#options.now();
    const read = async (): Promise<LogPage> => {
      const page = await readPage(this.#segments, query, () => this.#live());
      return { ...page, dropped: this.#segments.dropped };
    };
    return this.#questions.ask(() => this.#settle(), read);
  }

  /** @throws PlatformError account_gone, too_many_questions */
  minutes(sinceMs: number, untilMs: number): Promise<MetricsMinute[]> {
    const nowMs = this.#options.now();
    this.#usedMs = nowMs;
    return this.#questions.ask(
      () => Promise.resolve(),
      () => this.#minutes.read(sinceMs, untilMs, nowMs),
    );
  }

  /** @throws PlatformError quota_exceeded */
  follow(query: FollowQuery): Readable {
    if (this.#followers.size >= MAX_FOLLOWERS) throw tooMany("streams of log records", MAX_FOLLOWERS);
    const notices = {
      behind: () => null,
      caughtUp: (records: number) => JSON.stringify({ kind: "missed", records }),
    };
    const outlet = new Outlet(notices, this.#options.crowd, () => this.#followers.delete(outlet));
    this.#followers.set(outlet, filter(query));
    return outlet.stream;
  }

  /** @throws PlatformError quota_exceeded */
  tail(query: TailQuery): Readable {
    if (this.#tails.size >= MAX_TAILS) throw tooMany("tails", MAX_TAILS);
    const outlet = new Outlet({ behind: overloadEvent, caughtUp: overloadStopEvent }, this.#options.crowd, () => {
      this.#tails.delete(outlet);
      if (this.#tails.size === 0) this.#turn();
    });
    this.#tails.set(outlet, query);
    if (this.#tails.size === 1) this.#turn();
    return outlet.stream;
  }

  /** Tells and writes down everything that is here; the log can be opened again. */
  async close(): Promise<void> {
    this.#joins.release(true);
    this.#stop("closed");
    await Promise.all([this.#segments.close(true), this.#minutes.close()]);
  }

  /** From the call on nothing is written or told; from the return on nothing is under way. */
  async end(): Promise<void> {
    this.#stop("ended");
    await Promise.all([this.#segments.close(false), this.#minutes.forget(), this.#questions.settled()]);
  }

  #stop(how: "closed" | "ended"): void {
    this.#over = how;
    for (const outlet of this.#outlets) outlet.end();
  }

  #turn(): void {
    for (const turned of this.#turned) turned();
  }

  #gone(): PlatformError {
    if (this.#over === "ended") return new PlatformError("account_gone", { message: "The account has ended." });
    return new PlatformError("capsule_failed", { message: "The account was just let go here." });
  }

  #live(): void {
    if (this.#over !== null) throw this.#gone();
  }

  /** Waits until what was answered before now is in the log, with what the process has to tell of it. */
  async #settle(): Promise<void> {
    const leftMs = SETTLED_MS - (performance.now() - this.#passedMs);
    if (this.#listening > 0 && leftMs > 0) await sleep(leftMs, undefined, { ref: false });
    if (this.#joins.waiting) await sleep(HOLD_MS + 150, undefined, { ref: false });
  }

  async #take(answer: string, origins: ReadonlyMap<string, Origin>): Promise<void> {
    if (this.#over !== null) return;
    const nowMs = this.#options.now();
    this.#safely(() => {
      const { heard, lost } = readBatch(answer, origins, nowMs);
      for (const one of heard) this.#safely(() => this.#hear(one, nowMs));
      if (lost > 0) this.#lose(lost);
    });
    if (this.#joins.waiting) this.#options.onWaiting();
    await this.#segments.settled();
  }

  /** A bug of ours in what is told must neither end the listening nor, in a timer or at a socket's close, this process. */
  #safely(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#options.onTrouble(error);
    }
  }

  #lose(events: number): void {
    if (this.#over !== null) return;
    this.#segments.lose(events);
    if (this.#volume.isSilent) this.#volume.missed += events;
    else for (const outlet of this.#outlets) outlet.miss(events);
  }

  get #outlets(): Outlet[] {
    return [...this.#followers.keys(), ...this.#tails.keys()];
  }

  #hear(heard: Heard, nowMs: number): void {
    const { origin, ray } = heard;
    for (const { level, atMs, text } of heard.lines) {
      this.#keep({ kind: "console", atMs, worker: origin.script, version: origin.version, ray, level, text });
    }
    for (const { name, message, stack, atMs } of heard.exceptions) {
      this.#keep({ kind: "exception", atMs, worker: origin.script, version: origin.version, ray, name, message, stack });
    }
    if (heard.trigger !== "fetch" || ray === null) {
      this.#invoked(heard);
      this.#toTails(() => heardEvent(heard, null), origin);
      return;
    }
    const known = this.#joins.heard(heard, ray, nowMs);
    if (known !== null) this.#toTails(() => heardEvent(heard, known), origin);
  }

  /** Both parts of a request are here, or one of them is all there will be. */
  #tell(entry: Join): void {
    const { passed, heard, fate } = entry;
    if (passed === null) {
      if (heard === null) return;
      this.#invoked(heard);
      this.#toTails(() => heardEvent(heard, null), heard.origin);
      return;
    }
    const atMs = entry.atMs - passed.wallMs;
    const outcome = fate?.outcome ?? heard?.outcome ?? ENDED[passed.end];
    this.#tellPassed(passed, outcome, entry.atMs);
    const { origin } = passed;
    if (origin === null) return;
    if (heard !== null) return this.#toTails(() => heardEvent(heard, passed), origin);
    if (passed.end !== "lost") return;
    if (fate !== null) this.#thrown(fate.reason, origin, passed.ray, entry.atMs);
    this.#toTails(() => lostEvent(passed, origin, { outcome, reason: fate?.reason ?? null }, atMs), origin);
  }

  #tellPassed(passed: Passed, outcome: LogOutcome, endedAtMs: number): void {
    const { origin, ray, method, status, wallMs, cpuMs } = passed;
    const failed = status >= 500 || outcome === "exception" || outcome === "exceededCpu" || outcome === "exceededMemory";
    if (origin !== null) this.#minutes.count(origin.script, endedAtMs, wallMs, failed);
    this.#keep(
      {
        kind: "request",
        atMs: Math.round(endedAtMs - wallMs),
        worker: origin?.script ?? null,
        version: origin?.version ?? null,
        ray,
        method,
        url: passed.url.slice(0, MAX_URL_CHARS),
        status,
        outcome,
        wallMs: Math.round(wallMs * 100) / 100,
        cpuMs,
      },
      requestLine,
    );
  }

  #invoked({ atMs, origin, ray, trigger, outcome }: Heard): void {
    this.#keep({ kind: "invocation", atMs, worker: origin.script, version: origin.version, ray, trigger, outcome });
  }

  #thrown(message: string, origin: Origin | null, ray: string | null, atMs: number): void {
    const { script = null, version = null } = origin ?? {};
    this.#keep({ kind: "exception", atMs: Math.round(atMs), worker: script, version, ray, name: "Error", message, stack: null });
  }

  #keep<R extends LogRecord>(record: R, write: (record: R) => string = JSON.stringify): void {
    if (this.#over !== null || !this.#options.records) return;
    if (this.#volume.isSilent) return this.#lose(1);
    const line = write(record);
    const over = this.#volume.take(Buffer.byteLength(line));
    if (over !== null) return this.#fallSilent(over);
    this.#tellMissed();
    this.#put(record, line);
  }

  #put(record: LogRecord, line: string): void {
    this.#segments.append(line, record.atMs);
    for (const [outlet, wanted] of this.#followers) if (wanted(record)) outlet.send(line);
  }

  /** The platform's own words, which no cap keeps out: they are few. */
  #say(text: string, nowMs: number): void {
    if (this.#over !== null || !this.#options.records) return;
    const record: LogRecord = { kind: "notice", atMs: nowMs, worker: null, version: null, text };
    this.#put(record, JSON.stringify(record));
  }

  /** The first record that is not taken any more. */
  #fallSilent(over: Over): void {
    const text = silenceNotice(over);
    this.#say(text, this.#options.now());
    for (const outlet of this.#tails.keys()) outlet.send(capEvent(text));
    this.#lose(1);
    this.#options.onSilence(over);
  }

  /** To whoever listens, once there is something to listen to again. */
  #tellMissed(): void {
    const { missed } = this.#volume;
    if (missed === 0) return;
    this.#volume.missed = 0;
    for (const outlet of this.#outlets) outlet.miss(missed);
  }

  #toTails(make: () => TailEvent, origin: Origin): void {
    if (this.#over !== null || this.#tails.size === 0 || this.#volume.isSilent) return;
    let made: { event: TailEvent; line: string } | null = null;
    for (const [outlet, query] of this.#tails) {
      if (query.worker !== origin.script) continue;
      if (made === null) {
        const event = make();
        made = { event, line: JSON.stringify(event) };
      }
      if (wants(query, made.event)) outlet.send(made.line);
    }
  }
}

/** As JSON.stringify writes it, in a third of the time: this is done for every request. */
function requestLine(record: Extract<LogRecord, { kind: "request" }>): string {
  const { atMs, worker, version, ray, method, url, status, outcome, wallMs, cpuMs } = record;
  const who = `"worker":${quoted(worker)},"version":${quoted(version)},"ray":${quoted(ray)}`;
  const what = `"method":${quoted(method)},"url":${quoted(url)},"status":${status},"outcome":"${outcome}"`;
  return `{"kind":"request","atMs":${atMs},${who},${what},"wallMs":${wallMs},"cpuMs":${cpuMs}}`;
}

function quoted(text: string | null): string {
  if (text === null) return "null";
  return /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(text) ? `"${text}"` : JSON.stringify(text);
}
