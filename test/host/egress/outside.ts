// One account's way out with an Internet of our own behind the policy: a real workerd behind a real edge, real budgets,
// and far ends on loopback that play whatever address the policy let through.
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { NO_CAPS, type Caps } from "../../../src/capsule/caps.ts";
import type { CapsuleLimits } from "../../../src/capsule/spec.ts";
import { Budgets } from "../../../src/host/budgets/budgets.ts";
import type { EgressFactory, RefusedWhat } from "../../../src/host/contract.ts";
import { createEgress, type EgressOptions } from "../../../src/host/egress/egress.ts";
import { newAccountId, type AccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { testClock, type TestClock } from "../../fixtures/databases.ts";
import { LIMITS } from "../../fixtures/limits.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { ask, DOMAIN, fakeCapsules, runEdge, type FakeCapsules } from "../edge/running-edge.ts";
import { runWorkerd, type RunningWorkerd } from "../edge/running-workerd.ts";
import { WORKER } from "./worker-outward.ts";

export const PUBLIC = "93.184.215.14";
/** Nobody listens there. */
export const CLOSED = "93.184.215.66";
/** The Worker itself, as a host outside. */
export const WORKERD = "93.184.215.77";
/** Of the machine that the tests play. */
export const OWN = "93.184.215.99";

type Noted = { readonly what: RefusedWhat; readonly reason: string; readonly host: string | undefined };

export type Outside = AsyncDisposable & {
  readonly account: AccountId;
  readonly directory: string;
  readonly socketPath: string;
  readonly egress: EgressFactory;
  readonly options: EgressOptions;
  readonly capsules: FakeCapsules;
  readonly workerd: RunningWorkerd;
  readonly budgets: Budgets;
  readonly clock: TestClock;
  /** What control says: changed by tests while everything runs. */
  readonly limits: { egress: CapsuleLimits["egress"] };
  /** What the Internet's resolver knows. */
  readonly names: Map<string, () => readonly string[]>;
  /** `address:port` of each connection that was really made. */
  readonly connected: string[];
  /** Requests that the site saw. */
  readonly seen: IncomingMessage[];
  /** Requests of `/held`, which the site answers when told to. */
  readonly held: ServerResponse[];
  /** Bytes that came to `/sink` and to the raw far end. */
  readonly sunk: { site: number; raw: number };
  readonly noted: Noted[];
  readonly notices: string[];
  /** Asks the Worker. */
  ask(
    path: string,
    query?: Record<string, string>,
    options?: { method?: string; body?: string },
  ): Promise<{ status: number; body: string }>;
  /** One request as a hostile process inside the sandbox could write it. */
  direct(target: string, method?: string): Promise<{ status: number; body: string; retryAfter: string | undefined }>;
  use(cap: keyof Caps): number;
};

export const portOf = (server: TcpServer): number => (server.address() as AddressInfo).port;

function openSite({ seen, held, sunk }: Pick<Outside, "seen" | "held" | "sunk">) {
  return createServer((incoming, outgoing) => {
    seen.push(incoming);
    const path = incoming.url ?? "";
    if (path.startsWith("/redirect?")) outgoing.writeHead(302, { Location: decodeURIComponent(path.slice(10)) }).end();
    else if (path.startsWith("/bytes?")) outgoing.end(Buffer.alloc(Number(path.slice(7)), "x"));
    else if (path === "/mirror") incoming.pipe(outgoing);
    else if (path === "/broken") incoming.socket.destroy();
    else if (path === "/hints") {
      for (let i = 0; i < 1_000; i++) outgoing.writeEarlyHints({ link: "</style.css>; rel=preload", "x-pad": "x".repeat(200) });
      outgoing.end("at last");
    } else if (path === "/held") held.push(outgoing);
    else if (path === "/sink") {
      incoming.on("data", (chunk: Buffer) => (sunk.site += chunk.length));
      incoming.on("end", () => outgoing.end(String(sunk.site)));
    } else outgoing.end("the outside");
  }).listen(0, "127.0.0.1");
}

/** Answers `ping` and ends, pours forth at `flood`, and takes whatever else comes. */
function openRaw({ sunk }: Pick<Outside, "sunk">) {
  return createTcpServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (data: Buffer) => {
      sunk.raw += data.length;
      const said = data.toString();
      // The first byte of a TLS handshake.
      if (data[0] === 0x16) socket.end("no TLS is spoken here");
      if (said === "ping") socket.end("ping pong");
      if (said === "flood") socket.write(Buffer.alloc(1_048_576));
    });
  }).listen(0, "127.0.0.1");
}

async function direct(socketPath: string, target: string, method = "GET") {
  const outgoing = request({ socketPath, method, path: target, setHost: false, agent: false }).end();
  const [response] = (await once(outgoing, method === "CONNECT" ? "connect" : "response")) as [IncomingMessage, Socket, Buffer];
  const told = { status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] };
  if (method !== "CONNECT") return { ...told, body: await text(response) };
  response.socket.destroy();
  return { ...told, body: "" };
}

export type OutsideOptions = { readonly caps?: Partial<Caps>; readonly egress?: Partial<CapsuleLimits["egress"]> };

export async function openOutside({ caps = {}, egress: egressLimits = {} }: OutsideOptions = {}): Promise<Outside> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await temporaryDirectory("egress")).path;
  const [account, clock, socketPath] = [newAccountId(), testClock(), join(directory, "egress.sock")];
  const told = { names: new Map(), connected: [], seen: [], held: [], sunk: { site: 0, raw: 0 }, noted: [], notices: [] } as Pick<
    Outside,
    "names" | "connected" | "seen" | "held" | "sunk" | "noted" | "notices"
  >;
  const [site, raw] = [openSite(told), openRaw(told)];
  const far = new Set<Socket>();
  raw.on("connection", (socket) => far.add(socket));
  await Promise.all([once(site, "listening"), once(raw, "listening")]);
  stack.defer(() => {
    site.close().closeAllConnections();
    raw.close();
    for (const socket of far) socket.destroy();
  });
  const workerd = stack.use(await runWorkerd(WORKER, { egressSocket: socketPath }));
  const capsules = fakeCapsules(workerd.socketPath);
  const running = stack.use(await runEdge(capsules));
  const limits = { egress: { ...LIMITS.egress, ...egressLimits } };
  const budgets = stack.use(new Budgets(clock));
  budgets.set(account, { ...NO_CAPS, ...caps });
  const options: EgressOptions = {
    inner: running.edge.inner,
    edgeDomain: DOMAIN,
    consoleHost: "console.example",
    own: { deny: [`${OWN}/32`], names: [], proxies: [] },
    limitsOf: () => ({ ...LIMITS, egress: limits.egress }),
    budgets,
    refusals: { note: (_account, what, reason, host) => void told.noted.push({ what, reason, host }) },
    journal: { notice: (_account, words) => void told.notices.push(words) },
    log: createLog("test", "silent"),
    lookup: async (name) => told.names.get(name)?.() ?? [],
    connect: (address, port) => {
      told.connected.push(`${address}:${port}`);
      if (address === WORKERD) return connect(workerd.socketPath);
      if (address === CLOSED) return connect(1, "127.0.0.1");
      const to = port === 443 || port === 5432 ? raw : site;
      return connect({ host: "127.0.0.1", port: portOf(to), allowHalfOpen: true });
    },
  };
  const egress = createEgress(options);
  stack.use(await egress.open(account, socketPath, { ...LIMITS, maxInnerRequests: 8 }));
  told.names.set("example.com", () => [PUBLIC]);
  told.names.set("socket.example", () => [WORKERD]);
  const owned = stack.move();
  return {
    account,
    directory,
    socketPath,
    egress,
    options,
    capsules,
    workerd,
    budgets,
    clock,
    limits,
    ...told,
    ask: (path, query = {}, sent = {}) => ask(running.port, `${path}?${new URLSearchParams(query).toString()}`, sent),
    direct: (target, method) => direct(socketPath, target, method),
    use: (cap) => budgets.of(account).use.find((one) => one.cap === cap)?.used ?? 0,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
