// The connections to one capsule socket, each with at most one request on it. Last in, first out, so that a quiet
// capsule's spare ones age out; a connection whose far end did anything unexpected never serves again.
import { Socket } from "node:net";
import { MalformedResponse, ResponseParser, type ResponseHead } from "./response-parser.ts";

/** How a request came to nothing, or to less than a whole response. */
export type UpstreamFailure = {
  readonly error: Error;
  /** Nobody listens there: the request did not reach anyone. */
  readonly refused: boolean;
  /** The connection had served before and ended without a byte of response. */
  readonly stale: boolean;
};

/** Who sent a request hears of it here; after `ended`, `failed` or `switched` nothing more. */
export type Receiver = {
  /** The connection stands. */
  connected(): void;
  head(head: ResponseHead): void;
  /** Bytes that are overwritten once the `paused`, `ended` or `failed` after it returns. */
  body(bytes: Buffer): void;
  /** Bytes that were read at once have all been handed on; the response goes on. @returns false to hold it back until `resume` */
  paused(): boolean;
  ended(): void;
  failed(failure: UpstreamFailure): void;
  switched(head: ResponseHead, socket: Socket, rest: Buffer): void;
  /** What was written has gone out, after `write` said false. */
  drained(): void;
};

export type UpstreamRequest = {
  /** Request line and headers, Latin-1, with the empty line. */
  readonly head: string;
  readonly isHead: boolean;
  readonly upgrade: boolean;
  readonly hasBody: boolean;
  /** Never over a connection that served before. */
  readonly fresh: boolean;
};

type Written = (error?: Error | null) => void;

/**
 * workerd closes the connection of a Worker that answers without reading a long upload. The answer, which waits to be
 * read, would be thrown away at the first failing write: here such a write just never ends.
 */
class PatientSocket extends Socket {
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

const READ_BYTES = 65_536;
const MAX_IDLE = 64;
/** workerd closes a connection that was idle for 15 s; given up well before, no request meets a closing one. */
const SWEEP_MS = 1_000;
const IDLE_SWEEPS = 3;

export class Connection {
  readonly #pool: CapsulePool;
  readonly #socket: Socket;
  readonly #parser: ResponseParser;
  #receiver: Receiver | null = null;
  #upgrade = false;
  #connected = false;
  /** Requests served before the one at hand. */
  #served = 0;
  /** The request has been written to its end. */
  #sent = false;
  #flowing = true;
  #error: Error | null = null;
  #head: ResponseHead | null = null;
  /** The pool's sweep at which it became idle. */
  idleSince = 0;

  /** @param plain for a socket that may be given away: it reads into buffers of its own */
  constructor(pool: CapsulePool, socketPath: string, plain: boolean) {
    this.#pool = pool;
    this.#parser = new ResponseParser({ head: (head) => this.#gotHead(head), body: (bytes) => this.#receiver?.body(bytes) });
    if (plain) {
      this.#socket = new PatientSocket();
      this.#socket.on("data", (bytes: Buffer) => void this.#read(bytes));
    } else {
      const buffer = pool.readBuffer();
      this.#socket = new PatientSocket({
        onread: { buffer, callback: (length) => this.#read(buffer.subarray(0, length)) },
      });
    }
    const socket = this.#socket;
    socket.on("error", (error) => (this.#error = error));
    socket.on("end", () => this.#closed());
    socket.on("close", () => this.#closed());
    socket.on("drain", () => this.#receiver?.drained());
    socket.on("connect", () => {
      this.#connected = true;
      this.#receiver?.connected();
    });
    socket.connect({ path: socketPath });
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  /** Writes the head; `connected` may be called before it returns. */
  send(request: UpstreamRequest, receiver: Receiver): void {
    this.#receiver = receiver;
    this.#upgrade = request.upgrade;
    this.#sent = !request.hasBody;
    this.#parser.begin(request.isHead, request.upgrade);
    if (request.hasBody) this.#socket.cork();
    this.#socket.write(request.head, "latin1");
    if (this.#connected) receiver.connected();
  }

  /** From now on somebody else hears of the response. */
  handTo(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  /** Lets out what was written since the head: one packet where it is small. */
  uncork(): void {
    this.#socket.uncork();
  }

  /** @param taken called once the capsule's side has the bytes, and all before them @returns false when the caller should wait for `drained` */
  write(bytes: Buffer | string, taken?: () => void): boolean {
    return this.#socket.write(bytes, "latin1", taken);
  }

  cork(): void {
    this.#socket.cork();
  }

  /** The request's body is whole. */
  finish(): void {
    this.#sent = true;
  }

  /** Reads on after `body` said false. */
  resume(): void {
    if (this.#flowing) return;
    this.#flowing = true;
    this.#socket.resume();
  }

  /** Forgets whoever asked, and closes. */
  destroy(): void {
    this.#receiver = null;
    this.#socket.destroy();
  }

  #gotHead(head: ResponseHead): void {
    this.#head = head;
    if (head.status !== 101) this.#receiver?.head(head);
  }

  /** @returns false to stop reading */
  #read(bytes: Buffer): boolean {
    if (this.#receiver === null) {
      // Nothing was asked.
      this.#socket.destroy();
      return false;
    }
    try {
      const rest = this.#parser.push(bytes);
      if (this.#parser.switched) this.#switch(rest);
      else if (this.#parser.over) this.#over(rest.length === 0);
      else if (!(this.#receiver?.paused() ?? true)) this.#flowing = false;
    } catch (error) {
      if (!(error instanceof MalformedResponse)) throw error;
      this.#fail(error);
      return false;
    }
    if (!this.#flowing && this.#upgrade) this.#socket.pause();
    return this.#flowing;
  }

  #switch(rest: Buffer): void {
    const [receiver, head] = [this.#receiver, this.#head];
    this.#receiver = null;
    const socket = this.#socket;
    socket.removeAllListeners("data").removeAllListeners("end").removeAllListeners("close").removeAllListeners("drain").pause();
    if (receiver === null || head === null) socket.destroy();
    else receiver.switched(head, socket, rest);
  }

  /** @param clean whether nothing came after the response's end */
  #over(clean: boolean): void {
    const receiver = this.#receiver;
    if (receiver === null) return;
    this.#receiver = null;
    this.#head = null;
    this.#served++;
    this.resume();
    if (clean && this.#sent && this.#parser.keepAlive && !this.#upgrade) this.#pool.takeBack(this);
    else this.#socket.destroy();
    receiver.ended();
  }

  #closed(): void {
    this.#pool.forget(this);
    const receiver = this.#receiver;
    this.#receiver = null;
    // With a write that never ends, the socket would not close by itself.
    this.#socket.destroy();
    if (receiver === null) return;
    if (this.#error === null && this.#parser.close()) receiver.ended();
    else this.#tell(receiver, this.#error ?? new Error("the connection was closed"));
  }

  #fail(error: Error): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    this.#socket.destroy();
    if (receiver !== null) this.#tell(receiver, error);
  }

  #tell(receiver: Receiver, error: Error): void {
    const silent = !this.#parser.started;
    receiver.failed({ error, refused: !this.#connected, stale: silent && this.#connected && this.#served > 0 });
  }
}

export class CapsulePool {
  readonly #socketPath: string;
  /** The longest idle first. */
  #idle: Connection[] = [];
  #readBuffer: Buffer | null = null;
  #sweep: NodeJS.Timeout | null = null;
  #sweeps = 0;
  #closed = false;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Number of idle connections. */
  get idle(): number {
    return this.#idle.length;
  }

  /** An idle connection or a new one, for the request to be sent on. */
  connect({ fresh, upgrade }: UpstreamRequest): Connection {
    const kept = fresh || upgrade ? undefined : this.#idle.pop();
    return kept ?? new Connection(this, this.#socketPath, upgrade);
  }

  /** One for all connections, filled anew at each read and emptied before the next; not shared between accounts. */
  readBuffer(): Buffer {
    return (this.#readBuffer ??= Buffer.allocUnsafeSlow(READ_BYTES));
  }

  takeBack(connection: Connection): void {
    if (this.#closed || connection.destroyed || this.#idle.length >= MAX_IDLE) {
      connection.destroy();
      return;
    }
    connection.idleSince = this.#sweeps;
    this.#idle.push(connection);
    this.#sweep ??= setInterval(() => this.#sweepIdle(), SWEEP_MS).unref();
  }

  forget(connection: Connection): void {
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Closes idle connections; one in use closes once its response has ended. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
  }

  #sweepIdle(): void {
    this.#sweeps++;
    while (this.#idle[0] !== undefined && this.#sweeps - this.#idle[0].idleSince > IDLE_SWEEPS) this.#idle.shift()?.destroy();
    if (this.#idle.length > 0 || this.#sweep === null) return;
    clearInterval(this.#sweep);
    this.#sweep = null;
  }
}
