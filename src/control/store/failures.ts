// A machine that cannot write or reach its database, told apart from a bug: the caller hears that nothing
// acknowledged is lost and may try again; the cause goes to the log.
import { PlatformError } from "../../kernel/errors.ts";

/** SQLite's primary result codes: BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN. Source: sqlite.org/rescode.html */
const SQLITE = new Set([5, 6, 7, 8, 10, 13, 14]);
/** Connection exceptions, insufficient resources, operator intervention. Source: PostgreSQL, appendix A. */
const POSTGRES_CLASSES = /^(08|53|57|58)/;
const SYSTEM = new Set(["ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EPIPE"]);

/** The driver's own words, without a code, for a connection that broke or could not be had. Source: pg, pg-pool. */
const CONNECTION = /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/;

/** The failure as an answer; null when the error is of another kind. */
export function storeFailure(error: unknown): PlatformError | null {
  if (!(error instanceof Error)) return null;
  const { code, errcode } = error as Error & { code?: unknown; errcode?: unknown };
  const sqlite = code === "ERR_SQLITE_ERROR" && typeof errcode === "number" && SQLITE.has(errcode & 0xff);
  const system = typeof code === "string" && (SYSTEM.has(code) || (code.length === 5 && POSTGRES_CLASSES.test(code)));
  if (!sqlite && !system && !CONNECTION.test(error.message)) return null;
  return new PlatformError("store_failed", {
    message: "This installation cannot write to its disk or reach its database now.",
    cause: error,
  });
}
