// The `ws` client, which ships no types of its own: the part of it that these tests use.
import { createRequire } from "node:module";
import type { EventEmitter } from "node:events";

export type WebSocketClient = EventEmitter & {
  send(data: string | Buffer): void;
  close(code?: number): void;
  terminate(): void;
};

type Constructor = new (url: string, options?: { headers?: Record<string, string> }) => WebSocketClient;

export const WebSocketClient = (createRequire(import.meta.url)("ws") as { WebSocket: Constructor }).WebSocket;
