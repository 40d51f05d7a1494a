// The only way out. One unix socket a capsule, so that the socket is the identity; public addresses only, judged
// after look-up; hosts of this installation never leave the machine. A refusal is an answer that says why.
import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { EgressFactory, InnerDoor } from "../contract.ts";
import { joinSockets, responseOn } from "../edge/tunnel.ts";
import { machineAddresses } from "./address-policy.ts";
import { dial, dnsLookup, type DialOptions, type Lookup } from "./dial.ts";
import { explain, openOutward, say, type OutwardOptions } from "./forward.ts";
import { isInner, readAuthority, readUrl } from "./target.ts";

export type EgressOptions = {
  readonly inner: InnerDoor;
  /** Lower case. */
  readonly edgeDomain: string;
  readonly log: Log;
  /** Canonical addresses of this machine; those of its interfaces by default. */
  readonly ownAddresses?: () => ReadonlySet<string>;
  /** DNS by default. */
  readonly lookup?: Lookup;
  /** How an address that passed the policy is connected to; for tests that play the Internet. */
  readonly connect?: DialOptions["connect"];
  /** PEM of certificates trusted instead of the system's; for the same tests. */
  readonly ca?: string;
  /** Open ports; 80 and 443 by default. */
  readonly ports?: readonly number[];
  readonly connectTimeoutMs?: number;
  readonly firstByteTimeoutMs?: number;
  /** Connections that one capsule may hold open to its egress. */
  readonly maxConnections?: number;
};

/** What passed through an account's egress since it was opened. */
export type Traffic = { readonly requests: number; readonly bytesOut: number; readonly bytesIn: number };

export type Egress = EgressFactory & {
  /** Zeros for an account whose egress is not open. */
  traffic(account: AccountId): Traffic;
};

const MAX_CONNECTIONS = 512;
const TOO_MANY = "error code: 503\nToo many sockets of this account are open to the outside. Close some, then try again.";
const NOT_A_TARGET = "error code: 400\nThe request names no host that could be called.";

/** Bounds the requests of one account to hosts of this installation: nothing tells a loop apart but their number. */
class InnerRequests {
  #inFlight = 0;
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** Counts one in until the response or its socket closes; false when there are too many already. */
  enter(until: ServerResponse | Duplex): boolean {
    if (this.#inFlight >= this.#max) return false;
    this.#inFlight += 1;
    until.once("close", () => (this.#inFlight -= 1));
    return true;
  }

  get refusal(): string {
    return `error code: 508\n${this.#max} requests of this account to Workers of this installation are in flight already: are Workers calling each other in a circle? Break the circle, or send fewer at once.`;
  }
}

class CapsuleEgress {
  readonly server: Server;
  readonly #account: AccountId;
  readonly #options: EgressOptions;
  readonly #outward;
  readonly #dialing: OutwardOptions;
  readonly #inner: InnerRequests;
  readonly #sockets = new Set<Socket>();
  #requests = 0;
  #closedOut = 0;
  #closedIn = 0;

  constructor(account: AccountId, options: EgressOptions, dialing: OutwardOptions, maxInnerRequests: number) {
    this.#account = account;
    this.#options = options;
    this.#dialing = dialing;
    this.#outward = openOutward(dialing);
    this.#inner = new InnerRequests(maxInnerRequests);
    this.server = createServer({
      // workerd names the host in the request line alone.
      requireHostHeader: false,
      requestTimeout: 0,
      keepAliveTimeout: 0,
      maxHeaderSize: 65_536,
      shouldUpgradeCallback: (incoming) => incoming.headers.upgrade?.toLowerCase() === "websocket",
    });
    this.server.maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
    this.server.on("connection", (socket: Socket) => this.#count(socket));
    this.server.on("request", (incoming, outgoing) => this.#request(incoming, outgoing, null));
    this.server.on("upgrade", (incoming, socket, head) => {
      this.#request(incoming, responseOn(incoming, socket as Socket), { socket, head });
    });
    this.server.on("connect", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => void this.#connect(incoming, socket, head));
  }

  get traffic(): Traffic {
    let bytesOut = this.#closedOut;
    let bytesIn = this.#closedIn;
    for (const socket of this.#sockets) {
      bytesOut += socket.bytesRead;
      bytesIn += socket.bytesWritten;
    }
    return { requests: this.#requests, bytesOut, bytesIn };
  }

  #count(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#closedOut += socket.bytesRead;
      this.#closedIn += socket.bytesWritten;
    });
  }

  #request(incoming: IncomingMessage, outgoing: ServerResponse, upgrade: { socket: Duplex; head: Buffer } | null): void {
    this.#requests += 1;
    const target = readUrl(incoming.url ?? "");
    if (target === null) return say(outgoing, 400, NOT_A_TARGET);
    try {
      if (!isInner(target.hostname, this.#options.edgeDomain)) return this.#outward.forward(target, incoming, outgoing, upgrade);
      if (!this.#inner.enter(upgrade?.socket ?? outgoing)) return say(outgoing, 508, this.#inner.refusal);
      // One spelling of the host from here on: the canonical one.
      incoming.url = `${target.secure ? "https" : "http"}://${target.authority}${target.path}`;
      if (upgrade === null) return this.#options.inner.request(this.#account, incoming, outgoing);
      outgoing.detachSocket(upgrade.socket as Socket);
      this.#options.inner.upgrade(this.#account, incoming, upgrade.socket, upgrade.head);
    } catch (error) {
      this.#options.log.warn({ err: error, account: this.#account }, "an outbound request could not be sent");
      say(outgoing, 400, NOT_A_TARGET);
    }
  }

  async #connect(incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.#requests += 1;
    socket.on("error", () => socket.destroy());
    const target = readAuthority(incoming.url ?? "");
    try {
      if (target === null) return refuseTunnel(socket, 400, NOT_A_TARGET);
      if (isInner(target.hostname, this.#options.edgeDomain)) {
        return refuseTunnel(socket, 403, "error code: 1003\nWorkers of this installation answer to fetch(), not to connect().");
      }
      const outward = await dial(target, this.#dialing);
      if (socket.destroyed) {
        outward.destroy();
        return;
      }
      if (!this.#outward.hold(outward)) return refuseTunnel(socket, 503, TOO_MANY);
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      joinSockets(socket, head, outward, Buffer.alloc(0), { halfOpen: true });
    } catch (error) {
      const { status, text } = explain(error);
      refuseTunnel(socket, status, text);
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
      this.#outward.close();
    });
  }
}

function refuseTunnel(socket: Duplex, status: number, text: string): void {
  const body = Buffer.from(`${text}\n`);
  socket.write(
    `HTTP/1.1 ${status} Refused\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`,
  );
  socket.end(body);
}

/** Makes the factory of egresses; they share nothing but its settings. */
export function createEgress(options: EgressOptions): Egress {
  const dialing: OutwardOptions = {
    lookup: options.lookup ?? dnsLookup(),
    ownAddresses: options.ownAddresses ?? machineAddresses(),
    ports: new Set(options.ports ?? [80, 443]),
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    firstByteTimeoutMs: options.firstByteTimeoutMs ?? 100_000,
    maxJoined: options.maxConnections ?? MAX_CONNECTIONS,
    edgeDomain: options.edgeDomain,
    ...(options.connect === undefined ? {} : { connect: options.connect }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  };
  const open = new Map<AccountId, CapsuleEgress>();
  return {
    traffic: (account) => open.get(account)?.traffic ?? { requests: 0, bytesOut: 0, bytesIn: 0 },
    open: async (account, socketPath, limits) => {
      const egress = new CapsuleEgress(account, options, dialing, limits.maxInnerRequests);
      rmSync(socketPath, { force: true });
      await new Promise<void>((resolve, reject) => {
        egress.server.once("error", reject);
        egress.server.listen(socketPath, resolve);
      });
      egress.server.on("error", (error) => options.log.error({ err: error, account }, "an egress failed"));
      // The capsule's own user connects; who may come this far is decided by the directory's rights.
      chmodSync(socketPath, 0o666);
      open.set(account, egress);
      return {
        [Symbol.asyncDispose]: async () => {
          if (open.get(account) === egress) open.delete(account);
          await egress.close();
          rmSync(socketPath, { force: true });
        },
      };
    },
  };
}
