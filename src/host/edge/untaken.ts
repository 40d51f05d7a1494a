// How much may wait for an end that does not read. High-water marks count bytes, and each write, however small, is
// some hundred bytes of ours: whoever sends byte by byte would fill this process's memory below every mark.
import type { Readable } from "node:stream";

/** Writes to one stream that its far end has not taken. */
export const MAX_UNTAKEN_WRITES = 64;

/**
 * Hands on what comes. The caller resumes `from` at the far end's `drain`; at the bound it resumes by itself.
 *
 * @param write returns false at the high-water mark; calls `taken`, where there is one, once the far end has the bytes
 */
export function pour(from: Readable, write: (bytes: Buffer, taken?: () => void) => boolean): void {
  let untaken = 0;
  const taken = (): void => {
    untaken = 0;
    from.resume();
  };
  from.on("data", (bytes: Buffer) => {
    const most = ++untaken >= MAX_UNTAKEN_WRITES;
    // Before the write, which may call `taken` at once.
    if (most) from.pause();
    if (!write(bytes, most ? taken : undefined)) from.pause();
  });
}
