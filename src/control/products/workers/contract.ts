// What comes in over the wire, as zod schemas: the only place, with answers.ts for the way out, where snake_case
// meets camelCase. Unknown keys are let through everywhere, as clients add some with every release.
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import { WORDING } from "../../http/body.ts";
import type { BindingKind } from "../product.ts";
import { SHARE_TOLERANCE, type ScriptSettings, type StoredBinding } from "./model.ts";
import { unavailable } from "./unavailable.ts";
import { ANNOTATIONS_MAX, BINDING_NAME_MAX_BYTES, BINDINGS_MAX, SPLIT_MAX, TEXT_MAX_BYTES } from "./quota.ts";

const bytes = (text: string): number => Buffer.byteLength(text);
const text = z.string().refine((value) => bytes(value) <= TEXT_MAX_BYTES, `longer than ${TEXT_MAX_BYTES} bytes`);
const bindingName = z
  .string()
  .min(1, "empty")
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  .refine((name) => bytes(name) <= BINDING_NAME_MAX_BYTES && !/[\u0000-\u001f\u007f]/.test(name), "too long, or holds control characters");
const json = z
  .unknown()
  .refine((value) => value !== undefined, "missing")
  .refine((value) => value === undefined || bytes(JSON.stringify(value)) <= TEXT_MAX_BYTES, `longer than ${TEXT_MAX_BYTES} bytes`);

const serviceBinding = z.object({
  type: z.literal("service"),
  name: bindingName,
  service: z.string().min(1),
  environment: z.string().nullish(),
  entrypoint: z.string().nullish(),
  props: z
    .record(z.string(), z.unknown())
    .refine((value) => bytes(JSON.stringify(value)) <= TEXT_MAX_BYTES, `longer than ${TEXT_MAX_BYTES} bytes`)
    .nullish(),
});

/** The types of binding that work here. */
export const sentBinding = z.discriminatedUnion("type", [
  z.object({ type: z.literal("plain_text"), name: bindingName, text }),
  z.object({ type: z.literal("secret_text"), name: bindingName, text }),
  z.object({ type: z.literal("json"), name: bindingName, json }),
  z.object({ type: z.literal("version_metadata"), name: bindingName }),
  z.object({ type: z.literal("assets"), name: bindingName }),
  z.object({ type: z.literal("inherit"), name: bindingName, old_name: bindingName.nullish() }),
  z.object({ type: z.enum(["wasm_module", "text_blob", "data_blob"]), name: bindingName, part: z.string().min(1) }),
  serviceBinding,
]);
/** A binding of another product's kind, its fields checked by that. */
export type SentResource = Extract<StoredBinding, { type: "resource" }>;
export type SentBinding = z.infer<typeof sentBinding> | SentResource;

const SUPPORTED: ReadonlySet<string> = new Set([
  "plain_text",
  "secret_text",
  "json",
  "version_metadata",
  "assets",
  "inherit",
  "wasm_module",
  "text_blob",
  "data_blob",
  "service",
]);

const anyBinding = z.looseObject({ type: z.string().min(1), name: z.string() });
export const sentBindings = z.array(anyBinding).max(BINDINGS_MAX, `more than ${BINDINGS_MAX}`);

const annotations = z
  .record(z.string().max(100), z.string().max(1000))
  .refine((value) => Object.keys(value).length <= ANNOTATIONS_MAX, `more than ${ANNOTATIONS_MAX}`)
  .nullish();
/** Kept as it came, so it must be small. */
const kept = z
  .record(z.string(), z.unknown())
  .refine((value) => bytes(JSON.stringify(value)) <= TEXT_MAX_BYTES, `longer than ${TEXT_MAX_BYTES} bytes`);
const htmlHandling = z.enum(["auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"]);

/** Configuration of static assets; a value that the process does not know would stop it, so none passes here. */
const assetsConfig = z.object({
  html_handling: htmlHandling.nullish(),
  not_found_handling: z.enum(["none", "404-page", "single-page-application"]).nullish(),
  run_worker_first: z
    .union([z.boolean(), z.array(z.string().regex(/^!?\//, 'must begin with "/" or "!/"').max(2000)).min(1).max(100)])
    .nullish(),
  base_path: z.string().nullish(),
  _headers: z.string().max(262_144).nullish(),
  _redirects: z.string().max(2_097_152).nullish(),
});
export type SentAssetsConfig = z.infer<typeof assetsConfig>;

const scriptSettings = {
  tags: z.array(z.string().max(1000)).max(100).nullish(),
  observability: kept.nullish(),
  logpush: z.boolean().nullish(),
  tail_consumers: z
    .array(z.looseObject({ service: z.string() }))
    .max(20)
    .refine((value) => bytes(JSON.stringify(value)) <= TEXT_MAX_BYTES, `longer than ${TEXT_MAX_BYTES} bytes`)
    .nullish(),
};

const versionSettings = {
  compatibility_date: z.string().nullish(),
  compatibility_flags: z.array(z.string()).max(200).nullish(),
  limits: kept.nullish(),
  placement: kept.nullish(),
  annotations,
};

/** The `metadata` part of an upload. */
export const uploadMetadata = z.looseObject({
  main_module: z.string().nullish(),
  body_part: z.string().nullish(),
  bindings: sentBindings.nullish(),
  keep_bindings: z.array(z.string()).max(100).nullish(),
  keep_assets: z.boolean().nullish(),
  assets: z.object({ jwt: z.string().nullish(), config: assetsConfig.nullish() }).nullish(),
  migrations: z.unknown().optional(),
  exports: z.unknown().optional(),
  containers: z.unknown().optional(),
  ...scriptSettings,
  ...versionSettings,
});
export type UploadMetadata = z.infer<typeof uploadMetadata>;

export const scriptSettingsPatch = z.looseObject(scriptSettings);
export type ScriptSettingsPatch = z.infer<typeof scriptSettingsPatch>;

/** What was sent of the Worker's own settings; absent fields stay as they are. */
export function toScriptSettings(sent: ScriptSettingsPatch): ScriptSettings {
  return {
    ...(sent.tags && { tags: sent.tags }),
    ...(sent.observability && { observability: sent.observability }),
    ...(typeof sent.logpush === "boolean" && { logpush: sent.logpush }),
    ...(sent.tail_consumers && { tailConsumers: sent.tail_consumers }),
  };
}

/** PATCH …/settings: what concerns a version makes a new one. */
export const settingsPatch = z.looseObject({ bindings: sentBindings.nullish(), ...scriptSettings, ...versionSettings });
export type SettingsPatch = z.infer<typeof settingsPatch>;

const versionId = z.string().regex(/^[\w-]{1,100}$/, "is not a version's id");

const percentage = z.number().min(0, "is below 0").max(100, "is above 100");
const share = z.looseObject({ version_id: versionId, percentage });
type SentShare = z.infer<typeof share>;

const shares = z
  .array(share)
  .min(1, "empty")
  .max(SPLIT_MAX, `more than ${SPLIT_MAX}; a deployment splits the requests between ${SPLIT_MAX} versions at most`)
  .refine((sent) => new Set(sent.map(({ version_id }) => version_id)).size === sent.length, "names a version twice")
  .refine((sent) => Math.abs(sumOf(sent) - 100) <= SHARE_TOLERANCE + Number.EPSILON * 100, {
    error: ({ input }) => `the percentages sum to ${Number(sumOf(input as SentShare[]).toFixed(6))}, not to 100`,
  });
const sumOf = (sent: readonly SentShare[]): number => sent.reduce((sum, { percentage }) => sum + percentage, 0);

export const deploymentBody = z.looseObject({
  strategy: z.literal("percentage", 'must be "percentage"').default("percentage"),
  versions: shares,
  annotations,
});

export const secretBody = z.looseObject({
  name: bindingName,
  text,
  type: z.literal("secret_text", 'must be "secret_text"').default("secret_text"),
});

const secretChange = z
  .looseObject({ name: bindingName.optional(), text, type: z.literal("secret_text").default("secret_text") })
  .nullable();
const secretChanges = z
  .record(bindingName, secretChange)
  .refine((changes) => Object.keys(changes).length <= BINDINGS_MAX, `more than ${BINDINGS_MAX}`);
export const secretsBulkBody = z.looseObject({ secrets: secretChanges });
export const latestVersionPatch = z.looseObject({ env: secretChanges, annotations });
/** Name → text, or null to delete. */
export type SecretChanges = ReadonlyMap<string, string | null>;

export const toSecretChanges = (sent: z.infer<typeof secretChanges>): SecretChanges =>
  new Map(Object.entries(sent).map(([name, change]) => [name, change?.text ?? null]));

export const scriptSubdomainBody = z.looseObject({ enabled: z.boolean(), previews_enabled: z.boolean().nullish() });
export const accountSubdomainBody = z.looseObject({ subdomain: z.string() });
export const schedulesBody = z.array(z.looseObject({ cron: z.string() })).max(1000, "more than 1000");

export const invalidUpload = (message: string, next?: string): PlatformError =>
  new PlatformError("invalid_upload", next === undefined ? { message } : { message, next });

/** Checks a part of an upload. @param what names the value in the complaint @throws PlatformError invalid_upload */
export function checkUpload<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(value, WORDING);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = [what, ...(issue?.path ?? []).map(String)].join(".");
  throw invalidUpload(`${path}: ${issue?.message ?? "not valid"}.`);
}

/**
 * Checks a list of bindings by the schema of their types.
 * @param kinds what other products give, by type
 * @throws PlatformError invalid_upload, naming types that are not there
 */
export function checkBindings(sent: z.infer<typeof sentBindings>, kinds: ReadonlyMap<string, BindingKind>): SentBinding[] {
  const seen = new Set<string>();
  return sent.map((binding, at) => {
    const name = JSON.stringify(binding.name.slice(0, 80));
    const kind = kinds.get(binding.type);
    if (!kind && !SUPPORTED.has(binding.type)) {
      const { message, next } = unavailable(binding.type, name, [...SUPPORTED, ...kinds.keys()]);
      throw invalidUpload(message, next);
    }
    if (seen.has(binding.name)) throw invalidUpload(`bindings: there are two named ${name}.`);
    seen.add(binding.name);
    const what = `bindings.${at} (${name})`;
    if (!kind) return checkUpload(sentBinding, binding, what);
    const named = checkUpload(bindingName, binding.name, `${what}.name`);
    return { type: "resource", name: named, kind: kind.type, fields: checkUpload(kind.fields, binding, what) };
  });
}
