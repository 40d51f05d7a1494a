// Brakes on guessing: tries per key and window, and password checks in flight. In memory: a restart forgives,
// and no more keys are held than the bound, the oldest going first.
import { PlatformError } from "../../kernel/errors.ts";
import type { Clock } from "../../kernel/clock.ts";

export type Limit = { readonly name: string; readonly max: number; readonly windowMs: number };

const MINUTE_MS = 60_000;
const MAX_KEYS = 100_000;
const MAX_IN_FLIGHT = 16;

export const SIGN_IN_BY_ADDRESS: Limit = { name: "sign-in address", max: 20, windowMs: 10 * MINUTE_MS };
// Higher than an address's own: strangers must not lock a person out cheaply.
export const SIGN_IN_BY_EMAIL: Limit = { name: "sign-in e-mail", max: 60, windowMs: 10 * MINUTE_MS };
export const SIGN_UP_BY_ADDRESS: Limit = { name: "sign-up address", max: 60, windowMs: 60 * MINUTE_MS };
/** Adding: a person who is signed in. */
export const PASSKEY_BY_PERSON: Limit = { name: "passkey person", max: 30, windowMs: 10 * MINUTE_MS };

/** Making a token: the owner of an account. */
export const TOKEN_BY_PERSON: Limit = { name: "token person", max: 60, windowMs: 10 * MINUTE_MS };

type Window = { count: number; readonly endsAt: number };

export type Attempts = {
  /** Counts a try. @throws PlatformError too_many_tries */
  spend(limit: Limit, subject: string): void;
  /** Takes a try back: it succeeded. */
  refund(limit: Limit, subject: string): void;
  /** Runs the costly part, sixteen at a time. @throws PlatformError too_many_tries */
  bounded<T>(work: () => Promise<T>): Promise<T>;
};

/** The network of an IPv6 address (its first 64 bits), which one caller owns whole; an IPv4 address as it is. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail = ""] = address.split("::");
  const front = head.split(":").filter(Boolean);
  const back = tail.split(":").filter(Boolean);
  const middle = address.includes("::") ? Array<string>(Math.max(0, 8 - front.length - back.length)).fill("0") : [];
  return [...front, ...middle, ...back].slice(0, 4).join(":");
}

export function createAttempts(clock: Clock): Attempts {
  const windows = new Map<string, Window>();
  let inFlight = 0;
  const keyOf = (limit: Limit, subject: string): string => `${limit.name} ${subject}`;

  return {
    spend: (limit, subject) => {
      const key = keyOf(limit, subject);
      const now = clock.now();
      let window = windows.get(key);
      if (!window || window.endsAt <= now) {
        window = { count: 0, endsAt: now + limit.windowMs };
        windows.delete(key);
        if (windows.size >= MAX_KEYS) windows.delete(windows.keys().next().value ?? "");
        windows.set(key, window);
      }
      if (window.count >= limit.max) {
        const retryAfterSeconds = Math.ceil((window.endsAt - now) / 1000);
        throw new PlatformError("too_many_tries", {
          message: `Too many tries; wait ${Math.ceil(retryAfterSeconds / 60)} minutes.`,
          retryAfterSeconds,
        });
      }
      window.count += 1;
    },
    refund: (limit, subject) => {
      const window = windows.get(keyOf(limit, subject));
      if (window && window.count > 0) window.count -= 1;
    },
    bounded: async (work) => {
      if (inFlight >= MAX_IN_FLIGHT) {
        throw new PlatformError("too_many_tries", { message: "Too many people are signing in at this moment.", retryAfterSeconds: 2 });
      }
      inFlight += 1;
      try {
        return await work();
      } finally {
        inFlight -= 1;
      }
    },
  };
}
