// Connections that are kept for the next request of the same Worker to the same host.
import { Agent, type ClientRequestArgs } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { callbackify } from "node:util";

/** Spare connections are closed before usual servers close them. */
const IDLE_MS = 4000;

/** Dials instead of letting Node look the name up: a reused connection leads to an address that was judged, too. */
export class DialingAgent extends Agent {
  readonly #dial: (hostname: string, port: number, done: (error: Error | null, socket: Socket) => void) => void;

  constructor(dialing: (hostname: string, port: number) => Promise<Socket>) {
    super({ keepAlive: true, scheduling: "lifo", maxFreeSockets: 32, timeout: IDLE_MS });
    this.#dial = callbackify(dialing);
  }

  override createConnection(options: ClientRequestArgs, done?: (error: Error | null, stream: Duplex) => void): null {
    this.#dial(options.hostname ?? "", Number(options.port), (error, socket) => done?.(error, socket));
    return null;
  }

  /** A connection that waits for the next request. */
  get spare(): Socket | undefined {
    // One that was closed a moment ago is still among them.
    return Object.values(this.freeSockets)
      .flatMap((sockets) => sockets ?? [])
      .find((socket) => !socket.destroyed);
  }
}
