// The end of a response whose request is still being sent. Closing a socket with unread bytes resets it, and the
// caller would lose the answer: the rest of the body is read and thrown away first, for a second at most.
import type { IncomingMessage, ServerResponse } from "node:http";

const LINGER_MS = 1000;

/** Whether the request has a body, by its framing. */
export function hasBody(incoming: IncomingMessage): boolean {
  const { "content-length": length, "transfer-encoding": coding } = incoming.headers;
  return coding !== undefined || (length !== undefined && Number(length) > 0);
}

/** Ends a response, all of whose bytes were written, once the request has been read or has had its time. */
export function endOnceRead(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (incoming.complete || incoming.readableEnded || !hasBody(incoming)) {
    outgoing.end();
    return;
  }
  const end = (): void => {
    clearTimeout(timer);
    if (!outgoing.writableEnded) outgoing.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  incoming.once("close", end);
  incoming.once("end", end);
  incoming.resume();
}
