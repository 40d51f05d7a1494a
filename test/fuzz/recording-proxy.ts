// Stands between wrangler and an installation, hands everything on unchanged, and keeps what was asked.
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { Placeholders } from "./placeholders.ts";
import { type Recorded } from "./recording.ts";

/** Differ from run to run, or are the connection's own. */
const LEFT_OUT = new Set([
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "accept-encoding",
  "keep-alive",
  "sec-websocket-key",
]);

export type RecordingProxy = AsyncDisposable & {
  /** Base URL of the API. */
  readonly api: string;
  /** Names what is recorded from now on. */
  begin(run: string): void;
  /** Everything so far, with placeholders. */
  recorded(): Recorded[];
};

function headersOf({ rawHeaders }: IncomingMessage): (readonly [string, string])[] {
  const pairs = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), rawHeaders[at + 1] ?? ""] as const] : []));
  return pairs.filter(([name]) => !LEFT_OUT.has(name));
}

function parsed(bytes: Buffer, encoding: string | undefined): unknown {
  try {
    return JSON.parse((encoding === "gzip" ? gunzipSync(bytes) : bytes).toString());
  } catch {
    return null;
  }
}

export async function startRecordingProxy(apiPort: number): Promise<RecordingProxy> {
  const placeholders = new Placeholders();
  const all: Recorded[] = [];
  let run = "";
  const keep = (incoming: IncomingMessage, body: Buffer): void => {
    all.push({ run, method: incoming.method ?? "", path: incoming.url ?? "", headers: headersOf(incoming), body: body.toString("latin1") });
  };
  const server = createServer((incoming, outgoing) => void pass(incoming, outgoing).catch(() => outgoing.destroy()));
  const pass = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await buffer(incoming);
    keep(incoming, body);
    const headers = { ...incoming.headers, host: `localhost:${apiPort}` };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = { host: "127.0.0.1", port: apiPort, path: incoming.url, method: incoming.method, headers };
      request(options, resolve).once("error", reject).end(body);
    });
    const bytes = await buffer(answer);
    placeholders.learn(incoming.url ?? "", parsed(bytes, answer.headers["content-encoding"]));
    const { port } = server.address() as AddressInfo;
    // So that addresses in answers lead here too.
    const said = Buffer.from(bytes.toString("latin1").replaceAll(`localhost:${apiPort}`, `localhost:${port}`), "latin1");
    const { "content-length": _length, "transfer-encoding": _coding, ...kept } = answer.headers;
    outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, { ...kept, "content-length": said.length });
    outgoing.end(said);
  };
  server.on("upgrade", (incoming, socket) => {
    keep(incoming, Buffer.alloc(0));
    const { rawHeaders } = incoming;
    const lines = rawHeaders.flatMap((name, at) =>
      at % 2 === 0 ? [`${name}: ${name.toLowerCase() === "host" ? `localhost:${apiPort}` : rawHeaders[at + 1]}`] : [],
    );
    const upstream = connect(apiPort, "127.0.0.1");
    upstream.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    upstream.on("error", () => socket.destroy()).pipe(socket);
    socket.on("error", () => upstream.destroy()).pipe(upstream);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    api: `http://localhost:${(server.address() as AddressInfo).port}/client/v4`,
    begin: (name) => void (run = name),
    recorded: () => all.map((recorded) => placeholders.apply(recorded)),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
