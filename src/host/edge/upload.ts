// A caller's body on its way to a capsule, with back-pressure. It is framed anew: by the length that the caller's
// parser has held it to, or in chunks.
import type { IncomingMessage } from "node:http";
import type { Connection } from "./pool.ts";
import { pour } from "./untaken.ts";

/** What of a connection an upload uses. */
type Upstream = Pick<Connection, "write" | "cork" | "uncork" | "finish" | "destroyed">;

/** Streams the body; the connection is corked, and what has come already leaves with the head. */
export function upload(incoming: IncomingMessage, connection: Upstream): void {
  const chunked = incoming.headers["transfer-encoding"] !== undefined;
  const write = (bytes: Buffer, taken?: () => void): boolean => {
    if (!chunked) return connection.write(bytes, taken);
    connection.cork();
    connection.write(`${bytes.length.toString(16)}\r\n`);
    connection.write(bytes);
    const more = connection.write("\r\n", taken);
    connection.uncork();
    return more;
  };
  let come: Buffer | null;
  while ((come = incoming.read() as Buffer | null) !== null) write(come);
  connection.uncork();
  pour(incoming, (bytes, taken) => {
    if (!connection.destroyed) return write(bytes, taken);
    // Of a Worker that has closed its side the rest is read and thrown away: the caller is still writing.
    taken?.();
    return true;
  });
  incoming.on("end", () => {
    if (connection.destroyed) return;
    if (chunked) connection.write("0\r\n\r\n");
    connection.finish();
  });
}
