// Refusals by reason, for the operator; and the log hears once a minute that there is no room for another account.
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import type { Reason } from "./limits.ts";

const WARN_EVERY_MS = 60_000;

export type Refused = Partial<Record<Reason, number>>;

/** `counted` passes on what it is given. */
export function createRefusals(log: Log) {
  const refused: Refused = {};
  let quietUntilMs = 0;
  const note = (error: unknown): void => {
    if (!(error instanceof PlatformError)) return;
    const reason = (error.detail["reason"] as Reason | undefined) ?? error.code;
    refused[reason] = (refused[reason] ?? 0) + 1;
    if (error.code !== "machine_full" || performance.now() < quietUntilMs) return;
    quietUntilMs = performance.now() + WARN_EVERY_MS;
    log.warn({ reason }, "no room for another temporary account");
  };
  const counted = async <T>(doing: Promise<T>): Promise<T> => {
    try {
      return await doing;
    } catch (error) {
      note(error);
      throw error;
    }
  };
  return { refused, counted };
}
