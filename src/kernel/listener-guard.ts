// What one caller can hold of a listener: connections, at once and per address, requests ahead of their answers, and
// time in which nothing moves. Who is over a bound hears so in words where no answer is under way, and is cut.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { addressPrefix } from "./address-prefix.ts";
import { formFault, type Fault } from "./request-form.ts";

export type GuardOptions = {
  /** In all. Near it, connections that wait for a request are closed, the longest waiting first. */
  readonly maxConnections: number;
  /** Of one address, of IPv6 one /56. */
  readonly connectionsPerAddress: number;
  /** Whether the bound per address does not hold for this one. */
  readonly isProxy: (address: string) => boolean;
  /** In which no byte of a request's body comes, nor of its answer goes. */
  readonly stallMs: number;
  /** Of a body, over `rateWindowMs`; 0: any byte will do. */
  readonly leastBytesPerSecond: number;
  /** 30 s by default. */
  readonly rateWindowMs?: number;
};

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

type Held = {
  /** Without an answer yet, in the order in which they came. */
  readonly waiting: Map<ServerResponse, IncomingMessage>;
  /** Nothing more is taken from it. */
  over: boolean;
  /** Requests that came since. */
  unheard: number;
};

type Upload = { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse; sinceMs: number; bytes: number };

const MAX_WAITING = 32;
/** Of requests that nobody answers any more Node holds each until those before it are answered. */
const MAX_UNHEARD = 128;
/** From here on connections without a request give way. */
const NEARLY_FULL = 0.9;
const RATE_WINDOW_MS = 30_000;
const LOOK_EVERY_MS = 5_000;
/** Connections beyond `maxConnections` that are told so at once. */
const TOLD = 100;

const REASONS: Record<Fault["status"], string> = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  503: "Service Unavailable",
};

const PARSER_FAULTS: Readonly<Record<string, Fault>> = {
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, words: "The request did not come to its end in time. Send it again, faster." },
  HPE_HEADER_OVERFLOW: { status: 431, words: "The request's line and headers are too long. Send less in them." },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, words: "The chunks' extensions are too long. Send chunks without any." },
};
const MALFORMED: Fault = { status: 400, words: "This is not a well-formed HTTP/1.1 request." };
const LATE: Fault = { status: 408, words: "The request's body came too slowly. Send it again, faster." };
const CROWDED: Fault = { status: 429, words: `More than ${MAX_WAITING} requests of this connection wait for answers. Wait for some.` };
const FULL: Fault = { status: 503, words: "This server holds as many connections as it can. Try again in a moment." };

const headersOf = ({ status }: Fault, length: number): Record<string, string> => ({
  Connection: "close",
  "Content-Type": "text/plain; charset=utf-8",
  "Content-Length": String(length),
  "Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  ...((status === 429 || status === 503) && { "Retry-After": "5" }),
});

/** Past the response objects, for when there are none, or whoever has one may still write to it. */
function sayRaw(socket: Socket, fault: Fault): void {
  const lines = Object.entries(headersOf(fault, Buffer.byteLength(fault.words) + 1)).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${fault.status} ${REASONS[fault.status]}\r\n${lines.join("")}\r\n${fault.words}\n`);
  socket.destroySoon();
}

export class ListenerGuard {
  readonly #options: GuardOptions;
  readonly #held = new Map<Socket, Held>();
  readonly #addresses = new Map<string, number>();
  /** Connections without a request, longest waiting first. */
  readonly #idle = new Set<Socket>();
  readonly #uploads = new Set<Upload>();
  readonly #windowMs: number;

  /** @param server with no other listener for `timeout` and `clientError` */
  constructor(server: Server, options: GuardOptions) {
    this.#options = options;
    server.maxConnections = options.maxConnections + TOLD;
    // All that came are looked at; see request-form.ts.
    server.maxHeadersCount = 0;
    server.timeout = options.stallMs;
    server.on("connection", (socket: Socket) => this.#opened(socket));
    server.on("timeout", (socket: Socket) => this.#stalled(socket));
    server.on("clientError", (error: NodeJS.ErrnoException, duplex) => this.#broken(error, duplex as Socket));
    this.#windowMs = options.rateWindowMs ?? RATE_WINDOW_MS;
    const timer = setInterval(() => this.#look(), Math.min(LOOK_EVERY_MS, this.#windowMs / 2)).unref();
    server.once("close", () => clearInterval(timer));
  }

  get open(): number {
    return this.#held.size;
  }

  /** The listener for requests that may be taken; all others are answered here. */
  only(listener: Listener): Listener {
    return (incoming, outgoing) => {
      if (this.#takes(incoming, outgoing)) listener(incoming, outgoing);
    };
  }

  /** For a connection that became something else. @returns false where its request cannot be taken, which it was told */
  upgraded(incoming: IncomingMessage, socket: Socket): boolean {
    const held = this.#held.get(socket);
    this.#idle.delete(socket);
    const fault = formFault(incoming);
    // Answers that are still owed would come after the other protocol's first bytes.
    if (held === undefined || held.over || held.waiting.size > 0) socket.destroy();
    else if (fault !== null) this.#refuse(socket, held, fault);
    if (held === undefined || socket.destroyed || held.over) return false;
    const { stallMs } = this.#options;
    // A peer that takes nothing; one that says nothing may have nothing to say.
    socket.setTimeout(stallMs).on("timeout", () => (socket.writableLength > 0 ? socket.destroy() : socket.setTimeout(stallMs)));
    return true;
  }

  #opened(socket: Socket): void {
    const { maxConnections, connectionsPerAddress, isProxy } = this.#options;
    const address = socket.remoteAddress ?? "";
    const prefix = addressPrefix(address);
    const count = (this.#addresses.get(prefix) ?? 0) + 1;
    this.#addresses.set(prefix, count);
    const held: Held = { waiting: new Map(), over: false, unheard: 0 };
    this.#held.set(socket, held);
    socket.once("close", () => {
      this.#held.delete(socket);
      this.#idle.delete(socket);
      const left = (this.#addresses.get(prefix) ?? 1) - 1;
      if (left === 0) this.#addresses.delete(prefix);
      else this.#addresses.set(prefix, left);
    });
    if (count > connectionsPerAddress && !isProxy(address)) {
      return this.#refuse(socket, held, {
        status: 429,
        words: `More than ${connectionsPerAddress} connections come from this address. Close some.`,
      });
    }
    if (this.#held.size > maxConnections * NEARLY_FULL) for (const oldest of this.#idle) return this.#makeRoom(oldest, socket);
    if (this.#held.size > maxConnections) return this.#refuse(socket, held, FULL);
    this.#idle.add(socket);
  }

  #makeRoom(oldest: Socket, newcomer: Socket): void {
    oldest.destroy();
    this.#idle.add(newcomer);
  }

  #refuse(socket: Socket, held: Held, fault: Fault): void {
    held.over = true;
    sayRaw(socket, fault);
  }

  #takes(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const { socket } = incoming;
    const held = this.#held.get(socket);
    if (held === undefined || held.over) {
      if (held !== undefined && ++held.unheard > MAX_UNHEARD) socket.destroy();
      return false;
    }
    const fault = held.waiting.size >= MAX_WAITING ? CROWDED : formFault(incoming);
    this.#idle.delete(socket);
    held.waiting.set(outgoing, incoming);
    outgoing.once("close", () => {
      held.waiting.delete(outgoing);
      if (held.waiting.size > 0 || socket.destroyed) return;
      if (held.over) socket.destroySoon();
      else this.#idle.add(socket);
    });
    if (fault !== null) {
      held.over = true;
      outgoing.shouldKeepAlive = false;
      outgoing.writeHead(fault.status, headersOf(fault, Buffer.byteLength(fault.words) + 1)).end(`${fault.words}\n`);
      return false;
    }
    if (!incoming.complete) this.#watch({ incoming, outgoing, sinceMs: performance.now(), bytes: socket.bytesRead });
    return true;
  }

  #watch(upload: Upload): void {
    this.#uploads.add(upload);
    const forget = (): void => void this.#uploads.delete(upload);
    upload.incoming.once("end", forget).once("close", forget);
    upload.outgoing.once("close", forget);
  }

  /** Whether what is missing is the caller's to send: what has come was read. */
  #isOwed({ incoming }: { readonly incoming: IncomingMessage }): boolean {
    return !incoming.complete && !incoming.destroyed && incoming.readableLength === 0;
  }

  #look(): void {
    const least = this.#options.leastBytesPerSecond;
    const nowMs = performance.now();
    for (const upload of this.#uploads) {
      const elapsedMs = nowMs - upload.sinceMs;
      if (elapsedMs < this.#windowMs) continue;
      const { bytesRead } = upload.incoming.socket;
      if (this.#isOwed(upload) && bytesRead - upload.bytes < (least * elapsedMs) / 1000) this.#late(upload);
      upload.sinceMs = nowMs;
      upload.bytes = bytesRead;
    }
  }

  #late({ incoming: { socket }, outgoing }: Pick<Upload, "incoming" | "outgoing">): void {
    const held = this.#held.get(socket);
    // Only the answer whose turn it is has the socket.
    if (held === undefined || outgoing.headersSent || outgoing.socket !== socket) socket.destroy();
    else this.#refuse(socket, held, LATE);
  }

  /** Nothing has come or gone for `stallMs`. */
  #stalled(socket: Socket): void {
    const held = this.#held.get(socket);
    if (held === undefined || held.waiting.size === 0 || held.over || socket.writableLength > 0) return void socket.destroy();
    const last = [...held.waiting].at(-1);
    if (last !== undefined && this.#isOwed({ incoming: last[1] })) return this.#late({ incoming: last[1], outgoing: last[0] });
    // An answer takes its time.
    socket.setTimeout(this.#options.stallMs);
  }

  #broken(error: NodeJS.ErrnoException, socket: Socket): void {
    const held = this.#held.get(socket);
    if (held === undefined || !socket.writable || error.code === "ECONNRESET") return void socket.destroy();
    if (held.over) return;
    const fault = PARSER_FAULTS[error.code ?? ""] ?? MALFORMED;
    const last = [...held.waiting].at(-1);
    if (last === undefined) return this.#refuse(socket, held, fault);
    const [outgoing, incoming] = last;
    held.over = true;
    if (incoming.complete) {
      // What came before was well-formed and gets its answer; nothing after it does.
      if (!outgoing.headersSent) outgoing.shouldKeepAlive = false;
      return;
    }
    if (held.waiting.size > 1 || outgoing.headersSent || outgoing.socket !== socket) socket.destroy();
    else sayRaw(socket, fault);
  }
}
