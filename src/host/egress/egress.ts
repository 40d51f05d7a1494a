// The only way out. One unix socket a capsule, so that the socket is the identity; public addresses only, judged
// after look-up; hosts of this installation never leave the machine. A refusal is an answer that says why.
import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { CapsuleLimits } from "../../capsule/spec.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { EgressFactory, InnerDoor } from "../contract.ts";
import { responseOn } from "../edge/tunnel.ts";
import { Allowance, type Accounting } from "./allowance.ts";
import { explain, say, type Explained } from "./answers.ts";
import type { DialOptions } from "./dial.ts";
import { dnsLookup, Lookups, type Lookup } from "./lookups.ts";
import { OwnAddresses, type OwnOptions } from "./own-addresses.ts";
import { Outward } from "./outward.ts";
import { isInner, readAuthority, readUrl } from "./target.ts";

export type EgressOptions = Accounting & {
  readonly inner: InnerDoor;
  /** Lower case. */
  readonly edgeDomain: string;
  readonly log: Log;
  /** Of an account, as control says now; those that its egress was opened with where nothing is known. */
  readonly limitsOf: (account: AccountId) => CapsuleLimits | undefined;
  /** What is this installation's own. */
  readonly own: Omit<OwnOptions, "lookup">;
  /** Host of this installation's pages and API, which is refused by name. */
  readonly consoleHost: string;
  /** DNS by default. */
  readonly lookup?: Lookup;
  /** How an address that passed the policy is connected to; for tests that play the Internet. */
  readonly connect?: DialOptions["connect"];
  /** PEM of certificates trusted instead of the system's; for the same tests. */
  readonly ca?: string;
  readonly connectTimeoutMs?: number;
  readonly firstByteTimeoutMs?: number;
};

/** Connections of a capsule to its egress, whatever it is told there; more are dropped without a word. */
const MIN_ENTRIES = 512;
const NOT_A_TARGET: Explained = { status: 400, text: "error code: 400\nThe request names no host that could be called." };
const INNER_CONNECT: Explained = {
  status: 403,
  text: "error code: 1003\nWorkers of this installation answer to fetch(), not to connect().",
};

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

  get refusal(): Explained {
    const text = `error code: 508\n${this.#max} requests of this account to Workers of this installation are in flight already: are Workers calling each other in a circle? Break the circle, or send fewer at once.`;
    return { status: 508, text };
  }
}

type Opened = Pick<CapsuleLimits, "maxInnerRequests" | "egress">;

type Parts = {
  readonly account: AccountId;
  readonly options: EgressOptions;
  readonly allowance: Allowance;
  readonly outward: Outward;
  readonly maxInnerRequests: number;
};

class CapsuleEgress {
  readonly server: Server;
  readonly #parts: Parts;
  readonly #inner: InnerRequests;
  readonly #sockets = new Set<Socket>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#inner = new InnerRequests(parts.maxInnerRequests);
    this.server = createServer({
      // workerd names the host in the request line alone.
      requireHostHeader: false,
      requestTimeout: 0,
      keepAliveTimeout: 0,
      maxHeaderSize: 65_536,
      shouldUpgradeCallback: (incoming) => incoming.headers.upgrade?.toLowerCase() === "websocket",
    });
    this.#letIn();
    this.server.on("connection", (socket: Socket) => {
      this.#letIn();
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.server.on("request", (incoming, outgoing) => this.#request(incoming, outgoing, null));
    this.server.on("upgrade", (incoming, socket, head) => {
      this.#request(incoming, responseOn(incoming, socket as Socket), { socket, head });
    });
    this.server.on("connect", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => void this.#connect(incoming, socket, head));
  }

  /** Room for what is refused in words, too. */
  #letIn(): void {
    const { allowance, maxInnerRequests } = this.#parts;
    this.server.maxConnections = Math.max(MIN_ENTRIES, 2 * (allowance.maxConnections + maxInnerRequests));
  }

  #request(incoming: IncomingMessage, outgoing: ServerResponse, upgrade: { socket: Duplex; head: Buffer } | null): void {
    const { account, options, allowance, outward } = this.#parts;
    const target = readUrl(incoming.url ?? "");
    const refusal = allowance.enter();
    if (refusal !== null) {
      allowance.tell(refusal, target);
      return say(outgoing, refusal);
    }
    if (target === null) return say(outgoing, NOT_A_TARGET);
    try {
      if (!isInner(target.hostname, options.edgeDomain)) return outward.forward(target, { incoming, outgoing, upgrade });
      if (!this.#inner.enter(upgrade?.socket ?? outgoing)) return say(outgoing, this.#inner.refusal);
      // One spelling of the host from here on: the canonical one.
      incoming.url = `${target.secure ? "https" : "http"}://${target.authority}${target.path}`;
      if (upgrade === null) return options.inner.request(account, incoming, outgoing);
      outgoing.detachSocket(upgrade.socket as Socket);
      options.inner.upgrade(account, incoming, upgrade.socket, upgrade.head);
    } catch (error) {
      options.log.warn({ err: error, account }, "an outbound request could not be sent");
      say(outgoing, NOT_A_TARGET);
    }
  }

  async #connect(incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { options, allowance, outward } = this.#parts;
    socket.on("error", () => socket.destroy());
    const target = readAuthority(incoming.url ?? "");
    try {
      const refusal = allowance.enter();
      if (refusal !== null) throw refusal;
      if (target === null) return refuseTunnel(socket, NOT_A_TARGET);
      if (isInner(target.hostname, options.edgeDomain)) return refuseTunnel(socket, INNER_CONNECT);
      await outward.tunnel(target, socket, head);
    } catch (error) {
      allowance.tell(error, target);
      refuseTunnel(socket, explain(error));
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
      this.#parts.outward.close();
    });
  }
}

function refuseTunnel(socket: Duplex, { status, text, retryAfterSeconds = null }: Explained): void {
  const body = Buffer.from(`${text}\n`);
  const retry = retryAfterSeconds === null ? "" : `Retry-After: ${retryAfterSeconds}\r\n`;
  const type = "Content-Type: text/plain; charset=utf-8";
  socket.write(`HTTP/1.1 ${status} Refused\r\n${type}\r\n${retry}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`);
  socket.end(body);
}

/** Makes the factory of egresses; they share nothing but its settings. */
export function createEgress(options: EgressOptions): EgressFactory {
  const lookup = options.lookup ?? dnsLookup();
  const own = new OwnAddresses({ ...options.own, lookup });
  const ownNames = new Set([options.consoleHost.toLowerCase().replace(/\.$/, "")]);
  const open = (account: AccountId, limits: Opened): CapsuleEgress => {
    const { budgets, refusals, journal, limitsOf } = options;
    const current = (): Opened["egress"] => (limitsOf(account) ?? limits).egress;
    const allowance = new Allowance({ account, limits: current, own: own.refuse, ownNames, budgets, refusals, journal });
    const outward = new Outward({
      allowance,
      lookups: new Lookups(lookup),
      own,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      firstByteTimeoutMs: options.firstByteTimeoutMs ?? 100_000,
      edgeDomain: options.edgeDomain,
      ...(options.connect === undefined ? {} : { connect: options.connect }),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
    return new CapsuleEgress({ account, options, allowance, outward, maxInnerRequests: limits.maxInnerRequests });
  };
  return {
    open: async (account, socketPath, limits) => {
      const egress = open(account, limits);
      rmSync(socketPath, { force: true });
      await new Promise<void>((resolve, reject) => {
        egress.server.once("error", reject);
        egress.server.listen(socketPath, resolve);
      });
      egress.server.on("error", (error) => options.log.error({ err: error, account }, "an egress failed"));
      // The capsule's own user connects; who may come this far is decided by the directory's rights.
      chmodSync(socketPath, 0o666);
      return {
        [Symbol.asyncDispose]: async () => {
          await egress.close();
          rmSync(socketPath, { force: true });
        },
      };
    },
  };
}
