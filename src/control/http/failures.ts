// What was thrown, as what the caller may hear: only a PlatformError reaches him in its own words.
import { randomBytes } from "node:crypto";
import { PlatformError } from "../../kernel/errors.ts";
import { storeFailure } from "../store/failures.ts";

/** By which a caller and the log name the same request. */
export const newRay = (): string => `${randomBytes(8).toString("hex")}-MAY`;

/** A bug becomes `unexpected`, with itself as the cause for the log. */
export function known(error: unknown): PlatformError {
  if (error instanceof PlatformError) return error;
  return (
    storeFailure(error) ?? new PlatformError("unexpected", { message: "Something went wrong inside this installation.", cause: error })
  );
}
