// Names → addresses, for one capsule: a few at once, each bounded in time, and an answer is kept for seconds. Nothing is
// shared with other accounts, who could tell by the time it takes whom the others call.
import { Resolver } from "node:dns/promises";
import { BoundedMap } from "../bounded-map.ts";

/** All addresses of a name. @throws Error with a DNS code */
export type Lookup = (hostname: string) => Promise<readonly string[]>;

const MAX_AT_ONCE = 16;
const WITHIN_MS = 8_000;
/** What was found is judged anew at each use, so that it is no longer true can only cost a connection. */
const KEPT_MS = 5_000;
const MAX_KEPT = 64;
/** Of one answer, which may hold thousands. */
const MAX_ANSWERS = 64;

/** DNS alone: what the operator wrote into /etc/hosts or search domains is not the tenants' Internet. */
export function dnsLookup(): Lookup {
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  return async (hostname) => {
    const [four, six] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const found = [four, six].flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    if (found.length === 0 && four.status === "rejected") throw four.reason;
    return found;
  };
}

type Kept = { readonly atMs: number; readonly answer: Promise<readonly string[]> };

export class Lookups {
  readonly #lookup: Lookup;
  readonly #kept = new BoundedMap<string, Kept>(MAX_KEPT);
  readonly #waiting: (() => void)[] = [];
  #atOnce = 0;

  constructor(lookup: Lookup) {
    this.#lookup = lookup;
  }

  /** The first of a name's addresses; none where there are none, or no answer in time. */
  ask(hostname: string): Promise<readonly string[]> {
    const kept = this.#kept.get(hostname);
    if (kept !== undefined && performance.now() - kept.atMs < KEPT_MS) return kept.answer;
    const answer = within(this.#ask(hostname), WITHIN_MS);
    this.#kept.set(hostname, { atMs: performance.now(), answer });
    return answer;
  }

  async #ask(hostname: string): Promise<readonly string[]> {
    const untilMs = performance.now() + WITHIN_MS;
    if (this.#atOnce >= MAX_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#atOnce += 1;
    try {
      // Nobody waits for it any more.
      if (performance.now() >= untilMs) return [];
      return (await this.#lookup(hostname)).slice(0, MAX_ANSWERS);
    } catch {
      return [];
    } finally {
      // The place goes to whoever waits longest.
      const next = this.#waiting.shift();
      if (next === undefined) this.#atOnce -= 1;
      else next();
    }
  }
}

async function within(answer: Promise<readonly string[]>, ms: number): Promise<readonly string[]> {
  const late = Promise.withResolvers<readonly string[]>();
  const timer = setTimeout(() => late.resolve([]), ms).unref();
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
