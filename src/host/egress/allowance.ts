// What one account may still do on its way out: ports and hosts by policy, requests, bytes and hosts by its budget. Asked
// anew each time, so a claim or a change of the operator's counts from the next request on. What is refused is told here.
import type { CapsuleLimits } from "../../capsule/spec.ts";
import { neverOpen } from "../../capsule/never-open.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Budget } from "../budgets/budget.ts";
import type { Journal, Refusals } from "../contract.ts";
import { refuseAddress, type Own } from "./address-policy.ts";
import { EgressRefusal } from "./refusal.ts";
import type { Target } from "./target.ts";

/** Where an account's use is counted, and refusals are told. */
export type Accounting = {
  readonly budgets: { of(account: AccountId): Pick<Budget, "take" | "takeOnce" | "note" | "over"> };
  readonly refusals: Refusals;
  readonly journal: Pick<Journal, "notice">;
};

export type AllowanceOptions = Accounting & {
  readonly account: AccountId;
  readonly limits: () => CapsuleLimits["egress"];
  readonly own: Own;
  /** Public names of this installation's own pages and API, lower case. */
  readonly ownNames: ReadonlySet<string>;
};

const NOTICES_FOR_MS = 60_000;
/** Different notices of one minute; a Worker that tries a thousand hosts does not drive the rest out of its log. */
const MAX_NOTICES = 10;
const FOLDED = "Further ways out of this account's Workers were refused in this minute; they are counted, and not named one by one.";

const openPorts = (ports: readonly number[]): string => {
  const [last, ...others] = ports.toReversed();
  if (last === undefined) return "no port is open";
  return others.length === 0 ? `only the port ${last} is open` : `only the ports ${others.toReversed().join(", ")} and ${last} are open`;
};

const hostAndPort = ({ hostname, port }: Target): string => `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;

export class Allowance {
  readonly #options: AllowanceOptions;
  readonly #noticed = new Set<string>();
  #noticedSinceMs = Number.NEGATIVE_INFINITY;

  constructor(options: AllowanceOptions) {
    this.#options = options;
  }

  get maxConnections(): number {
    return this.#options.limits().maxConnections;
  }

  /** Counts a request or connection of whatever kind. */
  enter(): EgressRefusal | null {
    const over = this.#budget.take("subrequests");
    return over === null ? null : EgressRefusal.atCap(over);
  }

  /** Whether the way to a host outside is open, and its host counted, before its name is looked up. */
  admit(target: Target): EgressRefusal | null {
    const why = this.#closed(target);
    if (why !== null) return EgressRefusal.byPolicy(target, why);
    const over = this.#budget.over("egress_bytes", true) ?? this.#budget.takeOnce("egress_hosts", target.hostname);
    return over === null ? null : EgressRefusal.atCap(over);
  }

  /** Counts bytes that passed between the account and the outside; a refusal cuts what they belong to. */
  passed(bytes: number): EgressRefusal | null {
    const budget = this.#budget;
    const over = budget.note("egress_bytes", bytes) && budget.over("egress_bytes", true);
    return over === null ? null : EgressRefusal.atCap(over);
  }

  /** Tells of a refusal: the account in its log, the operator in the trail. Other failures are the Worker's alone. */
  tell(error: unknown, target: Target | null): void {
    if (!(error instanceof EgressRefusal)) return;
    const { account, refusals, journal } = this.#options;
    refusals.note(account, error.what, error.reason, target === null ? undefined : hostAndPort(target));
    // Caps are few and say the same each time.
    if (error.what === "egress") this.#notice(error.notice);
    else journal.notice(account, error.notice);
  }

  get #budget(): ReturnType<Accounting["budgets"]["of"]> {
    return this.#options.budgets.of(this.#options.account);
  }

  #closed({ hostname, port, literal }: Target): string | null {
    const { limits, own, ownNames } = this.#options;
    const { ports } = limits();
    const never = neverOpen(port);
    if (never !== null) return never;
    if (ports !== "any" && !ports.includes(port)) return openPorts(ports);
    if (literal) {
      const refused = refuseAddress(hostname, own);
      return refused === null ? null : `it is ${refused}`;
    }
    if (/(^|\.)localhost$/.test(hostname)) return "it is a loopback name";
    return ownNames.has(hostname) ? "it is this installation's own API, which Workers do not reach" : null;
  }

  #notice(text: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#noticedSinceMs >= NOTICES_FOR_MS) {
      this.#noticed.clear();
      this.#noticedSinceMs = nowMs;
    }
    if (this.#noticed.has(text)) return;
    const { account, journal } = this.#options;
    if (this.#noticed.size > MAX_NOTICES) return;
    this.#noticed.add(text);
    journal.notice(account, this.#noticed.size > MAX_NOTICES ? FOLDED : text);
  }
}
