// The life of an account as pure functions: temporary → claimed, temporary | claimed → ending → deleted.
// transitions.ts performs what these decide, one SQL statement each.
import type { Tombstone } from "../../capsule/spec.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { EndReason } from "../store/schema.ts";
import type { Account } from "../store/store.ts";

export type Life = "live" | "late" | "ending" | "deleted";

/** `late`: its hour is over though nothing has ended it yet; it answers no more than an ended one. */
export function lifeOf(account: Pick<Account, "state" | "expires_at">, nowMs: number): Life {
  if (account.state === "ending" || account.state === "deleted") return account.state;
  return account.expires_at !== null && account.expires_at <= nowMs ? "late" : "live";
}

export type Claimability = { readonly kind: "open"; readonly endsAtMs: number } | { readonly kind: "unknown" | "taken" | "late" };

/** Whether the account behind a claim link can be claimed now. @param account undefined when the link is not known */
export function claimability(account: Pick<Account, "state" | "expires_at"> | undefined, nowMs: number): Claimability {
  if (!account) return { kind: "unknown" };
  if (account.state === "claimed") return { kind: "taken" };
  if (account.expires_at === null || lifeOf(account, nowMs) !== "live") return { kind: "late" };
  return { kind: "open", endsAtMs: account.expires_at };
}

/** What remains for callers of an account that answers no more; null while it lives. */
export function tombstoneOf(account: Account, nowMs: number): Tombstone | null {
  if (lifeOf(account, nowMs) === "live") return null;
  return {
    account: account.id,
    subdomain: account.subdomain,
    reason: account.end_reason ?? "expired",
    endedAtMs: account.ended_at ?? account.expires_at ?? nowMs,
  };
}

/** Who ended an account, as its reason. */
export function endReasonFor(kind: "agent" | "person" | "operator"): EndReason {
  return kind === "agent" ? "task-done" : kind === "person" ? "owner" : "operator";
}

export type LifetimeBounds = { readonly defaultSeconds: number; readonly maxSeconds: number };

/** Life in seconds from the `Mayfly-Lifetime` header. @throws PlatformError invalid_input */
export function lifetimeSeconds(header: string | null, bounds: LifetimeBounds): number {
  if (header === null) return bounds.defaultSeconds;
  const seconds = /^[1-9]\d{0,8}$/.test(header.trim()) ? Number(header) : Number.NaN;
  if (!(seconds <= bounds.maxSeconds)) {
    throw new PlatformError("invalid_input", {
      message: `Mayfly-Lifetime: must be whole seconds from 1 to ${bounds.maxSeconds}, not "${header.slice(0, 40)}".`,
    });
  }
  return seconds;
}
