// All capsules of this host: who answers at a label, what control was told and tells us, who must stop.
// An account that ended never comes back here, and one account's trouble never makes another wait.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { AccountLoad, CapsuleControl, CapsuleEvent, HeldAccount, LookupAnswer, Usage } from "../../../capsule/messages.ts";
import type { CapsuleSpec, Tombstone } from "../../../capsule/spec.ts";
import type { StateJob } from "../../../capsule/state.ts";
import { NEEDS_REST, type Keeper } from "../keeper/keeper.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Log } from "../../../kernel/log.ts";
import type { Budgets } from "../../budgets/budgets.ts";
import type { RefusedEvent, Refusals } from "../../refusals.ts";
import type { Answerer, Capsules, Choice, ClaimState, EgressFactory, Journal, Sandbox } from "../../contract.ts";
import { Ahead } from "./ahead.ts";
import { refused } from "./callers.ts";
import { Capsule } from "./capsule.ts";
import { accountSockets, allSockets } from "./doors.ts";
import { DiskQuestions } from "./disk-questions.ts";
import { Ended } from "./ended.ts";
import { EventLog } from "./event-log.ts";
import { HotMarks } from "./hot-marks.ts";
import { Gate, Places, type Occupant } from "./gates.ts";
import { Jobs } from "./jobs.ts";
import { loadsOf, usageOf } from "./loads.ts";
import { Lookups } from "./lookups.ts";
import { createMeasures, type Measures } from "./measures.ts";
import { BOUNDS, type Bounds, type CapsuleFiles } from "./parts.ts";
import type { CapsuleParts } from "./capsule-parts.ts";
import { prepareRun, startRun, type Hold, type Run } from "./run.ts";
import { eraseTree } from "../files/durable.ts";
import { SpecStore } from "../files/spec-store.ts";
import { Rest } from "./rest.ts";
import { rounds } from "./rounds.ts";
import { claimStateAt, isPreview, subdomainOf } from "./essentials.ts";
import { UserIds } from "../files/user-ids.ts";

export type SupervisorOptions = {
  readonly sandbox: Sandbox;
  readonly egress: EgressFactory;
  readonly files: CapsuleFiles;
  readonly control: CapsuleControl;
  readonly accountsDirectory: string;
  readonly runDirectory: string;
  readonly journal: Journal;
  readonly budgets: Budgets;
  readonly refusals: Pick<Refusals, "note" | "forget">;
  readonly keeper: Pick<Keeper, "run">;
  /** Processes that may live at once. */
  readonly capsulesHot: number;
  /** Without a request until a process is stopped. */
  readonly idleMs: number;
  /** Whether too little of the machine's memory is free for another process. */
  readonly memoryIsShort: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly bounds?: Partial<Bounds>;
};

/** Accounts whose directories are measured at once. */
const MAX_WALKS = 3;
/** Held accounts named in one message. */
const HELD_BATCH = 500;

export class Supervisor implements Capsules, AsyncDisposable {
  readonly measures: Measures;
  readonly #options: SupervisorOptions;
  readonly #bounds: Bounds;
  readonly #capsules = new Map<AccountId, Capsule>();
  readonly #bySubdomain = new Map<string, Capsule>();
  readonly #departing = new Map<AccountId, Promise<void>>();
  readonly #ended = new Ended();
  readonly #events: EventLog;
  readonly #lookups: Lookups;
  readonly #places: Places;
  readonly #starting: Gate;
  readonly #ahead: Ahead;
  /** Of the spec seen last: what an account that is not known yet will most likely have. */
  #usualLimits: CapsuleSpec["limits"] | null = null;
  #relieving = false;
  readonly #users: UserIds | null;
  readonly #parts: CapsuleParts;
  readonly #marks: HotMarks;
  readonly #rest: Rest;
  readonly #jobs = new Jobs();
  readonly #disks: DiskQuestions;
  readonly #over = new AbortController();
  readonly #loops: Promise<void>[];

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#bounds = { ...BOUNDS, ...options.bounds };
    this.#disks = new DiskQuestions(options.files);
    mkdirSync(options.accountsDirectory, { recursive: true, mode: 0o700 });
    // Of an earlier life, whose processes are gone. Node's own could be led too deep: see eraseTree.
    execFileSync("/bin/rm", ["-rf", "--", allSockets(options.runDirectory)], { env: {} });
    const ownUsers = options.sandbox.rung === "bubblewrap-root" || options.sandbox.rung === "root";
    this.#users = ownUsers ? new UserIds(options.accountsDirectory) : null;
    this.#events = new EventLog(options.clock);
    this.#lookups = new Lookups(options.control, (answer) => this.#obey(answer), options.clock, this.#bounds.lookupMs);
    this.#places = new Places(options.capsulesHot, () => this.#occupants(), options.memoryIsShort);
    this.#starting = new Gate(this.#bounds.maxStarting);
    this.#ahead = new Ahead({
      prepare: async (account, limits) => {
        await this.#own(account);
        return prepareRun(options, account, this.#uid(account), limits);
      },
      tryPlace: () => this.#places.tryTake(),
      keepMs: this.#bounds.aheadMs,
      maxPreparing: this.#bounds.maxPreparing,
    });
    this.measures = createMeasures({ hot: () => this.hot, known: () => this.#capsules.size });
    this.#marks = new HotMarks(options.accountsDirectory);
    const { clock, log } = options;
    const run = (account: AccountId, job: StateJob, signal: AbortSignal) => this.#keep(account, job, signal);
    this.#rest = new Rest({ run, marks: this.#marks, events: this.#events, clock, log });
    this.#parts = this.#capsuleParts();
    void this.#tellAlarmsLeft();
    const { signal } = this.#over;
    const every = (pauseMs: number, work: () => Promise<void>): Promise<void> => rounds({ pauseMs, signal, log }, work);
    this.#loops = [every(this.#bounds.tickMs, () => this.#tick()), every(this.#bounds.heldMs, () => this.#tellHeld())];
  }

  /** Edge's question. Never older than the account's end: liveness is decided here, at use. */
  async open(label: string, choice: Choice = {}): Promise<Answerer> {
    const subdomain = subdomainOf(label);
    if (subdomain === null) return { kind: "none" };
    const first = await this.#openKnown(label, subdomain, choice);
    if (first !== null && first.kind !== "none" && !(first.kind === "gone" && this.#mayHaveBeenExtended(subdomain))) return first;
    const found = await this.#lookups.ask(label, () => this.#bySubdomain.get(subdomain)?.known?.generation ?? -1);
    if (found.kind === "down") {
      // A preview that is not held here may be one that nobody visited yet.
      if (first !== null && !(first.kind === "none" && isPreview(label))) return first;
      return { kind: "unavailable", reason: "Who answers here cannot be looked up now.", retryAfterSeconds: 2 };
    }
    if (found.kind === "tombstone") return { kind: "gone", tombstone: found.tombstone };
    if (found.kind === "unavailable") return found;
    return (await this.#openKnown(label, subdomain, choice)) ?? { kind: "none" };
  }

  async claimState(label: string): Promise<ClaimState | null> {
    const subdomain = subdomainOf(label) ?? "";
    const known = claimStateAt(this.#bySubdomain.get(subdomain), label);
    if (known !== null || subdomain === "") return known;
    const found = await this.#lookups.ask(label, () => this.#bySubdomain.get(subdomain)?.known?.generation ?? -1);
    return found.kind === "applied" ? claimStateAt(this.#bySubdomain.get(subdomain), label) : null;
  }

  unclaimed(account: AccountId): boolean {
    return this.#capsules.get(account)?.known?.claimed === false;
  }

  /**
   * The way to the services of an account's process, which is started for it; an account that is not known here is
   * asked for first.
   * @param why `due`: for an alarm or a schedule, which an account that is full does not get
   * @throws PlatformError account_gone, account_suspended, over_cap, capsule_failed
   */
  async enter(account: AccountId, why: "call" | "due"): Promise<Hold> {
    const entered = await (await this.#held(account)).enter(why);
    if (entered.kind === "hold") return entered.hold;
    throw refused(entered);
  }

  /** Runs a job of the account's keeper, with the process stopped where that is needed. @throws PlatformError as `enter` */
  async state(account: AccountId, job: StateJob, body?: Readable): Promise<Readable> {
    const capsule = await this.#held(account);
    if (!NEEDS_REST.has(job.kind)) return this.#keep(account, job, capsule.over, body);
    // To its end: what streamed on would outlast the rest.
    const answer = await capsule.atRest(async (signal) => buffer(await this.#keep(account, job, signal, body)));
    return Readable.from([answer]);
  }

  async #keep(account: AccountId, job: StateJob, signal: AbortSignal, body?: Readable): Promise<Readable> {
    const { accountsDirectory, keeper } = this.#options;
    const kept = this.writing(account, () => {
      const place = { account, uid: this.#uid(account), directory: join(accountsDirectory, account) };
      return keeper.run(place, job, { signal, ...(body && { body }) });
    });
    this.#jobs.add(account, kept);
    return kept;
  }

  /** The account's capsule; one that is not known here, or whose end may have been put off, is asked for first. */
  async #held(account: AccountId): Promise<Capsule> {
    this.refuseEnded(account);
    const known = this.#capsules.get(account);
    if (known?.lives === true) return known;
    await this.#settle([{ account, generation: known?.known?.generation ?? -1 }]);
    const found = this.#capsules.get(account);
    if (found?.lives === true) return found;
    throw new PlatformError("account_gone", { message: "The account has ended." });
  }

  /** @throws PlatformError account_gone after the account's end; capsule_failed when it does not start */
  async apply(spec: CapsuleSpec): Promise<{ serving: number }> {
    const { budgets } = this.#options;
    do {
      await this.#departing.get(spec.account);
      await budgets.open(spec.account, spec.limits.caps);
    } while (this.#departing.has(spec.account));
    if (this.#ended.has(spec.account)) void budgets.forget(spec.account);
    this.refuseEnded(spec.account);
    this.#usualLimits = spec.limits;
    budgets.set(spec.account, spec.limits.caps);
    let capsule = this.#capsules.get(spec.account);
    if (capsule === undefined) {
      capsule = new Capsule(spec.account, this.#parts);
      this.#capsules.set(spec.account, capsule);
    }
    try {
      return await capsule.apply(spec);
    } finally {
      // Where the new code did not start, its label answers with the reason.
      if (capsule.known !== null && this.#capsules.get(spec.account) === capsule) this.#bySubdomain.set(capsule.known.subdomain, capsule);
    }
  }

  /** An upload of the account is under way: its next process may come up meanwhile. Not while others wait to start. */
  expect(account: AccountId): void {
    if (this.#ended.has(account) || this.#departing.has(account) || this.#starting.busy) return;
    const capsule = this.#capsules.get(account);
    const limits = capsule?.known?.limits ?? this.#usualLimits;
    if (limits !== null && capsule?.lapsed !== true) this.#ahead.begin(account, limits);
  }

  /** From the call on the account's labels answer 410; from the return on none of its processes lives. Idempotent. */
  async end(tombstone: Tombstone): Promise<void> {
    this.#ended.remember(tombstone);
    const forgotten = this.#options.budgets.forget(tombstone.account);
    this.#options.refusals.forget(tombstone.account);
    const silenced = this.#options.journal.end(tombstone.account);
    const capsule = this.#capsules.get(tombstone.account);
    await this.#departing.get(tombstone.account);
    if (capsule !== undefined) {
      await capsule.end(tombstone);
      await this.#jobs.over(tombstone.account);
      this.#forget(capsule);
    }
    await Promise.all([silenced, forgotten, this.#ahead.drop(tombstone.account)]);
    await eraseTree(accountSockets(this.#options.runDirectory, tombstone.account));
  }

  /** Removes what the account has on disk. Idempotent. @throws PlatformError capsule_failed while the account lives here */
  async erase(account: AccountId): Promise<void> {
    if (this.#capsules.has(account)) {
      throw new PlatformError("capsule_failed", { message: "The account still runs here: end it before its directory is erased." });
    }
    this.#ended.markErased(account);
    await this.#options.journal.end(account);
    await this.#options.files.erase(account);
    await eraseTree(accountSockets(this.#options.runDirectory, account));
    this.#users?.release(account);
  }

  /** Whether the account is known here and its time has not come. */
  lives(account: AccountId): boolean {
    return !this.#ended.has(account) && this.#capsules.get(account)?.lives === true;
  }

  /** As control said last. */
  limitsOf(account: AccountId): CapsuleSpec["limits"] | undefined {
    return this.#capsules.get(account)?.known?.limits;
  }

  /** @throws PlatformError account_gone for an account that ended here, or whose time has come */
  refuseLapsed(account: AccountId): void {
    this.refuseEnded(account);
    if (this.#capsules.get(account)?.lapsed === true) throw new PlatformError("account_gone", { message: "The account has ended." });
  }

  /** @throws PlatformError account_gone for an account that ended here */
  refuseEnded(account: AccountId): void {
    if (this.#ended.has(account)) throw new PlatformError("account_gone", { message: "The account has ended." });
  }

  /**
   * Runs something that may write into the account's directory; what came too late is removed again.
   * @throws PlatformError account_gone for an account that ended before or meanwhile
   */
  async writing<T>(account: AccountId, write: () => Promise<T>): Promise<T> {
    this.refuseEnded(account);
    await this.#own(account);
    try {
      return await write();
    } finally {
      if (this.#ended.erased(account)) await this.erase(account);
      this.refuseEnded(account);
    }
  }

  async usage(account: AccountId): Promise<Usage> {
    const { budgets } = this.#options;
    return usageOf(account, this.#capsules.get(account), { budgets, disks: this.#disks });
  }

  /** Accounts that are hot or have used anything of their caps, heaviest first. */
  loads(): Promise<AccountLoad[]> {
    return loadsOf(this.#capsules.values(), this.#options.budgets);
  }

  /** Tells control of refusals, unless the account has ended. */
  report(event: RefusedEvent): void {
    if (!this.#ended.has(event.account)) this.#events.append(event);
  }

  events(cursor: number): Promise<CapsuleEvent[]> {
    this.#marks.taken(this.#events.taken(cursor));
    return this.#events.after(cursor, this.#bounds.eventsMs);
  }

  /** Processes that serve or start to; what waits for a deploy is nobody's yet. */
  get hot(): number {
    return this.#places.taken - this.#ahead.places;
  }

  get known(): number {
    return this.#capsules.size;
  }

  /** Ends every process, kindly first; bounded by `shutdownMs`, then by force. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    this.#events.close();
    const all = [...this.#capsules.values()];
    const kindly = Promise.all([this.#ahead[Symbol.asyncDispose](), ...all.map((capsule) => capsule.shutDown())]);
    const late = new AbortController();
    const timeout = sleep(this.#bounds.shutdownMs, undefined, { signal: late.signal }).catch(() => {});
    await Promise.race([kindly, timeout]);
    late.abort();
    await Promise.all(all.map((capsule) => capsule.drop()));
    await Promise.all(this.#loops);
  }

  #capsuleParts(): CapsuleParts {
    const { clock, log, idleMs, files, accountsDirectory, journal, budgets, refusals } = this.#options;
    return {
      clock,
      journal,
      budgets,
      refusals,
      walks: new Gate(MAX_WALKS),
      log,
      idleMs,
      files,
      bounds: this.#bounds,
      specs: new SpecStore(accountsDirectory),
      takePlace: () => this.#places.take(),
      start: (spec, signal) => this.#start(spec, signal),
      ahead: this.#ahead,
      rest: this.#rest,
      marks: this.#marks,
      own: (account) => this.#own(account),
      report: (account, kind, reason) => {
        (kind === "suspend" ? this.measures.suspensions : this.measures.restarts).inc();
        log.warn({ account, kind, reason }, "a capsule came to grief");
        this.#events.append({ account, kind, reason });
      },
    };
  }

  async #start(spec: CapsuleSpec, signal: AbortSignal): Promise<Run> {
    using place = await this.#starting.enter(signal);
    // The gate evens out storms; code that hangs while it starts must not keep it shut.
    const slow = setTimeout(() => place[Symbol.dispose](), this.#bounds.gateMs);
    const { account, limits } = spec;
    const timer = this.measures.startSeconds.startTimer();
    try {
      const waiting = await this.#ahead.take(account, limits);
      const prepared = waiting ?? prepareRun(this.#options, account, this.#uid(account), limits);
      const run = await startRun(this.#options, spec, prepared, this.#bounds.startMs, signal);
      timer();
      this.measures.starts.inc();
      return run;
    } catch (error) {
      this.measures.startFailures.inc();
      throw error;
    } finally {
      clearTimeout(slow);
    }
  }

  *#occupants(): Iterable<Occupant> {
    yield* this.#ahead.occupants();
    yield* this.#capsules.values();
  }

  #uid(account: AccountId): number {
    return this.#users?.of(account) ?? process.getuid?.() ?? 0;
  }

  async #own(account: AccountId): Promise<void> {
    if (this.#users === null) await this.#options.files.prepare(account);
    else await this.#options.files.setOwner(account, this.#users.of(account));
  }

  async #openKnown(label: string, subdomain: string, choice: Choice): Promise<Answerer | null> {
    const tombstone = this.#ended.at(subdomain);
    if (tombstone !== undefined) return { kind: "gone", tombstone };
    const capsule = this.#bySubdomain.get(subdomain);
    const answer = await capsule?.open(label, choice);
    if (capsule === undefined || answer === undefined) return null;
    if (answer.kind === "lease" || answer.kind === "gone") return answer;
    const { known, account } = capsule;
    const [only, ...others] = known?.routes.get(label)?.choices ?? [];
    // Of several versions none was asked.
    const origin = only !== undefined && others.length === 0 ? (known?.origins.get(only.service) ?? null) : null;
    return { ...answer, concern: { account, origin } };
  }

  /** The end time that we know has passed, but control may know a later one, or a claim. */
  #mayHaveBeenExtended(subdomain: string): boolean {
    return this.#ended.at(subdomain) === undefined && this.#bySubdomain.get(subdomain)?.lapsed === true;
  }

  #forget(capsule: Capsule): void {
    if (this.#capsules.get(capsule.account) === capsule) this.#capsules.delete(capsule.account);
    const subdomain = capsule.known?.subdomain;
    if (subdomain !== undefined && this.#bySubdomain.get(subdomain) === capsule) this.#bySubdomain.delete(subdomain);
  }

  async #drop(capsule: Capsule): Promise<void> {
    const closed = this.#options.journal.close(capsule.account);
    const dropped = capsule.drop().then(() => this.#options.budgets.drop(capsule.account));
    const departure = dropped.finally(() => {
      this.#forget(capsule);
      this.#departing.delete(capsule.account);
    });
    this.#departing.set(capsule.account, departure);
    await departure;
    await closed;
  }

  /** Acts on what control says should be; a spec of an account that ended here meanwhile is out of date. */
  async #obey(answer: LookupAnswer): Promise<void> {
    if (answer.kind === "tombstone") await this.end(answer.tombstone);
    if (answer.kind !== "spec" || this.#ended.has(answer.spec.account)) return;
    const held = this.#capsules.get(answer.spec.account)?.known?.generation ?? -1;
    // What is held already is not waited for: it may be draining.
    if (answer.spec.generation > held) await this.apply(answer.spec);
  }

  /** Accounts that were hot when an earlier life of this host ended: nobody knows their next alarm. */
  async #tellAlarmsLeft(): Promise<void> {
    for (const account of this.#marks.left()) {
      const signal = AbortSignal.any([this.#over.signal, this.#marks.untilMarked(account)]);
      if (!this.#ended.has(account) && !signal.aborted) await this.#rest.tellAlarm(account, signal);
    }
  }

  async #tick(): Promise<void> {
    // Not awaited either: whoever must stop may be in the middle of something.
    if (!this.#relieving) void this.#relieve();
    for (const capsule of this.#capsules.values()) {
      if (!capsule.hot) continue;
      // Not awaited: a hung capsule takes seconds to judge, and the others are looked at meanwhile.
      capsule.tick().catch((error: unknown) => this.#options.log.error({ err: error, account: capsule.account }, "the watchdog failed"));
    }
  }

  async #relieve(): Promise<void> {
    this.#relieving = true;
    try {
      const stopped = await this.#places.relieve();
      if (stopped > 0) this.#options.log.warn({ stopped }, "memory is short: idle processes were stopped");
    } finally {
      this.#relieving = false;
    }
  }

  async #tellHeld(): Promise<void> {
    const held: HeldAccount[] = [];
    for (const { account, known } of this.#capsules.values()) if (known !== null) held.push({ account, generation: known.generation });
    for (let at = 0; at < held.length; at += HELD_BATCH) await this.#settle(held.slice(at, at + HELD_BATCH));
  }

  async #settle(held: readonly HeldAccount[]): Promise<void> {
    const answers = await this.#options.control.held(held);
    for (const [index, answer] of answers.entries()) {
      const told = held[index];
      if (answer === null || told === undefined) continue;
      try {
        await this.#obey(answer);
        if (answer.kind !== "none") continue;
        const capsule = this.#capsules.get(told.account);
        if (capsule?.known?.generation === told.generation) await this.#drop(capsule);
      } catch (error) {
        this.#options.log.error({ err: error }, "what control wants held could not be done");
      }
    }
  }
}
