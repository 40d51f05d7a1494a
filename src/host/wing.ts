// The parts of this wing, put together from plain options: main.ts hands it the settings, tests their own.
// A weak sandbox never serves strangers: on its rungs the edge listens on loopback only.
import { execFile } from "node:child_process";
import type { AddressInfo } from "node:net";
import { isIP } from "node:net";
import { freemem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { CapsuleControl, CapsuleHost } from "../capsule/messages.ts";
import type { Clock } from "../kernel/clock.ts";
import type { AccountId } from "../kernel/ids.ts";
import type { Log } from "../kernel/log.ts";
import { createCapsuleHost } from "./capsules/capsule-host.ts";
import { CF_BLOB_HEADER, FORWARDED_PROTO_HEADER } from "./capsules/workerd/config.ts";
import { AccountFiles } from "./capsules/files/files.ts";
import type { Bounds } from "./capsules/supervisor/parts.ts";
import { Budgets } from "./budgets/budgets.ts";
import { Ledger } from "./budgets/ledger.ts";
import { createKeeper } from "./capsules/keeper/keeper.ts";
import { workerdBinary } from "./capsules/sandbox/binary.ts";
import { createSandbox } from "./capsules/sandbox/sandbox.ts";
import { capacityOf } from "./capsules/machine.ts";
import { Supervisor } from "./capsules/supervisor/supervisor.ts";
import { createTrials } from "./capsules/trials/trial.ts";
import type { InnerDoor, Rung } from "./contract.ts";
import { followBans } from "./edge/bans.ts";
import { createEdge, type Edge } from "./edge/edge.ts";
import { readVisitKey } from "./edge/visitors/visit-key.ts";
import { Visitors } from "./edge/visitors/visitors.ts";
import { createEgress, type EgressOptions } from "./egress/egress.ts";
import { Logs, type LogMode } from "./logs/logs.ts";
import { Refusals } from "./refusals.ts";

export type WingOptions = {
  /** Exists; accounts lie below it. */
  readonly data: string;
  /** Exists; sockets lie below it. */
  readonly run: string;
  readonly edgePort: number;
  readonly edgeBind: string;
  readonly edgeDomain: string;
  readonly edgeUrl: URL;
  /** Public origin of control's pages and API. */
  readonly url: URL;
  /** Whether visitors of unclaimed accounts are asked before they see a page. */
  readonly interstitial: boolean;
  readonly trustedProxies: readonly string[];
  /** Addresses and CIDRs that no Worker reaches. */
  readonly egressDeny: readonly string[];
  readonly connectionsPerAddress?: number;
  readonly capsulesHot: number;
  readonly idleMs: number;
  /** Of the machine's memory, never given to another process; 0: all of it may be. */
  readonly memoryReserveBytes: number;
  /** Of an account whose spec was not seen yet. */
  readonly maxDiskBytes: number;
  readonly logs: LogMode;
  /** Of one account's log; 0 keeps none. */
  readonly logBytes: number;
  readonly sandbox: "auto" | Rung;
  readonly control: CapsuleControl;
  readonly clock: Clock;
  readonly log: Log;
  readonly bounds?: Partial<Bounds>;
  /** What a test plays in the Internet's place. */
  readonly internet?: Pick<EgressOptions, "lookup" | "connect">;
};

/** Processes that wait for an upload to try: one more than a deploy needs, since the next may follow at once. */
const WAITING_TRIALS = 2;

export type Wing = AsyncDisposable & {
  readonly capsuleHost: CapsuleHost;
  readonly rung: Rung;
  readonly missing: readonly string[];
  /** Where the edge listens. */
  readonly edgePort: number;
};

/** Whether only this machine can connect there. */
export function isLoopback(bind: string): boolean {
  if (isIP(bind) === 4) return bind.startsWith("127.");
  return bind === "localhost" || bind === "::1";
}

/** @throws Error in words for the operator when strangers could reach what a weak sandbox holds */
export function refuseOpenEdge(rung: Rung, edgeBind: string, missing: readonly string[]): void {
  if (rung === "bubblewrap-root" || rung === "bubblewrap-user" || isLoopback(edgeBind)) return;
  throw new Error(
    `The sandbox "${rung}" is for trusted code, so the edge listens on loopback only, not on ${edgeBind}: ` +
      `set MAYFLY_EDGE_BIND to 127.0.0.1, or give this machine what better sandboxes lack. ${missing.join(". ")}`,
  );
}

function listen(edge: Edge, port: number, bind: string): Promise<number> {
  return new Promise((resolve, reject) => {
    edge.server.once("error", reject);
    edge.server.listen(port, bind, () => resolve((edge.server.address() as AddressInfo).port));
  });
}

/** Brings the wing up; on failure everything that was up is taken down again. */
export async function openWing(options: WingOptions): Promise<Wing> {
  const { clock, log, run: runDirectory } = options;
  const accountsDirectory = join(options.data, "accounts");
  const workerd = workerdBinary();
  await using stack = new AsyncDisposableStack();
  const sandbox = stack.use(await createSandbox({ runDirectory, accountsDirectory, workerd, rung: options.sandbox, log }));
  refuseOpenEdge(sandbox.rung, options.edgeBind, sandbox.missing);
  const { stdout } = await promisify(execFile)(workerd, ["--version"]);
  const ledger = new Ledger(accountsDirectory, (err, account) => log.error({ err, account }, "what an account has used could not be kept"));
  const budgets = stack.use(new Budgets(clock, ledger));
  const files = new AccountFiles({ data: options.data, clock, maxDiskBytes: options.maxDiskBytes });

  // The edge asks the supervisor, whose capsules' egress leads back to the edge: tied once both are there.
  let edge: Edge | null = null;
  const inner: InnerDoor = {
    request: (from, incoming, outgoing) => (edge === null ? outgoing.destroy() : edge.inner.request(from, incoming, outgoing)),
    upgrade: (from, incoming, socket, head) => (edge === null ? socket.destroy() : edge.inner.upgrade(from, incoming, socket, head)),
  };
  const lives = (account: AccountId): boolean => supervisor.lives(account);
  const refusals = stack.use(new Refusals((event) => supervisor.report(event)));
  const logs = stack.use(
    new Logs({ accountsDirectory, mode: options.logs, maxBytes: options.logBytes, clock, log, lives, budgets, refusals }),
  );
  const bans = stack.use(followBans({ control: options.control, clock, log }));
  edge = createEdge({
    capsules: {
      open: (label, choice) => supervisor.open(label, choice),
      claimState: (label) => supervisor.claimState(label),
      unclaimed: (account) => supervisor.unclaimed(account),
    },
    domain: options.edgeDomain,
    publicScheme: options.edgeUrl.protocol === "https:" ? "https" : "http",
    trustedProxies: options.trustedProxies,
    ...(options.connectionsPerAddress !== undefined && { guard: { connectionsPerAddress: options.connectionsPerAddress } }),
    cfBlobHeader: CF_BLOB_HEADER,
    forwardedProtoHeader: FORWARDED_PROTO_HEADER,
    log,
    leaked: (secrets) => options.control.leaked(secrets),
    onDone: (outcome, status, durationMs) => {
      supervisor.measures.requests.inc({ outcome, status: String(Math.floor(status / 100)) });
      supervisor.measures.requestSeconds.observe(durationMs / 1_000);
    },
    onPassed: (passed) => logs.passed(passed),
    onRetry: () => supervisor.measures.retries.inc(),
    refuses: (address) => bans.refuses(address),
    visitors: new Visitors({ clock, key: readVisitKey(options.data), interstitial: options.interstitial, consoleUrl: options.url }),
  });
  const opened = edge;
  stack.defer(() => opened.close());
  const memoryIsShort = (): boolean => freemem() < options.memoryReserveBytes;
  const keeper = stack.use(createKeeper({ sandbox }));
  const { edgeDomain } = options;
  const consoleHost = options.url.hostname;
  const egress = createEgress({
    edgeDomain,
    consoleHost,
    // A wildcard has no name of its own.
    own: { deny: options.egressDeny, names: [consoleHost, options.edgeUrl.hostname, `www.${edgeDomain}`], proxies: options.trustedProxies },
    limitsOf: (account) => supervisor.limitsOf(account),
    budgets,
    refusals,
    journal: logs,
    inner,
    log,
    ...options.internet,
  });
  const supervisor: Supervisor = stack.use(
    new Supervisor({
      ...options,
      journal: logs,
      budgets,
      refusals,
      keeper,
      sandbox,
      egress,
      files,
      accountsDirectory,
      runDirectory,
      memoryIsShort,
    }),
  );
  const capacity = () =>
    capacityOf({
      data: options.data,
      memoryReserveBytes: options.memoryReserveBytes,
      processes: () => ({ hot: supervisor.hot, max: options.capsulesHot }),
      accountsKnown: () => supervisor.known,
      edgeConnections: () => opened.connections,
    });
  const trials = stack.use(createTrials({ sandbox, files, clock, waiting: WAITING_TRIALS }));
  const edgePort = await listen(edge, options.edgePort, options.edgeBind);
  const up = stack.move();
  return {
    capsuleHost: createCapsuleHost({ supervisor, files, trials, logs, sandbox, workerdVersion: stdout.trim(), capacity }),
    rung: sandbox.rung,
    missing: sandbox.missing,
    edgePort,
    [Symbol.asyncDispose]: () => up.disposeAsync(),
  };
}
