// One account at rest and at work. Decisions about callers are synchronous and made at the moment of use;
// everything that starts, stops or replaces the process happens in turn, one thing at a time.
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Log } from "../../../kernel/log.ts";
import type { CapsuleSpec, Tombstone } from "../../../capsule/spec.ts";
import type { Answerer, Choice, Exit, Fate, Over } from "../../contract.ts";
import { Allowance } from "./allowance.ts";
import { choose } from "./choice.ts";
import { Callers, unavailable, type Entered, type Refusal } from "./callers.ts";
import { EndTimer } from "./end-timer.ts";
import { CapWatch } from "./cap-watch.ts";
import type { Occupant } from "./gates.ts";
import { runtimeWords } from "../workerd/diagnostics.ts";
import { causeOfDeath, hangFate, Mishaps } from "./mishaps.ts";
import type { CapsuleParts } from "./capsule-parts.ts";
import { StartFailure, type Run } from "./run.ts";
import { Spending } from "./spending.ts";
import { essentials, type Essentials } from "./essentials.ts";
import { Standing } from "./standing.ts";
import { Upkeep } from "./upkeep.ts";
import { Watch } from "./watch.ts";

type Decision = Answerer | "wait";
/** Counted once, however often it is decided about. */
type Caller = { readonly label: string; readonly choice: Choice; isCounted: boolean };

export class Capsule implements Occupant {
  readonly account: AccountId;
  readonly #parts: CapsuleParts;
  readonly #log: Log;
  readonly #mishaps: Mishaps;
  readonly #standing: Standing;
  #run: Run | null = null;
  /** Its requests in flight may finish; it takes no new ones. */
  #retiring: Run | null = null;
  #watch: Watch | null = null;
  #place: Disposable | null = null;
  #startAsked = false;
  #startOff = new AbortController();
  /** Calls off what is done while no process runs: somebody wants one. */
  #restOff = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();
  /** Woken at every change of anything that `#decide` looks at. */
  readonly #callers: Callers;
  readonly #upkeep: Upkeep;
  readonly #endTimer: EndTimer;
  readonly #spending: Spending;
  readonly #allowance: Allowance;
  readonly #capWatch: CapWatch;
  starts = 0;
  restarts = 0;

  constructor(account: AccountId, parts: CapsuleParts) {
    this.account = account;
    this.#parts = parts;
    this.#log = parts.log.child({ account });
    this.#standing = new Standing(parts.clock);
    this.#spending = new Spending(account, parts);
    this.#allowance = new Allowance(account, parts);
    this.#capWatch = new CapWatch(account, this.#allowance, parts, (run, over) => this.#stopAt(run, over));
    this.#callers = new Callers(parts.bounds);
    this.#upkeep = new Upkeep(parts.rest, parts.clock, parts.bounds);
    this.#mishaps = new Mishaps(parts.bounds, parts.clock);
    this.#endTimer = new EndTimer(parts.clock, () => this.#lapse());
  }

  get known(): Essentials | null {
    return this.#standing.known;
  }

  get hot(): boolean {
    return this.#run !== null;
  }

  get idleSinceMs(): number | null {
    return this.#run === null || this.#run.leases > 0 ? null : this.#run.lastUsedMs;
  }

  /** Whether the end time has passed, by the clock and nothing else. */
  get lapsed(): boolean {
    return this.#standing.lapsed;
  }

  /** Whether anything of the account may be written down now. */
  get lives(): boolean {
    return this.#standing.lives;
  }

  /** Decides for one caller from outside, starting the process if it must. */
  open(label: string, choice: Choice = {}): Promise<Answerer> {
    const caller = { label, choice, isCounted: choice.again === true };
    return this.#callers.admit(
      () => this.#decide(caller),
      () => this.#askForStart(),
    );
  }

  /**
   * Decides for control, which reaches the services that no label leads to, starting the process if it must.
   * @param why a call may free space in an account that is full; what has fallen due waits
   */
  enter(why: "call" | "due"): Promise<Entered> {
    return this.#callers.admit(
      () => {
        const refusal = this.#standing.refusal();
        if (refusal !== null) return refusal;
        const over = why === "call" ? this.#allowance.closed : this.#allowance.stopped;
        if (over !== null) return { kind: "capped" as const, over };
        return this.#run === null ? this.#pause() : { kind: "hold" as const, hold: this.#run.hold() };
      },
      () => this.#askForStart(),
    );
  }

  /**
   * Takes a spec over; resolves once no request reaches what was before it.
   * @throws PlatformError account_gone after the end; capsule_failed when its process does not start
   */
  apply(spec: CapsuleSpec): Promise<{ serving: number }> {
    this.#restOff.abort();
    return this.#inTurn(async () => {
      this.#standing.refuseIfGone();
      if (this.#standing.known !== null && spec.generation <= this.#standing.known.generation)
        return { serving: this.#standing.known.generation };
      const next = essentials(spec);
      await this.#parts.own(this.account);
      await this.#parts.files.materialise(spec);
      await this.#parts.specs.write(spec);
      this.#standing.refuseIfGone();
      const before = this.#standing.known;
      const run = this.#run;
      const lived = this.#standing.serves;
      this.#upkeep.changed(before, next);
      this.#standing.known = next;
      this.#standing.localSuspension = null;
      this.#allowance.maxDiskBytes = spec.limits.maxDiskBytes;
      this.#mishaps.forget();
      this.#endTimer.set(next.endsAtMs);
      if (before !== null && !lived && this.#standing.serves) this.#upkeep.revived();
      if (!this.#standing.serves) await this.#kill();
      else if (run !== null && before?.digest !== next.digest) await this.#replace(run, spec);
      else {
        this.#callers.wake();
        // Not waited for: it will be hot, or nearly, when the first request comes.
        const expected = isServed(spec) && this.#parts.ahead.has(this.account);
        if (run === null && expected && this.#allowance.stopped === null) this.#askForStart();
      }
      // The end may have come during the drain.
      this.#standing.refuseIfGone();
      await this.#prune(spec);
      await this.#restIfDue(AbortSignal.timeout(this.#parts.bounds.restMs));
      this.#restLater();
      return { serving: spec.generation };
    });
  }

  /** From the call on every caller is told; from its return on no process is left. */
  async end(tombstone: Tombstone): Promise<void> {
    this.#standing.tombstone = tombstone;
    await this.#leave();
  }

  /** As if it had never been known here; files stay. */
  async drop(): Promise<void> {
    this.#standing.dropped = true;
    await this.#leave();
  }

  /** Stops the process if nothing uses it. */
  stopIdle(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#run === null || this.#run.leases > 0) return;
      await this.#stop(this.#run, 0);
      // Not waited for: whoever needs the place has it.
      this.#restLater();
    });
  }

  /**
   * Does something while no process of the account runs, and callers wait.
   * @param work is told when the account ends
   */
  atRest<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#restOff.abort();
    return this.#inTurn(async () => {
      this.#standing.refuseIfGone();
      if (this.#run !== null) await this.#stop(this.#run, this.#parts.bounds.drainMs);
      this.#standing.refuseIfGone();
      try {
        return await work(this.#upkeep.over);
      } finally {
        this.#callers.wake();
        this.#restLater();
      }
    });
  }

  /** Aborts when nothing of the account may go on any more. */
  get over(): AbortSignal {
    return this.#upkeep.over;
  }

  /** Stops the process whatever uses it, kindly: the host is going down. */
  async shutDown(): Promise<void> {
    this.#standing.closing = true;
    this.#startOff.abort(new Error("the host is going down"));
    this.#restOff.abort();
    this.#endTimer.set(null);
    this.#callers.wake();
    await this.#inTurn(async () => {
      if (this.#run !== null) await this.#stop(this.#run, this.#parts.bounds.graceMs);
    });
  }

  /** One look of the watchdog: is the process alive, is it idle? */
  async tick(): Promise<void> {
    const run = this.#run;
    const watch = this.#watch;
    if (run === null || watch === null) return;
    // Timers do not notice when the machine's clock is set.
    if (this.lapsed) return this.#lapse();
    void this.#capWatch.look(run, this.over);
    const finding = await watch.look();
    if (this.#run !== run) return;
    if (finding.kind === "hung") {
      this.#log.warn(finding, "a capsule does not answer");
      // What it used while it was listened to, which no further look will find.
      this.#spending.close(finding.cpuMs);
      this.#spending.add(finding.cpuMs);
      this.#cut(run);
      this.#mishap(hangFate(finding, this.#parts.clock.now()));
      this.#restLater();
    } else if (finding.kind === "quiet" && this.#parts.clock.now() - run.lastUsedMs >= this.#parts.idleMs) await this.stopIdle();
    else await this.#upkeep.atWork(this.#standing.known, run.lastUsedMs);
  }

  /** Memory now and CPU time since this host knows the account. */
  usage(): Promise<{ pssBytes: number; cpuMs: number }> {
    return this.#spending.usage(this.#run);
  }

  /** CPU time of the last minute or so. */
  get cpuMsPerMinute(): number {
    return this.#spending.perMinute;
  }

  /** At once, whatever it serves; kindly where it is only not wanted any more. */
  #stopAt(run: Run, over: Over | null): void {
    if (this.#run !== run) return;
    if (over === null) return void this.stopIdle();
    this.#log.info({ cap: over.cap }, "a capsule was stopped at a cap");
    this.#cut(run);
    this.#parts.journal.killed(this.account, { outcome: over.cap === "cpu_ms" ? "exceededCpu" : "exception", reason: over.reason });
    this.#allowance.tell(over);
    void this.#parts.ahead.drop(this.account);
    this.#callers.wake();
    this.#restLater();
  }

  #decide(caller: Caller): Decision {
    const { label, choice } = caller;
    const refusal = this.#standing.refusal();
    if (refusal !== null) return refusal;
    const route = this.#standing.known?.routes.get(label);
    const service = route && choose(route, choice, Math.random)?.service;
    if (service === undefined) return { kind: "none" };
    // Whoever was let in and waits, or comes again, would wait for a process that does not start.
    const over = caller.isCounted ? this.#allowance.stopped : this.#allowance.admit();
    if (over !== null) return { kind: "capped", over };
    caller.isCounted = true;
    if (this.#run === null) return this.#pause();
    if (this.#run.leases >= this.#parts.bounds.maxInFlight) return unavailable("Too many requests to this account are in flight.", 1);
    const lease = this.#run.lease(service, (bytes) => this.#allowance.served(bytes));
    return lease === null ? unavailable("The Worker is not listening.", 5) : { kind: "lease", lease };
  }

  /** What a caller of a cold account does: wait, unless the process died too lately to be started again. */
  #pause(): "wait" | Refusal {
    const pauseMs = this.#mishaps.notBeforeMs - this.#parts.clock.now();
    return pauseMs > 0 ? unavailable(this.#mishaps.reason, Math.ceil(pauseMs / 1_000)) : "wait";
  }

  /** Runs after everything before it; a failure is the caller's alone. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  #askForStart(): void {
    if (this.#startAsked) return;
    this.#startAsked = true;
    this.#restOff.abort();
    void this.#inTurn(async () => {
      this.#startAsked = false;
      if (this.#run === null && this.#standing.serves && this.#allowance.closed === null) await this.#start(null);
    })
      .catch((error: unknown) => {
        this.#log.warn(failure(error), "a capsule could not be started");
        this.#restLater();
      })
      .finally(() => this.#callers.wake());
  }

  /** In turn. Failures are remembered for callers, and thrown. */
  async #start(given: CapsuleSpec | null): Promise<void> {
    const off = new AbortController();
    this.#startOff = off;
    try {
      this.#place ??= await this.#parts.takePlace();
      const spec = given ?? (await this.#parts.specs.read(this.account));
      if (this.#standing.known?.hasAlarms === true) this.#parts.marks.mark(this.account);
      const run = await this.#parts.start(spec, off.signal);
      this.#began(run);
    } catch (error) {
      this.#freePlace();
      if (off.signal.aborted) throw error;
      if (error instanceof PlatformError) this.#mishaps.noRoom(error.message, error.retryAfterSeconds ?? 2);
      else this.#mishaps.startFailed("The Worker could not be started.");
      throw error;
    }
    // The end may have come while the process answered for the first time.
    if (!this.#standing.serves) await this.#kill();
    this.#callers.wake();
  }

  #began(run: Run): void {
    this.#run = run;
    this.#capWatch.began(run);
    this.#watch = new Watch(run, this.#parts.bounds, (cpuMs) => {
      this.#spending.add(cpuMs);
      this.#capWatch.heed(run);
    });
    this.#mishaps.started();
    this.#upkeep.started();
    this.starts++;
    void run.gone.then((exit) => this.#died(run, exit));
  }

  /** Called at the end of every process; only the one that nobody stopped is still `#run`. */
  #died(run: Run, exit: Exit): void {
    if (this.#run !== run) return;
    this.#forgetRun();
    this.#freePlace();
    const lastWords = run.process.stderr();
    this.#log.warn({ exit, stderr: runtimeWords(lastWords) }, "a capsule's process ended by itself");
    this.#mishap(causeOfDeath(exit, this.#standing.known?.limits.memoryBytes ?? 0, lastWords));
    this.#restLater();
  }

  /** Once it is clear that no process follows. */
  #restLater(): void {
    void this.#inTurn(() => this.#restIfDue()).catch((error: unknown) =>
      this.#log.error(failure(error), "an account could not be put to rest"),
    );
  }

  /** In turn: as long as nobody wants a process. */
  async #restIfDue(...off: AbortSignal[]): Promise<void> {
    const { isFull } = this.#allowance;
    if (this.#run !== null || this.#startAsked || this.#standing.closing || !(this.#upkeep.due || isFull)) return;
    this.#restOff = new AbortController();
    const signal = AbortSignal.any([this.#restOff.signal, ...off]);
    if (this.#upkeep.due) await this.#upkeep.atRest(this.#standing.known, signal, isFull);
    if (isFull) await this.#capWatch.rest(AbortSignal.any([signal, this.over]), () => this.#restLater());
  }

  #mishap(fate: Fate): void {
    const { reason } = fate;
    this.restarts++;
    this.#parts.journal.killed(this.account, fate);
    this.#parts.report(this.account, "restarted", reason);
    if (this.#mishaps.died()) {
      const { mishapWindowMs } = this.#parts.bounds;
      const window = Math.ceil(mishapWindowMs / 60_000);
      this.#standing.localSuspension = `It had to be restarted ${this.#mishaps.count} times within ${window} minutes. The last time: ${reason}`;
      this.#parts.report(this.account, "suspend", this.#standing.localSuspension);
    }
    this.#callers.wake();
  }

  /** Returns the CPU time that was counted for the process. */
  #forgetRun(): number {
    const cpuMs = this.#watch?.cpuMs ?? 0;
    this.#spending.close(cpuMs);
    this.#run = null;
    this.#watch = null;
    return cpuMs;
  }

  #freePlace(): void {
    this.#place?.[Symbol.dispose]();
    this.#place = null;
  }

  /** In turn: no new lease from here on, those given may finish within `drainMs`. */
  async #stop(run: Run, drainMs: number, keepPlace = false): Promise<void> {
    const countedMs = this.#forgetRun();
    this.#retiring = run;
    this.#callers.wake();
    await run.retire(drainMs, this.#parts.bounds.graceMs, (cpuMs) => {
      const sinceMs = Math.max(0, cpuMs - countedMs);
      this.#spending.close(sinceMs);
      this.#spending.add(sinceMs);
    });
    this.#retiring = null;
    if (!keepPlace) this.#freePlace();
  }

  async #replace(run: Run, spec: CapsuleSpec): Promise<void> {
    await this.#stop(run, this.#parts.bounds.drainMs, true);
    if (!this.#standing.serves || this.#allowance.stopped !== null) {
      this.#freePlace();
      return;
    }
    if (this.#upkeep.sweepDue) await this.#upkeep.atRest(this.#standing.known, AbortSignal.timeout(this.#parts.bounds.restMs));
    try {
      await this.#start(spec);
    } catch (error) {
      this.#restLater();
      this.#callers.wake();
      this.#standing.refuseIfGone();
      this.#log.warn(failure(error), "a new generation did not start");
      if (error instanceof PlatformError) throw error;
      throw new PlatformError("capsule_failed", { message: "The new version did not start.", cause: error });
    }
  }

  /** At once, in or out of turn: the process gets SIGKILL, and its death is nobody's mishap. */
  #cut(run: Run): void {
    this.#forgetRun();
    run.cut();
    const place = this.#place;
    this.#place = null;
    this.#turn = Promise.all([this.#turn, run.gone]).then(() => place?.[Symbol.dispose]());
  }

  async #kill(): Promise<void> {
    const run = this.#run;
    if (run !== null) this.#cut(run);
    this.#callers.wake();
    this.#retiring?.cut();
    await run?.gone;
  }

  /** The end of every path out: callers are told, a start is called off, the process is killed and gone. */
  async #leave(): Promise<void> {
    this.#endTimer.set(null);
    this.#upkeep.stop(true);
    this.#startOff.abort(new PlatformError("account_gone", { message: "The account has ended." }));
    await Promise.all([this.#kill(), this.#parts.ahead.drop(this.account)]);
    await this.#inTurn(() => this.#kill());
  }

  /** The end time has come: whoever is in charge, nothing of the account goes on. */
  #lapse(): void {
    this.#startOff.abort(new PlatformError("account_gone", { message: "The account has ended." }));
    // Control may yet know a later end.
    this.#upkeep.stop(false);
    void this.#parts.ahead.drop(this.account);
    void this.#parts.journal.end(this.account);
    void this.#kill();
  }

  async #prune(spec: CapsuleSpec): Promise<void> {
    try {
      await this.#parts.files.prune(spec);
    } catch (error) {
      this.#log.warn({ err: error }, "files that are no longer needed could not be removed");
    }
  }
}

/** Whether there is anything that could be asked: an account without Workers needs no process. */
const isServed = (spec: CapsuleSpec): boolean => spec.units.some((unit) => unit.fronts.length > 0);

/** For the log: a process that did not start is no bug of ours, and needs no stack. */
function failure(error: unknown): Record<string, unknown> {
  return error instanceof StartFailure ? { reason: error.message, stderr: runtimeWords(error.diagnostics) } : { err: error };
}
