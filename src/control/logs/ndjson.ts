// Lines of a stream of host's, read no faster than they are used.
import type { Readable } from "node:stream";

/** More than the longest line that host makes; a longer one is a fault of its own. */
const LINE_MAX_BYTES = 4_194_304;

/** Each line without its end. Throws when the stream breaks; `break` destroys it. */
export async function* linesOf(source: Readable): AsyncGenerator<string> {
  let held: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...held, chunk.subarray(from, end)]).toString();
      held = [];
      bytes = 0;
      from = end + 1;
      if (line !== "") yield line;
    }
    if (from === chunk.length) continue;
    held.push(chunk.subarray(from));
    bytes += chunk.length - from;
    if (bytes > LINE_MAX_BYTES) throw new Error(`A line of host's is longer than ${LINE_MAX_BYTES} bytes`);
  }
}
