// Versions and deployments. A deployment here is always one version for all requests; the two together are what
// `wrangler deploy` does, by PUT for a new Worker and by POST versions, POST deployments for a known one.
import { PlatformError } from "../../../kernel/errors.ts";
import { readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { uploadMemory, type BodyMemory } from "../../http/memory.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { deploymentOnWire, uploadedOnWire, versionOnWire } from "./answers.ts";
import { secretsThatDiffer } from "./bindings.ts";
import { deploymentBody, toScriptSettings, type UploadMetadata } from "./contract.ts";
import { addVersion, deed, deploy, noWorker, presentVersion, presentWorker, record, type Doing } from "./deeds.ts";
import type { Worker } from "./model.ts";
import { bodyMaxBytes, UPLOADS_BYTES } from "./quota.ts";
import * as store from "./store.ts";
import { prepareUpload, sourceOf, toAnnotations } from "./upload.ts";

const SCRIPT = "/accounts/:account/workers/scripts/:script" as const;
const READ = { action: "workers:read", product: "workers", param: "script" } as const;
const WRITE = { action: "workers:write", product: "workers", param: "script" } as const;

const latestOf = async ({ tx, context }: Doing, worker: Worker | undefined) =>
  worker && (await store.findVersion(tx, context.keys, worker, worker.latestVersionId));

const withSettings = (worker: Worker, metadata: UploadMetadata): Worker => ({
  ...worker,
  settings: { ...worker.settings, ...toScriptSettings(metadata) },
});

async function put(context: ProductContext, call: AccountCall, memory: BodyMemory): Promise<Response> {
  const script = call.params["script"] ?? "";
  using room = memory.open(call.account);
  const ready = await prepareUpload(context, call, script, { trigger: "upload", found: () => undefined, room });
  const done = await deed(context, call.principal, async (doing) => {
    const known = await store.findWorker(doing.tx, context.keys, doing.account.id, script);
    const draft = await ready.draft(doing.tx, known, await latestOf(doing, known));
    const { worker, version } = await addVersion(doing, known, script, draft);
    const deployed = await deploy(doing, withSettings(worker, ready.metadata), version, {
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
  const ready = await prepareUpload(context, call, script, { trigger: "version_upload", found, room });
  const version = await deed(context, call.principal, async (doing) => {
    const known = await presentWorker(doing, script);
    const draft = await ready.draft(doing.tx, known, await latestOf(doing, known));
    const added = await addVersion(doing, known, script, draft);
    await record(doing, "workers:upload", `workers/${script}`, `version ${added.version.id}`);
    return added.version;
  });
  return success(versionOnWire(version));
}

function onlyVersion(versions: readonly { readonly version_id: string; readonly percentage: number }[]): string {
  const [first, ...more] = versions;
  if (!first || more.length > 0 || first.percentage !== 100) {
    throw new PlatformError("invalid_input", {
      message: "versions: a deployment takes exactly one version at 100 %; splitting traffic is not there yet.",
      next: "Name one version with percentage 100.",
    });
  }
  return first.version_id;
}

async function postDeployment(context: ProductContext, call: AccountCall): Promise<Response> {
  const body = await readJson(call.request, deploymentBody);
  const wanted = onlyVersion(body.versions);
  const force = call.url.searchParams.get("force") === "true";
  const id = await deed(context, call.principal, async (doing) => {
    const worker = await presentWorker(doing, call.params["script"] ?? "");
    const version = await presentVersion(doing, worker, wanted);
    const active = await presentVersion(doing, worker, worker.activeVersionId);
    const changed = version.number < active.number ? secretsThatDiffer(version.bindings, active.bindings) : [];
    if (changed.length > 0 && !force) {
      // Wrangler cuts the list out after the colon.
      throw new PlatformError("secrets_changed", { message: `The following secrets have changed: ${changed.join(", ")}` });
    }
    const trigger = version.number < active.number ? "rollback" : "deployment";
    const how = { source: sourceOf(call.request), annotations: toAnnotations(body.annotations, trigger) };
    return (await deploy(doing, worker, version, how)).id;
  });
  return success({ id });
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
      const versions = await store.listVersions(db, context.keys, await present(call));
      return success({ items: versions.map(versionOnWire) });
    }),
    accountRoute("GET", `${SCRIPT}/versions/:version`, READ, async (call) => {
      const worker = await present(call);
      const id = call.params["version"] ?? "";
      const version = await store.findVersion(db, context.keys, worker, id);
      if (!version)
        throw new PlatformError("version_not_found", { message: `version: the Worker has no version ${JSON.stringify(id.slice(0, 80))}.` });
      return success(versionOnWire(version));
    }),
    accountRoute("POST", `${SCRIPT}/deployments`, WRITE, (call) => postDeployment(context, call)),
    accountRoute("GET", `${SCRIPT}/deployments`, READ, async (call) => {
      const deployments = await store.listDeployments(db, context.keys, await present(call));
      return success({ deployments: deployments.map(deploymentOnWire) });
    }),
  ];
}
