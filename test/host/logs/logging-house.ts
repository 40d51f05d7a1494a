// Accounts whose logs a test reads: real workerd behind a real edge, asked through the door's own interface.
import { once } from "node:events";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { FollowLine, LogPage, LogQuery, LogRecord, TailQuery } from "../../../src/capsule/logs.ts";
import type { CapsuleSpec } from "../../../src/capsule/spec.ts";
import type { CapsuleHost } from "../../../src/capsule/messages.ts";
import { createCapsuleHost } from "../../../src/host/capsules/capsule-host.ts";
import { createTrials } from "../../../src/host/capsules/trials/trial.ts";
import { CF_BLOB_HEADER, FORWARDED_PROTO_HEADER } from "../../../src/host/capsules/workerd/config.ts";
import { createEdge } from "../../../src/host/edge/edge.ts";
import type { TailEvent } from "../../../src/host/logs/tail-event.ts";
import { systemClock } from "../../../src/kernel/clock.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { bench, sha256, specOf, type Bench, type BenchOptions } from "../../fixtures/capsules.ts";
import { CAPACITY } from "../../fixtures/limits.ts";

const DOMAIN = "mayfly.localhost";

export type Asked = { readonly method?: string; readonly headers?: Record<string, string>; readonly signal?: AbortSignal };
export type Answered = { readonly status: number; readonly body: string; readonly ray: string };

export type LoggingHouse = AsyncDisposable & {
  readonly bench: Bench;
  readonly host: CapsuleHost;
  ask(label: string, path?: string, asked?: Asked): Promise<Answered>;
  /** Newest first. */
  records(account: AccountId, query?: Partial<LogQuery>): Promise<LogRecord[]>;
  page(account: AccountId, query?: Partial<LogQuery>): Promise<LogPage>;
  /** Two Workers of one account, `caller` with a binding B to `callee`; the label is the caller's. */
  pair(caller: string, callee: string): Promise<{ readonly spec: CapsuleSpec; readonly label: string }>;
};

export async function loggingHouse(options: BenchOptions = {}): Promise<LoggingHouse> {
  const b = await bench(options);
  const edge = createEdge({
    capsules: b.supervisor,
    domain: DOMAIN,
    publicScheme: "http",
    trustedProxies: [],
    cfBlobHeader: CF_BLOB_HEADER,
    forwardedProtoHeader: FORWARDED_PROTO_HEADER,
    log: createLog("test", "silent"),
    onPassed: (passed) => b.logs.passed(passed),
  });
  edge.server.listen(0, "127.0.0.1");
  await once(edge.server, "listening");
  const { port } = edge.server.address() as AddressInfo;
  const { supervisor, files, sandbox, logs } = b;
  const trials = createTrials({ sandbox, files, clock: systemClock });
  const host = createCapsuleHost({ supervisor, files, trials, logs, sandbox, workerdVersion: "workerd 1", capacity: async () => CAPACITY });
  const page: LoggingHouse["page"] = (account, query = {}) => host.logs({ account, limit: 1_000, ...query });
  return {
    bench: b,
    host,
    page,
    pair: async (caller, callee) => {
      const { label, ...spec } = specOf(caller);
      const version = "00000000-0000-0000-0000-000000000000";
      const [first, second] = [spec.units[0]?.services[0], specOf(callee).units[0]?.services[0]];
      if (first?.kind !== "worker" || second?.kind !== "worker") throw new Error("a spec has one Worker");
      const services = [
        { ...first, origin: { script: "caller", version }, bindings: [{ kind: "service" as const, name: "B", service: second.id }] },
        { ...second, origin: { script: "callee", version } },
      ];
      const both = {
        ...spec,
        units: spec.units.map((unit) => ({ ...unit, services })),
        keep: { code: [sha256(caller), sha256(callee)], assets: [] },
      };
      for (const source of [caller, callee]) await b.store(spec.account, source);
      await b.supervisor.apply(both);
      return { spec: both, label };
    },
    records: async (account, query) => (await page(account, query)).records,
    ask: (label, path = "/", { method = "GET", headers = {}, signal } = {}) =>
      new Promise((resolve, reject) => {
        const host = `${label}.${DOMAIN}`;
        const outgoing = request(
          { host: "127.0.0.1", port, path, method, headers: { host, ...headers }, ...(signal && { signal }) },
          (incoming) => {
            text(incoming).then(
              (body) => resolve({ status: incoming.statusCode ?? 0, body, ray: String(incoming.headers["cf-ray"]) }),
              reject,
            );
          },
        );
        outgoing.on("error", reject);
        outgoing.end();
      }),
    async [Symbol.asyncDispose]() {
      await edge.close();
      await b[Symbol.asyncDispose]();
    },
  };
}

type Gathered<T> = { readonly lines: readonly T[]; readonly ended: Promise<void> };

/** The lines of a stream as they come, parsed. */
function gather<T>(stream: Readable, parse: (line: string) => T): Gathered<T> {
  const lines: T[] = [];
  const reader = createInterface({ input: stream });
  reader.on("line", (line) => lines.push(parse(line)));
  const ended = new Promise<void>((resolve) => void reader.once("close", resolve));
  return { lines, ended };
}

/** What a follower reads. */
export const following = (stream: Readable): Gathered<FollowLine> => gather(stream, (line) => JSON.parse(line) as FollowLine);

/** A tail that has begun: the process knows that every event is wanted. */
export async function tailing(house: LoggingHouse, query: TailQuery): Promise<Gathered<TailEvent> & { readonly stream: Readable }> {
  const stream = await house.host.tail(query);
  const gathered = gather(stream, (line) => JSON.parse(line) as TailEvent);
  await sleep(100);
  return { ...gathered, stream };
}
