// Waiting for a reader, never for ever: what is not read is not kept, and who does not read is let go.
import type { Writable } from "node:stream";

/** Resolves once the stream takes more: true; false when it closed, or took nothing for that long. */
export function drained(stream: Writable, withinMs: number): Promise<boolean> {
  if (stream.destroyed) return Promise.resolve(false);
  if (!stream.writableNeedDrain) return Promise.resolve(true);
  return new Promise((resolve) => {
    const settle = (isDrained: boolean) => () => {
      clearTimeout(timer);
      stream.off("drain", onDrain).off("close", onClose);
      resolve(isDrained);
    };
    const [onDrain, onClose] = [settle(true), settle(false)];
    const timer = setTimeout(onClose, withinMs);
    stream.once("drain", onDrain).once("close", onClose);
  });
}
