// The `ws` client, which ships no types of its own: the part of it that these tests use.
import { createRequire } from "node:module";
import type { EventEmitter } from "node:events";

export type WebSocketClient = EventEmitter & {
  send(data: string | Buffer): void;
  close(code?: number, reason?: string): void;
  ping(data?: string): void;
  terminate(): void;
  readonly protocol: string;
  readonly extensions: string;
};

type Options = { headers?: Record<string, string> };
type Constructor = new (url: string, protocols: string[] | Options, options?: Options) => WebSocketClient;

export const WebSocketClient = (createRequire(import.meta.url)("ws") as { WebSocket: Constructor }).WebSocket;
