// Many accounts that come, work and go for minutes. What must hold: every ending shows outside within two seconds of its time
// and never a 200 after it, every answer is the account's own, and in the end nothing of anybody is left.
import { setTimeout as sleep } from "node:timers/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { heapOf } from "../fixtures/process-figures.ts";
import { Lodger } from "./lodger.ts";
import { groupsOf, leftBehind, slope, weigh, type Weights } from "./weigh.ts";

export type Options = {
  /** Living at a time, and of them with traffic. */
  readonly accounts: number;
  readonly hot: number;
  readonly minutes: number;
  readonly say: (line: string) => void;
};

const ENDING_MS = 2000;
const ERASED_MS = 30_000;
const MOVING_IN_AT_ONCE = 4;
const ASKING_AT_ONCE = 12;
const GOING_AT_ONCE = 6;
const ENDED_EARLY = 0.2;
const MIB = 1_048_576;
const BOUNDS = { rssMibAMinute: 12, heapMib: 40, descriptors: 80, walMib: 96 };

type Ending = { readonly shownMs: number; readonly erasedMs: number };

export type Report = {
  readonly violations: readonly string[];
  readonly movedIn: number;
  readonly endings: readonly Ending[];
  readonly asked: number;
  /** Requests that found every place for a process taken. */
  readonly crowded: number;
  readonly redeployed: number;
  readonly askMs: readonly number[];
  readonly samples: readonly Weights[];
  readonly heap: { readonly control: readonly number[]; readonly host: readonly number[] };
  readonly slopes: { readonly control: number; readonly host: number };
  readonly groups: number;
  readonly last: Weights;
};

const settings = ({ accounts, hot, minutes }: Options): Record<string, string> => ({
  MAYFLY_TRUSTED_PROXIES: "127.0.0.1",
  MAYFLY_ACCOUNTS_PER_HOUR_PER_IP: "20",
  MAYFLY_ACCOUNTS_PER_HOUR: "1000000",
  MAYFLY_ACCOUNTS_MAX: "1000000",
  MAYFLY_ACCOUNT_TTL_MAX_SECONDS: String(Math.ceil(minutes * 240) + 3600),
  MAYFLY_CAPSULES_HOT: String(hot + Math.max(8, Math.ceil(accounts / 20))),
  MAYFLY_IDLE_SECONDS: "20",
  MAYFLY_LOG_LEVEL: "warn",
  NODE_OPTIONS: "--inspect-port=0",
});

export class Soak {
  readonly #installation: Installation;
  readonly #options: Options;
  readonly #living = new Set<Lodger>();
  #hot: Lodger[] = [];
  readonly #watches = new Set<Promise<void>>();
  readonly #violations: string[] = [];
  readonly #endings: Ending[] = [];
  readonly #askMs: number[] = [];
  readonly #samples: Weights[] = [];
  /** With each sample. Collections are the process's own: one that is forced stops it for longer than an ending may take. */
  readonly #heap = { control: [] as number[], host: [] as number[] };
  #number = 0;
  #asked = 0;
  #crowded = 0;
  #going = 0;
  readonly #waiting: (() => void)[] = [];
  #redeployed = 0;
  #over = false;
  #full = false;

  constructor(installation: Installation, options: Options) {
    this.#installation = installation;
    this.#options = options;
  }

  #violate(what: string): void {
    if (this.#violations.length < 200) this.#violations.push(what);
    if (this.#violations.length <= 20) this.#options.say(`VIOLATION ${what}`);
  }

  /** Ends are spread over the run; more than half live longer than it. */
  #lifetimeSeconds(): number {
    const run = this.#options.minutes * 60;
    return Math.ceil(Math.max(15, run * (0.4 + Math.random() * 1.6)));
  }

  async #moveIn(): Promise<void> {
    const lodger = await Lodger.moveIn(this.#installation, this.#number++, this.#lifetimeSeconds());
    if (Date.now() > lodger.expiresAtMs - 1000) throw new Error("moving in took an account's whole life");
    this.#living.add(lodger);
    this.#watch(this.#leave(lodger));
  }

  #watch(work: Promise<void>): void {
    const watched = work.catch((error: unknown) => this.#violate(String(error))).finally(() => this.#watches.delete(watched));
    this.#watches.add(watched);
  }

  /** Waits for the account's end, early or on time, and watches it from outside. */
  async #leave(lodger: Lodger): Promise<void> {
    const leftMs = lodger.expiresAtMs - Date.now();
    if (Math.random() < ENDED_EARLY) {
      await this.#pause(leftMs * Math.random() * 0.8);
      lodger.leaving = true;
      await this.#inTurn(() => lodger.end());
    } else {
      await this.#pause(leftMs - 300);
      lodger.leaving = true;
      if (this.#over) await this.#inTurn(() => lodger.end());
      else await sleep(Math.max(0, lodger.expiresAtMs - Date.now()));
    }
    this.#living.delete(lodger);
    await this.#seen(lodger, lodger.endedAtMs ?? lodger.expiresAtMs);
  }

  /** A few at a time: when the run is over all want to go. Whoever has waited longest is next. */
  async #inTurn(work: () => Promise<void>): Promise<void> {
    if (this.#going >= GOING_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#going += 1;
    await work().finally(() => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#going -= 1;
      else next();
    });
  }

  /** At most so long; less when the run is over. */
  async #pause(ms: number): Promise<void> {
    const until = Date.now() + ms;
    while (Date.now() < until && !this.#over) await sleep(Math.min(500, Math.max(1, until - Date.now())));
  }

  async #seen(lodger: Lodger, endMs: number): Promise<void> {
    const { id } = lodger.tenant;
    for (;;) {
      const askedAtMs = Date.now();
      const { status, body } = await lodger.ask();
      if (status === 410) break;
      if (status === 200 && askedAtMs > endMs) this.#violate(`${id} answered ${askedAtMs - endMs} ms after its end`);
      if (Date.now() - endMs > 30_000) return this.#violate(`${id} is not gone 30 s after its end: ${status} ${body.slice(0, 100)}`);
      await sleep(50);
    }
    const shownMs = Date.now() - endMs;
    if (shownMs > ENDING_MS) this.#violate(`${id} (${lodger.use}) was seen to end ${shownMs} ms after its time`);
    const directory = join(this.#installation.data, "accounts", id);
    await awaitUntil(() => !existsSync(directory), { what: `the directory of ${id} is erased`, deadlineMs: ERASED_MS, everyMs: 100 });
    this.#endings.push({ shownMs, erasedMs: Date.now() - endMs });
  }

  async #keepFull(): Promise<void> {
    while (!this.#over) {
      if (this.#number >= this.#options.accounts) this.#full = true;
      if (this.#living.size >= this.#options.accounts) {
        await sleep(50);
        continue;
      }
      await this.#moveIn().catch((error: unknown) => this.#violate(`moving in: ${String(error)}`));
    }
  }

  #present = (): Lodger[] => [...this.#living].filter(({ leaving }) => !leaving);

  /** A twentieth of those with traffic change every second or so. */
  async #churn(): Promise<void> {
    while (!this.#over) {
      const all = this.#present();
      this.#hot = this.#hot.filter((lodger) => this.#living.has(lodger) && Math.random() > 0.05);
      while (this.#hot.length < this.#options.hot && all.length > 0) {
        const next = all.splice(Math.floor(Math.random() * all.length), 1)[0];
        if (next !== undefined && !this.#hot.includes(next)) this.#hot.push(next);
      }
      await sleep(1000);
    }
  }

  async #askAround(): Promise<void> {
    while (!this.#over) {
      const lodger = this.#hot[Math.floor(Math.random() * this.#hot.length)];
      if (lodger === undefined || lodger.leaving) {
        await sleep(20);
        continue;
      }
      const askedAt = performance.now();
      const answer = await lodger.ask();
      this.#askMs.push(performance.now() - askedAt);
      this.#asked += 1;
      const problem = lodger.problemOf(answer);
      const nearEnd = lodger.leaving || Date.now() > lodger.expiresAtMs - 500;
      // The machine has room for so many at once; whoever comes too much is told when to come again.
      if (answer.status === 503 && /Every place/.test(answer.body)) this.#crowded += 1;
      else if (problem !== null && !nearEnd) this.#violate(problem);
      if (answer.status === 200 && !answer.body.startsWith(lodger.tenant.id)) this.#violate(`another's answer: ${problem}`);
      await sleep(10);
    }
  }

  async #redeploy(): Promise<void> {
    while (!this.#over) {
      await sleep(700);
      const all = this.#present();
      const lodger = all[Math.floor(Math.random() * all.length)];
      if (lodger === undefined || lodger.expiresAtMs - Date.now() < 5000) continue;
      await lodger.redeploy().then(
        () => (this.#redeployed += 1),
        (error: unknown) => lodger.leaving || this.#over || this.#violate(`redeploy: ${String(error)}`),
      );
    }
  }

  async #weighHeap(): Promise<void> {
    for (const wing of ["control", "host"] as const) {
      this.#heap[wing].push(await heapOf(this.#installation.pidOf(wing) ?? 0, this.#installation.output));
    }
  }

  /** The least in the first and the second half from a sample on: what lives, nearly. */
  #livingHeap(wing: "control" | "host", from: number): readonly [number, number] {
    const warm = this.#heap[wing].slice(from);
    const half = Math.ceil(warm.length / 2);
    return [Math.min(...warm.slice(0, half)), Math.min(...warm.slice(half))];
  }

  async #sample(): Promise<void> {
    const everyMs = Math.min(10_000, (this.#options.minutes * 60_000) / 15);
    while (!this.#over) {
      const now = weigh(this.#installation);
      this.#samples.push(now);
      await this.#weighHeap();
      if (now.walBytes > BOUNDS.walMib * MIB) this.#violate(`the WAL has ${Math.round(now.walBytes / MIB)} MiB`);
      const mib = (bytes: number): number => Math.round(bytes / MIB);
      this.#options.say(
        `living ${this.#living.size}, moved in ${this.#number}, ended ${this.#endings.length}, asked ${this.#asked}; capsules ${now.capsules}, ` +
          `control ${mib(now.controlRss)} MiB ${now.controlDescriptors} fd, host ${mib(now.hostRss)} MiB ${now.hostDescriptors} fd, WAL ${mib(now.walBytes)} MiB`,
      );
      await sleep(everyMs);
    }
  }

  async run(): Promise<Report> {
    const before = weigh(this.#installation);
    const filling = Array.from({ length: MOVING_IN_AT_ONCE }, () => this.#keepFull());
    const working = [this.#churn(), this.#redeploy(), this.#sample(), ...Array.from({ length: ASKING_AT_ONCE }, () => this.#askAround())];
    const all = Promise.all([...filling, ...working]);
    await awaitUntil(() => this.#full || this.#over, { what: "everybody has moved in", deadlineMs: 900_000, everyMs: 200 });
    const fullFrom = this.#samples.length;
    const startedAt = performance.now();
    const runMs = this.#options.minutes * 60_000;
    await sleep(runMs / 3);
    const warmFrom = Math.max(fullFrom, this.#samples.length - 1);
    await sleep(Math.max(0, runMs - (performance.now() - startedAt)));
    const heap = { control: this.#livingHeap("control", warmFrom), host: this.#livingHeap("host", warmFrom) };
    const warm = this.#samples.slice(warmFrom);
    const slopes = { control: slope(warm, "controlRss") / MIB, host: slope(warm, "hostRss") / MIB };
    this.#over = true;
    await all;
    while (this.#watches.size > 0) await Promise.all(this.#watches);
    const last = await this.#afterwards(before);
    this.#judge(slopes, heap);
    if (this.#crowded > this.#asked / 100) this.#violate(`${this.#crowded} of ${this.#asked} requests found every place taken`);
    const groups = groupsOf(this.#installation);
    if (groups > 6) this.#violate(`${groups} control groups are left`);
    return {
      violations: this.#violations,
      movedIn: this.#number,
      endings: this.#endings,
      asked: this.#asked,
      crowded: this.#crowded,
      redeployed: this.#redeployed,
      askMs: this.#askMs,
      samples: this.#samples,
      heap,
      slopes,
      groups,
      last,
    };
  }

  #judge(slopes: Report["slopes"], heap: Report["heap"]): void {
    for (const wing of ["control", "host"] as const) {
      const [warm = 0, end = 0] = heap[wing];
      if (end - warm > BOUNDS.heapMib * MIB) this.#violate(`live memory of ${wing} grew by ${Math.round((end - warm) / MIB)} MiB`);
      if (this.#options.minutes >= 5 && slopes[wing] > BOUNDS.rssMibAMinute) {
        this.#violate(`memory of ${wing} grew by ${slopes[wing].toFixed(1)} MiB a minute`);
      }
    }
  }

  /** Everybody is gone: what is left is a leak. */
  async #afterwards(before: Weights): Promise<Weights> {
    const left = (): string[] => {
      const now = weigh(this.#installation);
      const over = (what: "controlDescriptors" | "hostDescriptors"): string[] =>
        now[what] - before[what] > BOUNDS.descriptors ? [`${now[what]} ${what} (${before[what]} before)`] : [];
      return [
        ...leftBehind(this.#installation),
        ...(now.directories > 0 ? [`${now.directories} directories of accounts`] : []),
        ...(now.keys > 0 ? [`${now.keys} sealing keys in all`] : []),
        ...(now.capsules > 4 ? [`${now.capsules} processes`] : []),
        ...(now.sockets > 8 ? [`${now.sockets} directories of sockets`] : []),
        ...(now.spooled > 0 ? [`${now.spooled} spooled files`] : []),
        ...over("controlDescriptors"),
        ...over("hostDescriptors"),
      ];
    };
    const clean = (): boolean => left().length === 0;
    await awaitUntil(clean, { what: "nothing is left", deadlineMs: 60_000, everyMs: 500 }).catch(() =>
      this.#violate(`left behind: ${left().join("; ")}`),
    );
    return weigh(this.#installation);
  }
}

export async function soak(options: Options): Promise<Report> {
  await using installation = await startInstallation(settings(options));
  return await new Soak(installation, options).run();
}
