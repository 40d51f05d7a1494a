// The listener of this wing: Hono under Node's http, with limits on headers and time.
import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import type { Env } from "./api.ts";

const HEADERS_MAX_BYTES = 32_768;
const HEADERS_TIMEOUT_MS = 15_000;
// A 10 MiB upload over a slow line, with room.
const REQUEST_TIMEOUT_MS = 300_000;

/** Resolves once the port is open. @throws Error EADDRINUSE and kin */
export function listen(app: Hono<Env>, where: { readonly port: number; readonly hostname: string }): Promise<Server & AsyncDisposable> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: {
      maxHeaderSize: HEADERS_MAX_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 5000,
    },
  }) as Server;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where.port, where.hostname, () => {
      const dispose = (): Promise<void> =>
        new Promise((done) => {
          server.close(() => done());
          server.closeIdleConnections();
        });
      resolve(Object.assign(server, { [Symbol.asyncDispose]: dispose }));
    });
  });
}
