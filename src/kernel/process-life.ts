// How a process of this installation starts and ends: why it could not start in one line for the operator, and one
// way down for SIGTERM, SIGINT and the end of its parent.
import type { Log } from "./log.ts";

const words: Readonly<Record<string, (error: NodeJS.ErrnoException & { port?: number }) => string>> = {
  EADDRINUSE: ({ port }) => `port ${port} is taken by another program. MAYFLY_PORT (API) and MAYFLY_EDGE_PORT (Workers) choose others.`,
  EACCES: ({ port, path }) =>
    port === undefined
      ? `${path ?? "a file"} may not be opened by this user.`
      : `port ${port} may not be opened by this user. Choose one above 1023.`,
  EADDRNOTAVAIL: () => "this machine has no such address. Look at MAYFLY_BIND and MAYFLY_EDGE_BIND.",
  ENOSPC: () => "the disk is full.",
  EROFS: ({ path }) => `${path ?? "the data directory"} cannot be written. MAYFLY_DATA chooses another.`,
};

/** Prints the reason on standard error and ends the process with 1. @param expected errors whose message is written for the operator */
export function failStart(error: unknown, expected: readonly (abstract new (...args: never[]) => Error)[]): never {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const known =
    words[code]?.(error as NodeJS.ErrnoException) ?? (expected.some((kind) => error instanceof kind) ? (error as Error).message : null);
  process.stderr.write(`Mayfly cannot start: ${known ?? (error as Error).stack ?? String(error)}\n`);
  process.exit(1);
}

/** Disposes of everything once, when asked to stop or when the parent is gone, and then exits. */
export function endWith(stack: AsyncDisposableStack, log: Log): void {
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    stack.disposeAsync().then(
      () => process.exit(0),
      (err: unknown) => {
        log.error({ err }, "stopped uncleanly");
        process.exit(1);
      },
    );
  };
  process.once("SIGTERM", stop).once("SIGINT", stop).once("disconnect", stop);
}
