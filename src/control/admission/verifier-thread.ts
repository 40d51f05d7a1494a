// The thread of verifier.ts: takes one chain at a time, answers with its verdict, and yields the processor to everything else.
import { constants, getPriority, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { verifyChain, type Verdict } from "./chain.ts";
import type { Work } from "./challenge.ts";

export type Task = { readonly checkpoints: Uint8Array<ArrayBuffer>; readonly work: Work };
export type Answer = Verdict;

// On Linux alone a process id of 0 means this thread; elsewhere it would slow the whole server down.
const { PRIORITY_BELOW_NORMAL } = constants.priority;
if (process.platform === "linux" && getPriority(0) < PRIORITY_BELOW_NORMAL) setPriority(0, PRIORITY_BELOW_NORMAL);

parentPort?.on("message", (task: Task) => {
  const answer: Answer = verifyChain(task.checkpoints, task.work);
  parentPort?.postMessage(answer, []);
});
