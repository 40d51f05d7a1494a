// What the rooms of this wing hand each other: edge asks for leases, the supervisor asks for processes
// and for an egress. Types only; each room implements its own part.
import type { Agent, IncomingMessage, ServerResponse } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import type { Capped } from "../capsule/caps.ts";
import type { CapsuleLimits, Tombstone } from "../capsule/spec.ts";
import type { AccountId } from "../kernel/ids.ts";
import type { CapsulePool } from "./edge/pool.ts";

/** What answers, as its owner calls it: for the account's log alone. */
export type Origin = { readonly script: string; readonly version: string };

/** A request of a known account that has come to its end, as the edge saw it. */
export type Passed = {
  readonly account: AccountId;
  /** Null where no Worker answers, or one of ours. */
  readonly origin: Origin | null;
  readonly ray: string;
  readonly method: string;
  readonly url: string;
  /** Of the caller. */
  readonly address: string;
  /** Request line and header lines, as they went to the Worker. */
  readonly head: string;
  /** 0: no answer. */
  readonly status: number;
  readonly wallMs: number;
  /** `refused`: the edge answered in the Worker's place; `canceled`: the caller went away; `lost`: the process went away. */
  readonly end: "answered" | "refused" | "canceled" | "lost";
  /** What the process used meanwhile where it served nothing else; null where that is not known. */
  readonly cpuMs: number | null;
};

/** How requests in flight ended when their process was killed, and why in words for the account. */
export type Fate = { readonly outcome: "exceededCpu" | "exceededMemory" | "exception"; readonly reason: string };

/** Where a process tells what its Workers logged: its control socket. */
export type Mouth = { readonly socketPath: string; readonly agent: Agent };

/** The accounts' logs, as the supervisor feeds them. */
export type Journal = {
  /** Whether processes are to tell what their Workers log. */
  readonly tails: boolean;
  /**
   * Listens to a process until it is gone; null when nothing is kept of what it would tell.
   * @param origins service id → script and version
   */
  hear(account: AccountId, mouth: Mouth, ended: AbortSignal, origins: ReadonlyMap<string, Origin>): Listening | null;
  killed(account: AccountId, fate: Fate): void;
  /** The platform's own word to the account; one that repeats itself is written once a minute. */
  notice(account: AccountId, text: string): void;
  /** CPU that the account's process used since it was last told. */
  cpu(account: AccountId, cpuMs: number): void;
  /** Writes down what is there and lets the account go; its readers' streams end. */
  close(account: AccountId): Promise<void>;
  /** From the call on nothing is written, from the return on nothing is under way. */
  end(account: AccountId): Promise<void>;
};

export type Listening = {
  /** Takes what the process has yet to tell; bounded in time. */
  finish(): Promise<void>;
};

/** The right to send one request to a running capsule; a redeploy waits (bounded) until it is disposed. */
export type Lease = Disposable & {
  readonly account: AccountId;
  readonly generation: number;
  /** Id of the spec's service that answers. */
  readonly service: string;
  readonly origin: Origin | null;
  /** Unix socket of the Worker version that answers for the label, reached through `pool`. */
  readonly socketPath: string;
  readonly pool: CapsulePool;
  /** By which the process's asset services mark the files that they answer with; see file-mark.ts. */
  readonly fileMark: string;
  /** Aborts when the account ends, is suspended or its process was killed: cut everything at once. */
  readonly ended: AbortSignal;
  /** Aborts when the process is about to be replaced or stopped: cut WebSockets, let requests finish. */
  readonly replaced: AbortSignal;
  /** Counts bytes of the answer, and tells when those were too many: nothing more may be sent. */
  served(bytes: number): boolean;
  /** Milliseconds of CPU since the lease was given; null where other requests had a share in it, or it cannot be known. */
  cpuMs(): number | null;
};

/** The account that a refusal concerns, and what would have answered: for its log. */
export type Concern = { readonly account: AccountId; readonly origin: Origin | null };

/** A cap that is reached: why, for whoever is refused, and when it frees. */
export type Over = {
  readonly cap: Capped;
  readonly reason: string;
  readonly retryAfterSeconds: number;
  /** Milliseconds since the epoch; null where it frees by what is deleted alone. */
  readonly freesAtMs: number | null;
};

/** Why an account or its caller was refused: on the way out, or at a cap. */
export type RefusedWhat = "egress" | Capped;

/** Where refusals go to be told to control in bulk. */
export type Refusals = {
  /** @param reason in words for the account @param host whom its Worker wanted to reach */
  note(account: AccountId, what: RefusedWhat, reason: string, host?: string): void;
};

/** What stands behind a host label. */
export type Answerer =
  | { readonly kind: "lease"; readonly lease: Lease }
  | { readonly kind: "gone"; readonly tombstone: Tombstone }
  | { readonly kind: "suspended"; readonly reason: string; readonly concern?: Concern }
  /** The account is at a cap: this one, or none of its Workers, is served until it frees. */
  | { readonly kind: "capped"; readonly over: Over; readonly concern?: Concern }
  /** The account lives but no Worker answers at this label, or nothing is known of it at all. */
  | { readonly kind: "none"; readonly concern?: Concern }
  /** Control cannot be asked or the capsule cannot start; `reason` is for the caller. */
  | { readonly kind: "unavailable"; readonly reason: string; readonly retryAfterSeconds: number; readonly concern?: Concern };

/** What a caller says about which version of a Worker is to answer, as it was sent; nothing of it need be well-formed. */
export type Choice = {
  /** Requests with one key go to one version while the shares stay. */
  readonly key?: string | undefined;
  /** Structured dictionary of Worker to version. */
  readonly overrides?: string | undefined;
  /** Asked before for the same request, which was counted then. */
  readonly again?: boolean;
};

/** Who answers for the account behind a label. */
export type ClaimState = { readonly account: AccountId; readonly claimed: boolean; readonly endsAtMs: number | null };

/** Edge's view of the capsules: holds the caller until the capsule is hot. */
export type Capsules = {
  /** @param label the part of the host name before the edge domain, lower case. */
  open(label: string, choice?: Choice): Promise<Answerer>;
  /** Null where nothing serves. Starts no process. */
  claimState(label: string): Promise<ClaimState | null>;
  /** Whether nobody answers for the account at this moment; false of one that is not known here. */
  unclaimed(account: AccountId): boolean;
};

/** Egress of one capsule: a unix socket that the process may connect to; the socket is its identity. */
export type EgressFactory = {
  open(account: AccountId, socketPath: string, limits: Pick<CapsuleLimits, "maxInnerRequests" | "egress">): Promise<AsyncDisposable>;
};

/** How egress hands a request for a host of this installation back to the edge, without leaving the machine. */
export type InnerDoor = {
  request(from: AccountId, incoming: IncomingMessage, outgoing: ServerResponse): void;
  upgrade(from: AccountId, incoming: IncomingMessage, socket: Duplex, head: Buffer): void;
};

export type Rung = "bubblewrap-root" | "bubblewrap-user" | "root" | "none";

/** How a process inside the sandbox sees its directories; outside of bubblewrap these are the real paths. */
export type InnerPaths = { readonly sockets: string; readonly assets: string; readonly state: string };

/** What a sandbox can run: the tenant's Workers, or our own program over an account's `state/` (capsules/keeper). */
export type Program = "workerd" | "keeper";

export type LaunchRequest = {
  /** Absent: workerd. The keeper sees `state/` alone of the directory, and has pipes in place of `stdin` and `collectStdout`. */
  readonly program?: Program;
  /** Distinct per capsule among those alive, stable while its directory exists; ignored on rungs without own users. */
  readonly uid: number;
  /** The capsule's directory on the host: `assets/` appears read-only, `state/` writable, nothing else of it. Null: a scratch run with neither. */
  readonly directory: string | null;
  /** Directory for the capsule's unix sockets on the host; writable for the process while it starts. Null: none. */
  readonly socketDirectory: string | null;
  /** Arguments after the program, for workerd such as ["serve", "--experimental", "--binary", "-"]. */
  readonly args: readonly string[];
  /** Written to the process's standard input, then closed; no secret touches the disk. Null: it waits for `feed`. */
  readonly stdin: Uint8Array | null;
  readonly limits: Pick<CapsuleLimits, "memoryBytes" | "cpuWeight" | "maxProcesses"> & {
    /** Of one file. Absent: little, for what keeps nothing. */
    readonly maxFileBytes?: number;
  };
  /** Whether standard output is collected (trials) or thrown away. */
  readonly collectStdout: boolean;
};

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly outOfMemory: boolean };

/** A sandboxed process, workerd unless another program was asked for. */
export type Sandboxed = {
  /** Pid of workerd itself in our namespace. */
  readonly pid: number;
  /** Settles when workerd and its wrapper are gone; their emptied cgroups follow. */
  readonly exited: Promise<Exit>;
  /** What a process that was launched without its standard input waits for: once. */
  feed(stdin: Uint8Array): void;
  /** SIGTERM to workerd itself: refuses new connections, finishes requests in flight. */
  terminate(): void;
  /** SIGKILL to workerd and its wrapper. */
  kill(): void;
  /** CPU milliseconds used since start. */
  cpuMs(): Promise<number>;
  /** Proportional set size. */
  pssBytes(): Promise<number>;
  /** Last 16 KiB of standard error, for diagnosis; kept in memory only. */
  stderr(): string;
  /** Everything on standard output when asked for, at most 1 MiB. */
  stdout(): string;
  /** Of a keeper: its standard input and output, flowing; whoever launched it sees to their errors. */
  readonly pipes?: { readonly input: Writable; readonly output: Readable };
};

export type Sandbox = AsyncDisposable & {
  readonly rung: Rung;
  /** What better rungs lack here, in words for the operator. */
  readonly missing: readonly string[];
  /** Paths as the process will see them. */
  inner(directory: string, socketDirectory: string): InnerPaths;
  /** @throws PlatformError capsule_failed when the process cannot be started at all. */
  launch(request: LaunchRequest): Promise<Sandboxed>;
};
