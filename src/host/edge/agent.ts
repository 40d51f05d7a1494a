// The keep-alive connections to one capsule socket. Last in, first out, so that a quiet capsule's spare connections
// age out instead of being kept warm in turn; and an answer that came before the end of an upload is still read.
import { Agent, type ClientRequestArgs } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";

type Written = (error?: Error | null) => void;

/**
 * workerd closes the connection of a Worker that answers without reading a long upload. Node would throw away the
 * answer, which waits to be read, at the first failing write: here such a write just never ends.
 */
class CapsuleSocket extends Socket {
  #patiently(written: Written): Written {
    return (error) => {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code !== "EPIPE" && code !== "ECONNRESET") written(error);
    };
  }

  override _write(chunk: unknown, encoding: BufferEncoding, written: Written): void {
    super._write(chunk, encoding, this.#patiently(written));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], written: Written): void {
    super._writev?.(chunks, this.#patiently(written));
  }
}

class CapsuleAgent extends Agent {
  override createConnection(options: ClientRequestArgs): Duplex {
    return new CapsuleSocket().connect({ path: options.socketPath ?? "" });
  }
}

/** workerd closes a connection that was idle for 15 s; given up well before, no request meets a closing one. */
const IDLE_MS = 4_000;

/** An agent for `Lease.agent`: one per capsule process, destroyed with it. */
export function capsuleAgent(): Agent {
  return new CapsuleAgent({ keepAlive: true, scheduling: "lifo", maxFreeSockets: 64, timeout: IDLE_MS });
}
