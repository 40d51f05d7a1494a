// Requests that want to become a WebSocket: the same checks of Host and Origin as for the API, the same envelope for
// a refusal, and every socket is let go when the server stops.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import { completeHeaders } from "./answer-headers.ts";
import { failure, reasonPhrase } from "./envelope.ts";
import { known } from "./failures.ts";
import { refuseLeaked, type EndLeaked } from "./leaked.ts";
import { checkApiHost, checkApiOrigin } from "./origin.ts";

const REFUSAL_READ_WITHIN_MS = 5000;

export type UpgradeCall = {
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly socket: Duplex;
  /** What arrived after the request's head. */
  readonly head: Buffer;
};

export type Upgrades = {
  /** Whether it is a WebSocket's request for a path of ours; any other is answered as an ordinary one. */
  wants(request: IncomingMessage): boolean;
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Ends everything that is open and admits nothing more. */
  stop(): Promise<void>;
};

export type UpgradesOptions = {
  readonly url: URL;
  readonly path: RegExp;
  /** Takes the socket over, or throws before a byte was written. */
  readonly connect: (call: UpgradeCall) => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly endLeaked: EndLeaked;
  readonly log: Log;
};

async function refuse(socket: Duplex, error: PlatformError, origin: string): Promise<void> {
  const answer = failure(error, origin);
  const body = await answer.text();
  const lines = [`HTTP/1.1 ${answer.status} ${reasonPhrase(error)}`, "connection: close", `content-length: ${Buffer.byteLength(body)}`];
  completeHeaders(answer.headers, true);
  for (const [name, value] of answer.headers) lines.push(`${name}: ${value}`);
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
  // What else the other side sends is not read into memory.
  socket.resume();
  setTimeout(() => socket.destroy(), REFUSAL_READ_WITHIN_MS).unref();
}

export function createUpgrades({ url, path, connect, stop, endLeaked, log }: UpgradesOptions): Upgrades {
  const pathOf = (request: IncomingMessage): URL | null => URL.parse(request.url ?? "", url.origin);
  const answer = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    try {
      await refuseLeaked(request.url ?? "", request.headers.referer, endLeaked);
      const asked = pathOf(request);
      if (asked === null || !path.test(asked.pathname)) {
        throw new PlatformError("invalid_input", {
          message: "Upgrade: no WebSocket is opened here.",
          next: "Send the request without it.",
        });
      }
      const headers = new Headers();
      for (const name of ["host", "origin", "sec-fetch-site"]) {
        const value = request.headers[name];
        if (typeof value === "string") headers.set(name, value);
      }
      checkApiHost(headers, url);
      // Browsers say `cross-site` of a WebSocket too; a page of ours would be `same-origin`.
      checkApiOrigin(headers, url);
      await connect({ request, url: asked, socket, head });
    } catch (thrown) {
      const error = known(thrown);
      if (error.status >= 500) log.error({ err: error.cause ?? error, code: error.code }, error.message);
      else log.debug({ code: error.code }, error.message);
      await refuse(socket, error, url.origin);
    }
  };
  return {
    wants: (request) => request.headers.upgrade?.toLowerCase() === "websocket" && path.test(pathOf(request)?.pathname ?? ""),
    accept: (request, socket, head) => {
      // A peer that breaks off is no fault of ours.
      socket.on("error", () => socket.destroy());
      void answer(request, socket, head);
    },
    stop,
  };
}
