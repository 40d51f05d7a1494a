// The logs of all accounts of this host: each opened when something happens to it and closed when nothing does. An
// account that does not live has none: what comes late for it is thrown away. Secrets of ours are taken out of what the
// edge tells here, and of what a process tells in ears.ts.
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { FollowQuery, LogPage, LogQuery, MetricsMinute, MetricsQuery, TailQuery } from "../../capsule/logs.ts";
import type { Clock } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { redactSecrets } from "../../kernel/secrets.ts";
import type { Budget } from "../budgets/budget.ts";
import type { Budgets } from "../budgets/budgets.ts";
import type { Fate, Journal, Listening, Mouth, Origin, Passed, Refusals } from "../contract.ts";
import { AccountLog } from "./account-log.ts";

/** `requests`: what the edge sees alone; `off`: counts alone. */
export type LogMode = "full" | "requests" | "off";

export type LogsOptions = {
  readonly accountsDirectory: string;
  readonly mode: LogMode;
  /** Of one account's records on disk; 0 keeps none. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Without any: nothing is counted and nothing refused. */
  readonly budgets?: Pick<Budgets, "of">;
  readonly refusals?: Pick<Refusals, "note">;
  /** Whether an account lives here, at this moment. */
  readonly lives: (account: AccountId) => boolean;
};

const BOUNDLESS: Pick<Budget, "take"> = { take: () => null };
const TICK_MS = 100;
const SWEEP_MS = 15_000;
const IDLE_MS = 60_000;

export class Logs implements Journal, AsyncDisposable {
  readonly #options: LogsOptions;
  readonly #open = new Map<AccountId, AccountLog>();
  readonly #closing = new Map<AccountId, Promise<void>>();
  readonly #waiting = new Set<AccountLog>();
  readonly #crowd = { heavy: 0, readers: 0 };
  readonly #sweeper: NodeJS.Timeout;
  #ticker: NodeJS.Timeout | null = null;

  constructor(options: LogsOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  get tails(): boolean {
    return this.#options.mode === "full";
  }

  passed(passed: Passed): void {
    if (!this.#options.lives(passed.account)) return;
    const { url, head } = passed;
    this.#of(passed.account).passed({ ...passed, url: redactSecrets(url), head: redactSecrets(head) });
  }

  hear(account: AccountId, mouth: Mouth, ended: AbortSignal, origins: ReadonlyMap<string, Origin>): Listening | null {
    return this.tails && this.#options.lives(account) ? this.#of(account).hear(mouth, ended, origins) : null;
  }

  killed(account: AccountId, fate: Fate): void {
    if (this.#options.lives(account)) this.#of(account).killed(fate);
  }

  notice(account: AccountId, text: string): void {
    if (this.#options.lives(account)) this.#of(account).notice(text);
  }

  cpu(account: AccountId, cpuMs: number): void {
    if (this.#options.lives(account)) this.#of(account).cpu(cpuMs);
  }

  async close(account: AccountId): Promise<void> {
    const open = this.#open.get(account);
    if (open !== undefined) this.#shut(account, open.close());
    await this.#closing.get(account);
  }

  async end(account: AccountId): Promise<void> {
    const open = this.#open.get(account);
    if (open !== undefined) this.#shut(account, open.end());
    await this.#closing.get(account);
  }

  /** Newest first. @throws PlatformError product_unavailable, account_gone, invalid_input */
  async page(query: LogQuery): Promise<LogPage> {
    this.#refuse("off");
    return this.#of(query.account).page(query);
  }

  /** @throws PlatformError product_unavailable, quota_exceeded */
  follow(query: FollowQuery): Readable {
    this.#refuse("off");
    return this.#of(query.account).follow(query);
  }

  /** @throws PlatformError product_unavailable, quota_exceeded */
  tail(query: TailQuery): Readable {
    this.#refuse("off", "requests");
    return this.#of(query.account).tail(query);
  }

  /** Oldest first. @throws PlatformError account_gone */
  minutes({ account, sinceMs, untilMs }: MetricsQuery): Promise<MetricsMinute[]> {
    return this.#of(account).minutes(sinceMs, untilMs);
  }

  /** Writes everything down. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweeper);
    if (this.#ticker !== null) clearInterval(this.#ticker);
    await Promise.all([...this.#open.keys()].map((account) => this.close(account)));
    await Promise.all(this.#closing.values());
  }

  #refuse(...modes: readonly LogMode[]): void {
    const { mode } = this.#options;
    if (!modes.includes(mode)) return;
    const message =
      mode === "off"
        ? "This installation keeps no logs: its operator has set MAYFLY_LOGS to off."
        : "This installation logs requests alone, not what Workers write: its operator has set MAYFLY_LOGS to requests.";
    throw new PlatformError("product_unavailable", {
      message,
      next: mode === "off" ? "Answer from the Worker what you need to know." : "Read the account's log of requests instead.",
    });
  }

  #of(account: AccountId): AccountLog {
    const held = this.#open.get(account);
    if (held !== undefined) return held;
    const { accountsDirectory, mode, maxBytes, clock, log, budgets, refusals } = this.#options;
    const opened: AccountLog = new AccountLog({
      directory: join(accountsDirectory, account),
      maxBytes,
      records: mode !== "off",
      tails: this.tails,
      now: () => clock.now(),
      crowd: this.#crowd,
      budget: () => budgets?.of(account) ?? BOUNDLESS,
      onSilence: ({ cap, reason }) => refusals?.note(account, cap, reason),
      onTrouble: (error) => log.error({ err: error, account }, "an account's log could not be written"),
      after: this.#closing.get(account) ?? Promise.resolve(),
      onWaiting: () => this.#wait(opened),
    });
    this.#open.set(account, opened);
    return opened;
  }

  #shut(account: AccountId, closing: Promise<void>): void {
    this.#open.delete(account);
    const before = this.#closing.get(account) ?? Promise.resolve();
    const done: Promise<void> = this.#settle(before, closing).finally(() => {
      if (this.#closing.get(account) === done) this.#closing.delete(account);
    });
    this.#closing.set(account, done);
  }

  async #settle(...closing: readonly Promise<void>[]): Promise<void> {
    for (const ended of await Promise.allSettled(closing)) {
      if (ended.status === "rejected") this.#options.log.error({ err: ended.reason as unknown }, "a log could not be closed");
    }
  }

  #wait(waiting: AccountLog): void {
    this.#waiting.add(waiting);
    this.#ticker ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  #tick(): void {
    for (const waiting of this.#waiting) if (!waiting.tick()) this.#waiting.delete(waiting);
    if (this.#waiting.size > 0 || this.#ticker === null) return;
    clearInterval(this.#ticker);
    this.#ticker = null;
  }

  /** Closes what nothing has happened to for a while. */
  #sweep(): void {
    const nowMs = this.#options.clock.now();
    for (const [account, open] of this.#open) {
      const { idleSinceMs } = open;
      if (idleSinceMs !== null && nowMs - idleSinceMs > IDLE_MS) this.#shut(account, open.close());
    }
  }
}
