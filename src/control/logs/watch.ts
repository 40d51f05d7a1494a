// What goes on after the call that was authorized is asked again, every two seconds and before each word, whether
// its token still stands. Where that cannot be learned for four seconds, everything that hangs on it ends.
import type { Clock } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import type { Standing, Tokens } from "../tokens/tokens.ts";

const CHECK_EVERY_MS = 2000;
const UNKNOWN_FOR_MS = 3500;

const GONE = "The account has ended and everything in it is gone.";
const LATE = "The time of the token or its account is over.";
const UNKNOWN = "Whether the token still stands could not be learned; open it again in a moment.";

/** `renew`: the same may be opened again; `final`: it may not. */
export type Finality = "final" | "renew";
type Entry = { readonly token: string; readonly epoch: number; untilMs: number | null; readonly end: (why: string, how: Finality) => void };

/** One thing that goes on. */
export type Guard = Disposable & {
  /** Whether the token's time is over; ends what it guards then. Costs no query. */
  isOver(): boolean;
  /** Asks the database now; true while the token stands. */
  check(): Promise<boolean>;
};

export type Watch = Disposable & {
  /**
   * @param end called at most once per check that fails; idempotent
   * @throws PlatformError token_refused when the token does not stand now
   */
  guard(holder: { readonly token: string; readonly epoch: number }, end: Entry["end"]): Promise<Guard>;
};

export function openWatch(options: { readonly tokens: Pick<Tokens, "standing">; readonly clock: Clock; readonly log: Log }): Watch {
  const { tokens, clock, log } = options;
  const entries = new Set<Entry>();

  const judge = (entry: Entry, standing: Standing | undefined): boolean => {
    if (standing?.stands && standing.epoch === entry.epoch) {
      entry.untilMs = standing.untilMs;
      return true;
    }
    entry.end(standing && !standing.stands ? standing.why : GONE, "final");
    return false;
  };
  const check = async (some: readonly Entry[]): Promise<boolean> => {
    if (some.length === 0) return true;
    const standings = await tokens.standing([...new Set(some.map(({ token }) => token))]);
    return some.map((entry) => judge(entry, standings.get(entry.token))).every(Boolean);
  };

  let knownAt = performance.now();
  let isChecking = false;
  const tick = (): void => {
    if (entries.size === 0) knownAt = performance.now();
    if (performance.now() - knownAt > UNKNOWN_FOR_MS) for (const entry of entries) entry.end(UNKNOWN, "renew");
    if (isChecking) return;
    isChecking = true;
    check([...entries])
      .then(
        () => void (knownAt = performance.now()),
        (err: unknown) => log.error({ err }, "whether open streams may go on could not be checked"),
      )
      .finally(() => void (isChecking = false));
  };
  const timer = setInterval(tick, CHECK_EVERY_MS).unref();

  return {
    guard: async ({ token, epoch }, end) => {
      const first: { why: string | null } = { why: null };
      const entry: Entry = { token, epoch, untilMs: null, end: (why) => void (first.why = why) };
      if (!(await check([entry]))) throw new PlatformError("token_refused", { message: first.why ?? GONE });
      const kept: Entry = { ...entry, end };
      entries.add(kept);
      return {
        isOver: () => {
          if (kept.untilMs === null || clock.now() < kept.untilMs) return false;
          end(LATE, "final");
          return true;
        },
        check: () => check([kept]),
        [Symbol.dispose]: () => void entries.delete(kept),
      };
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
