// A Worker's cron triggers as wrangler sets them after a deploy: the whole list at once. What stays keeps its time.
import { iso } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import { noWorker, type ProductContext, type Schedules } from "../product.ts";
import { schedulesBody } from "./contract.ts";
import { checkCron, occurrenceAfter, occurrenceUntil } from "./crons.ts";
import * as crons from "./crons-store.ts";
import { deed, presentWorker, record, type Doing } from "./deeds.ts";
import { workerServiceId, type Worker } from "./model.ts";
import { cronTriggersAllowed } from "./quota.ts";
import { findWorker } from "./store.ts";

const SCHEDULES = "/accounts/:account/workers/scripts/:script/schedules" as const;

/** An occurrence that nobody could set off for so long is passed over. */
const LATE_MS = 86_400_000;

const onWire = (triggers: readonly crons.CronTrigger[]) => ({
  schedules: triggers.map(({ cron, createdAtMs }) => ({ cron, created_on: iso(createdAtMs), modified_on: iso(createdAtMs) })),
});

async function checkQuota({ tx, account, context }: Doing, worker: Worker, wanted: number): Promise<void> {
  const others = await crons.countTriggers(tx, account.id, worker.id);
  const allowed = cronTriggersAllowed(context.quota, account.state);
  if (others + wanted <= allowed) return;
  throw new PlatformError("too_many_crons", {
    message: `crons: with these ${wanted} the account's Workers would have ${others + wanted} cron triggers, more than the ${allowed} that they may; the Worker itself was deployed.`,
    next: "Remove some from triggers.crons and deploy again, or have a person claim the account.",
  });
}

async function replace(doing: Doing, worker: Worker, wanted: readonly string[]): Promise<readonly crons.CronTrigger[]> {
  const { tx, account, context } = doing;
  const now = context.store.clock.now();
  const before = new Set((await crons.triggersOf(tx, account.id, worker.id)).map(({ cron }) => cron));
  const gone = [...before].filter((cron) => !wanted.includes(cron));
  const added = wanted.filter((cron) => !before.has(cron));
  if (added.length > 0) await checkQuota(doing, worker, wanted.length);
  await crons.deleteTriggers(tx, account.id, worker.id, gone);
  for (const cron of added) {
    await crons.insertTrigger(tx, account.id, worker.id, { cron, createdAtMs: now, nextAtMs: occurrenceAfter(cron, now) });
  }
  if (gone.length + added.length > 0) {
    await record(doing, "workers:schedule", `workers/${worker.name}`, wanted.length === 0 ? "no crons" : wanted.join("; "));
  }
  return crons.triggersOf(tx, account.id, worker.id);
}

async function set(context: ProductContext, call: AccountCall): Promise<Response> {
  const sent = await readJson(call.request, schedulesBody);
  const wanted = [...new Set(sent.map(({ cron }) => cron))];
  for (const cron of wanted) checkCron(cron);
  const triggers = await deed(context, call.principal, async (doing) =>
    replace(doing, await presentWorker(doing, call.params["script"] ?? ""), wanted),
  );
  context.rescheduled();
  return success(onWire(triggers));
}

export function cronRoutes(context: ProductContext): Route[] {
  const access = { product: "workers", param: "script" } as const;
  const { db } = context.store;
  return [
    accountRoute("GET", SCHEDULES, { ...access, action: "workers:read" }, async (call) => {
      const script = call.params["script"] ?? "";
      const worker = await findWorker(db, context.keys, call.account, script);
      if (!worker) throw noWorker(script);
      return success(onWire(await crons.triggersOf(db, call.account, worker.id)));
    }),
    accountRoute("PUT", SCHEDULES, { ...access, action: "workers:write" }, (call) => set(context, call)),
  ];
}

export const cronSchedules: Schedules = {
  earliest: crons.earliestTrigger,
  due: crons.dueTriggers,
  take: async (tx, { account, id }, nowMs) => {
    const due = await crons.dueTrigger(tx, account, id, nowMs);
    if (!due) return null;
    await crons.moveOn(tx, account, id, occurrenceAfter(due.cron, nowMs));
    const scheduledTimeMs = occurrenceUntil(due.cron, nowMs);
    // Static assets alone have nothing that could be run.
    if (scheduledTimeMs === null || scheduledTimeMs < nowMs - LATE_MS || !due.hasCode) return null;
    return { account, service: workerServiceId(due.workerId, due.number), cron: due.cron, scheduledTimeMs };
  },
  delay: crons.delay,
};
