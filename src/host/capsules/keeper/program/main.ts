// The keeper: one job on one account's `state/`, as the account's user, in the sandbox. The first line of the standard input
// is the job, what follows its body. The first line of the output says whether there is an answer, which follows.
// Nothing of the tenant's is opened before the job has come: only then is this process within its limits.
import type { AnsweredJob, StateJob } from "../../../../capsule/state.ts";
import { exportSql } from "./export.ts";
import { importSql } from "./import.ts";
import { alarms, objects, sizes } from "./objects.ts";
import { answer, readJobLine } from "./pipes.ts";
import { isSqliteError, Refusal } from "./refusal.ts";
import { bookmarks, restore, takeBookmark } from "./snapshots.ts";
import { sweep } from "./sweep.ts";

async function answerTo(root: string, job: AnsweredJob): Promise<unknown> {
  switch (job.kind) {
    case "alarms":
      return alarms(root);
    case "objects":
      return objects(root, job);
    case "sweep":
      return sweep(root, job);
    case "d1-bookmark":
      return takeBookmark(root, job.database);
    case "d1-bookmarks":
      return bookmarks(root, job);
    case "d1-restore":
      return restore(root, job);
    case "d1-import":
      return importSql(root, job);
    default:
      return sizes(root, job);
  }
}

try {
  const root = process.argv[2] ?? "";
  const job = JSON.parse(readJobLine()) as StateJob;
  if (job.kind === "d1-export") exportSql(root, job);
  else {
    const told = await answerTo(root, job);
    answer({ ok: true });
    answer(told);
  }
} catch (error) {
  if (error instanceof Refusal) answer({ refused: error.message });
  else if (isSqliteError(error)) answer({ refused: `the database cannot be used: ${error.message}` });
  else throw error;
  process.exitCode = 3;
}
