// What the job's sender must know and can do something about: told instead of an answer. Anything else ends the program.

export class Refusal extends Error {}

type SqliteError = Error & { readonly code: "ERR_SQLITE_ERROR"; readonly errcode: number };

/** SQLite's own errors, about what the tenant wrote. */
export function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === "ERR_SQLITE_ERROR";
}
