// A tail's WebSocket: text goes out, and nothing that comes in is worth keeping, so what a client may send is
// bounded in frame, in fragments and in time. Frames may be unmasked: wrangler's first one is, against RFC 6455 §5.1.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import websocket from "websocket-driver";
import { PlatformError } from "../../kernel/errors.ts";
import { drained } from "./drained.ts";

export const SUBPROTOCOL = "trace-v1";

const MESSAGE_MAX_BYTES = 4096;
/** Of frames that are no whole message: without it empty fragments would pile up, since they have no length. */
const UNFINISHED_MAX_BYTES = 16_384;
const RECEIVED_PER_BEAT_MAX_BYTES = 65_536;
const FORGIVEN_PER_BEAT_BYTES = 60;
const BEAT_MS = 15_000;
/** Without a word of the client's, not even the answer to a ping. */
const SILENT_MAX_MS = 60_000;
const READ_WITHIN_MS = 60_000;
const CLOSE_WITHIN_MS = 3000;
const REASON_MAX_BYTES = 120;
const FRAME_HEAD_BYTES = 2;

export type TailSocket = {
  /** Resolves once more may be sent; false when the client is gone or does not read. */
  send(text: string): Promise<boolean>;
  /** RFC 6455 §7.4.1. Idempotent. */
  close(code: number, reason: string): void;
  readonly closed: Promise<void>;
};

/** @throws PlatformError invalid_input unless it is a handshake of RFC 6455 that offers the tail's subprotocol */
export function checkHandshake({ headers }: IncomingMessage): void {
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  if (!offered.includes(SUBPROTOCOL)) {
    throw new PlatformError("invalid_input", { message: `Sec-WebSocket-Protocol: must offer ${SUBPROTOCOL}.` });
  }
  if (headers["sec-websocket-version"] !== "13") {
    throw new PlatformError("invalid_input", { message: "Sec-WebSocket-Version: must be 13." });
  }
  const key = headers["sec-websocket-key"];
  if (typeof key !== "string" || !/^[+/0-9A-Za-z]{22}==$/.test(key)) {
    throw new PlatformError("invalid_input", { message: "Sec-WebSocket-Key: must be 16 bytes in base64." });
  }
}

/** At most so many bytes of UTF-8 as a close frame holds. */
function shortened(reason: string): string {
  let text = reason;
  while (Buffer.byteLength(text) > REASON_MAX_BYTES) text = text.slice(0, -1);
  return text;
}

/** Answers the handshake and takes the socket over. */
export function openTailSocket(request: IncomingMessage, socket: Duplex, head: Buffer): TailSocket {
  const driver = websocket.http(request, { requireMasking: false, maxLength: MESSAGE_MAX_BYTES, protocols: [SUBPROTOCOL] });
  const closed = new Promise<void>((resolve) => void socket.once("close", () => resolve()));
  let heardAt = performance.now();
  let received = 0;
  let unfinished = 0;
  let isClosing = false;

  const finish = (): void => {
    if (isClosing) return;
    isClosing = true;
    setTimeout(() => socket.destroy(), CLOSE_WITHIN_MS).unref();
  };
  const close = (code: number, reason: string): void => {
    if (!isClosing) driver.close(shortened(reason), code);
    finish();
  };
  const accountFor = (payload: string): void => {
    unfinished = Math.max(0, unfinished - FRAME_HEAD_BYTES - Buffer.byteLength(payload));
  };
  const receive = (chunk: Buffer): void => {
    heardAt = performance.now();
    received += chunk.length;
    unfinished += chunk.length;
    driver.parse(chunk);
    if (isClosing) return;
    if (unfinished > UNFINISHED_MAX_BYTES) close(1009, "Send no more than small whole messages.");
    else if (received > RECEIVED_PER_BEAT_MAX_BYTES) close(1008, "Too much was sent; a tail listens to nothing but pings.");
    // Answers to pings are not piled up for who does not read them.
    else if (socket.writableNeedDrain) socket.pause().once("drain", () => socket.resume());
  };
  const beat = setInterval(() => {
    received = 0;
    // Of honest pings the mask's four bytes remain, which cannot be told from fragments.
    unfinished = Math.max(0, unfinished - FORGIVEN_PER_BEAT_BYTES);
    if (performance.now() - heardAt > SILENT_MAX_MS) socket.destroy();
    else if (!socket.writableNeedDrain) driver.ping();
  }, BEAT_MS);

  driver.on("message", () => void (unfinished = 0));
  driver.on("ping", ({ data }) => accountFor(data));
  driver.on("pong", ({ data }) => accountFor(data));
  driver.on("error", () => {});
  driver.on("close", () => {
    // Both have said it, or the client broke the protocol: the parser would keep what else arrives.
    socket.off("data", receive).resume();
    socket.end();
    finish();
  });
  driver.io.on("data", (chunk) => void socket.write(chunk));
  socket.once("end", () => socket.end());
  void closed.then(() => clearInterval(beat));
  driver.start();
  socket.on("data", receive);
  if (head.length > 0) receive(head);

  return {
    send: async (text) => {
      if (isClosing || socket.destroyed || !driver.text(text)) return false;
      if (!socket.writableNeedDrain || (await drained(socket, READ_WITHIN_MS))) return true;
      socket.destroy();
      return false;
    },
    close,
    closed,
  };
}
