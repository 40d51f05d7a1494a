// What a capsule is built from: the rooms around it and what all capsules share, as narrow interfaces.
import type { CapsuleSpec } from "../../../capsule/spec.ts";
import type { Clock } from "../../../kernel/clock.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Log } from "../../../kernel/log.ts";
import type { Budgets } from "../../budgets/budgets.ts";
import type { Journal, Refusals } from "../../contract.ts";
import type { SpecStore } from "../files/spec-store.ts";
import type { Ahead } from "./ahead.ts";
import type { Gate } from "./gates.ts";
import type { HotMarks } from "./hot-marks.ts";
import type { Rest } from "./rest.ts";
import type { Run } from "./run.ts";
import type { Bounds, CapsuleFiles } from "./parts.ts";

/** What one capsule needs of the set that it belongs to. */
export type CapsuleParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly bounds: Bounds;
  readonly idleMs: number;
  readonly specs: SpecStore;
  readonly files: CapsuleFiles;
  /** A place among the living processes, and back. @throws PlatformError capsule_failed when there is none */
  takePlace(): Promise<Disposable>;
  start(spec: CapsuleSpec, signal: AbortSignal): Promise<Run>;
  /** The account's process that waits for what it will run. */
  readonly ahead: Pick<Ahead, "has" | "drop">;
  /** Before the first file of the account is written. */
  own(account: AccountId): Promise<void>;
  report(account: AccountId, kind: "restarted" | "suspend", reason: string): void;
  readonly journal: Pick<Journal, "killed" | "notice" | "cpu" | "end" | "close">;
  readonly budgets: Pick<Budgets, "of">;
  readonly refusals: Pick<Refusals, "note">;
  /** Turns of those that measure an account's directory. */
  readonly walks: Gate;
  readonly rest: Pick<Rest, "after" | "bookmark">;
  readonly marks: Pick<HotMarks, "mark">;
};
