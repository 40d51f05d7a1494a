// Host's side of the door: control's calls, handed to the files, the trials and the supervisor of this machine.
// Nothing is written, tried or run for an account that ended.
import type { Capacity, CapsuleHost } from "../../capsule/messages.ts";
import type { Sandbox } from "../contract.ts";
import type { Logs } from "../logs/logs.ts";
import { callService, runSchedule } from "./supervisor/calls.ts";
import type { CapsuleFiles } from "./supervisor/parts.ts";
import type { Supervisor } from "./supervisor/supervisor.ts";
import type { Trials } from "./trials/trial.ts";

export type CapsuleHostOptions = {
  readonly supervisor: Supervisor;
  readonly files: CapsuleFiles;
  readonly trials: Trials;
  readonly logs: Logs;
  readonly sandbox: Pick<Sandbox, "rung" | "missing">;
  /** What `workerd --version` prints. */
  readonly workerdVersion: string;
  readonly capacity: () => Promise<Capacity>;
};

export function createCapsuleHost({ supervisor, files, trials, logs, sandbox, workerdVersion, capacity }: CapsuleHostOptions): CapsuleHost {
  return {
    missing: (account, kind, hashes) => files.missing(account, kind, hashes),
    put: (account, kind, hash, bytes) => {
      // Files of a site may come long before a deploy, or without one.
      if (kind === "code") supervisor.expect(account);
      return supervisor.writing(account, () => files.put(account, kind, hash, bytes));
    },
    validate: async (trial) => {
      supervisor.refuseEnded(trial.account);
      supervisor.expect(trial.account);
      return trials.validate(trial);
    },
    apply: (spec) => supervisor.apply(spec),
    end: async (tombstone) => {
      // The supervisor refuses new trials from its call on, so what is under way now is all there is.
      await Promise.all([supervisor.end(tombstone), trials.end(tombstone.account)]);
    },
    erase: (account) => supervisor.erase(account),
    usage: (account) => supervisor.usage(account),
    call: (call, body) => callService(supervisor, call, body),
    schedule: (call) => runSchedule(supervisor, call),
    wake: async (account) => {
      using _hold = await supervisor.enter(account, "due");
    },
    state: (account, job, body) => supervisor.state(account, job, body),
    logs: async (query) => {
      supervisor.refuseLapsed(query.account);
      return logs.page(query);
    },
    follow: async (query) => {
      supervisor.refuseLapsed(query.account);
      return logs.follow(query);
    },
    tail: async (query) => {
      supervisor.refuseLapsed(query.account);
      return logs.tail(query);
    },
    metrics: async (query) => {
      supervisor.refuseLapsed(query.account);
      return logs.minutes(query);
    },
    events: (cursor) => supervisor.events(cursor),
    status: async () => ({
      rung: sandbox.rung,
      workerd: workerdVersion,
      hot: supervisor.hot,
      known: supervisor.known,
      missing: [...sandbox.missing],
    }),
    loads: () => supervisor.loads(),
    capacity,
    prometheus: () => supervisor.measures.registry.metrics(),
  };
}
