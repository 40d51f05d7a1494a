// Versions and deployments. A deployment is one version for all requests, or two that share them; the two together
// are what `wrangler deploy` does, by PUT for a new Worker and by POST versions, POST deployments for a known one.
import { PlatformError } from "../../../kernel/errors.ts";
import { readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { uploadMemory, type BodyMemory } from "../../http/memory.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import { noWorker, type ProductContext } from "../product.ts";
import { deploymentOnWire, uploadedOnWire, versionOnWire, type PreviewsOnWire } from "./answers.ts";
import { secretsThatDiffer } from "./bindings.ts";
import { deploymentBody, toScriptSettings, type UploadMetadata } from "./contract.ts";
import { addVersion, deed, deploy, presentVersion, presentWorker, record, wholly, type Doing } from "./deeds.ts";
import { primaryOf, type Version, type Worker } from "./model.ts";
import { announcesPreviews, previewLabels } from "./previews.ts";
import { aliasHolders } from "./previews-store.ts";
import { bodyMaxBytes, UPLOADS_BYTES } from "./quota.ts";
import * as store from "./store.ts";
import { prepareUpload, sourceOf, toAnnotations } from "./upload.ts";

const SCRIPT = "/accounts/:account/workers/scripts/:script" as const;
const READ = { action: "workers:read", product: "workers", param: "script" } as const;
const WRITE = { action: "workers:write", product: "workers", param: "script" } as const;

const latestOf = async ({ tx, context }: Doing, worker: Worker | undefined) =>
  worker && (await store.findVersion(tx, context.keys, worker, worker.latestVersionId));

/** Where the versions of a Worker answer beside their traffic. */
async function previewsOn(context: ProductContext, call: AccountCall, worker: Worker): Promise<(version: Version) => PreviewsOnWire> {
  const { db } = context.store;
  const subdomain = await store.subdomainOf(db, call.account);
  const holders = await aliasHolders(db, call.account);
  const announced = announcesPreviews(context.edge, worker, subdomain);
  return (version) => ({ announced, urls: previewLabels(worker, version, holders, subdomain).map(context.edge.urlOf) });
}

const withSettings = (worker: Worker, metadata: UploadMetadata): Worker => ({
  ...worker,
  settings: { ...worker.settings, ...toScriptSettings(metadata) },
});

async function put(context: ProductContext, call: AccountCall, memory: BodyMemory): Promise<Response> {
  const script = call.params["script"] ?? "";
  using room = memory.open(call.account);
  const ready = await prepareUpload(context, call, script, { trigger: "upload", found: () => undefined, deployed: true, room });
  const done = await deed(context, call.principal, async (doing) => {
    const known = await store.findWorker(doing.tx, context.keys, doing.account.id, script);
    const { draft, objects } = await ready.draft(doing.tx, known, await latestOf(doing, known));
    const { worker, version } = await addVersion(doing, known, script, draft);
    await objects.apply(doing.tx, call.principal, worker);
    const migrated = { ...withSettings(worker, ready.metadata), migrationTag: objects.tag };
    const deployed = await deploy(doing, migrated, wholly(version), {
      source: draft.source,
      annotations: draft.annotations,
    });
    return { worker: deployed.worker, version };
  });
  return success(uploadedOnWire(done.worker, done.version));
}

async function postVersion(context: ProductContext, call: AccountCall, memory: BodyMemory): Promise<Response> {
  const script = call.params["script"] ?? "";
  using room = memory.open(call.account);
  const found = (worker: Worker | undefined): void => {
    if (!worker) throw noWorker(script);
  };
  const ready = await prepareUpload(context, call, script, { trigger: "upload", found, deployed: false, room });
  const made = await deed(context, call.principal, async (doing) => {
    const known = await presentWorker(doing, script);
    const { draft } = await ready.draft(doing.tx, known, await latestOf(doing, known));
    const added = await addVersion(doing, known, script, draft);
    await record(doing, "workers:upload", `workers/${script}`, `version ${added.version.id}`);
    return added;
  });
  const previewsOf = await previewsOn(context, call, made.worker);
  return success(versionOnWire(made.version, previewsOf(made.version)));
}

/** @throws PlatformError secrets_changed when an older version would come back with other secrets than those that serve */
function checkSecrets(versions: readonly Version[], worker: Worker, primary: Version): void {
  const serving = new Set(worker.traffic.map(({ versionId }) => versionId));
  const back = versions.filter((version) => version.number < primary.number && !serving.has(version.id));
  const changed = new Set(back.flatMap((version) => secretsThatDiffer(version.bindings, primary.bindings)));
  if (changed.size === 0) return;
  // Wrangler cuts the list out after the colon.
  throw new PlatformError("secrets_changed", { message: `The following secrets have changed: ${[...changed].sort().join(", ")}` });
}

async function postDeployment(context: ProductContext, call: AccountCall): Promise<Response> {
  const body = await readJson(call.request, deploymentBody);
  const force = call.url.searchParams.get("force") === "true";
  const made = await deed(context, call.principal, async (doing) => {
    const worker = await presentWorker(doing, call.params["script"] ?? "");
    const wanted: { version: Version; percentage: number }[] = [];
    for (const [at, { version_id, percentage }] of body.versions.entries()) {
      wanted.push({ version: await presentVersion(doing, worker, version_id, `versions.${at}.version_id`), percentage });
    }
    wanted.sort((one, other) => other.version.number - one.version.number);
    const primary = await presentVersion(doing, worker, primaryOf(worker.traffic));
    const versions = wanted.map(({ version }) => version);
    if (!force) checkSecrets(versions, worker, primary);
    const trigger = versions.every((version) => version.number < primary.number) ? "rollback" : "promotion";
    const traffic = wanted.map(({ version, percentage }) => ({ versionId: version.id, percentage }));
    const how = { source: sourceOf(call.request), annotations: toAnnotations(body.annotations, trigger) };
    return (await deploy(doing, worker, traffic, how)).deployment;
  });
  return success(deploymentOnWire(made));
}

const noDeployment = (id: string): PlatformError =>
  new PlatformError("deployment_not_found", { message: `deployment: the Worker has no deployment ${JSON.stringify(id.slice(0, 80))}.` });

async function deleteDeployment(context: ProductContext, call: AccountCall): Promise<Response> {
  const id = call.params["deployment"] ?? "";
  await deed(context, call.principal, async (doing) => {
    const worker = await presentWorker(doing, call.params["script"] ?? "");
    const deployment = await store.findDeployment(doing.tx, context.keys, worker, id);
    if (!deployment) throw noDeployment(id);
    if (deployment.number === worker.deploymentsMade) {
      throw new PlatformError("precondition_failed", {
        message: "deployment: it is the one that serves.",
        next: "Deploy another version first; only earlier deployments can be deleted.",
      });
    }
    await store.deleteDeployment(doing.tx, worker, id);
    await record(doing, "workers:write", `workers/${worker.name}`, `deployment ${id} deleted`);
  });
  return success(null);
}

async function deleteVersion(context: ProductContext, call: AccountCall): Promise<Response> {
  await deed(context, call.principal, async (doing) => {
    const worker = await presentWorker(doing, call.params["script"] ?? "");
    const { id } = await presentVersion(doing, worker, call.params["version"] ?? "");
    if (worker.traffic.some(({ versionId }) => versionId === id)) {
      throw new PlatformError("precondition_failed", {
        message: "version: it is part of the deployment that serves.",
        next: "Deploy another version first, then delete this one.",
      });
    }
    await store.deleteVersions(doing.tx, doing.account.id, [id]);
    const [latest] = await store.versionIds(doing.tx, worker);
    await store.updateWorker(doing.tx, context.keys, doing.account.id, { ...worker, latestVersionId: latest ?? primaryOf(worker.traffic) });
    await record(doing, "workers:write", `workers/${worker.name}`, `version ${id} deleted`);
  });
  return success(null);
}

/** @param context of the product */
export function versionRoutes(context: ProductContext): Route[] {
  const { db } = context.store;
  const memory = uploadMemory(UPLOADS_BYTES, bodyMaxBytes(context.quota));
  const present = async (call: AccountCall): Promise<Worker> => {
    const script = call.params["script"] ?? "";
    const worker = await store.findWorker(db, context.keys, call.account, script);
    if (!worker) throw noWorker(script);
    return worker;
  };
  return [
    accountRoute("PUT", SCRIPT, WRITE, (call) => put(context, call, memory)),
    accountRoute("POST", `${SCRIPT}/versions`, WRITE, (call) => postVersion(context, call, memory)),
    accountRoute("GET", `${SCRIPT}/versions`, READ, async (call) => {
      const worker = await present(call);
      const versions = await store.listVersions(db, context.keys, worker);
      const previewsOf = await previewsOn(context, call, worker);
      return success({ items: versions.map((version) => versionOnWire(version, previewsOf(version))) });
    }),
    accountRoute("GET", `${SCRIPT}/versions/:version`, READ, async (call) => {
      const worker = await present(call);
      const id = call.params["version"] ?? "";
      const version = await store.findVersion(db, context.keys, worker, id);
      if (!version)
        throw new PlatformError("version_not_found", { message: `version: the Worker has no version ${JSON.stringify(id.slice(0, 80))}.` });
      return success(versionOnWire(version, (await previewsOn(context, call, worker))(version)));
    }),
    // By this path alone, as the clients have it.
    accountRoute("DELETE", "/accounts/:account/workers/workers/:script/versions/:version", WRITE, (call) => deleteVersion(context, call)),
    accountRoute("POST", `${SCRIPT}/deployments`, WRITE, (call) => postDeployment(context, call)),
    accountRoute("GET", `${SCRIPT}/deployments`, READ, async (call) => {
      const worker = await present(call);
      // Clients look every version of a list up: one that is gone would make them fail as a whole.
      const kept = new Set(await store.versionIds(db, worker));
      const deployments = (await store.listDeployments(db, context.keys, worker)).filter(({ traffic }) =>
        traffic.every(({ versionId }) => kept.has(versionId)),
      );
      return success({ deployments: deployments.map(deploymentOnWire) });
    }),
    accountRoute("GET", `${SCRIPT}/deployments/:deployment`, READ, async (call) => {
      const id = call.params["deployment"] ?? "";
      const deployment = await store.findDeployment(db, context.keys, await present(call), id);
      if (!deployment) throw noDeployment(id);
      return success(deploymentOnWire(deployment));
    }),
    accountRoute("DELETE", `${SCRIPT}/deployments/:deployment`, WRITE, (call) => deleteDeployment(context, call)),
  ];
}
