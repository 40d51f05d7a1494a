// From a target to a connected socket. Names are looked up here, every address is judged after the look-up, and
// the connection goes to an address that was judged, never to the name again: rebinding finds nothing to turn.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { refuseAddress } from "./address-policy.ts";
import type { Lookups } from "./lookups.ts";
import type { OwnAddresses } from "./own-addresses.ts";
import type { Places } from "./places.ts";
import { EgressRefusal } from "./refusal.ts";
import type { Target } from "./target.ts";

export type DialOptions = {
  readonly lookups: Pick<Lookups, "ask">;
  readonly own: Pick<OwnAddresses, "known" | "refuse">;
  readonly places: Pick<Places, "take" | "give">;
  readonly maxConnections: () => number;
  /** How an address that passed is connected to; replaced only where a test plays the Internet. */
  readonly connect?: (address: string, port: number) => Socket;
  /** Certificates trusted besides the system's. */
  readonly ca?: string;
  readonly connectTimeoutMs: number;
};

/** Why nothing was connected, told apart as the hosted original's 52x answers do. */
export type DialFailure = "name" | "connection-refused" | "timeout" | "tls" | "certificate" | "unreachable" | "no-answer";

export class DialError extends Error {
  readonly failure: DialFailure;

  /** @param message for the tenant; names what was asked for */
  constructor(failure: DialFailure, message: string) {
    super(message);
    this.name = "DialError";
    this.failure = failure;
  }
}

const MAX_ADDRESSES = 4;

/** Addresses of the target that a Worker may reach. @throws DialError, EgressRefusal */
async function judged(target: Target, { lookups, own }: DialOptions): Promise<readonly string[]> {
  const [addresses] = await Promise.all([target.literal ? [target.hostname] : lookups.ask(target.hostname), own.known()]);
  if (addresses.length === 0) throw new DialError("name", `The name ${target.hostname} has no address.`);
  const verdicts = addresses.map((address) => ({ address, why: refuseAddress(address, own.refuse) }));
  const open = verdicts.filter(({ why }) => why === null).map(({ address }) => address);
  if (open.length > 0) return open;
  const why = verdicts[0]?.why ?? "not an address";
  throw EgressRefusal.byPolicy(target, target.literal ? `it is ${why}` : `its name leads to ${why}`);
}

function failureOf(error: NodeJS.ErrnoException, secure: boolean): keyof typeof WORDS {
  const code = error.code ?? "";
  if (code === "ECONNREFUSED") return "connection-refused";
  if (code === "ETIMEDOUT") return "timeout";
  if (/CERT|SELF_SIGNED|UNABLE_TO/.test(code)) return "certificate";
  if (secure && (code.startsWith("ERR_SSL") || code === "EPROTO" || code === "ECONNRESET")) return "tls";
  return "unreachable";
}

const WORDS: Record<Exclude<DialFailure, "name" | "no-answer">, string> = {
  "connection-refused": "refused the connection",
  timeout: "did not answer in time",
  tls: "did not complete the TLS handshake",
  certificate: "has no valid certificate for this name",
  unreachable: "cannot be reached",
};

function opened(socket: Socket | TLSSocket, event: "connect" | "secureConnect", timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" })), timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    socket.once("error", fail);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off("error", fail);
      resolve();
    });
  });
}

async function openOne(address: string, target: Target, options: DialOptions): Promise<Socket> {
  const connect = options.connect ?? ((host: string, port: number) => connectTcp({ host, port, allowHalfOpen: true, noDelay: true }));
  const plain = connect(address, target.port);
  await opened(plain, "connect", options.connectTimeoutMs);
  if (!target.secure) return plain;
  const secure = connectTls({
    socket: plain,
    ALPNProtocols: ["http/1.1"],
    ...(target.literal ? { host: target.hostname } : { servername: target.hostname }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  await opened(secure, "secureConnect", options.connectTimeoutMs);
  return secure;
}

async function openAny(target: Target, options: DialOptions): Promise<Socket> {
  let last: NodeJS.ErrnoException = new Error("no address");
  for (const address of (await judged(target, options)).slice(0, MAX_ADDRESSES)) {
    try {
      return await openOne(address, target, options);
    } catch (error) {
      last = error as NodeJS.ErrnoException;
    }
  }
  const failure = failureOf(last, target.secure);
  throw new DialError(failure, `${target.hostname} port ${target.port} ${WORDS[failure]}.`);
}

/**
 * Opens a connection to a target, TLS and certificate included when it is https. It has its place from before the look-up on.
 *
 * @throws DialError, EgressRefusal
 */
export async function dial(target: Target, options: DialOptions): Promise<Socket> {
  const place = options.places.take();
  if (place === null) throw EgressRefusal.tooManyOpen(options.maxConnections());
  try {
    const socket = await openAny(target, options);
    options.places.give(place, socket);
    return socket;
  } catch (error) {
    place.leave();
    throw error;
  }
}
