// What goes out over the wire. Secrets leave as name and type, never with their text.
import { iso } from "../../../kernel/clock.ts";
import type { Deployment, StoredBinding, Version, Worker } from "./model.ts";

const AUTHOR = "";

/** A binding as the API shows it. */
export function bindingOnWire(binding: StoredBinding): Record<string, unknown> {
  if (binding.type === "resource") return { type: binding.kind, name: binding.name, ...binding.fields };
  const { type, name } = binding;
  switch (type) {
    case "secret_text":
    case "version_metadata":
    case "assets":
      return { type, name };
    case "plain_text":
      return { type, name, text: binding.text };
    case "json":
      return { type, name, json: binding.json };
    case "text_blob":
    case "wasm_module":
    case "data_blob":
      return { type, name, part: name };
    case "service":
      return {
        type,
        name,
        service: binding.service,
        environment: "production",
        ...(binding.entrypoint !== undefined && { entrypoint: binding.entrypoint }),
        ...(binding.props !== undefined && { props: binding.props }),
      };
    default:
      return type satisfies never;
  }
}

const handlersOf = (version: Version): readonly string[] => version.exports.handlers ?? [];
const namedHandlers = (version: Version) => version.exports.entrypoints.map((name) => ({ name, handlers: ["class"] }));

/** Where a version's previews answer, and whether wrangler is to print them. */
export type PreviewsOnWire = { readonly urls: readonly string[]; readonly announced: boolean };

export function versionOnWire(version: Version, previews: PreviewsOnWire) {
  return {
    id: version.id,
    number: version.number,
    metadata: {
      created_on: iso(version.createdAtMs),
      modified_on: iso(version.createdAtMs),
      source: version.source,
      author_id: AUTHOR,
      author_email: AUTHOR,
      has_preview: previews.announced,
    },
    annotations: version.annotations,
    startup_time_ms: version.startupMs,
    // Of our own, with the scheme that is spoken here.
    urls: previews.urls,
    resources: {
      bindings: version.bindings.map(bindingOnWire),
      script: {
        etag: version.etag,
        handlers: handlersOf(version),
        named_handlers: namedHandlers(version),
        last_deployed_from: version.source,
      },
      script_runtime: {
        compatibility_date: version.compatibilityDate,
        compatibility_flags: version.compatibilityFlags,
        usage_model: "standard",
        ...(version.metadata.limits !== undefined && { limits: version.metadata.limits }),
      },
    },
  };
}

export function deploymentOnWire(deployment: Deployment) {
  return {
    id: deployment.id,
    source: deployment.source,
    strategy: "percentage",
    author_email: AUTHOR,
    created_on: iso(deployment.createdAtMs),
    annotations: deployment.annotations,
    versions: deployment.traffic.map(({ versionId, percentage }) => ({ version_id: versionId, percentage })),
  };
}

/** A Worker as the script lists show it. */
export function scriptOnWire(worker: Worker, version: Version) {
  return {
    id: worker.name,
    tag: worker.id,
    tags: worker.settings.tags ?? [],
    etag: version.etag,
    handlers: handlersOf(version),
    named_handlers: namedHandlers(version),
    compatibility_date: version.compatibilityDate,
    compatibility_flags: version.compatibilityFlags,
    created_on: iso(worker.createdAtMs),
    modified_on: iso(worker.modifiedAtMs),
    // Anything else makes wrangler compare configurations or warn.
    last_deployed_from: "wrangler",
    usage_model: "standard",
    ...(worker.migrationTag !== null && { migration_tag: worker.migrationTag }),
    logpush: worker.settings.logpush ?? false,
    has_assets: version.assets !== null,
    has_modules: version.code.format === "modules",
    ...(worker.settings.observability !== undefined && { observability: worker.settings.observability }),
    ...(version.metadata.placement !== undefined && { placement: version.metadata.placement }),
  };
}

/** The answer to PUT scripts/:script. */
export function uploadedOnWire(worker: Worker, version: Version) {
  return {
    ...scriptOnWire(worker, version),
    // Wrangler prints it as the current version, so it is the version's id.
    deployment_id: version.id,
    startup_time_ms: version.startupMs,
    pipeline_hash: version.etag,
    mutable_pipeline_id: worker.id,
  };
}

export function serviceOnWire(worker: Worker, version: Version) {
  const times = { created_on: iso(worker.createdAtMs), modified_on: iso(worker.modifiedAtMs) };
  const environment = { environment: "production", ...times, script: scriptOnWire(worker, version) };
  return { id: worker.name, ...times, usage_model: "standard", default_environment: environment, environments: [environment] };
}

/**
 * @param url where the Worker answers, or would if its subdomain were on
 * @param previewUrlSuffix null where previews are not announced
 */
export function workerOnWire(worker: Worker, url: string, previewUrlSuffix: string | null) {
  return {
    id: worker.id,
    name: worker.name,
    created_on: iso(worker.createdAtMs),
    updated_on: iso(worker.modifiedAtMs),
    deployed_on: iso(worker.modifiedAtMs),
    tags: worker.settings.tags ?? [],
    logpush: worker.settings.logpush ?? false,
    tail_consumers: worker.settings.tailConsumers ?? [],
    ...(worker.settings.observability !== undefined && { observability: worker.settings.observability }),
    // Wrangler asks before it switches the subdomain on, and prints what it was told then.
    subdomain: {
      ...subdomainOnWire(worker, previewUrlSuffix !== null),
      url,
      ...(previewUrlSuffix !== null && { preview_url_suffix: previewUrlSuffix }),
    },
    references: { dispatch_namespace_outbounds: [], domains: [], durable_objects: [], queues: [], workers: [] },
  };
}

export const subdomainOnWire = (worker: Worker, previewsAnnounced: boolean) => ({
  enabled: worker.subdomainEnabled,
  previews_enabled: previewsAnnounced,
});

export function scriptSettingsOnWire(worker: Worker) {
  const { tags, observability, logpush, tailConsumers } = worker.settings;
  return {
    tags: tags ?? [],
    logpush: logpush ?? false,
    tail_consumers: tailConsumers ?? [],
    ...(observability !== undefined && { observability }),
  };
}

export function settingsOnWire(worker: Worker, version: Version) {
  return {
    ...scriptSettingsOnWire(worker),
    bindings: version.bindings.map(bindingOnWire),
    compatibility_date: version.compatibilityDate,
    compatibility_flags: version.compatibilityFlags,
    usage_model: "standard",
    annotations: version.annotations,
    placement: version.metadata.placement ?? {},
    ...(version.metadata.limits !== undefined && { limits: version.metadata.limits }),
  };
}

export const secretsOnWire = (version: Version) => version.bindings.filter(({ type }) => type === "secret_text").map(bindingOnWire);

/** Names of the Workers that bind a Worker, as `wrangler delete` reads them. */
export function referencesOnWire(
  script: string,
  callers: readonly { readonly caller: string; readonly bindings: readonly string[] }[],
  objects: readonly {
    readonly caller: string;
    readonly binding: string;
    readonly className: string;
    readonly namespaceId: string | null;
  }[],
) {
  return {
    services: {
      incoming: callers.flatMap(({ caller, bindings }) =>
        bindings.map((binding) => ({ service: caller, environment: "production", name: binding })),
      ),
      outgoing: [],
      pages_function: false,
    },
    durable_objects: objects.map(({ caller, binding, className, namespaceId }) => ({
      service: caller,
      environment: "production",
      name: binding,
      durable_object_namespace_id: namespaceId,
      durable_object_namespace_name: `${script}_${className}`,
    })),
    dispatch_outbounds: [],
  };
}
