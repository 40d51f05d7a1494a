// Sends bytes as they are over a connection of their own and reads what comes back, within a time limit.
import { connect, type NetConnectOpts, type Socket } from "node:net";

export type Answer = {
  /** 0 where the other side closed without one. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the body, at most what LARGEST says. */
  readonly body: string;
  readonly ms: number;
  /** Nothing, or not all, came within the limit. */
  readonly hung: boolean;
};

const LARGEST_BYTES = 65_536;
const STREAM = /event-stream|ndjson/;

type Read = { readonly status: number; readonly headers: Record<string, string>; readonly body: string; readonly whole: boolean };

/** @returns null until the head is there */
function read(text: string, method: string): Read | null {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const [first = "", ...lines] = text.slice(0, end).split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0);
  if (status >= 100 && status < 200 && status !== 101) return read(text.slice(end + 4), method);
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const body = text.slice(end + 4);
  const length = headers["content-length"];
  const bare = method === "HEAD" || status === 204 || status === 304 || status === 101;
  const chunked = /chunked/i.test(headers["transfer-encoding"] ?? "");
  const whole =
    bare ||
    body.length > LARGEST_BYTES ||
    STREAM.test(headers["content-type"] ?? "") ||
    (chunked ? /(^|\r\n)0\r\n(\r\n|[^\r\n]+\r\n)/.test(body) : length !== undefined && body.length >= Number(length));
  return { status, headers, body: chunked ? unchunked(body) : body, whole };
}

function unchunked(text: string): string {
  let out = "";
  for (let at = 0; at < text.length;) {
    const line = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, line), 16);
    if (line === -1 || !(size > 0)) return out;
    out += text.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
  return out;
}

export type Sending = {
  readonly limitMs: number;
  /** The sender says that nothing more comes: where the request is cut short. */
  readonly half?: boolean;
  /** Sent once the head of the answer is there; then the connection is kept this long. */
  readonly after?: { readonly bytes: string; readonly keptMs: number };
};

/** @param bytes latin1 */
export function send(where: NetConnectOpts, bytes: string, { limitMs, half = false, after }: Sending): Promise<Answer> {
  const method = bytes.slice(0, bytes.indexOf(" "));
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    let text = "";
    let spoken = false;
    const socket: Socket = connect({ ...where, allowHalfOpen: true });
    const finish = (hung: boolean): void => {
      clearTimeout(timer);
      const { status = 0, headers = {}, body = "" } = read(text, method) ?? {};
      // No TIME_WAIT: there are fewer ports than inputs.
      if ("path" in where) socket.destroy();
      else socket.resetAndDestroy();
      resolve({ status, headers, body: body.slice(0, LARGEST_BYTES), ms: performance.now() - startedAt, hung });
    };
    const timer = setTimeout(() => finish(true), limitMs);
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      text += chunk;
      const so = read(text, method);
      if (so === null || spoken) return;
      if (after && so.status === 101) {
        spoken = true;
        socket.write(after.bytes, "latin1");
        setTimeout(() => finish(false), after.keptMs);
      } else if (so.whole) finish(false);
    });
    socket.on("end", () => finish(false));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") {
        clearTimeout(timer);
        reject(error);
      } else finish(false);
    });
    socket.write(bytes, "latin1");
    if (half) socket.end();
  });
}
