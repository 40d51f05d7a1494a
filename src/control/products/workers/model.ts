// What a version of a Worker is made of, in our own words; rows hold it as JSON, the wire gets it from contract.ts.
import type { Module } from "../../../capsule/spec.ts";
import type { AssetFile, Fields } from "../product.ts";

/** An uploaded file: its name in the form, where its bytes lie, how many. */
export type CodeFile = { readonly name: string; readonly hash: string; readonly size: number };
/** The author's own name of a file: wrangler puts a digest before those that are no JavaScript. */
export const authorsName = (file: CodeFile): string => file.name.replace(/^[0-9a-f]{40}-/, "");
export type CodeModule = CodeFile & { readonly kind: Module["kind"] };

type Texts = {
  readonly sourceMaps: readonly CodeFile[];
  /** Whether its text names the Cache API, without which there is none. */
  readonly usesCache?: boolean;
};

/** The code of a version. Source maps are kept for diagnosis and never reach the process. */
export type Code =
  /** The first module is the entry point. */
  | (Texts & { readonly format: "modules"; readonly modules: readonly CodeModule[] })
  | (Texts & { readonly format: "service-worker"; readonly script: CodeFile; readonly parts: readonly CodeFile[] })
  /** Static assets alone. */
  | { readonly format: "none" };

/** A binding with its value, as it is sealed. Discriminated by the wire's own type names. */
export type StoredBinding =
  | { readonly type: "plain_text" | "secret_text" | "text_blob"; readonly name: string; readonly text: string }
  | { readonly type: "json"; readonly name: string; readonly json: unknown }
  | { readonly type: "wasm_module" | "data_blob"; readonly name: string; readonly hash: string }
  | { readonly type: "version_metadata" | "assets"; readonly name: string }
  /** Of a kind that another product gives. */
  | { readonly type: "resource"; readonly name: string; readonly kind: string; readonly fields: Fields }
  | {
      readonly type: "service";
      readonly name: string;
      readonly service: string;
      readonly entrypoint?: string | undefined;
      readonly props?: Readonly<Record<string, unknown>> | undefined;
    };

/** What the trial found in the script. */
export type Exports = {
  /** Handlers of the default export; null when there is none, so that nothing can call it. */
  readonly handlers: readonly string[] | null;
  /** Exports that a service binding can name. */
  readonly entrypoints: readonly string[];
  /** Classes of Durable Objects. */
  readonly objects: readonly string[];
};

export type Annotations = Readonly<Record<string, string>>;

export type VersionAssets = {
  readonly files: readonly AssetFile[];
  /** JSON for the process's asset service. */
  readonly config: string;
};

/** Kept as it came and answered as it was kept; nothing here acts on it yet. */
export type VersionMetadata = { readonly limits?: unknown; readonly placement?: unknown };

export type VersionDraft = {
  readonly source: string;
  readonly annotations: Annotations;
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly code: Code;
  readonly exports: Exports;
  readonly etag: string;
  readonly startupMs: number;
  readonly bindings: readonly StoredBinding[];
  readonly assets: VersionAssets | null;
  readonly metadata: VersionMetadata;
};

export type Version = VersionDraft & {
  /** UUID. */
  readonly id: string;
  readonly workerId: string;
  readonly number: number;
  readonly createdAtMs: number;
  /** When its preview was first visited, if that is why it is in the process; milliseconds since the epoch. */
  readonly previewedAtMs: number | null;
};

/** A version's part of the requests to its Worker, in percent. */
export type Share = { readonly versionId: string; readonly percentage: number };

/** One or two shares, newest version first; never empty. */
export type Traffic = readonly Share[];

/** Of the Worker, not of a version; `tailConsumers` are kept and answered, but no tail is delivered yet. */
export type ScriptSettings = {
  readonly tags?: readonly string[] | undefined;
  readonly observability?: unknown;
  readonly logpush?: boolean | undefined;
  readonly tailConsumers?: readonly unknown[] | undefined;
};

export type Worker = {
  /** 32 hexadecimal digits; the wire's `tag`. */
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly modifiedAtMs: number;
  readonly subdomainEnabled: boolean;
  readonly previewsEnabled: boolean;
  readonly settings: ScriptSettings;
  readonly traffic: Traffic;
  readonly latestVersionId: string;
  readonly versionsMade: number;
  readonly deploymentsMade: number;
  /** Of the last migration of its Durable Object classes. */
  readonly migrationTag: string | null;
};

export type Deployment = {
  readonly id: string;
  readonly number: number;
  readonly createdAtMs: number;
  readonly source: string;
  readonly traffic: Traffic;
  readonly annotations: Annotations;
};

/** The version that stands for the Worker where one must: the largest share, of equal ones the newer. */
export function primaryOf(traffic: Traffic): string {
  const [first, ...others] = traffic;
  if (first === undefined) throw new Error("a Worker always has a version that serves");
  return others.reduce((best, share) => (share.percentage > best.percentage ? share : best), first).versionId;
}

/** Percent by which shares may miss their sum. */
export const SHARE_TOLERANCE = 0.01;

/** Whether no other version answers any request. */
export const servesAlone = (traffic: Traffic, versionId: string): boolean =>
  traffic.every((share) => (share.versionId === versionId ? share.percentage > 0 : share.percentage === 0));

export const aliasOf = (version: Pick<VersionDraft, "annotations">): string | null => version.annotations["workers/alias"] || null;

/**
 * Names of the process's services: of our making, never the tenant's, never given twice. They name a version's code and
 * nothing else: versions of a Worker run side by side and share its state, which is to be named by the Worker's id.
 */
export const workerServiceId = (workerId: string, number: number): string => `w-${workerId}-v${number}`;
export const assetsServiceId = (workerId: string, number: number): string => `a-${workerId}-v${number}`;

/** Every uploaded file of the code. */
export function codeFiles(code: Code): CodeFile[] {
  switch (code.format) {
    case "modules":
      return [...code.modules, ...code.sourceMaps];
    case "service-worker":
      return [code.script, ...code.parts, ...code.sourceMaps];
    case "none":
      return [];
    default:
      return code satisfies never;
  }
}
