// One request of a Worker on its way out. Redirects are not followed: workerd does that, and each hop comes back
// through here and is judged anew. Bytes are counted as they flow, and cut at the cap.
import { request, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { HOP_BY_HOP } from "../hop-by-hop.ts";
import { explain, say } from "./answers.ts";
import { DialError } from "./dial.ts";
import type { DialingAgent } from "./dialing-agent.ts";
import { join, meter, type Metering } from "./metering.ts";
import type { Target } from "./target.ts";

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

/** Of a status line, more or less. */
const LINE_BYTES = 32;

function copy(raw: readonly string[], keep: (lower: string) => boolean): string[] {
  const flat: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (keep(name.toLowerCase())) flat.push(name, raw[i + 1] as string);
  }
  return flat;
}

function requestHeaders(target: Target, incoming: IncomingMessage, edgeDomain: string, upgrade: boolean): string[] {
  // The request of a handshake has no body, whatever length it names.
  const flat = copy(incoming.rawHeaders, (lower) => !NOT_FORWARDED.has(lower) && !(upgrade && lower === "content-length"));
  flat.unshift("Host", target.authority);
  flat.push("CF-Worker", edgeDomain);
  if (upgrade) flat.push("Connection", "Upgrade", "Upgrade", incoming.headers.upgrade ?? "websocket");
  else if (incoming.headers["transfer-encoding"] !== undefined) flat.push("Transfer-Encoding", "chunked");
  else if (incoming.headers["content-length"] === undefined && /^(POST|PUT|PATCH)$/.test(incoming.method ?? ""))
    flat.push("Content-Length", "0");
  return flat;
}

const sizeOf = (flat: readonly string[]): number => flat.reduce((sum, part) => sum + part.length + 2, 0);

function answer(response: IncomingMessage, outgoing: ServerResponse, passed: (bytes: number) => boolean): void {
  try {
    const headers = copy(response.rawHeaders, (lower) => !HOP_BY_HOP.has(lower));
    outgoing.writeHead(response.statusCode ?? 520, response.statusMessage ?? "", headers);
  } catch {
    // Anybody may answer, and a status of 0 is one of the things they say.
    response.destroy();
    say(outgoing, explain(undefined));
    return;
  }
  outgoing.flushHeaders();
  response.on("error", () => outgoing.destroy());
  response.on("data", (chunk: Buffer) => passed(chunk.length));
  response.pipe(outgoing);
}

function switchOver(response: IncomingMessage, outgoing: ServerResponse, socket: Socket): void {
  const flat = copy(response.rawHeaders, () => true);
  let text = `HTTP/1.1 101 Switching Protocols\r\n`;
  for (let i = 0; i < flat.length; i += 2) text += `${flat[i]}: ${flat[i + 1]}\r\n`;
  outgoing.detachSocket(socket);
  socket.write(`${text}\r\n`, "latin1");
}

export type Forwarding = {
  readonly allowance: Metering;
  readonly agent: DialingAgent;
  /** Sent as CF-Worker, so that whoever is called can tell whom to ask. */
  readonly edgeDomain: string;
  /** From the end of the request until the first byte of the response. */
  readonly firstByteTimeoutMs: number;
};

/** What a Worker asks, and where its answer goes. */
export type Call = {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** Its socket, where it wants to go on as a WebSocket. */
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | null;
};

function send(target: Target, { incoming, upgrade }: Call, { agent, edgeDomain, firstByteTimeoutMs }: Forwarding): [ClientRequest, number] {
  const headers = requestHeaders(target, incoming, edgeDomain, upgrade !== null);
  const { hostname, port, path } = target;
  const { method } = incoming;
  const upstream = request({ agent, hostname, port, method, path, headers, setHost: false, maxHeaderSize: 65_536 });
  // Counts anew with every byte sent or received until the head of the response is here.
  upstream.setTimeout(firstByteTimeoutMs, () => upstream.destroy(new DialError("no-answer", `${hostname} did not answer in time.`)));
  return [upstream, sizeOf(headers) + path.length + LINE_BYTES];
}

/** Sends a request that was admitted, and answers whatever comes of it. */
export function forward(target: Target, call: Call, forwarding: Forwarding): void {
  const { incoming, outgoing, upgrade } = call;
  const { allowance } = forwarding;
  let [switched, failed] = [false, false];
  const fail = (error: unknown): void => {
    if (failed) return;
    failed = true;
    allowance.tell(error, target);
    say(outgoing, explain(error));
  };
  const [upstream, headBytes] = send(target, call, forwarding);
  const passed = meter(allowance, (refusal) => {
    upstream.destroy();
    fail(refusal);
  });
  upstream.on("error", fail);
  // Any number of them may come before the response.
  upstream.on("information", ({ rawHeaders }) => passed(sizeOf(rawHeaders) + LINE_BYTES));
  upstream.on("response", (response) => {
    upstream.setTimeout(0);
    if (passed(sizeOf(response.rawHeaders) + LINE_BYTES)) answer(response, outgoing, passed);
  });
  upstream.on("upgrade", (response, socket, head) => {
    upstream.setTimeout(0);
    if (upgrade === null) {
      socket.destroy();
      return fail(undefined);
    }
    switched = true;
    switchOver(response, outgoing, upgrade.socket as Socket);
    join(allowance, target, [upgrade.socket, upgrade.head], [socket, head], false);
  });
  outgoing.on("close", () => {
    if (!outgoing.writableFinished && !switched) upstream.destroy();
  });
  passed(headBytes);
  if (upgrade !== null) upstream.end();
  else incoming.on("data", (chunk: Buffer) => failed || passed(chunk.length)).pipe(upstream);
}
