// Counts what goes out on sockets that have become WebSockets, once a second for all of them and at each one's end: a
// frame costs nothing more for being counted.
import type { Socket } from "node:net";

type Metered = { readonly socket: Socket; readonly tell: (bytes: number) => void; seenBytes: number };

const LOOK_MS = 1_000;

const open = new Set<Metered>();
let timer: NodeJS.Timeout | null = null;

function look(metered: Metered): void {
  const bytes = metered.socket.bytesWritten - metered.seenBytes;
  if (bytes === 0) return;
  metered.seenBytes += bytes;
  metered.tell(bytes);
}

function lookAtAll(): void {
  for (const metered of open) look(metered);
}

/**
 * Tells what was written to the socket since it was last told.
 * @returns how to stop, after telling the rest
 */
export function meterTunnel(socket: Socket, tell: (bytes: number) => void): () => void {
  const metered: Metered = { socket, tell, seenBytes: socket.bytesWritten };
  open.add(metered);
  timer ??= setInterval(lookAtAll, LOOK_MS).unref();
  return () => {
    if (!open.delete(metered)) return;
    look(metered);
    if (open.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };
}
