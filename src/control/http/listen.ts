// The listener of this wing: Hono under Node's http, with limits on headers, time and connections.
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import { clientAddresses } from "../../kernel/client-address.ts";
import { ListenerGuard, type GuardOptions } from "../../kernel/listener-guard.ts";
import type { Env } from "./api.ts";
import type { Upgrades } from "./upgrade.ts";

const HEADERS_MAX_BYTES = 32_768;
const HEADERS_TIMEOUT_MS = 15_000;
// A 10 MiB upload over a slow line, with room.
const REQUEST_TIMEOUT_MS = 300_000;
/** Longer than a client that prepares its next upload takes: it would write into a connection that was just closed. */
const KEEP_ALIVE_MS = 75_000;
const CLOSE_IDLE_EVERY_MS = 50;
const GUARD = { maxConnections: 5_000, connectionsPerAddress: 2_000, stallMs: 60_000, leastBytesPerSecond: 1_024 } as const;

export type ListenOptions = {
  readonly port: number;
  readonly hostname: string;
  readonly trustedProxies?: readonly string[];
  /** Over the listener's own bounds. */
  readonly guard?: Partial<GuardOptions>;
};

/**
 * Resolves once the port is open.
 * @param upgrades what becomes of WebSockets; its streams end before the server waits for the last answer
 * @throws Error EADDRINUSE and kin
 */
export function listen(app: Hono<Env>, where: ListenOptions, upgrades?: Upgrades): Promise<Server & AsyncDisposable> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: {
      maxHeaderSize: HEADERS_MAX_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 5000,
      // Without it every request with an Upgrade header, such as curl's h2c, would lose its ordinary answer.
      shouldUpgradeCallback: (request) => upgrades?.wants(request) ?? false,
    },
  }) as Server;
  const clients = clientAddresses(where.trustedProxies ?? []);
  const bounds = { ...GUARD, isProxy: clients.trusts, ...where.guard };
  const guard = new ListenerGuard(server, bounds);
  for (const listener of server.listeners("request") as Parameters<ListenerGuard["only"]>[0][]) {
    server.off("request", listener).on("request", guard.only(listener));
  }
  if (upgrades) {
    server.on("upgrade", (request, socket, head) => {
      if (guard.upgraded(request, socket as Socket)) upgrades.accept(request, socket, head);
    });
  }
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where.port, where.hostname, () => {
      const dispose = async (): Promise<void> => {
        const closed = new Promise<void>((done) => void server.close(() => done()));
        // Those that are busy now are idle when their answer has left.
        const idle = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS);
        await upgrades?.stop();
        await closed;
        clearInterval(idle);
      };
      resolve(Object.assign(server, { [Symbol.asyncDispose]: dispose }));
    });
  });
}
