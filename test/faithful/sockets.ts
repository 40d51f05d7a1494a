// Sockets to an object that hibernates, opened from outside by a real client: what crosses the edge in both directions.
import { once } from "node:events";
import { WebSocketClient } from "../host/edge/web-socket-client.ts";
import { ask } from "./ask.ts";
import { WORKER, type Side } from "./sides.ts";

type Open = {
  readonly socket: WebSocketClient;
  /** What comes next: text, bytes as an array, a pong, or the close. */
  hear(): Promise<unknown>;
};

type Dial = (query?: string, protocols?: string[]) => Promise<Open>;

const DEADLINE_MS = 20_000;

async function dial(side: Side, path: string, protocols: string[]): Promise<Open> {
  const { port, host } = side.placeOf(WORKER);
  const socket = new WebSocketClient(`ws://127.0.0.1:${port}${path}`, protocols, { headers: { host } });
  const heard: unknown[] = [];
  const waiting: ((event: unknown) => void)[] = [];
  const tell = (event: unknown): void => {
    const next = waiting.shift();
    if (next) next(event);
    else heard.push(event);
  };
  socket.on("message", (data: Buffer, binary: boolean) => tell(binary ? [...data.subarray(0, 8), data.length] : data.toString()));
  socket.on("pong", (data: Buffer) => tell(`pong ${data.toString()}`));
  socket.on("close", (code: number, reason: Buffer) => tell({ code, reason: reason.toString() }));
  await once(socket, "open", { signal: AbortSignal.timeout(DEADLINE_MS) });
  const hear = (): Promise<unknown> => {
    if (heard.length > 0) return Promise.resolve(heard.shift());
    const next = Promise.withResolvers<unknown>();
    waiting.push(next.resolve);
    return next.promise;
  };
  return { socket, hear };
}

/** Sends one after the other and hears an answer to each. */
const converse =
  (query: string, ...sent: (string | Buffer)[]) =>
  async (open: Dial): Promise<unknown> => {
    const { socket, hear } = await open(query);
    const heard: unknown[] = [];
    for (const data of sent) {
      socket.send(data);
      heard.push(await hear());
    }
    socket.terminate();
    return heard;
  };

const CASES: Readonly<Record<string, (open: Dial) => Promise<unknown>>> = {
  "from-outside-text-and-bytes": converse("", "hello é🦋", Buffer.from([1, 2, 255]), Buffer.alloc(0)),
  "from-outside-a-mebibyte": converse("", Buffer.alloc(1024 * 1024, 7)),
  "from-outside-answers-by-itself": converse("?tag=auto", "ping", "auto", "pang"),
  "from-outside-tags-and-attachment": converse("?tag=a&tag=b", "tags", "attachment", "sockets a", "state"),
  "from-outside-plain": converse("?as=plain", "hello"),
  "from-outside-closed-by-the-object": converse("", "close 4321 because"),
  "from-outside-closed-in-the-usual-way": converse("", "close 1000 done"),
  "from-outside-handler-that-throws": async (open) => {
    const { socket, hear } = await open();
    socket.send("throw now");
    socket.send("still there");
    const heard = await hear();
    socket.terminate();
    return heard;
  },
  "from-outside-closed-by-the-client": async (open) => {
    const { socket, hear } = await open();
    socket.close(4000, "enough é");
    return hear();
  },
  "from-outside-closed-without-a-code": async (open) => {
    const { socket, hear } = await open();
    socket.close();
    return hear();
  },
  "from-outside-ping-of-the-protocol": async (open) => {
    const { socket, hear } = await open();
    socket.ping("p");
    const heard = await hear();
    socket.terminate();
    return heard;
  },
  "from-outside-extensions-and-protocol": async (open) => {
    const { socket } = await open();
    const agreed = { protocol: socket.protocol, extensions: socket.extensions };
    socket.terminate();
    return agreed;
  },
  "from-outside-a-protocol-nobody-takes": async (open) => {
    const { socket } = await open("", ["one", "two"]);
    socket.terminate();
    return socket.protocol;
  },
  "from-outside-an-upgrade-that-is-refused": (open) => open("?as=nothing"),
};

/** With the request that asks for no upgrade. */
export const SOCKET_CASES = Object.keys(CASES).length + 1;

/** @param run mark of this run @returns what each case heard, or the client's complaint, as text */
export async function socketAnswersOf(side: Side, run: string): Promise<Map<string, string>> {
  const told = Object.entries(CASES).map(async ([name, deed]): Promise<[string, string]> => {
    const path = `/socket/${run}_${name}`;
    const heard = await deed((query = "", protocols = []) => dial(side, path + query, protocols)).catch((error: unknown) => String(error));
    return [name, JSON.stringify(heard)];
  });
  const answers = new Map(await Promise.all(told));
  const without = await ask(side, WORKER, `/socket/${run}_without`);
  answers.set("from-outside-without-upgrade", JSON.stringify([without.status, without.body.toString()]));
  return answers;
}
