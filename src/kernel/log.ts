// Structured logs, one JSON object a line on standard error. Nothing that could open a door is written:
// redaction catches what a caller names by mistake, and every line loses what has the form of a secret of ours.
import pino from "pino";
import { redactSecrets } from "./secrets.ts";

export type Log = pino.Logger;

const SECRET_KEYS = ["token", "secret", "password", "authorization", "cookie", "apiToken", "claim", "masterKey", "text"];

/** @param level one of pino's levels; `silent` for tests. */
export function createLog(name: string, level: string): Log {
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: "[redacted]" },
      hooks: { streamWrite: redactSecrets },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
