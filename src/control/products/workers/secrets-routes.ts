// Secrets of a Worker. Setting one makes a new version from the latest and deploys it, as long as the latest is
// what serves; otherwise code that nobody deployed would go live with it.
import { PlatformError } from "../../../kernel/errors.ts";
import { readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import { noWorker, type ProductContext } from "../product.ts";
import { secretsOnWire } from "./answers.ts";
import { changeSecrets } from "./bindings.ts";
import { latestVersionPatch, secretBody, secretsBulkBody, toSecretChanges, type SecretChanges } from "./contract.ts";
import { addVersion, deed, deploy, presentVersion, presentWorker, record, refuseUnlessLatestServes, wholly, type Doing } from "./deeds.ts";
import type { Annotations, Version, Worker } from "./model.ts";
import * as store from "./store.ts";
import { sourceOf, toAnnotations } from "./upload.ts";

const SECRETS = "/accounts/:account/workers/scripts/:script/secrets" as const;
const READ = { action: "workers:read", product: "workers", param: "script" } as const;
const WRITE = { action: "workers:write", product: "workers", param: "script" } as const;

type Change = { readonly changes: SecretChanges; readonly strict: boolean; readonly source: string; readonly annotations: Annotations };

async function versionWith(doing: Doing, worker: Worker, change: Change): Promise<{ worker: Worker; version: Version }> {
  const latest = await presentVersion(doing, worker, worker.latestVersionId);
  const bindings = changeSecrets(latest.bindings, change.changes, change.strict);
  return addVersion(doing, worker, worker.name, { ...latest, bindings, source: change.source, annotations: change.annotations });
}

async function changeAndDeploy(context: ProductContext, call: AccountCall, changes: SecretChanges, strict: boolean): Promise<void> {
  const source = sourceOf(call.request);
  const annotations = toAnnotations(null, "secret");
  await deed(context, call.principal, async (doing) => {
    const worker = await presentWorker(doing, call.params["script"] ?? "");
    refuseUnlessLatestServes(worker, "setting a secret");
    const made = await versionWith(doing, worker, { changes, strict, source, annotations });
    await deploy(doing, made.worker, wholly(made.version), { source, annotations });
  });
}

async function patchLatest(context: ProductContext, call: AccountCall): Promise<Response> {
  const body = await readJson(call.request, latestVersionPatch);
  const change = {
    changes: toSecretChanges(body.env),
    strict: false,
    source: sourceOf(call.request),
    annotations: toAnnotations(body.annotations, "secret"),
  };
  const id = await deed(context, call.principal, async (doing) => {
    const worker = await presentWorker(doing, call.params["script"] ?? "");
    const { version } = await versionWith(doing, worker, change);
    await record(doing, "workers:upload", `workers/${worker.name}`, `version ${version.id}`);
    return version.id;
  });
  return success({ id });
}

async function secretsOf(context: ProductContext, call: AccountCall) {
  const script = call.params["script"] ?? "";
  const { db } = context.store;
  const worker = await store.findWorker(db, context.keys, call.account, script);
  const latest = worker && (await store.findVersion(db, context.keys, worker, worker.latestVersionId));
  if (!latest) throw noWorker(script);
  return secretsOnWire(latest);
}

/** @param context of the product */
export function secretRoutes(context: ProductContext): Route[] {
  return [
    accountRoute("GET", SECRETS, READ, async (call) => success(await secretsOf(context, call))),
    accountRoute("GET", `${SECRETS}/:secret`, READ, async (call) => {
      const name = call.params["secret"] ?? "";
      const secret = (await secretsOf(context, call)).find((known) => known["name"] === name);
      if (!secret)
        throw new PlatformError("secret_not_found", { message: `name: the Worker has no secret ${JSON.stringify(name.slice(0, 80))}.` });
      return success(secret);
    }),
    accountRoute("PUT", SECRETS, WRITE, async (call) => {
      const { name, text } = await readJson(call.request, secretBody);
      await changeAndDeploy(context, call, new Map([[name, text]]), true);
      return success({ name, type: "secret_text" });
    }),
    accountRoute("DELETE", `${SECRETS}/:secret`, WRITE, async (call) => {
      await changeAndDeploy(context, call, new Map([[call.params["secret"] ?? "", null]]), true);
      return success(null);
    }),
    accountRoute("PATCH", "/accounts/:account/workers/scripts/:script/secrets-bulk", WRITE, async (call) => {
      const { secrets } = await readJson(call.request, secretsBulkBody);
      await changeAndDeploy(context, call, toSecretChanges(secrets), false);
      return success(await secretsOf(context, call));
    }),
    accountRoute("PATCH", "/accounts/:account/workers/workers/:script/versions/latest", WRITE, (call) => patchLatest(context, call)),
  ];
}
