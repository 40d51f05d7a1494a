// The part of websocket-driver 0.7 that tails use; the package has no types of its own.
declare module "websocket-driver" {
  import type { IncomingMessage } from "node:http";

  type Payload = { readonly data: string };
  type Driver = {
    on(event: "message" | "ping" | "pong", listener: (event: Payload) => void): void;
    on(event: "close" | "error", listener: () => void): void;
    /** Bytes for the socket. */
    readonly io: { on(event: "data", listener: (chunk: Buffer) => void): void };
    /** Answers the handshake. */
    start(): boolean;
    parse(chunk: Buffer): void;
    /** False once it is closing. */
    text(message: string): boolean;
    ping(): boolean;
    close(reason: string, code: number): boolean;
  };
  type Options = { readonly requireMasking: boolean; readonly maxLength: number; readonly protocols: readonly string[] };

  const websocket: { http(request: IncomingMessage, options: Options): Driver };
  // oxlint-disable-next-line import/no-default-export -- a CommonJS module seen from here
  export default websocket;
}
