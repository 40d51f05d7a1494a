// Settings: those of the Worker (tags, observability, logs, tails), which change in place, and those of a version
// (bindings, compatibility, placement, limits), which make a new one.
import { checkCompatibility } from "../../../capsule/compatibility.ts";
import { parseJson, readBytes, readJson, JSON_MAX_BYTES } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { readForm } from "../../http/form.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { noWorker, type ProductContext } from "../product.ts";
import { scriptSettingsOnWire, settingsOnWire } from "./answers.ts";
import { checkResources, resolveBindings } from "./bindings.ts";
import {
  checkBindings,
  checkUpload,
  invalidUpload,
  scriptSettingsPatch,
  settingsPatch,
  toScriptSettings,
  type SettingsPatch,
} from "./contract.ts";
import { addVersion, deed, deploy, presentVersion, presentWorker, record, refuseUnlessLatestServes, wholly, type Doing } from "./deeds.ts";
import { diagnosed } from "./diagnosis.ts";
import type { Version, VersionDraft, Worker } from "./model.ts";
import * as store from "./store.ts";
import { sourceOf, toAnnotations, tryVersion } from "./upload.ts";

const SCRIPT = "/accounts/:account/workers/scripts/:script" as const;
const READ = { action: "workers:read", product: "workers", param: "script" } as const;
const WRITE = { action: "workers:write", product: "workers", param: "script" } as const;

async function patchScriptSettings(context: ProductContext, call: AccountCall): Promise<Response> {
  const sent = toScriptSettings(await readJson(call.request, scriptSettingsPatch));
  const worker = await deed(context, call.principal, async (doing) => {
    const known = await presentWorker(doing, call.params["script"] ?? "");
    const after = { ...known, settings: { ...known.settings, ...sent }, modifiedAtMs: context.store.clock.now() };
    await store.updateWorker(doing.tx, context.keys, doing.account.id, after);
    await record(doing, "workers:write", `workers/${known.name}`, "settings");
    return after;
  });
  return success(scriptSettingsOnWire(worker));
}

/** The body is a form with a `settings` part, or that part's JSON alone. */
async function readSettings(request: Request): Promise<SettingsPatch> {
  let bytes: Uint8Array;
  if (request.headers.get("content-type")?.startsWith("multipart/")) {
    const refuse = {
      malformed: (message: string) => invalidUpload(message, "Send a form with one part named settings."),
      tooLarge: (message: string) => new PlatformError("body_too_large", { message }),
    };
    const parts = await readForm(request, { maxBytes: JSON_MAX_BYTES, maxParts: 10 }, refuse);
    const part = parts.find((candidate) => candidate.name === "settings");
    if (!part) throw refuse.malformed("settings: the form has no such part.");
    bytes = part.bytes;
  } else {
    bytes = await readBytes(request, JSON_MAX_BYTES);
  }
  const parsed = parseJson(bytes);
  if (!parsed.ok) throw invalidUpload(`settings: ${parsed.problem}.`);
  return checkUpload(settingsPatch, parsed.value, "settings");
}

const concernsVersion = (sent: SettingsPatch): boolean =>
  [sent.bindings, sent.compatibility_date, sent.compatibility_flags, sent.limits, sent.placement].some(
    (field) => field !== undefined && field !== null,
  );

async function draftFrom(
  context: ProductContext,
  db: Doing["tx"] | typeof context.store.db,
  call: AccountCall,
  sent: SettingsPatch,
  latest: Version,
  name: string,
): Promise<VersionDraft> {
  const compatibilityDate = sent.compatibility_date ?? latest.compatibilityDate;
  const compatibilityFlags = sent.compatibility_flags ?? latest.compatibilityFlags;
  const nowMs = context.store.clock.now();
  const incompatible = checkCompatibility(compatibilityDate, compatibilityFlags, nowMs);
  if (incompatible !== null)
    throw diagnosed(incompatible, { code: latest.code, compatibilityDate, compatibilityFlags, files: new Map(), nowMs });
  const exports = await store.exportsByName(db, call.account);
  const bindings = sent.bindings
    ? resolveBindings(checkBindings(sent.bindings, context.bindingKinds()), {
        before: latest.bindings,
        // Secrets cannot be read, so a client can never send all of them again.
        keep: ["secret_text"],
        code: latest.code,
        files: new Map(),
        self: name,
        hasAssets: latest.assets !== null,
        callees: new Map([...exports].map(([callee, found]) => [callee, { name: callee, exports: found }])),
        mayBind: (callee) => context.require(call.principal, "workers:read", { account: call.account, product: "workers", id: callee }),
      })
    : latest.bindings;
  await checkResources(context, db, call.principal, name, bindings);
  return {
    ...latest,
    compatibilityDate,
    compatibilityFlags,
    bindings,
    source: sourceOf(call.request),
    annotations: toAnnotations(sent.annotations, "settings"),
    metadata: { ...latest.metadata, ...(sent.limits && { limits: sent.limits }), ...(sent.placement && { placement: sent.placement }) },
  };
}

async function patchSettings(context: ProductContext, call: AccountCall): Promise<Response> {
  const sent = await readSettings(call.request);
  const name = call.params["script"] ?? "";
  const before = await latest(context, call);
  const newVersion = concernsVersion(sent);
  const tried = newVersion
    ? await tryVersion(context, call, await draftFrom(context, context.store.db, call, sent, before.version, name))
    : null;
  const after = await deed(context, call.principal, async (doing) => {
    const known = await presentWorker(doing, name);
    const worker: Worker = { ...known, settings: { ...known.settings, ...toScriptSettings(sent) } };
    const version = await presentVersion(doing, worker, worker.latestVersionId);
    if (tried === null) {
      await store.updateWorker(doing.tx, context.keys, doing.account.id, worker);
      await record(doing, "workers:write", `workers/${name}`, "settings");
      return { worker, version };
    }
    refuseUnlessLatestServes(worker, "changing its settings");
    if (version.id !== before.version.id) {
      throw new PlatformError("precondition_failed", { message: "The Worker was deployed by somebody else meanwhile." });
    }
    const draft = { ...(await draftFrom(context, doing.tx, call, sent, version, name)), ...tried };
    const added = await addVersion(doing, worker, name, draft);
    const deployed = await deploy(doing, added.worker, wholly(added.version), { source: draft.source, annotations: draft.annotations });
    return { worker: deployed.worker, version: added.version };
  });
  return success(settingsOnWire(after.worker, after.version));
}

async function latest(context: ProductContext, call: AccountCall): Promise<{ worker: Worker; version: Version }> {
  const { db } = context.store;
  const script = call.params["script"] ?? "";
  const worker = await store.findWorker(db, context.keys, call.account, script);
  const version = worker && (await store.findVersion(db, context.keys, worker, worker.latestVersionId));
  if (!worker || !version) throw noWorker(script);
  return { worker, version };
}

/** @param context of the product */
export function settingsRoutes(context: ProductContext): Route[] {
  return [
    accountRoute("GET", `${SCRIPT}/settings`, READ, async (call) => {
      const { worker, version } = await latest(context, call);
      return success(settingsOnWire(worker, version));
    }),
    accountRoute("PATCH", `${SCRIPT}/settings`, WRITE, (call) => patchSettings(context, call)),
    accountRoute("GET", `${SCRIPT}/script-settings`, READ, async (call) =>
      success(scriptSettingsOnWire((await latest(context, call)).worker)),
    ),
    accountRoute("PATCH", `${SCRIPT}/script-settings`, WRITE, (call) => patchScriptSettings(context, call)),
  ];
}
