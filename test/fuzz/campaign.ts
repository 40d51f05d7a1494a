// Sends inputs to one installation, some at once, and keeps what came of them: by kind, the slowest, every failure with what
// sends it again, and the memory of both processes before, meanwhile and after a rest with a collection.
import { setTimeout as sleep } from "node:timers/promises";
import { descriptorsOf, liveHeapOf, rssOf } from "../fixtures/process-figures.ts";
import { isWellFormed, toBytes, type Input, type Kind } from "./input.ts";
import { judge } from "./judge.ts";
import { makeInput } from "./kinds.ts";
import { Random } from "./random.ts";
import { fill, type Values } from "./recording.ts";
import { openScene, valuesFor, type Scene } from "./scene.ts";
import { send, type Answer } from "./wire.ts";

const PLAYERS = 6;
/** Inputs after which an account is replaced by a fresh one, since some fill it up or take its Workers away. */
const PLAYER_LASTS = 120;
const LIMIT_MS = 30_000;
const KEPT_MS = 50;
const SAMPLE_EVERY = 500;
/** A process that is stopped for another version or a job of its keeper may take a request of that moment with it. */
const TRANSIENT = /"code":71503,|process ended before it answered/;
const AGAIN_AFTER_MS = 500;
const INPUTS_A_TRANSIENT = 2000;
const MOST_FAILURES = 50;
const HEAP_EVERY = 20_000;
/** Descriptors that may be open after a rest beyond those at the start: connections kept alive between the two processes. */
const MORE_DESCRIPTORS = 60;

export type Options = {
  readonly seed: number;
  /** Number of the first input. */
  readonly from: number;
  readonly inputs: number;
  readonly only: readonly Kind[];
  readonly atOnce: number;
  /** How long what was begun may take to be put away at the end: idle capsules stop, tails end. */
  readonly restMs: number;
  readonly say: (line: string) => void;
};

export type Failure = {
  readonly index: number;
  readonly kind: Kind;
  readonly problem: string;
  readonly told: string;
  readonly bytes: string;
  readonly said: string;
};

export type Weight = { readonly at: number; readonly control: number; readonly host: number };

export type Report = {
  readonly sent: number;
  readonly seconds: number;
  readonly kinds: ReadonlyMap<Kind, { count: number; statuses: Map<number, number>; slowestMs: number; slowest: string }>;
  readonly failures: readonly Failure[];
  /** Answers that asked to try again, and were right: the same request went well then. */
  readonly transients: readonly string[];
  /** Resident bytes along the way. */
  readonly rss: readonly Weight[];
  /** Live bytes before and after. */
  readonly heap: readonly Weight[];
  readonly descriptors: readonly Weight[];
  /** 5xx and worse that the processes wrote into their logs themselves. */
  readonly logged: readonly string[];
};

const whereOf = (scene: Scene, { to }: Input) =>
  to === "egress socket"
    ? { path: scene.egressSocket() }
    : { host: "127.0.0.1", port: to === "api" ? scene.installation.apiPort : scene.installation.edgePort };

export function filled(input: Input, values: Values): Input {
  const { draft } = input;
  return { ...input, draft: { ...draft, ...fill({ ...draft, run: "" }, values) } };
}

/** A tail that was never opened. */
async function freshTail(scene: Scene, at: number): Promise<Values> {
  const { tenant } = scene.players[at % scene.players.length] ?? scene.stage;
  const made = await tenant.call<{ id: string; url: string } | null>("POST", `/accounts/${tenant.id}/workers/scripts/app/tails`, "{}");
  return made.result ? { listen: made.result.url.replace(/^\w+:\/\/[^/]+/, ""), tail: made.result.id } : {};
}

export async function ask(scene: Scene, input: Input): Promise<Answer> {
  const half = !isWellFormed(input.draft) && input.draft.framing !== "none";
  const after = input.after === undefined ? {} : { after: { bytes: input.after, keptMs: KEPT_MS } };
  const sent = (): Promise<Answer> => send(whereOf(scene, input), toBytes(input.draft), { limitMs: LIMIT_MS, half, ...after });
  if (input.to !== "egress socket") return sent();
  // The capsule that had it may just have been stopped.
  const woken = () => scene.installation.edge(scene.stage.tenant.host("echo")).then(sent);
  return sent().catch(woken).catch(woken);
}

export class Campaign {
  readonly #scene: Scene;
  readonly #options: Options;
  readonly #owners = new Map<string, string>();
  readonly #kinds: Map<Kind, { count: number; statuses: Map<number, number>; slowestMs: number; slowest: string }> = new Map();
  readonly #failures: Failure[] = [];
  readonly #transients: string[] = [];
  readonly #rss: Weight[] = [];
  readonly #heap: Weight[] = [];
  readonly #uses: number[];

  constructor(scene: Scene, options: Options) {
    this.#scene = scene;
    this.#options = options;
    this.#uses = scene.players.map(() => 0);
    this.#knowOwners();
  }

  #knowOwners(): void {
    for (const { tenant } of [...this.#scene.players, this.#scene.victim, this.#scene.stage]) this.#owners.set(tenant.token, tenant.id);
  }

  async #one(index: number): Promise<void> {
    const scene = this.#scene;
    const input = makeInput(new Random(this.#options.seed, index), this.#options.only);
    const more = input.kind === "tails" ? await freshTail(scene, index) : {};
    const concrete = filled(input, { ...valuesFor(scene, index), ...more });
    const answer = await this.#askTwice(concrete);
    this.#count(concrete, answer);
    const problem = judge({ input: concrete, answer, owners: this.#owners });
    if (problem !== null) this.#fail(index, concrete, problem, answer);
    await this.#refresh(index);
  }

  async #askTwice(input: Input): Promise<Answer> {
    const answer = await ask(this.#scene, input);
    if ((answer.status !== 502 && answer.status !== 503) || !TRANSIENT.test(answer.body)) return answer;
    this.#transients.push(`${input.told.slice(0, 100)}: ${/"message":"([^"]*)"/.exec(answer.body)?.[1] ?? ""}`);
    await sleep(AGAIN_AFTER_MS);
    return ask(this.#scene, input);
  }

  #count({ kind, told }: Input, { status, ms }: Answer): void {
    const so = this.#kinds.get(kind) ?? { count: 0, statuses: new Map<number, number>(), slowestMs: 0, slowest: "" };
    this.#kinds.set(kind, so);
    so.count += 1;
    so.statuses.set(status, (so.statuses.get(status) ?? 0) + 1);
    if (ms > so.slowestMs) [so.slowestMs, so.slowest] = [ms, told];
  }

  #fail(index: number, { kind, told, draft }: Input, problem: string, { status, body }: Answer): void {
    const { seed, say } = this.#options;
    this.#failures.push({ index, kind, problem, told, bytes: toBytes(draft), said: `${status} ${body.slice(0, 600)}` });
    say(
      `FAILED ${kind}: ${problem} (${told.slice(0, 160)})\n  again: npm run fuzz -- --seed ${seed} --from ${index} --inputs 1\n  ${status} ${body.slice(0, 300)}`,
    );
  }

  async #refresh(index: number): Promise<void> {
    const at = index % this.#scene.players.length;
    const uses = (this.#uses[at] ?? 0) + 1;
    this.#uses[at] = uses;
    if (uses % 20 !== 0) return;
    await this.#scene.refresh(at, uses >= PLAYER_LASTS);
    if (uses >= PLAYER_LASTS) this.#uses[at] = 0;
    this.#knowOwners();
  }

  #weigh(at: number, what: (pid: number) => number): Weight {
    const pid = (wing: "control" | "host"): number => this.#scene.installation.pidOf(wing) ?? 0;
    return { at, control: what(pid("control")), host: what(pid("host")) };
  }

  async #weighHeap(at: number): Promise<Weight> {
    const { installation } = this.#scene;
    const live = (wing: "control" | "host"): Promise<number> => liveHeapOf(installation.pidOf(wing) ?? 0, installation.output);
    return { at, control: await live("control"), host: await live("host") };
  }

  async #lane(next: () => number | null): Promise<void> {
    for (let index = next(); index !== null; index = next()) {
      if (this.#failures.length >= MOST_FAILURES) return;
      await this.#one(index);
      const done = index - this.#options.from + 1;
      if (done % SAMPLE_EVERY === 0) this.#rss.push(this.#weigh(done, rssOf));
      if (done % HEAP_EVERY === 0) this.#heap.push(await this.#weighHeap(done));
      if (done % 5000 === 0) this.#options.say(`${done} of ${this.#options.inputs}, ${this.#failures.length} failed`);
    }
  }

  async run(): Promise<Report> {
    const { from, inputs, atOnce } = this.#options;
    const pids = this.#weigh(0, (pid) => pid);
    this.#heap.push(await this.#weighHeap(0));
    const descriptors = [this.#weigh(0, descriptorsOf)];
    this.#rss.push(this.#weigh(0, rssOf));
    let index = from;
    const next = (): number | null => (index < from + inputs ? index++ : null);
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: atOnce }, () => this.#lane(next)));
    const seconds = (performance.now() - startedAt) / 1000;
    await this.#checkOthers();
    const most = Math.max(1, Math.ceil(inputs / INPUTS_A_TRANSIENT));
    if (this.#transients.length > most) this.#invent(`${this.#transients.length} answers asked to try again`);
    descriptors.push(this.#weigh(inputs, descriptorsOf));
    await this.#rest(descriptors);
    this.#heap.push(await this.#weighHeap(inputs));
    this.#rss.push(this.#weigh(inputs, rssOf));
    const now = this.#weigh(0, (pid) => pid);
    if (now.control !== pids.control || now.host !== pids.host) this.#invent("a process died and was started again");
    return {
      sent: index - from,
      seconds,
      kinds: this.#kinds,
      failures: this.#failures,
      transients: this.#transients,
      rss: this.#rss,
      heap: this.#heap,
      descriptors,
      logged: this.#logged(),
    };
  }

  /** Waits until what the inputs opened is closed again. */
  async #rest(descriptors: Weight[]): Promise<void> {
    const [before] = descriptors;
    const end = performance.now() + this.#options.restMs;
    const over = (now: Weight, wing: "control" | "host"): boolean => now[wing] - (before?.[wing] ?? 0) > MORE_DESCRIPTORS;
    let now = this.#weigh(this.#options.inputs, descriptorsOf);
    while (performance.now() < end) {
      await sleep(500);
      now = this.#weigh(this.#options.inputs, descriptorsOf);
      if (!over(now, "control") && !over(now, "host")) break;
    }
    descriptors.push(now);
    if (this.#options.restMs === 0) return;
    for (const wing of ["control", "host"] as const) if (over(now, wing)) this.#invent(`${wing} keeps ${now[wing]} descriptors open`);
  }

  /** A failure of the whole, not of one input. */
  #invent(problem: string): void {
    this.#failures.push({
      index: -1,
      kind: "recordings",
      problem,
      told: "",
      bytes: "",
      said: this.#scene.installation.output().slice(-2000),
    });
    this.#options.say(`FAILED ${problem}`);
  }

  /** Whom nothing was sent for is as before. */
  async #checkOthers(): Promise<void> {
    const { victim, stage, installation } = this.#scene;
    const app = await installation.edge(victim.tenant.host("app"), "/worker");
    if (app.body !== "app") this.#invent(`the victim's Worker answers ${app.status} ${app.body.slice(0, 200)}`);
    const echo = await installation.edge(stage.tenant.host("echo"));
    if (!echo.body.startsWith("GET ")) this.#invent(`the edge's Worker answers ${echo.status} ${echo.body.slice(0, 200)}`);
    const trail = await victim.tenant.call<{ outcome: string }[]>("GET", `/accounts/${victim.tenant.id}/trail?per_page=100`);
    if (trail.status !== 200) this.#invent(`the victim's token gets ${trail.status}`);
  }

  #logged(): string[] {
    const lines = this.#scene.installation.output().split("\n");
    return lines.filter((line) => /^\{"level":(5|6)0/.test(line) || /Unhandled|FATAL|heap out of memory/.test(line));
  }
}

/** Opens a scene, runs the campaign on it, and tries to make each failure smaller. */
export async function fuzz(options: Options, after: (scene: Scene, report: Report) => Promise<void> = async () => {}): Promise<Report> {
  await using scene = await openScene(Math.min(PLAYERS, options.inputs));
  const report = await new Campaign(scene, options).run();
  await after(scene, report);
  return report;
}
