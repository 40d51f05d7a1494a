// Records as server-sent events. The reader's pace is host's pace; whichever side goes first takes the other along.
// Source: WHATWG HTML §9.2.
import { PassThrough, type Readable } from "node:stream";
import { followLine } from "../../capsule/logs.ts";
import { iso } from "../../kernel/clock.ts";
import { drained } from "./drained.ts";
import { linesOf } from "./ndjson.ts";
import { eventOnWire } from "./wire.ts";

const KEEP_ALIVE_MS = 15_000;
const READ_WITHIN_MS = 60_000;
/** For a reader to take the last words. */
const LAST_WORDS_MS = 2000;
const BUFFER_BYTES = 65_536;

export type EventStream = {
  readonly body: ReadableStream<Uint8Array>;
  /** Says why, and ends. Idempotent. */
  end(why: string): void;
};

export type EventStreamOptions = {
  /** `followLine`s, one JSON a line. */
  readonly source: Readable;
  /** Asked before each record. */
  readonly isOver: () => boolean;
  /** Why the source ended. */
  readonly whyEnded: () => Promise<string>;
  /** Cuts the connection of who does not read. */
  readonly hangUp: () => void;
  readonly onClosed: () => void;
  /** The source broke, or said what is no record. */
  readonly onFault: (error: unknown) => void;
};

/**
 * Readable.toWeb would not do: cancelled in the turn in which it was made it still enqueues, and throws where nobody
 * catches. Here nothing is read before it is asked for, and what fails then fails the reader's promise.
 */
function bodyOf(out: PassThrough): ReadableStream<Uint8Array> {
  const chunks = out[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const next = await chunks.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: () => void out.destroy(),
    },
    // The stream before it holds as much as may wait.
    { highWaterMark: 0 },
  );
}

const frame = (event: string, data: unknown, id?: string): string =>
  `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

export function openEventStream({ source, isOver, whyEnded, hangUp, onClosed, onFault }: EventStreamOptions): EventStream {
  const out = new PassThrough({ highWaterMark: BUFFER_BYTES });
  let isEnding = false;
  let number = 0;
  const keepAlive = setInterval(() => {
    if (!isOver() && !out.writableNeedDrain) out.write(": alive\n\n");
  }, KEEP_ALIVE_MS);
  const cut = (): void => {
    out.destroy();
    hangUp();
  };
  const end = (why: string): void => {
    if (isEnding) return;
    isEnding = true;
    clearInterval(keepAlive);
    source.destroy();
    out.end(frame("end", { reason: why }));
    setTimeout(cut, LAST_WORDS_MS).unref();
  };
  out.once("close", () => {
    isEnding = true;
    clearInterval(keepAlive);
    source.destroy();
    onClosed();
  });
  out.on("error", () => {});

  const pump = async (): Promise<void> => {
    for await (const line of linesOf(source)) {
      if (isOver() || isEnding) return;
      const record = followLine.parse(JSON.parse(line));
      const { event, data } = eventOnWire(record);
      const id = record.kind === "missed" ? undefined : `${iso(record.atMs)}/${++number}`;
      if (out.write(frame(event, data, id))) continue;
      if (await drained(out, READ_WITHIN_MS)) continue;
      cut();
      return;
    }
  };
  const run = async (): Promise<void> => {
    try {
      await pump();
    } catch (error) {
      if (!isEnding) onFault(error);
    }
    if (!isEnding) end(await whyEnded().catch(() => "The stream broke; follow again in a moment."));
  };
  // The headers leave with it, so that a client knows that it is connected before anything happens.
  out.write(": connected\n\n");
  void run();
  return { body: bodyOf(out), end };
}
