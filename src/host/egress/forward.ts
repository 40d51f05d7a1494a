// One request of a Worker on its way out. Redirects are not followed: workerd does that, and each hop comes back
// through here and is judged anew. What fails is answered in the hosted original's numbers, in plain words.
import { Agent, request, type ClientRequestArgs, type IncomingMessage, type ServerResponse } from "node:http";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { callbackify } from "node:util";
import { joinSockets } from "../edge/tunnel.ts";
import { dial, DialError, type DialFailure, type DialOptions } from "./dial.ts";
import type { Target } from "./target.ts";
import { HOP_BY_HOP } from "../hop-by-hop.ts";

/** Status and Cloudflare's error number, where it has one. */
const FAILURES: Record<DialFailure, readonly [status: number, code: number]> = {
  "refused-by-policy": [403, 1003],
  name: [530, 1016],
  "connection-refused": [521, 521],
  timeout: [522, 522],
  tls: [525, 525],
  certificate: [526, 526],
  unreachable: [523, 523],
  "no-answer": [524, 524],
};

const NOT_FORWARDED = new Set([
  ...HOP_BY_HOP,
  "host",
  // What only the platform may say about a request.
  "cdn-loop",
  "cf-connecting-ip",
  "cf-connecting-ipv6",
  "cf-ew-via",
  "cf-ipcountry",
  "cf-pseudo-ipv4",
  "cf-ray",
  "cf-visitor",
  "cf-worker",
  "mayfly-cf-blob",
  "mayfly-forwarded-proto",
]);

/** Spare connections are closed before usual servers close them. */
const IDLE_MS = 4000;

/** Dials instead of letting Node look the name up: a reused connection leads to an address that was judged, too. */
class DialingAgent extends Agent {
  readonly #dial: (hostname: string, port: number, done: (error: Error | null, socket: Socket) => void) => void;

  constructor(dialing: (hostname: string, port: number) => Promise<Socket>) {
    super({ keepAlive: true, scheduling: "lifo", maxFreeSockets: 32, timeout: IDLE_MS });
    this.#dial = callbackify(dialing);
  }

  override createConnection(options: ClientRequestArgs, done?: (error: Error | null, stream: Duplex) => void): null {
    this.#dial(options.hostname ?? "", Number(options.port), (error, socket) => done?.(error, socket));
    return null;
  }
}

export type OutwardOptions = DialOptions & {
  /** Sent as CF-Worker, so that whoever is called can tell whom to ask. */
  readonly edgeDomain: string;
  /** From the end of the request until the first byte of the response. */
  readonly firstByteTimeoutMs: number;
  /** Sockets to the outside that one capsule may have joined to its own. */
  readonly maxJoined: number;
};

/** The way out of one capsule: its own connections, shared with no other. */
export type Outward = {
  forward(target: Target, incoming: IncomingMessage, outgoing: ServerResponse, upgrade: { socket: Duplex; head: Buffer } | null): void;
  /** Counts a socket that is about to be joined to one of the capsule's; when there are too many it is destroyed and the answer is false. */
  hold(socket: Duplex): boolean;
  close(): void;
};

/** Answers a Worker in plain text. */
export function say(outgoing: ServerResponse, status: number, text: string): void {
  if (outgoing.headersSent) {
    outgoing.destroy();
    return;
  }
  outgoing.writeHead(status, { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", Connection: "close" });
  outgoing.end(`${text}\n`);
}

/** Status and text for a failure to connect. */
export function explain(error: unknown): { readonly status: number; readonly text: string } {
  if (!(error instanceof DialError)) return { status: 520, text: "error code: 520\nThe server broke the connection before it answered." };
  const [status, code] = FAILURES[error.failure];
  return { status, text: `error code: ${code}\n${error.message}` };
}

function copy(raw: readonly string[], keep: (lower: string) => boolean): string[] {
  const flat: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (keep(name.toLowerCase())) flat.push(name, raw[i + 1] as string);
  }
  return flat;
}

function requestHeaders(target: Target, incoming: IncomingMessage, options: OutwardOptions, upgrade: boolean): string[] {
  // The request of a handshake has no body, whatever length it names.
  const flat = copy(incoming.rawHeaders, (lower) => !NOT_FORWARDED.has(lower) && !(upgrade && lower === "content-length"));
  flat.unshift("Host", target.authority);
  flat.push("CF-Worker", options.edgeDomain);
  if (upgrade) flat.push("Connection", "Upgrade", "Upgrade", incoming.headers.upgrade ?? "websocket");
  else if (incoming.headers["transfer-encoding"] !== undefined) flat.push("Transfer-Encoding", "chunked");
  else if (incoming.headers["content-length"] === undefined && /^(POST|PUT|PATCH)$/.test(incoming.method ?? ""))
    flat.push("Content-Length", "0");
  return flat;
}

function answer(response: IncomingMessage, outgoing: ServerResponse): void {
  try {
    const headers = copy(response.rawHeaders, (lower) => !HOP_BY_HOP.has(lower));
    outgoing.writeHead(response.statusCode ?? 520, response.statusMessage ?? "", headers);
  } catch {
    // Anybody may answer, and a status of 0 is one of the things they say.
    response.destroy();
    const { status, text } = explain(undefined);
    say(outgoing, status, text);
    return;
  }
  outgoing.flushHeaders();
  response.on("error", () => outgoing.destroy());
  response.pipe(outgoing);
}

/** Opens the way out of one capsule. */
export function openOutward(options: OutwardOptions): Outward {
  const agentFor = (secure: boolean): DialingAgent =>
    new DialingAgent((hostname, port) =>
      dial({ secure, hostname, port, literal: isIP(hostname) !== 0, authority: hostname, path: "" }, options),
    );
  const plain = agentFor(false);
  const secure = agentFor(true);
  // Not bounded by the capsule's own connections: a far end that reads nothing outlives the capsule's side for a while.
  const joined = new Set<Duplex>();
  const hold = (socket: Duplex): boolean => {
    if (joined.size >= options.maxJoined) {
      socket.destroy();
      return false;
    }
    joined.add(socket);
    socket.once("close", () => joined.delete(socket));
    return true;
  };
  return {
    hold,
    forward: (target, incoming, outgoing, upgrade) => {
      let switched = false;
      const upstream = request({
        agent: target.secure ? secure : plain,
        hostname: target.hostname,
        port: target.port,
        method: incoming.method,
        path: target.path,
        headers: requestHeaders(target, incoming, options, upgrade !== null),
        setHost: false,
        maxHeaderSize: 65_536,
      });
      // Counts anew with every byte sent or received until the head of the response is here.
      upstream.setTimeout(options.firstByteTimeoutMs, () =>
        upstream.destroy(new DialError("no-answer", `${target.hostname} did not answer in time.`)),
      );
      upstream.on("error", (error) => {
        const { status, text } = explain(error);
        say(outgoing, status, text);
      });
      upstream.on("response", (response) => {
        upstream.setTimeout(0);
        answer(response, outgoing);
      });
      upstream.on("upgrade", (response, socket, head) => {
        upstream.setTimeout(0);
        if (upgrade === null || !hold(socket)) {
          socket.destroy();
          const { status, text } = explain(undefined);
          say(outgoing, status, text);
          return;
        }
        const flat = copy(response.rawHeaders, () => true);
        let text = `HTTP/1.1 101 Switching Protocols\r\n`;
        for (let i = 0; i < flat.length; i += 2) text += `${flat[i]}: ${flat[i + 1]}\r\n`;
        switched = true;
        outgoing.detachSocket(upgrade.socket as Socket);
        upgrade.socket.write(`${text}\r\n`, "latin1");
        joinSockets(upgrade.socket, upgrade.head, socket, head, { halfOpen: false });
      });
      outgoing.on("close", () => {
        if (!outgoing.writableFinished && !switched) upstream.destroy();
      });
      if (upgrade === null) incoming.pipe(upstream);
      else upstream.end();
    },
    close: () => {
      plain.destroy();
      secure.destroy();
      for (const socket of joined) socket.destroy();
    },
  };
}
