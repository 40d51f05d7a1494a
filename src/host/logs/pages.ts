// Reads an account's log backwards, page by page. A cursor names a place in a segment, so that a page stays the same
// while new records arrive; the work of one call is bounded, and it lets the event loop go on in between.
import { setImmediate as breathe } from "node:timers/promises";
import type { LogQuery, LogRecord } from "../../capsule/logs.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { Segments } from "./segments.ts";

/** Of lines looked at by one call; the cursor goes on from there. */
const MAX_LOOKED_AT_BYTES = 16_777_216;
const LINES_A_TURN = 250;

type Place = { readonly seq: number; readonly offset: number };

function readCursor(cursor: string): Place {
  const [, seq, offset] = /^(\d{1,8})\.(\d{1,12})$/.exec(cursor) ?? [];
  if (seq === undefined || offset === undefined) {
    throw new PlatformError("invalid_input", {
      message: "cursor is not one that this log gave out; leave it out to start at the newest record.",
    });
  }
  return { seq: Number(seq), offset: Number(offset) };
}

/** Everything that a record's reader would search in. */
function wordsOf(record: LogRecord): string {
  switch (record.kind) {
    case "request":
      return record.url;
    case "invocation":
      return record.trigger;
    case "console":
    case "notice":
      return record.text;
    case "exception":
      return `${record.name}: ${record.message}\n${record.stack ?? ""}`;
    default:
      return record satisfies never;
  }
}

export type Wanted = Pick<LogQuery, "kind" | "worker" | "outcome" | "text" | "sinceMs" | "untilMs">;

/** A function that tells whether a record is among those wanted. */
export function filter(wanted: Wanted): (record: LogRecord) => boolean {
  const text = wanted.text?.toLowerCase();
  const { kind, worker, outcome, sinceMs, untilMs } = wanted;
  return (record) =>
    (kind === undefined || record.kind === kind) &&
    (worker === undefined || record.worker === worker) &&
    (outcome === undefined || ("outcome" in record && record.outcome === outcome)) &&
    (sinceMs === undefined || record.atMs >= sinceMs) &&
    (untilMs === undefined || record.atMs <= untilMs) &&
    (text === undefined || wordsOf(record).toLowerCase().includes(text));
}

function parse(line: string): LogRecord | null {
  try {
    return JSON.parse(line) as LogRecord;
  } catch {
    // A crash cut it short.
    return null;
  }
}

/**
 * Reads one page.
 * @param live throws once nothing may be read any more
 * @throws PlatformError invalid_input for a cursor of another make
 */
export async function readPage(
  segments: Segments,
  query: Wanted & Pick<LogQuery, "limit" | "cursor">,
  live: () => void,
): Promise<{ records: LogRecord[]; cursor: string | null }> {
  const from = query.cursor === undefined ? null : readCursor(query.cursor);
  const matches = filter(query);
  const prefix = query.kind === undefined ? "{" : `{"kind":"${query.kind}"`;
  const records: LogRecord[] = [];
  let lookedAt = 0;
  for (const segment of (await segments.list()).toReversed()) {
    if (from !== null && segment.seq > from.seq) continue;
    live();
    const bytes = await segments.read(segment.seq, from?.seq === segment.seq ? Math.min(from.offset, segment.bytes) : segment.bytes);
    let end = bytes.length;
    for (let looked = 1; end > 0; looked++) {
      const start = end === 1 ? 0 : bytes.lastIndexOf(10, end - 2) + 1;
      const line = bytes.toString("utf8", start, end);
      const record = line.startsWith(prefix) ? parse(line) : null;
      lookedAt += end - start;
      end = start;
      if (record !== null && matches(record)) records.push(record);
      if (records.length >= query.limit || lookedAt >= MAX_LOOKED_AT_BYTES) return { records, cursor: `${segment.seq}.${end}` };
      if (looked % LINES_A_TURN !== 0) continue;
      await breathe();
      live();
    }
  }
  return { records, cursor: null };
}
