// The writes to Workers, each inside the caller's transaction together with its trail entry.
import { newId, newUuid } from "../../../kernel/ids.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { Principal } from "../../permissions/authorize.ts";
import type { Account, Tx } from "../../store/store.ts";
import type { Deed } from "../../trail/trail.ts";
import { noWorker, type ProductContext } from "../product.ts";
import {
  aliasOf,
  servesAlone,
  type Annotations,
  type Deployment,
  type Traffic,
  type Version,
  type VersionDraft,
  type Worker,
} from "./model.ts";
import { checkClasses } from "./objects.ts";
import { checkAlias } from "./previews.ts";
import { clearMarks, setMark } from "./previews-store.ts";
import { VERSION_MAX_BYTES, VERSIONS_MAX_BYTES, workersAllowed } from "./quota.ts";
import * as store from "./store.ts";

/** One deed under way: the transaction, who does it, and on whose account. */
export type Doing = { readonly tx: Tx; readonly account: Account; readonly principal: Principal; readonly context: ProductContext };

/** Runs a write to the account's Workers; resolves once it is served. */
export function deed<T>(context: ProductContext, principal: Principal, fn: (doing: Doing) => Promise<T>): Promise<T> {
  return context.change(principal, (tx, account) => fn({ tx, account, principal, context }));
}

/** Writes what was done into the trail, in the same transaction. @param resource `workers/<name>` or `account/<id>` */
export async function record(doing: Doing, action: Deed, resource: string, reason?: string): Promise<void> {
  const { tx, account, principal, context } = doing;
  await context.trail.append(tx, {
    at: context.store.clock.now(),
    account: account.id,
    task: principal.task,
    actors: principal.actors,
    token: principal.token,
    action,
    resource,
    outcome: "done",
    ...(reason !== undefined && { reason }),
  });
}

/** @throws PlatformError worker_not_found */
export async function presentWorker(doing: Pick<Doing, "tx" | "account" | "context">, script: string): Promise<Worker> {
  const worker = await store.findWorker(doing.tx, doing.context.keys, doing.account.id, script);
  if (worker) return worker;
  throw noWorker(script);
}

/** @param field names the id in the complaint @throws PlatformError version_not_found */
export async function presentVersion(
  doing: Pick<Doing, "tx" | "context">,
  worker: Worker,
  id: string,
  field = "version",
): Promise<Version> {
  const version = await store.findVersion(doing.tx, doing.context.keys, worker, id);
  if (version) return version;
  throw new PlatformError("version_not_found", {
    message: `${field}: the Worker ${JSON.stringify(worker.name)} has no version ${JSON.stringify(id.slice(0, 80))}.`,
  });
}

/** @throws PlatformError quota_exceeded */
export function checkQuota(context: ProductContext, state: string, workers: number): void {
  const allowed = workersAllowed(context.quota, state);
  if (workers < allowed) return;
  throw new PlatformError("quota_exceeded", {
    message: `This account has ${workers} Workers, as many as it may have.`,
    next: "Delete one with `wrangler delete`, or have a person claim the account.",
  });
}

/** Oldest versions of the account give way until the rest has room. @throws PlatformError quota_exceeded */
async function boundVersions({ tx, account }: Doing, newestBytes: number): Promise<void> {
  if (newestBytes > VERSION_MAX_BYTES) {
    throw new PlatformError("quota_exceeded", {
      message: `The names, variables, texts and asset paths of this version take ${newestBytes} bytes, more than the ${VERSION_MAX_BYTES} that a version may.`,
      next: "Shorten them, or read large texts from static assets; code and the files themselves do not count.",
    });
  }
  const sizes = await store.versionSizes(tx, account.id);
  let over = sizes.reduce((sum, { bytes }) => sum + bytes, 0) - VERSIONS_MAX_BYTES;
  const leaving: string[] = [];
  for (const { id, bytes, held } of sizes) {
    if (over <= 0) break;
    if (held) continue;
    leaving.push(id);
    over -= bytes;
  }
  await store.deleteVersions(tx, account.id, leaving);
  if (over <= 0) return;
  throw new PlatformError("quota_exceeded", {
    message: `With this version the account's Workers would take ${VERSIONS_MAX_BYTES + over} bytes of names, variables, texts and asset paths, more than ${VERSIONS_MAX_BYTES}.`,
    next: "Shorten them, or delete Workers that you no longer need with `wrangler delete`.",
  });
}

/** Adds a version that does not serve yet. For a new Worker, adds that too: it must be deployed in the same deed. */
export async function addVersion(
  doing: Doing,
  known: Worker | undefined,
  name: string,
  draft: VersionDraft,
): Promise<{ worker: Worker; version: Version }> {
  const { tx, account, context } = doing;
  const now = context.store.clock.now();
  const id = newUuid();
  checkAlias(aliasOf(draft), name, account.subdomain);
  if (!known) checkQuota(context, account.state, await store.countWorkers(tx, account.id));
  const worker: Worker = known
    ? { ...known, modifiedAtMs: now, latestVersionId: id, versionsMade: known.versionsMade + 1 }
    : {
        id: newId(),
        name,
        createdAtMs: now,
        modifiedAtMs: now,
        // Off until the client says otherwise, so that a Worker without a public route never has one for a moment.
        subdomainEnabled: false,
        previewsEnabled: false,
        settings: {},
        traffic: wholly({ id }),
        latestVersionId: id,
        versionsMade: 1,
        deploymentsMade: 0,
        migrationTag: null,
      };
  const version: Version = { ...draft, id, workerId: worker.id, number: worker.versionsMade, createdAtMs: now, previewedAtMs: null };
  await (known ? store.updateWorker(tx, context.keys, account.id, worker) : store.insertWorker(tx, context.keys, account.id, worker));
  const bytes = await store.insertVersion(tx, context.keys, account.id, version);
  await store.pruneVersions(tx, worker);
  await boundVersions(doing, bytes);
  return { worker, version };
}

/**
 * For changes that make a version from the latest and deploy it: with any other serving, code that nobody deployed
 * would go live with them, and a split would end.
 * @throws PlatformError latest_not_deployed
 */
export function refuseUnlessLatestServes(worker: Worker, what: string): void {
  if (servesAlone(worker.traffic, worker.latestVersionId)) return;
  throw new PlatformError("latest_not_deployed", {
    message: `The Worker's latest version does not serve all of its requests, and ${what} would make it.`,
  });
}

export type Deploying = { readonly source: string; readonly annotations: Annotations };

export const wholly = (version: Pick<Version, "id">): Traffic => [{ versionId: version.id, percentage: 100 }];

const inWords = (traffic: Traffic): string => {
  const [only, ...others] = traffic;
  if (only && others.length === 0) return `version ${only.versionId}`;
  return `versions ${traffic.map(({ versionId, percentage }) => `${versionId} ${percentage} %`).join(", ")}`;
};

/**
 * Makes versions serve. Lifts a suspension by the watchdog: the code that caused it is what changes.
 * @param traffic newest version first
 * @throws PlatformError class_in_use for a version without a class whose Durable Objects there are
 */
export async function deploy(
  doing: Doing,
  worker: Worker,
  traffic: Traffic,
  how: Deploying,
): Promise<{ worker: Worker; deployment: Deployment }> {
  const { tx, account, context } = doing;
  await checkClasses(context, tx, worker, traffic);
  const now = context.store.clock.now();
  const after: Worker = { ...worker, modifiedAtMs: now, traffic, deploymentsMade: worker.deploymentsMade + 1 };
  const deployment: Deployment = { id: newUuid(), number: after.deploymentsMade, createdAtMs: now, traffic, ...how };
  await store.updateWorker(tx, context.keys, account.id, after);
  await store.insertDeployment(tx, context.keys, account.id, after, deployment);
  // They are in the process for their traffic now.
  await setMark(
    tx,
    account.id,
    traffic.map(({ versionId }) => versionId),
    null,
  );
  await store.pruneVersions(tx, after);
  if (await store.liftWatchdog(tx, account)) await record(doing, "account:resume", `account/${account.id}`, `deploy of ${worker.name}`);
  await record(doing, "workers:deploy", `workers/${worker.name}`, inWords(traffic));
  return { worker: after, deployment };
}

/** Switches a Worker's place on the subdomain and its previews. */
export async function route(
  doing: Doing,
  worker: Worker,
  wanted: { readonly enabled: boolean; readonly previews: boolean },
): Promise<Worker> {
  const { tx, account, context } = doing;
  const after = { ...worker, subdomainEnabled: wanted.enabled, previewsEnabled: wanted.previews };
  await store.updateWorker(tx, context.keys, account.id, after);
  if (!wanted.previews) await clearMarks(tx, account.id, worker.id);
  const said = `subdomain ${wanted.enabled ? "on" : "off"}, previews ${wanted.previews ? "on" : "off"}`;
  await record(doing, "workers:route", `workers/${worker.name}`, said);
  return after;
}
