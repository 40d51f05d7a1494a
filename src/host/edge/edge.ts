// The only way in. A host name is one label before the edge domain; what stands behind it answers, or a page
// says why nothing does. Nothing a caller writes can speak for the platform or reach another account's socket.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Log } from "../../kernel/log.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Capsules, InnerDoor, Passed } from "../contract.ts";
import { clientAddresses } from "../../kernel/client-address.ts";
import { ListenerGuard, type GuardOptions } from "../../kernel/listener-guard.ts";
import { Exchange, type Asked, type ExchangeOptions, type Outcome } from "./exchange.ts";
import { Compressor } from "./files/compressor.ts";
import { newRay, readRequestHeaders, requestHead, state } from "./headers.ts";
import { readHost } from "./host-name.ts";
import { Leaks } from "./leaks.ts";
import { hasBody } from "./linger.ts";
import { pages, sendPage, type Page } from "./pages.ts";
import { requestCf } from "./request-cf.ts";
import { responseOn } from "./tunnel.ts";
import { kindOf } from "./visitors/arrival.ts";
import type { Visitors } from "./visitors/visitors.ts";

export type EdgeOptions = {
  readonly capsules: Capsules;
  /** The edge domain, lower case. */
  readonly domain: string;
  /** What the public sees, unless a trusted proxy says otherwise in X-Forwarded-Proto. */
  readonly publicScheme: "http" | "https";
  /** Addresses or CIDRs. */
  readonly trustedProxies: readonly string[];
  /** The socket option `cfBlobHeader` of the capsules, lower case. */
  readonly cfBlobHeader: string;
  /** The socket option `forwardedProtoHeader` of the capsules, lower case; workerd takes it off, so one of our own leaves X-Forwarded-Proto to the Worker. */
  readonly forwardedProtoHeader: string;
  readonly log: Log;
  /** Of static files; one of its own by default. */
  readonly compressor?: Compressor;
  /** Over the edge's own bounds. */
  readonly guard?: Partial<GuardOptions>;
  /** Told of secrets in addresses. */
  readonly leaked?: (secrets: readonly string[]) => Promise<void>;
  /** Called once per request; 0 is the status of one that got no answer. */
  readonly onDone?: (outcome: Outcome, status: number, durationMs: number) => void;
  readonly onRetry?: () => void;
  /** Whether callers from the address are refused. */
  readonly refuses?: (address: string) => boolean;
  /** Called once per request to a known account, for its log. */
  readonly onPassed?: (passed: Passed) => void;
  /** Nobody is asked anything without. */
  readonly visitors?: Visitors;
};

export type Edge = {
  /** Not listening yet. */
  readonly server: Server;
  readonly inner: InnerDoor;
  readonly connections: { readonly open: number; readonly max: number };
  /** Stops accepting and cuts everything in flight. */
  close(): Promise<void>;
};

/** Address of a caller that is a Worker of this installation: the one that the hosted original gives for these. */
export const WORKER_ADDRESS = "2a06:98c0:3600::103";

const MAX_HEADER_BYTES = 32_768;
const HEADERS_TIMEOUT_MS = 30_000;
/** Longer than the idle time-out of usual load balancers, so that they close first. */
const KEEP_ALIVE_MS = 75_000;
/** A body may stream for as long as it likes and as slowly, so long as it comes. */
const GUARD = { maxConnections: 20_000, connectionsPerAddress: 2_000, stallMs: 120_000, leastBytesPerSecond: 0 } as const;

type Target = { readonly authority: string; readonly path: string; readonly scheme: "http" | "https" | undefined };

/** Splits a request target in absolute form, as proxies send it; undefined for any other form. */
export function readAbsolute(target: string): Target | undefined {
  const parts = /^(https?):\/\/([^/?#@]+)([/?].*)?$/i.exec(target);
  if (parts?.[1] === undefined || parts[2] === undefined) return undefined;
  const rest = parts[3] ?? "/";
  return {
    authority: parts[2],
    path: rest.startsWith("?") ? `/${rest}` : rest,
    scheme: parts[1].toLowerCase() === "https" ? "https" : "http",
  };
}

/** What Node does not check: one Host, and a target that does not contradict it. */
function readTarget(incoming: IncomingMessage, hosts: number): Target | string {
  const host = incoming.headers.host;
  if (hosts !== 1 || host === undefined) return "A request has exactly one Host header";
  const url = incoming.url ?? "";
  if (url.startsWith("/")) return { authority: host, path: url, scheme: undefined };
  const absolute = readAbsolute(url);
  if (absolute === undefined) return "The request target is neither a path nor an http or https URL";
  if (absolute.authority.toLowerCase() !== host.toLowerCase()) return "The Host header and the request target name different hosts";
  return { ...absolute, scheme: undefined };
}

/** Header lines by which the next hop finds the body's end. The length itself is passed on as the caller wrote it. */
function framing(incoming: IncomingMessage, upgrade: boolean): string {
  if (upgrade) return "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  const kept = "Connection: keep-alive\r\n";
  const { method, headers } = incoming;
  if (headers["transfer-encoding"] !== undefined) return `${kept}Transfer-Encoding: chunked\r\n`;
  // Where a body is usual, its absence is said.
  const bodyUsual = method === "POST" || method === "PUT" || method === "PATCH";
  return bodyUsual && headers["content-length"] === undefined ? `${kept}Content-Length: 0\r\n` : kept;
}

const asksForWebSocket = (incoming: IncomingMessage): boolean =>
  incoming.method === "GET" && incoming.headers.upgrade?.toLowerCase() === "websocket";

function createListener(): Server {
  return createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    // How often Node looks for those that are late.
    connectionsCheckingInterval: 5_000,
    // Bodies may stream for as long as they like.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    optimizeEmptyRequests: true,
    shouldUpgradeCallback: asksForWebSocket,
  });
}

function exchangeOptions(options: EdgeOptions): ExchangeOptions {
  return {
    capsules: options.capsules,
    compressor: options.compressor ?? new Compressor(),
    visitors: options.visitors ?? null,
    log: options.log,
    onDone: options.onDone ?? (() => {}),
    onRetry: options.onRetry ?? (() => {}),
    onPassed: options.onPassed ?? (() => {}),
  };
}

/** Makes the edge. @throws Error when `trustedProxies` holds what is no address or range */
export function createEdge(options: EdgeOptions): Edge {
  const { domain, publicScheme } = options;
  const clients = clientAddresses(options.trustedProxies);
  const cf = requestCf();
  const leaks = new Leaks(options.leaked ?? (() => Promise.resolve()), options.log);
  const exchange = exchangeOptions(options);

  const refuse = (incoming: IncomingMessage, outgoing: ServerResponse, page: Page, ray = newRay()): void => {
    outgoing.on("finish", () => exchange.onDone("page", page.status, 0));
    sendPage(incoming, outgoing, page, ray);
  };

  const handle = (incoming: IncomingMessage, outgoing: ServerResponse, upgrade: Asked["upgrade"], from: AccountId | null): void => {
    const leak = leaks.refusal(incoming);
    if (leak !== null) return refuse(incoming, outgoing, leak);
    const headers = readRequestHeaders(incoming.rawHeaders, incoming.headers.connection, options, from === null);
    const target = from === null ? readTarget(incoming, headers.hosts) : (readAbsolute(incoming.url ?? "") ?? "The URL cannot be read");
    if (typeof target === "string") return refuse(incoming, outgoing, pages.malformed(target));
    // Announced but never sent on, a body would swallow what comes after it.
    if (upgrade !== null && hasBody(incoming)) return refuse(incoming, outgoing, pages.malformed("A WebSocket handshake has no body"));
    const addressed = readHost(target.authority, domain);
    if (addressed.kind === "malformed") return refuse(incoming, outgoing, pages.malformed("The Host header is not a host name"));
    if (addressed.kind === "foreign") return refuse(incoming, outgoing, pages.foreign(domain));
    if (addressed.kind === "no-worker") return refuse(incoming, outgoing, pages.none());

    const ray = newRay();
    const peer = incoming.socket.remoteAddress ?? "";
    const told = from === null && clients.trusts(peer) ? headers.forwardedProto?.toLowerCase() : undefined;
    const statement = {
      address: from === null ? clients.of(peer, headers.forwardedFor) : WORKER_ADDRESS,
      scheme: target.scheme ?? (told === "http" || told === "https" ? told : publicScheme),
      ray,
      cf: cf(incoming.httpVersion, headers.acceptEncoding),
    } as const;
    if (from === null && options.refuses?.(statement.address) === true)
      return refuse(incoming, outgoing, pages.banned(statement.address, ray), ray);
    // A Worker names the host in the URL alone: what it writes into Host must not tell the callee another story.
    const host = from === null ? "" : `Host: ${target.authority}\r\n`;
    const own = host + state(statement, options) + framing(incoming, upgrade !== null);
    const head = requestHead(incoming.method ?? "", target.path, headers.lines, own);
    if (head === null)
      return refuse(incoming, outgoing, pages.malformed("The request target or a header holds a character that it cannot"));
    const kind = kindOf(incoming.headers, from !== null ? "inner" : upgrade !== null ? "upgrade" : "outside");
    const asked: Asked = {
      label: addressed.label,
      choice: headers.choice,
      host: addressed.host,
      url: `${statement.scheme}://${target.authority}${target.path}`,
      arrival: {
        kind,
        method: incoming.method ?? "",
        path: target.path,
        host: addressed.host,
        origin: `${statement.scheme}://${target.authority}`,
      },
      address: statement.address,
      ray,
      head,
      hasBody: upgrade === null && hasBody(incoming),
      upgrade,
    };
    new Exchange(exchange, asked, incoming, outgoing).start();
  };

  const upgraded = (incoming: IncomingMessage, duplex: Duplex, head: Buffer, from: AccountId | null): void => {
    const socket = duplex as Socket;
    handle(incoming, responseOn(incoming, socket), { socket, head }, from);
  };

  const server = createListener();
  const bounds = { ...GUARD, isProxy: clients.trusts, ...options.guard };
  const guard = new ListenerGuard(server, bounds);
  const asked = guard.only((incoming, outgoing) => handle(incoming, outgoing, null, null));
  server.on("request", asked);
  // Without a listener Node says 100 Continue before it is known whether anyone will read the body.
  server.on("checkContinue", asked);
  const sockets = new Set<Duplex>();
  server.on("upgrade", (incoming, socket, head) => {
    if (!guard.upgraded(incoming, socket as Socket)) return;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    upgraded(incoming, socket, head, null);
  });
  return {
    server,
    get connections() {
      return { open: guard.open, max: bounds.maxConnections };
    },
    inner: {
      request: (from, incoming, outgoing) => handle(incoming, outgoing, null, from),
      upgrade: (from, incoming, socket, head) => upgraded(incoming, socket, head, from),
    },
    close: () =>
      new Promise((resolve) => {
        leaks[Symbol.dispose]();
        server.close(() => resolve());
        server.closeAllConnections();
        for (const socket of sockets) socket.destroy();
      }),
  };
}
