// What the supervisor is built from: the rooms beside it as narrow interfaces, and every duration it keeps.
import type { AccountFiles } from "../files/files.ts";

/** The account directories, as far as the supervisor needs them. */
export type CapsuleFiles = Pick<
  AccountFiles,
  "missing" | "put" | "readCode" | "prepare" | "setOwner" | "materialise" | "prune" | "erase" | "diskBytes"
>;

/** Durations in milliseconds, counts as they are; tests shorten them. */
export const BOUNDS = {
  /** Requests in flight may go on this long when their process is replaced. */
  drainMs: 10_000,
  /** Between SIGTERM and SIGKILL. */
  graceMs: 1_000,
  /** From launch to the first answer on the control socket. */
  startMs: 10_000,
  /** A caller waits this long for a start or a redeploy. */
  waitMs: 30_000,
  /** Callers of one account that wait at once. */
  maxWaiting: 1_000,
  /** Requests and sockets of one account in flight at once: each is a descriptor of its process, which dies without a free one. */
  maxInFlight: 1_000,
  /** Processes that start at once. */
  maxStarting: 4,
  /** A start that takes longer no longer counts among them. */
  gateMs: 1_000,
  /** A process that was started ahead waits this long for what it will run. */
  aheadMs: 5_000,
  /** Processes that are started ahead at once, beside those that somebody waits for. */
  maxPreparing: 2,
  /** Between two looks at every hot capsule. */
  tickMs: 1_000,
  /** Without an answer for so long a process that computes is hung … */
  pingMs: 2_000,
  /** … and one that does not compute, starved perhaps, is given this long. */
  starvedMs: 10_000,
  /** Mishaps within `mishapWindowMs` until the account is suspended. */
  maxMishaps: 4,
  mishapWindowMs: 300_000,
  /** Between two accounts of what this host holds. */
  heldMs: 5_000,
  /** What control said about a label is believed for so long. */
  lookupMs: 1_000,
  /** Between two bookmarks of databases that are being written. */
  bookmarkMs: 300_000,
  /** Upkeep of what lies on disk holds nobody up for longer. */
  restMs: 10_000,
  /** Longest wait of one call for events. */
  eventsMs: 25_000,
  /** Everything must have stopped so long after the host was told to. */
  shutdownMs: 5_000,
};
export type Bounds = typeof BOUNDS;
