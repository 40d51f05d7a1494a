// A process that has been taken over: a server on a unix socket that answers with bytes of the test's choosing.
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

export type RawCapsule = AsyncDisposable & {
  readonly socketPath: string;
  /** Heads that came, in order. */
  readonly seen: string[];
  /** Connections accepted so far. */
  connections: number;
  /** Called once per request head, with the connection and the number of requests on it before. */
  answer: (socket: Socket, before: number, head: string) => void;
};

/** Reads heads only: requests with bodies are for tests that look at the bytes themselves. */
export async function rawCapsule(answer: RawCapsule["answer"]): Promise<RawCapsule> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await temporaryDirectory("raw"));
  const socketPath = join(directory.path, "s.sock");
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    capsule.connections += 1;
    sockets.add(socket);
    let before = 0;
    let text = "";
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        capsule.seen.push(head);
        capsule.answer(socket, before++, head);
      }
    });
  });
  server.listen(socketPath);
  await once(server, "listening");
  stack.defer(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const owned = stack.move();
  const capsule: RawCapsule = {
    socketPath,
    seen: [],
    connections: 0,
    answer,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return capsule;
}
