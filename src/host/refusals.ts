// Refusals on their way to the trail, in bulk: the first of a kind and reason is told soon, and what follows it within a
// minute is told as one with its count. An account whose code tries a thousand hosts a second costs one event a minute.
import type { AccountId } from "../kernel/ids.ts";
import type { Refusals as Told, RefusedWhat } from "./contract.ts";

export type RefusedEvent = {
  readonly kind: "refused";
  readonly account: AccountId;
  readonly what: RefusedWhat;
  readonly reason: string;
  readonly count: number;
  readonly hosts: string[];
};

const TELL_EVERY_MS = 60_000;
const SOON_MS = 500;
const MAX_HOSTS = 20;
const MAX_HOST_CHARS = 253;
/** Kinds and reasons of one account that are told apart; further ones are told as the last. */
const MAX_REASONS = 16;

type Pile = { readonly what: RefusedWhat; readonly reason: string; count: number; readonly hosts: Set<string>; toldAtMs: number };

export class Refusals implements Told, Disposable {
  readonly #append: (event: RefusedEvent) => void;
  readonly #piles = new Map<AccountId, Map<string, Pile>>();
  readonly #timer: NodeJS.Timeout;

  constructor(append: (event: RefusedEvent) => void) {
    this.#append = append;
    this.#timer = setInterval(() => this.#tell(performance.now()), SOON_MS).unref();
  }

  note(account: AccountId, what: RefusedWhat, reason: string, host?: string): void {
    let piles = this.#piles.get(account);
    if (piles === undefined) this.#piles.set(account, (piles = new Map()));
    const key = `${what} ${reason}`;
    const pile = piles.get(key) ?? this.#pile(piles, key, what, reason);
    pile.count++;
    if (host !== undefined && pile.hosts.size < MAX_HOSTS) pile.hosts.add(host.slice(0, MAX_HOST_CHARS));
  }

  #pile(piles: Map<string, Pile>, key: string, what: RefusedWhat, reason: string): Pile {
    const last = piles.size >= MAX_REASONS ? [...piles.values()].at(-1) : undefined;
    if (last !== undefined) return last;
    const opened = { what, reason, count: 0, hosts: new Set<string>(), toldAtMs: -Infinity };
    piles.set(key, opened);
    return opened;
  }

  /** From the call on nothing is told of the account. */
  forget(account: AccountId): void {
    this.#piles.delete(account);
  }

  #tell(nowMs: number): void {
    for (const [account, piles] of this.#piles) {
      for (const [key, pile] of piles) {
        if (nowMs - pile.toldAtMs < TELL_EVERY_MS) continue;
        if (pile.count === 0) piles.delete(key);
        else this.#flush(account, pile, nowMs);
      }
      if (piles.size === 0) this.#piles.delete(account);
    }
  }

  #flush(account: AccountId, pile: Pile, nowMs: number): void {
    const { what, reason, count, hosts } = pile;
    this.#append({ kind: "refused", account, what, reason, count, hosts: [...hosts] });
    pile.count = 0;
    pile.hosts.clear();
    pile.toldAtMs = nowMs;
  }

  /** Tells what is left. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const [account, piles] of this.#piles) for (const pile of piles.values()) if (pile.count > 0) this.#flush(account, pile, 0);
    this.#piles.clear();
  }
}
