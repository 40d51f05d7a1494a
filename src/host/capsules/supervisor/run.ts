// One life of one capsule's process, from launch to the last trace of it: its sockets, its leases, its end.
// Whatever way it ends, `ended` aborts, connections are dropped and the egress closes.
import { Agent } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CapsuleLimits, CapsuleSpec } from "../../../capsule/spec.ts";
import type { Clock } from "../../../kernel/clock.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Log } from "../../../kernel/log.ts";
import type { EgressFactory, Exit, Journal, Lease, Listening, Mouth, Origin, Sandbox, Sandboxed } from "../../contract.ts";
import { CapsulePool } from "../../edge/pool.ts";
import { newFileMark } from "../../file-mark.ts";
import { CONTROL_SOCKET, EGRESS_SOCKET, ingressSockets, serveConfig } from "../workerd/config.ts";
import { eraseSocketDirectories, makeSocketDirectories, ping, socketDirectories, takeSockets, type SocketDirectories } from "./doors.ts";
import { Meter } from "./meter.ts";
import { moduleReader } from "../workerd/modules.ts";
import type { CapsuleFiles } from "./parts.ts";
import { originsOf } from "./essentials.ts";

/** The right to one exchange with a process's control Worker; the process stays until it is disposed of, unless it is killed. */
export type Hold = Disposable & Mouth & { readonly ended: AbortSignal };

type Door = { readonly socketPath: string; readonly pool: CapsulePool };

/** Spare connections to the control socket go before workerd closes them, which is after 15 s. */
const CONTROL_IDLE_MS = 4_000;

/** The process did not get as far as answering; `diagnostics` is its standard error, for the log. */
export class StartFailure extends Error {
  readonly diagnostics: string;

  constructor(message: string, diagnostics: string, cause?: unknown) {
    super(message, { cause });
    this.name = "StartFailure";
    this.diagnostics = diagnostics;
  }
}

export type RunParts = {
  readonly sandbox: Sandbox;
  readonly egress: EgressFactory;
  readonly files: Pick<CapsuleFiles, "readCode">;
  readonly accountsDirectory: string;
  readonly runDirectory: string;
  readonly journal: Pick<Journal, "tails" | "hear">;
  readonly clock: Clock;
  readonly log: Log;
};

type Opened = {
  readonly process: Sandboxed;
  readonly egress: AsyncDisposable;
  readonly prepared: Pick<Prepared, "directories" | "fileMark" | "tidy">;
  /** Service id → file name. */
  readonly sockets: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly log: Log;
};

export class Run {
  readonly account: AccountId;
  readonly generation: number;
  readonly process: Sandboxed;
  /** Settles once the process is gone and everything that was opened for it is closed. */
  readonly gone: Promise<Exit>;
  readonly #doors: ReadonlyMap<string, Door>;
  readonly #controlPath: string;
  readonly #control = new Agent({ keepAlive: true, timeout: CONTROL_IDLE_MS });
  readonly #ended = new AbortController();
  readonly #replaced = new AbortController();
  readonly #clock: Clock;
  readonly #origins: ReadonlyMap<string, Origin>;
  readonly #fileMark: string;
  readonly #meter: Meter;
  #listening: Listening | null = null;
  #leases = 0;
  #given = 0;
  #emptied: (() => void) | null = null;
  /** Milliseconds since the epoch. */
  lastUsedMs: number;

  constructor(spec: CapsuleSpec, opened: Opened) {
    this.account = spec.account;
    this.generation = spec.generation;
    this.process = opened.process;
    this.#clock = opened.clock;
    this.#origins = originsOf(spec);
    this.#fileMark = opened.prepared.fileMark;
    this.#meter = new Meter(opened.process.pid);
    this.lastUsedMs = opened.clock.now();
    const path = (name: string): string => join(opened.prepared.directories.host, name);
    const door = (name: string): Door => ({ socketPath: path(name), pool: new CapsulePool(path(name)) });
    this.#doors = new Map([...opened.sockets].map(([service, name]) => [service, door(name)]));
    this.#controlPath = path(CONTROL_SOCKET);
    this.gone = this.#bury(opened);
  }

  get leases(): number {
    return this.#leases;
  }

  /** The right to send one request; null when the service has no socket. @param served as of the lease */
  lease(service: string, served: Lease["served"]): Lease | null {
    const door = this.#doors.get(service);
    if (door === undefined) return null;
    const beganMs = this.#leases === 0 ? this.#meter.read() : null;
    const number = ++this.#given;
    return {
      account: this.account,
      generation: this.generation,
      service,
      origin: this.#origins.get(service) ?? null,
      ...door,
      fileMark: this.#fileMark,
      ended: this.#ended.signal,
      replaced: this.#replaced.signal,
      served,
      cpuMs: () => (beganMs === null || number !== this.#given ? null : this.#since(beganMs)),
      [Symbol.dispose]: this.#taken(),
    };
  }

  /** The right to one exchange with the control Worker, which answers for every service of the process. */
  hold(): Hold {
    this.#given++;
    return { socketPath: this.#controlPath, agent: this.#control, ended: this.#ended.signal, [Symbol.dispose]: this.#taken() };
  }

  /** Counts one use of the process, until the answered function is called. */
  #taken(): () => void {
    this.#leases++;
    this.lastUsedMs = this.#clock.now();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.lastUsedMs = this.#clock.now();
      if (--this.#leases === 0) this.#emptied?.();
    };
  }

  #since(beganMs: number): number | null {
    const nowMs = this.#meter.read();
    return nowMs === null ? null : Math.round((nowMs - beganMs) * 100) / 100;
  }

  /** @param timeoutMs how long a sign of life may take */
  ping(timeoutMs: number): Promise<boolean> {
    return ping(this.#controlPath, timeoutMs, this.#control);
  }

  /** Lets the journal listen to what the process has to tell. */
  tellTo(journal: Pick<Journal, "hear">): void {
    const mouth = { socketPath: this.#controlPath, agent: this.#control };
    this.#listening = journal.hear(this.account, mouth, this.#ended.signal, this.#origins);
  }

  async #bury({ process, egress, prepared, log }: Opened): Promise<Exit> {
    try {
      const exit = await process.exited;
      this.#ended.abort();
      this.#meter[Symbol.dispose]();
      for (const { pool } of this.#doors.values()) pool.close();
      this.#control.destroy();
      await egress[Symbol.asyncDispose]();
      // Nobody waits for that: a successor has directories of its own.
      prepared.tidy();
      return exit;
    } catch (error) {
      // Whoever waits for the end must not wait for ever, nor fall over it.
      log.error({ err: error, account: this.account }, "what a process left behind could not be put away");
      this.#ended.abort();
      return { code: null, signal: null, outOfMemory: false };
    }
  }

  /** Cuts everything at once and kills the process. */
  cut(): void {
    this.#ended.abort();
    this.process.kill();
  }

  /**
   * Lets requests in flight finish for `drainMs`, then ends the process, by force after `graceMs` more.
   * @param account is told the CPU milliseconds that the process used in its life, where they can be read
   */
  async retire(drainMs: number, graceMs: number, account: (cpuMs: number) => void): Promise<void> {
    this.#replaced.abort();
    if (this.#leases > 0 && drainMs > 0) await this.#drained(drainMs);
    await this.process.cpuMs().then(account, () => {});
    await this.#listening?.finish();
    this.process.terminate();
    const timer = setTimeout(() => this.cut(), graceMs);
    await this.gone;
    clearTimeout(timer);
  }

  async #drained(withinMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      const over = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#emptied = over;
      this.#ended.signal.addEventListener("abort", over, { once: true });
    });
    this.#emptied = null;
  }
}

/** What of an account's limits is fixed when its process starts. */
export type RunLimits = Pick<CapsuleLimits, "memoryBytes" | "cpuWeight" | "maxProcesses" | "maxDiskBytes">;

/** No single file takes more than this part of an account's disk: a write that outruns every measurement ends there. */
const FILE_SHARE = 2;

/** A process that waits for its configuration, and its directories. */
export type Prepared = {
  readonly account: AccountId;
  readonly directories: SocketDirectories;
  /** The process's own, which nothing but its configuration tells. */
  readonly fileMark: string;
  /** Rejects with `capsule_failed` when there is none. */
  readonly process: Promise<Sandboxed>;
  /** Removes the directories; after the end of the process. */
  tidy(): void;
  /** Kills the process, if nobody gave it anything to run; from its return on it is gone. */
  discard(): Promise<void>;
};

let lives = 0;

/**
 * Makes the directories of a process and starts it; it waits for its configuration and touches no state before.
 * @param uid user id of the account's processes on rungs that give each its own
 */
export function prepareRun(parts: RunParts, account: AccountId, uid: number, limits: RunLimits): Prepared {
  const directories = socketDirectories(parts.runDirectory, account, (lives += 1).toString(36));
  const ownUsers = parts.sandbox.rung === "bubblewrap-root" || parts.sandbox.rung === "root";
  makeSocketDirectories(directories, uid, ownUsers);
  const { memoryBytes, cpuWeight, maxProcesses, maxDiskBytes } = limits;
  const process = parts.sandbox.launch({
    uid,
    directory: join(parts.accountsDirectory, account),
    socketDirectory: directories.process,
    args: ["serve", "--experimental", "--binary", "-"],
    stdin: null,
    limits: { memoryBytes, cpuWeight, maxProcesses, maxFileBytes: Math.floor(maxDiskBytes / FILE_SHARE) },
    collectStdout: false,
  });
  process.catch(() => {});
  const tidy = (): void => {
    eraseSocketDirectories(directories).catch((error: unknown) => parts.log.warn({ err: error, account }, "sockets could not be removed"));
  };
  const discard = async (): Promise<void> => {
    const started = await process.catch(() => null);
    started?.kill();
    await started?.exited;
    tidy();
  };
  return { account, directories, fileMark: newFileMark(), process, tidy, discard };
}

/** Bytes of the configuration: read and encoded while the process comes up. */
async function configOf(parts: RunParts, spec: CapsuleSpec, { directories, fileMark }: Prepared): Promise<Uint8Array> {
  const [unit] = spec.units;
  if (unit === undefined) throw new Error("a spec has one unit");
  const bytes = await moduleReader(unit.services, (hash) => parts.files.readCode(spec.account, hash));
  const inner = parts.sandbox.inner(join(parts.accountsDirectory, spec.account), directories.process);
  return serveConfig(unit, { inner, bytes, limits: spec.limits, tails: parts.journal.tails, fileMark });
}

/** Gives the process its configuration. Rejects when it, its egress or the configuration cannot be had, or is called off; nothing is left then. */
async function begin(
  parts: RunParts,
  spec: CapsuleSpec,
  prepared: Prepared,
  signal: AbortSignal,
): Promise<Pick<Opened, "process" | "egress">> {
  const opening = parts.egress.open(spec.account, join(prepared.directories.process, EGRESS_SOCKET), spec.limits);
  const [process, egress, config] = await Promise.allSettled([prepared.process, opening, configOf(parts, spec, prepared)]);
  if (!signal.aborted && process.status === "fulfilled" && egress.status === "fulfilled" && config.status === "fulfilled") {
    process.value.feed(config.value);
    return { process: process.value, egress: egress.value };
  }
  await prepared.discard();
  if (egress.status === "fulfilled") await egress.value[Symbol.asyncDispose]();
  signal.throwIfAborted();
  throw [process, egress, config].find((outcome) => outcome.status === "rejected")?.reason;
}

/**
 * Starts what the spec says in a prepared process and returns once it answers.
 * @param signal calls the start off: the process is killed and gone when this rejects
 * @throws StartFailure when the process exits or does not answer within `startMs`
 */
export async function startRun(parts: RunParts, spec: CapsuleSpec, prepared: Prepared, startMs: number, signal: AbortSignal): Promise<Run> {
  if (prepared.account !== spec.account) {
    await prepared.discard();
    throw new Error("a process of one account never runs another's");
  }
  const { process, egress } = await begin(parts, spec, prepared, signal);
  const [unit] = spec.units;
  const sockets = unit === undefined ? new Map<string, string>() : ingressSockets(unit);
  const run = new Run(spec, { process, egress, prepared, sockets, clock: parts.clock, log: parts.log });
  const over = new AbortController();
  const exited = process.exited.then(() => over.abort(new Error("the process ended while it started")));
  const until = AbortSignal.any([signal, over.signal]);
  const late = sleep(startMs, undefined, { signal: until }).then(
    () => over.abort(new Error(`no answer within ${startMs} ms`)),
    () => {},
  );
  try {
    await takeSockets(prepared.directories, [CONTROL_SOCKET, ...sockets.values()], until);
    run.tellTo(parts.journal);
    return run;
  } catch (error) {
    run.cut();
    await Promise.all([run.gone, exited]);
    const cause = (signal.aborted ? signal.reason : over.signal.reason) ?? error;
    throw new StartFailure(cause instanceof Error ? cause.message : "the start was called off", process.stderr(), error);
  } finally {
    over.abort();
    await late;
  }
}
