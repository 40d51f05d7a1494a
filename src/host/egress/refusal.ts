// What a Worker is told when it may not go out, and what is written down of it. Hosts that it chose are in its own log
// and in what the operator alone can read, never in the reason that the trail shows.
import type { Over, RefusedWhat } from "../contract.ts";
import type { Target } from "./target.ts";

export class EgressRefusal extends Error {
  readonly what: RefusedWhat;
  readonly status: 403 | 429;
  /** The hosted original's, where it has one. */
  readonly code: number;
  /** The same for all refusals of one kind: they are counted together. */
  readonly reason: string;
  readonly retryAfterSeconds: number | null;

  private constructor(message: string, told: Pick<EgressRefusal, "what" | "status" | "code" | "reason" | "retryAfterSeconds">) {
    super(message);
    this.name = "EgressRefusal";
    this.what = told.what;
    this.status = told.status;
    this.code = told.code;
    this.reason = told.reason;
    this.retryAfterSeconds = told.retryAfterSeconds;
  }

  /** @param why such as "it is a private address" */
  static byPolicy({ hostname, port }: Pick<Target, "hostname" | "port">, why: string): EgressRefusal {
    const reason = `A Worker's way out was refused: ${why}.`;
    const told = { what: "egress" as const, status: 403 as const, code: 1003, reason, retryAfterSeconds: null };
    return new EgressRefusal(`${hostname} port ${port} cannot be reached from here: ${why}.`, told);
  }

  static atCap({ cap, reason, retryAfterSeconds }: Over): EgressRefusal {
    const when = `It frees in ${retryAfterSeconds} s at the latest.`;
    return new EgressRefusal(`${reason} ${when}`, { what: cap, status: 429, code: 429, reason, retryAfterSeconds });
  }

  static tooManyOpen(most: number): EgressRefusal {
    const reason = `${most} connections of this account to the outside are open already.`;
    const told = { what: "egress" as const, status: 429 as const, code: 429, reason, retryAfterSeconds: 1 };
    return new EgressRefusal(`${reason} Close some (an unread body holds its own), or send fewer at once.`, told);
  }

  get text(): string {
    return `error code: ${this.code}\n${this.message}`;
  }

  /** For the account's log: the same for what repeats itself. */
  get notice(): string {
    return this.what === "egress" ? this.message : `${this.reason} Its Workers' requests to other hosts are refused or cut until it frees.`;
  }
}
