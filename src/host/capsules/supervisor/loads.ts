// What accounts take of the machine: one as its owner asks, all as the operator does.
import type { AccountLoad, Usage } from "../../../capsule/messages.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Budgets } from "../../budgets/budgets.ts";
import type { Capsule } from "./capsule.ts";
import type { DiskQuestions } from "./disk-questions.ts";

type Parts = { readonly budgets: Budgets; readonly disks: Pick<DiskQuestions, "ask"> };

/** @param capsule absent where the account is not known here */
export async function usageOf(account: AccountId, capsule: Capsule | undefined, { budgets, disks }: Parts): Promise<Usage> {
  const diskBytes = await disks.ask(account);
  const caps = await budgets.useOf(account);
  if (capsule === undefined) return { hot: false, pssBytes: 0, cpuMs: 0, diskBytes, starts: 0, restarts: 0, caps };
  const { starts, restarts, hot } = capsule;
  return { hot, ...(await capsule.usage()), diskBytes, starts, restarts, caps };
}

/** Accounts that are hot or have used anything of their caps, heaviest first. */
export async function loadsOf(capsules: Iterable<Capsule>, budgets: Budgets): Promise<AccountLoad[]> {
  const loads: AccountLoad[] = [];
  for (const capsule of capsules) {
    const { account, hot, restarts } = capsule;
    const caps = budgets.of(account).use;
    if (!hot && caps.every(({ used, refused }) => used === 0 && refused === 0)) continue;
    const { pssBytes } = await capsule.usage();
    loads.push({ account, hot, restarts, pssBytes, cpuMsPerMinute: capsule.cpuMsPerMinute, caps });
  }
  return loads.toSorted((one, other) => other.cpuMsPerMinute - one.cpuMsPerMinute);
}
