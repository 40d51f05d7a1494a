// The numbers that admission keeps to, derived from the few that an operator sets, and how each says no: whose limit
// it is, how much it allows, when it frees.
import { PlatformError, type ErrorCode } from "../../kernel/errors.ts";
import type { Scope } from "./records.ts";

/** A network is allowed this many times what an address is. */
const NETWORK_FACTOR = 8;
/** An account needs one challenge; a client that gives up on some asks for more. */
const CHALLENGES_AN_ACCOUNT = 8;
const LEAST_CHALLENGES = 60;
const LEAST_WRONG = 10;
const LONGEST_WAIT_MS = 3_600_000;

export type LimitOptions = {
  /** Accounts that one address may make in any hour; an IPv6 /56 is one address. */
  readonly accountsPerHourPerIp: number;
  /** Accounts in any hour, of everybody. */
  readonly accountsPerHour: number;
  /** Accounts that live at once and that nobody has claimed. */
  readonly accountsMax: number;
};

export type Limits = {
  /** In any hour. */
  readonly accounts: Readonly<Record<Scope, number>>;
  readonly challenges: Readonly<Record<"address" | "network", number>>;
  readonly wrong: Readonly<Record<"address" | "network", number>>;
  /** At once. */
  readonly liveAccounts: number;
};

export function limitsOf({ accountsPerHourPerIp, accountsPerHour, accountsMax }: LimitOptions): Limits {
  const challenges = Math.max(LEAST_CHALLENGES, CHALLENGES_AN_ACCOUNT * accountsPerHourPerIp);
  const wrong = Math.max(LEAST_WRONG, accountsPerHourPerIp);
  const both = (address: number) => ({ address, network: NETWORK_FACTOR * address });
  return {
    accounts: { ...both(accountsPerHourPerIp), installation: accountsPerHour },
    challenges: both(challenges),
    wrong: both(wrong),
    liveAccounts: accountsMax,
  };
}

const OF: Readonly<Record<Scope, string>> = {
  address: "from your address",
  network: "from your network (IPv4: /24, IPv6: /48)",
  installation: "on this installation",
};

/** Why somebody was refused, as stats() and /metrics count it: an error's code, or which limit of several with that code. */
export type Reason = ErrorCode | `${Scope}_${"accounts" | "challenges"}` | "unproven" | "live_accounts" | "disk";

/** @throws PlatformError when there is a wait; what fits into the sentence "Too many … from your address" is named */
function refuse(code: ErrorCode, reason: Reason, message: string, waitMs: number): void {
  if (waitMs <= 0) return;
  throw new PlatformError(code, { message, retryAfterSeconds: Math.ceil(waitMs / 1000), detail: { reason } });
}

export const refuseAccounts = (scope: Scope, limit: number, waitMs: number): void =>
  refuse("too_many_accounts", `${scope}_accounts`, `Too many temporary accounts ${OF[scope]}: at most ${limit} an hour.`, waitMs);

export const refuseChallenges = (scope: "address" | "network", limit: number, waitMs: number): void =>
  refuse("too_many_challenges", `${scope}_challenges`, `Too many challenges asked for ${OF[scope]}: at most ${limit} an hour.`, waitMs);

export const refuseUnproven = (waitMs: number): void =>
  refuse("too_many_accounts", "unproven", `Too many unproven solutions ${OF.address}.`, waitMs);

/** How full the machine is: waits are 0 where there is room. */
export const refuseFull = (reason: "live_accounts" | "disk", waitMs: number): void =>
  refuse(
    "machine_full",
    reason,
    reason === "disk"
      ? "This installation is full: its disk has no room for another account."
      : "This installation is full: it holds as many temporary accounts as it may.",
    Math.min(waitMs, LONGEST_WAIT_MS),
  );
