// Previews: any kept version of a Worker answers at a label of its own. A version without traffic joins the process
// when its preview is first visited, so what strangers ask for decides what runs, within a bound and not too often.
import type { Kysely } from "kysely";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId, Subdomain } from "../../../kernel/ids.ts";
import type { Schema } from "../../store/schema.ts";
import type { Account, Tx } from "../../store/store.ts";
import type { Addressed, Labels, ProductContext } from "../product.ts";
import { aliasOf, type Version, type Worker } from "./model.ts";
import { aliasProblem, labelOf, previewLabelOf } from "./names.ts";
import { PREVIEW_KEPT_MS, PREVIEW_REST_MS, PREVIEWS_RUNNING } from "./quota.ts";
import { findAddressee, findPreviewed, listMarks, restMarks, setMark } from "./previews-store.ts";

/** The part of a version's id that stands in its label. */
const digitsOf = (version: Pick<Version, "id">): string => version.id.slice(0, 8);
const DIGITS = /^[0-9a-f]{8}$/;

/**
 * Labels at which a version answers; none for a Worker without previews, or whose name leaves no room.
 * @param holders ids of versions whose alias no newer one has
 */
export function previewLabels(worker: Worker, version: Version, holders: ReadonlySet<string>, subdomain: Subdomain): string[] {
  if (!worker.previewsEnabled) return [];
  const alias = aliasOf(version);
  const names = [digitsOf(version), ...(alias !== null && holders.has(version.id) ? [alias] : [])];
  return names.flatMap((name) => previewLabelOf(name, worker.name, subdomain) ?? []);
}

/** Whether wrangler is told of previews: it prints them as https:// always. */
export const announcesPreviews = (edge: ProductContext["edge"], worker: Worker, subdomain: Subdomain): boolean =>
  edge.hasTls && worker.previewsEnabled && previewLabelOf("12345678", worker.name, subdomain) !== null;

/** What wrangler puts a version's digits or alias before. */
export const previewUrlSuffix = (edge: ProductContext["edge"], worker: Worker, subdomain: Subdomain): string =>
  `--${new URL(edge.urlOf(labelOf(worker.name, subdomain))).host}`;

/** @throws PlatformError invalid_upload for an alias that cannot be part of a host name */
export function checkAlias(alias: string | null | undefined, script: string, subdomain: Subdomain): void {
  const problem = alias ? aliasProblem(alias, script, subdomain) : null;
  if (problem === null) return;
  throw new PlatformError("invalid_upload", {
    message: `annotations.workers/alias: the preview's alias ${JSON.stringify(alias?.slice(0, 80))} ${problem}.`,
    next: "Choose another alias (wrangler versions upload --preview-alias) and upload again.",
  });
}

type Found = { readonly addressed: Addressed; readonly versionId?: string; readonly leaves?: string };

const NOTHING: Found = { addressed: { kind: "nothing" } };
const SERVED: Found = { addressed: { kind: "served" } };

const later = (reason: string, leftMs: number): Found => ({
  addressed: { kind: "unavailable", reason, retryAfterSeconds: Math.ceil(leftMs / 1000) },
});

/** @param name `worker`, or `<digits or alias>--worker` */
async function look(db: Kysely<Schema>, account: AccountId, name: string, nowMs: number): Promise<Found> {
  const at = name.lastIndexOf("--");
  const worker = await findAddressee(db, account, at < 0 ? name : name.slice(at + 2));
  if (!worker) return NOTHING;
  if (at < 0) return worker.subdomainEnabled ? SERVED : NOTHING;
  const which = name.slice(0, at);
  if (!worker.previewsEnabled || which === "") return NOTHING;
  const version = await findPreviewed(db, worker.id, DIGITS.test(which) ? { digits: which } : { alias: which });
  if (!version) return NOTHING;
  if (version.previewedAtMs !== null || worker.serving.includes(version.id)) return SERVED;
  const restsMs = (version.restedAtMs ?? -Infinity) + PREVIEW_REST_MS - nowMs;
  if (restsMs > 0) return later("The account's process was in trouble while this preview ran in it, so it rests.", restsMs);
  const marks = await listMarks(db, account);
  const oldest = marks[0];
  if (!oldest || marks.length < PREVIEWS_RUNNING) return { addressed: { kind: "asleep" }, versionId: version.id };
  const leftMs = oldest.atMs + PREVIEW_KEPT_MS - nowMs;
  if (leftMs <= 0) return { addressed: { kind: "asleep" }, versionId: version.id, leaves: oldest.id };
  const reason = `This preview does not run yet, and ${PREVIEWS_RUNNING} others of the account do, each for ${PREVIEW_KEPT_MS / 1000} s at least.`;
  return later(reason, leftMs);
}

/** Written down as the platform's own deed: a visitor has no name. */
function record(context: ProductContext, tx: Tx, account: AccountId, resource: string, reason: string): Promise<void> {
  return context.trail.append(tx, {
    at: context.store.clock.now(),
    account,
    task: null,
    actors: ["mayfly"],
    token: null,
    action: "workers:preview",
    resource,
    outcome: "done",
    reason,
  });
}

async function wake(context: ProductContext, tx: Tx, account: Account, name: string): Promise<Addressed> {
  const now = context.store.clock.now();
  const { addressed, versionId, leaves } = await look(tx, account.id, name, now);
  if (versionId === undefined) return addressed;
  if (leaves !== undefined) await setMark(tx, account.id, [leaves], null);
  await setMark(tx, account.id, [versionId], now);
  const reason = `first visit of version ${versionId}${leaves === undefined ? "" : `, version ${leaves} gave way`}`;
  await record(context, tx, account.id, `workers/${name.slice(name.lastIndexOf("--") + 2)}`, reason);
  return { kind: "served" };
}

async function rest(context: ProductContext, tx: Tx, account: AccountId): Promise<boolean> {
  const ids = (await listMarks(tx, account)).map(({ id }) => id);
  if (ids.length === 0) return false;
  await restMarks(tx, account, ids, context.store.clock.now());
  const minutes = PREVIEW_REST_MS / 60_000;
  await record(context, tx, account, `account/${account}`, `the process is in trouble: ${ids.length} previews rest for ${minutes} minutes`);
  return true;
}

/** @param context of the product */
export function createLabels(context: ProductContext): Labels {
  return {
    find: async (db, account, name) => (await look(db, account, name, context.store.clock.now())).addressed,
    wake: (tx, account, name) => wake(context, tx, account, name),
    rest: (tx, account) => rest(context, tx, account),
  };
}
