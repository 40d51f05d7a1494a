// An edge in front of one Worker, with leases that a test can count, end and replace.
import { once } from "node:events";
import { request, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { createEdge, type Edge, type EdgeOptions } from "../../../src/host/edge/edge.ts";
import { CapsulePool } from "../../../src/host/edge/pool.ts";
import type { Answerer, Capsules, Choice, ClaimState } from "../../../src/host/contract.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { CF_BLOB_HEADER, FORWARDED_PROTO_HEADER } from "./running-workerd.ts";

export const DOMAIN = "mayfly.localhost";
/** Of every lease. */
export const FILE_MARK_OF_TESTS = "0123456789abcdef0123456789abcdef";

export type FakeCapsules = Capsules & {
  /** What each label answers instead of the Worker. */
  readonly answers: Map<string, () => Answerer | Promise<Answerer>>;
  readonly pool: CapsulePool;
  /** What callers said about versions. */
  readonly choices: Choice[];
  /** Leases given and not yet returned. */
  out: number;
  /** Leases given in all. */
  given: number;
  ended: AbortController;
  replaced: AbortController;
  /** Of every label; null: nobody. */
  stands: ClaimState | null;
  lease(): Answerer;
};

/** The thinnest supervisor: every label leads to one socket. */
export function fakeCapsules(socketPath: string): FakeCapsules {
  const account = newAccountId();
  const capsules: FakeCapsules = {
    answers: new Map(),
    pool: new CapsulePool(socketPath),
    out: 0,
    given: 0,
    ended: new AbortController(),
    replaced: new AbortController(),
    lease: () => {
      capsules.out += 1;
      capsules.given += 1;
      let returned = false;
      const dispose = (): void => {
        if (returned) throw new Error("a lease was returned twice");
        returned = true;
        capsules.out -= 1;
      };
      const { pool, ended, replaced } = capsules;
      const lease = {
        account,
        generation: 1,
        service: "w-test",
        origin: null,
        cpuMs: () => null,
        served: () => false,
        socketPath,
        pool,
        fileMark: FILE_MARK_OF_TESTS,
        ended: ended.signal,
        replaced: replaced.signal,
        [Symbol.dispose]: dispose,
      };
      return { kind: "lease", lease };
    },
    choices: [],
    stands: { account, claimed: true, endsAtMs: null },
    claimState: () => Promise.resolve(capsules.stands),
    unclaimed: () => capsules.stands?.claimed === false,
    open: async (label, choice) => {
      if (choice) capsules.choices.push(choice);
      return (await capsules.answers.get(label)?.()) ?? capsules.lease();
    },
  };
  return capsules;
}

export type RunningEdge = AsyncDisposable & { readonly edge: Edge; readonly port: number };

export async function runEdge(capsules: FakeCapsules, options: Partial<EdgeOptions> = {}): Promise<RunningEdge> {
  const edge = createEdge({
    capsules,
    domain: DOMAIN,
    publicScheme: "http",
    trustedProxies: [],
    cfBlobHeader: CF_BLOB_HEADER,
    forwardedProtoHeader: FORWARDED_PROTO_HEADER,
    log: createLog("test", "silent"),
    ...options,
  });
  edge.server.listen(0, "127.0.0.1");
  await once(edge.server, "listening");
  return {
    edge,
    port: (edge.server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      await edge.close();
      capsules.pool.close();
    },
  };
}

export type Got = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly raw: readonly string[];
};

export type Ask = {
  readonly label?: string;
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string;
};

/** Sends one request to a Worker's host and reads the whole answer. */
export async function ask(port: number, path: string, options: Ask = {}): Promise<Got> {
  const response = await begin(port, path, options);
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response), raw: response.rawHeaders };
}

/** As `ask`, but returns as soon as the head has come. */
export async function begin(port: number, path: string, options: Ask = {}): Promise<IncomingMessage> {
  const host = `${options.label ?? "hello--quiet-otter-x7k2p"}.${DOMAIN}`;
  const outgoing = request({
    host: "127.0.0.1",
    port,
    path,
    method: options.method ?? "GET",
    agent: false,
    headers: { host, ...options.headers },
  });
  outgoing.end(options.body);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return response;
}

/** Writes bytes as they are and returns everything that comes back until the other side closes. */
export async function askRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(bytes, "latin1");
  return text(socket);
}
