// Two sockets that have become one: bytes pass both ways with back-pressure, and neither outlives the other for more
// than a moment, whatever its far end does.
import { ServerResponse, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pour } from "./untaken.ts";

type Flushing = Duplex & { destroySoon?: () => void };

export type JoinOptions = {
  /** Whether one direction may go on after the other has ended, as raw TCP allows; WebSockets have no use for it. */
  readonly halfOpen: boolean;
  /** Told of bytes that came from either; those in hand already are not among them. */
  readonly passed?: (bytes: number) => void;
};

/**
 * Joins two sockets whose HTTP parsers have let go of them.
 *
 * @param headA bytes that came from `a` already; `headB` likewise
 */
export function joinSockets(a: Duplex, headA: Buffer, b: Duplex, headB: Buffer, options: JoinOptions): void {
  if (headB.length > 0) a.write(headB);
  if (headA.length > 0) b.write(headA);
  follow(a, b, options);
  follow(b, a, options);
}

/** A far end that reads nothing would otherwise keep the descriptor for as long as it likes. */
const FINISH_WITHIN_MS = 10_000;

/** Closes once everything written has gone out, or has had its time. */
function finish(socket: Flushing): void {
  if (socket.destroyed) return;
  if (socket.destroySoon === undefined) {
    socket.destroy();
    return;
  }
  socket.destroySoon();
  const timer = setTimeout(() => socket.destroy(), FINISH_WITHIN_MS).unref();
  socket.once("close", () => clearTimeout(timer));
}

function follow(from: Duplex, to: Duplex, { halfOpen, passed }: JoinOptions): void {
  from.on("error", () => from.destroy());
  from.on("close", () => finish(to));
  pour(from, (bytes, taken) => {
    passed?.(bytes.length);
    return to.write(bytes, taken);
  });
  to.on("drain", () => from.resume());
  from.resume();
  if (halfOpen) {
    from.on("end", () => to.end());
    return;
  }
  // HTTP servers' sockets are half-open by nature: without this the end of one side would close nothing.
  from.on("end", () => {
    finish(to);
    finish(from);
  });
}

/** A response to write on a socket that Node's HTTP server has let go of. */
export function responseOn(incoming: IncomingMessage, socket: Socket): ServerResponse {
  const outgoing = new ServerResponse(incoming);
  outgoing.shouldKeepAlive = false;
  socket.on("error", () => socket.destroy());
  outgoing.assignSocket(socket);
  outgoing.on("finish", () => socket.destroySoon());
  return outgoing;
}
