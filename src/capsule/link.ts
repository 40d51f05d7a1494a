// The wire under the door: JSON over HTTP on a unix socket that only this installation's user can open.
// `put` streams its body, `follow` and `tail` their answers, `call` both; every other call is one JSON message each way.
// Failures cross as codes of the error table.
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { chmodSync, rmSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { ERRORS, PlatformError, type ErrorCode } from "../kernel/errors.ts";
import { SHA256_HEX } from "../kernel/ids.ts";
import {
  accountLoad,
  capacity,
  capsuleEvent,
  fileKind,
  heldAccount,
  hostStatus,
  lookupAnswer,
  usage,
  verdict,
  type CapsuleControl,
  type CapsuleHost,
} from "./messages.ts";
import { ban } from "./bans.ts";
import { answerHead, capsuleCall, scheduledCall, scheduledOutcome, type CapsuleAnswer, type CapsuleCall } from "./calls.ts";
import { followQuery, logPage, logQuery, metricsMinute, metricsQuery, tailQuery } from "./logs.ts";
import { stateJob } from "./state.ts";
import { accountId, capsuleSpec, tombstone, trial } from "./spec.ts";

const serving = z.object({ serving: z.number() });
const nothing = z.null();
const filesAsked = z.object({ account: accountId, kind: fileKind, hashes: z.array(z.string().regex(SHA256_HEX)) });

type Call = { readonly input: z.ZodType; readonly output: z.ZodType };

const HOST_CALLS = {
  missing: { input: filesAsked, output: z.array(z.string()) },
  validate: { input: trial, output: verdict },
  apply: { input: capsuleSpec, output: serving },
  end: { input: tombstone, output: nothing },
  erase: { input: accountId, output: nothing },
  usage: { input: accountId, output: usage },
  events: { input: z.number().int(), output: z.array(capsuleEvent) },
  status: { input: nothing, output: hostStatus },
  loads: { input: nothing, output: z.array(accountLoad) },
  capacity: { input: nothing, output: capacity },
  prometheus: { input: nothing, output: z.string() },
  logs: { input: logQuery, output: logPage },
  metrics: { input: metricsQuery, output: z.array(metricsMinute) },
  schedule: { input: scheduledCall, output: scheduledOutcome },
  wake: { input: accountId, output: nothing },
} satisfies Record<string, Call>;

const CONTROL_CALLS = {
  lookup: { input: z.string(), output: lookupAnswer },
  held: { input: z.array(heldAccount), output: z.array(lookupAnswer.nullable()) },
  bans: { input: nothing, output: z.array(ban) },
  leaked: { input: z.array(z.string()), output: nothing },
} satisfies Record<string, Call>;

const wireError = z.object({
  code: z.string().refine((code): code is ErrorCode => code in ERRORS),
  message: z.string(),
  next: z.string(),
  retryAfterSeconds: z.number().optional(),
});

function toError(answer: string): PlatformError {
  const { code, message, next, retryAfterSeconds } = wireError.parse(JSON.parse(answer));
  return new PlatformError(code, { message, next, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) });
}

/** Of a call, JSON in base64: the request's own head, and that of its answer. */
const CALL_HEADER = "mayfly-call";
const ANSWER_HEADER = "mayfly-answer";

/** What control says in a head, such as the names of a thousand tables … */
const MAX_CALL_HEAD_BYTES = 8_388_608;
/** … and what a process answers, of whose head host takes 16 KiB. */
const MAX_ANSWER_HEAD_BYTES = 65_536;

const headed = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64");
const unheaded = (header: string | string[] | undefined): unknown => JSON.parse(Buffer.from(String(header), "base64").toString());

/** Connections kept for the next calls. */
const MAX_SPARE = 32;

/** Of a connection that was never made: the other wing cannot have heard of the call. */
const UNHEARD: ReadonlySet<unknown> = new Set(["ECONNREFUSED", "ENOENT", "EACCES"]);

/** `detail.heard` says whether the other wing may have begun what it was asked. */
function unanswered(cause: unknown): PlatformError {
  const heard = !(cause instanceof Error && "code" in cause && UNHEARD.has(cause.code));
  return new PlatformError("capsule_failed", {
    message: "The part of this installation that runs Workers does not answer.",
    detail: { heard },
    cause,
  });
}

/** A connection to the other wing; calls fail with `capsule_failed` while it is down. */
class Link {
  readonly #socketPath: string;
  /** After a crowd of calls the connections that nobody needs are closed again. */
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: MAX_SPARE });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async call<C extends Call>(name: string, shape: C, input: z.input<C["input"]>): Promise<z.output<C["output"]>> {
    const answer = await this.send(`/${name}`, JSON.stringify(input));
    return shape.output.parse(JSON.parse(answer)) as z.output<C["output"]>;
  }

  async send(path: string, body: string | Uint8Array | Readable): Promise<string> {
    try {
      const incoming = await this.#exchange(path, body);
      const answer = await text(incoming);
      if (incoming.statusCode === 200) return answer;
      throw toError(answer);
    } catch (cause) {
      if (cause instanceof PlatformError) throw cause;
      throw unanswered(cause);
    }
  }

  /** The answer as it comes; destroying it tells the other side. */
  async open(path: string, body: string | Uint8Array | Readable, headers: Record<string, string> = {}): Promise<IncomingMessage> {
    try {
      const incoming = await this.#exchange(path, body, headers);
      if (incoming.statusCode === 200) return incoming;
      throw toError(await text(incoming));
    } catch (cause) {
      if (cause instanceof PlatformError) throw cause;
      throw unanswered(cause);
    }
  }

  async pass(call: CapsuleCall, body: Uint8Array | Readable): Promise<CapsuleAnswer> {
    const incoming = await this.open("/call", body, { [CALL_HEADER]: headed(call) });
    return { ...answerHead.parse(unheaded(incoming.headers[ANSWER_HEADER])), body: incoming };
  }

  #exchange(path: string, body: string | Uint8Array | Readable, headers: Record<string, string> = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const [socketPath, agent, maxHeaderSize] = [this.#socketPath, this.#agent, MAX_ANSWER_HEAD_BYTES];
      const outgoing = request({ socketPath, path, method: "POST", agent, headers, maxHeaderSize }, resolve);
      outgoing.on("error", reject);
      if (body instanceof Readable) pipeline(body, outgoing).catch(reject);
      else outgoing.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Control's end: a CapsuleHost that lives behind the socket. */
export function connectHost(socketPath: string): CapsuleHost & Disposable {
  const link = new Link(socketPath);
  const call = <N extends keyof typeof HOST_CALLS>(name: N, input: z.input<(typeof HOST_CALLS)[N]["input"]>) =>
    link.call(name, HOST_CALLS[name], input);
  return {
    missing: (account, kind, hashes) => call("missing", { account, kind, hashes: [...hashes] }),
    put: async (account, kind, hash, bytes) => void (await link.send(`/put/${account}/${kind}/${hash}`, bytes)),
    validate: (input) => call("validate", input),
    apply: (spec) => call("apply", spec),
    end: async (input) => void (await call("end", input)),
    erase: async (account) => void (await call("erase", account)),
    usage: (account) => call("usage", account),
    events: (cursor) => call("events", cursor),
    status: () => call("status", null),
    loads: () => call("loads", null),
    capacity: () => call("capacity", null),
    prometheus: () => call("prometheus", null),
    logs: (query) => call("logs", query),
    follow: (query) => link.open("/follow", JSON.stringify(query)),
    tail: (query) => link.open("/tail", JSON.stringify(query)),
    metrics: (query) => call("metrics", query),
    call: (input, body = new Uint8Array()) => link.pass(input, body),
    schedule: (input) => call("schedule", input),
    wake: async (account) => void (await call("wake", account)),
    state: (account, job, body = Readable.from([])) => link.open(`/state/${account}`, body, { [CALL_HEADER]: headed(job) }),
    [Symbol.dispose]: () => link.close(),
  };
}

/** Host's end: a CapsuleControl that lives behind the socket. */
export function connectControl(socketPath: string): CapsuleControl & Disposable {
  const link = new Link(socketPath);
  return {
    lookup: (label) => link.call("lookup", CONTROL_CALLS.lookup, label),
    held: (accounts) => link.call("held", CONTROL_CALLS.held, [...accounts]),
    bans: () => link.call("bans", CONTROL_CALLS.bans, null),
    leaked: async (secrets) => void (await link.call("leaked", CONTROL_CALLS.leaked, [...secrets])),
    [Symbol.dispose]: () => link.close(),
  };
}

type Answer = (path: string, request: IncomingMessage) => Promise<unknown>;

/** The answer to a call: what its head was beside what streams. */
class Answered {
  readonly head: z.infer<typeof answerHead>;
  readonly stream: Readable;

  constructor({ status, headers, body }: CapsuleAnswer) {
    this.head = { status, headers };
    this.stream = body;
  }
}

async function reply(answer: Answer, onBug: (error: unknown) => void, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  let status = 200;
  let body: unknown;
  try {
    body = (await answer(incoming.url ?? "/", incoming)) ?? null;
  } catch (error) {
    if (!(error instanceof PlatformError)) onBug(error);
    const known =
      error instanceof PlatformError
        ? error
        : new PlatformError("capsule_failed", { message: "The machine could not do it.", cause: error });
    status = known.status;
    body = { code: known.code, message: known.message, next: known.next, retryAfterSeconds: known.retryAfterSeconds };
  }
  if (!(body instanceof Answered)) incoming.resume();
  if (body instanceof Answered) {
    outgoing.writeHead(status, { [ANSWER_HEADER]: headed(body.head) });
    body = body.stream;
  } else if (body instanceof Readable) outgoing.writeHead(status, { "content-type": "application/x-ndjson" });
  if (body instanceof Readable) {
    outgoing.flushHeaders();
    // Whichever side goes first takes the other along: neither an abandoned stream nor a cut answer is an error here.
    pipeline(body, outgoing).catch(() => {});
    return;
  }
  outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function listen(socketPath: string, answer: Answer, onBug: (error: unknown) => void): Promise<Server> {
  rmSync(socketPath, { force: true });
  const server = createServer(
    { maxHeaderSize: MAX_CALL_HEAD_BYTES },
    (incoming, outgoing) => void reply(answer, onBug, incoming, outgoing),
  );
  server.requestTimeout = 0;
  // A call on a connection that is just being closed for its idleness would fail.
  server.keepAliveTimeout = 0;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => {
      chmodSync(socketPath, 0o600);
      resolve(server);
    });
  });
}

async function parse<S extends z.ZodType>(shape: S, incoming: IncomingMessage): Promise<z.output<S>> {
  return shape.parse(JSON.parse(await text(incoming)));
}

/** Serves a CapsuleHost to control. */
export function serveHost(socketPath: string, host: CapsuleHost, onBug: (error: unknown) => void): Promise<Server> {
  return listen(
    socketPath,
    async (path, incoming) => {
      const [, name, ...rest] = path.split("/");
      switch (name) {
        case "put":
          return host.put(accountId.parse(rest[0]), fileKind.parse(rest[1]), z.string().regex(SHA256_HEX).parse(rest[2]), incoming);
        case "missing": {
          const asked = await parse(filesAsked, incoming);
          return host.missing(asked.account, asked.kind, asked.hashes);
        }
        case "validate":
          return host.validate(await parse(trial, incoming));
        case "apply":
          return host.apply(await parse(capsuleSpec, incoming));
        case "end":
          return host.end(await parse(tombstone, incoming));
        case "erase":
          return host.erase(await parse(accountId, incoming));
        case "usage":
          return host.usage(await parse(accountId, incoming));
        case "events":
          return host.events(await parse(z.number().int(), incoming));
        case "status":
          return host.status();
        case "loads":
          return host.loads();
        case "capacity":
          return host.capacity();
        case "prometheus":
          return host.prometheus();
        case "logs":
          return host.logs(await parse(logQuery, incoming));
        case "follow":
          return host.follow(await parse(followQuery, incoming));
        case "tail":
          return host.tail(await parse(tailQuery, incoming));
        case "metrics":
          return host.metrics(await parse(metricsQuery, incoming));
        case "call":
          return new Answered(await host.call(capsuleCall.parse(unheaded(incoming.headers[CALL_HEADER])), incoming));
        case "schedule":
          return host.schedule(await parse(scheduledCall, incoming));
        case "wake":
          return host.wake(await parse(accountId, incoming));
        case "state":
          return host.state(accountId.parse(rest[0]), stateJob.parse(unheaded(incoming.headers[CALL_HEADER])), incoming);
        default:
          throw new PlatformError("route_not_found", { message: `The host has no call ${name}.` });
      }
    },
    onBug,
  );
}

/** Serves a CapsuleControl to host. */
export function serveControl(socketPath: string, control: CapsuleControl, onBug: (error: unknown) => void): Promise<Server> {
  return listen(
    socketPath,
    async (path, incoming) => {
      if (path === "/lookup") return control.lookup(await parse(z.string(), incoming));
      if (path === "/held") return control.held(await parse(z.array(heldAccount), incoming));
      if (path === "/bans") return control.bans();
      if (path === "/leaked") return control.leaked(await parse(z.array(z.string()), incoming));
      throw new PlatformError("route_not_found", { message: `Control has no call ${path}.` });
    },
    onBug,
  );
}
