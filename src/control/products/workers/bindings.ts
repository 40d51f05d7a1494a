// The bindings that a version will have: those that were sent, those that it inherits or keeps from the version
// before, each checked against what it points to. Pure but for the permission check that it is handed.
import type { Kysely } from "kysely";
import { PlatformError } from "../../../kernel/errors.ts";
import type { Principal } from "../../permissions/authorize.ts";
import type { Schema } from "../../store/schema.ts";
import type { ObjectPlan, ProductContext } from "../product.ts";
import { invalidUpload, type SecretChanges, type SentBinding } from "./contract.ts";
import type { Code, CodeFile, Exports, StoredBinding } from "./model.ts";
import { nearest } from "./nearest.ts";
import { BINDINGS_MAX, TEXT_BLOB_MAX_BYTES, TEXT_BLOBS_MAX_BYTES } from "./quota.ts";

export type Callee = { readonly name: string; readonly exports: Exports };

export type BindingSources = {
  /** Bindings of the version before; null for a new Worker. */
  readonly before: readonly StoredBinding[] | null;
  /** Types, by the wire's name, of earlier bindings that stay unless one of their name was sent. */
  readonly keep: readonly string[];
  /** The code that the bindings belong to, and its files' bytes where they were uploaded with it. */
  readonly code: Code;
  readonly files: ReadonlyMap<string, Buffer>;
  /** The Worker's own name: it may bind itself before it exists. */
  readonly self: string;
  /** Whether the version has static assets. */
  readonly hasAssets: boolean;
  /** Workers of the account by name. */
  readonly callees: ReadonlyMap<string, Callee>;
  /** @throws PlatformError forbidden when the caller may not read the Worker */
  readonly mayBind: (worker: string) => void;
};

const shown = (name: string): string => JSON.stringify(name.slice(0, 80));

function partOf(name: string, binding: string, code: Code): CodeFile {
  const parts: readonly CodeFile[] = code.format === "service-worker" ? code.parts : code.format === "modules" ? code.modules : [];
  const wanted = name.replace(/^(\.\/)+/, "");
  const found = parts.find((part) => part.name === wanted);
  if (!found) throw invalidUpload(`bindings: ${shown(binding)} names the part ${shown(name)}, but the form has no such part.`);
  return found;
}

function inherited(name: string, as: string, before: readonly StoredBinding[] | null): StoredBinding {
  const found = before?.find((binding) => binding.name === name);
  if (found && isPart(found)) {
    throw new PlatformError("invalid_inherit", {
      message: `bindings: ${shown(as)} inherits ${shown(name)}, which is a part of the earlier upload.`,
      next: "Send the part again.",
    });
  }
  if (found) return { ...found, name: as };
  throw new PlatformError("invalid_inherit", {
    message: `bindings: ${shown(as)} inherits ${shown(name)}, which the Worker's latest version does not have.`,
  });
}

/** `type` on the wire. */
export const wireType = (binding: StoredBinding): string => (binding.type === "resource" ? binding.kind : binding.type);

/** A binding to bytes that came in the same upload; they are not carried over to another one's code. */
const isPart = (binding: StoredBinding): boolean =>
  binding.type === "wasm_module" || binding.type === "data_blob" || binding.type === "text_blob";

function stored(sent: SentBinding, sources: BindingSources): StoredBinding {
  switch (sent.type) {
    case "inherit":
      return inherited(sent.old_name ?? sent.name, sent.name, sources.before);
    case "wasm_module":
    case "data_blob":
      return { type: sent.type, name: sent.name, hash: partOf(sent.part, sent.name, sources.code).hash };
    case "text_blob": {
      const bytes = sources.files.get(partOf(sent.part, sent.name, sources.code).hash) ?? Buffer.alloc(0);
      if (bytes.byteLength > TEXT_BLOB_MAX_BYTES) {
        throw invalidUpload(`bindings: the text of ${shown(sent.name)} is longer than ${TEXT_BLOB_MAX_BYTES} bytes.`);
      }
      return { type: "text_blob", name: sent.name, text: bytes.toString("utf8") };
    }
    case "service":
      return {
        type: "service",
        name: sent.name,
        service: sent.service,
        // The default export is what a binding without an entrypoint reaches.
        entrypoint: sent.entrypoint === "default" ? undefined : (sent.entrypoint ?? undefined),
        props: sent.props ?? undefined,
      };
    case "plain_text":
    case "secret_text":
      return { type: sent.type, name: sent.name, text: sent.text };
    case "json":
      return { type: "json", name: sent.name, json: sent.json };
    case "version_metadata":
    case "assets":
      return { type: sent.type, name: sent.name };
    case "resource":
      return sent;
    default:
      return sent satisfies never;
  }
}

/** A part is bound once, so that bindings never take more memory than the upload; texts lie in the row besides. */
function checkParts(sent: readonly SentBinding[], resolved: readonly StoredBinding[]): void {
  const parts = new Set<string>();
  for (const binding of sent) {
    if (!("part" in binding)) continue;
    const part = binding.part.replace(/^(\.\/)+/, "");
    if (parts.has(part))
      throw invalidUpload(`bindings: ${shown(binding.name)} names the part ${shown(binding.part)}, which another binding has.`);
    parts.add(part);
  }
  const bytes = resolved.reduce((sum, binding) => sum + (binding.type === "text_blob" ? Buffer.byteLength(binding.text) : 0), 0);
  if (bytes > TEXT_BLOBS_MAX_BYTES) {
    throw invalidUpload(
      `bindings: the texts of all text blobs take ${bytes} bytes, more than ${TEXT_BLOBS_MAX_BYTES}.`,
      "Move texts to static assets.",
    );
  }
}

/** Whether a binding by this entrypoint, undefined for the default one, can be called. */
export const reaches = (entrypoint: string | undefined, exports: Exports): boolean =>
  entrypoint === undefined ? exports.handlers !== null : exports.entrypoints.includes(entrypoint);

/** @throws PlatformError invalid_upload, naming the entrypoints that there are */
export function checkEntrypoint(binding: Extract<StoredBinding, { type: "service" }>, exports: Exports): void {
  const { entrypoint, name, service } = binding;
  if (reaches(entrypoint, exports)) return;
  const wanted = entrypoint === undefined ? "the default export" : `the entrypoint ${shown(entrypoint)}`;
  const meant = entrypoint === undefined ? undefined : nearest(entrypoint, exports.entrypoints);
  const there = exports.entrypoints.length > 0 ? `it has ${exports.entrypoints.map(shown).join(", ")}` : "it exports none";
  throw invalidUpload(
    `bindings: ${shown(name)} names ${wanted} of the Worker ${shown(service)}, which does not export it; ${there}.`,
    entrypoint === undefined
      ? "Give that Worker a default export, or name one of its entrypoints."
      : `${meant === undefined ? "" : `Did you mean ${shown(meant)}? `}Export a WorkerEntrypoint class of that name from it and deploy it first.`,
  );
}

function checkTarget(binding: StoredBinding, sources: BindingSources): void {
  if (binding.type === "assets" && !sources.hasAssets) {
    throw invalidUpload(
      `bindings: ${shown(binding.name)} binds static assets, but the upload has none.`,
      "Send metadata.assets, or remove the binding.",
    );
  }
  if (binding.type !== "service") return;
  sources.mayBind(binding.service);
  if (binding.service === sources.self) return;
  const callee = sources.callees.get(binding.service);
  if (!callee) {
    throw invalidUpload(
      `bindings: ${shown(binding.name)} binds the Worker ${shown(binding.service)}, which this account does not have.`,
      "Deploy that Worker first, then this one.",
    );
  }
  checkEntrypoint(binding, callee.exports);
}

/**
 * Every binding of the new version, secrets with their text.
 * @throws PlatformError invalid_upload, invalid_inherit, forbidden
 */
export function resolveBindings(sent: readonly SentBinding[], sources: BindingSources): StoredBinding[] {
  const resolved = sent.map((binding) => stored(binding, sources));
  checkParts(sent, resolved);
  const named = new Set(sent.map((binding) => binding.name));
  const kept = (sources.before ?? []).filter(
    (binding) => !isPart(binding) && sources.keep.includes(wireType(binding)) && !named.has(binding.name),
  );
  const all = [...resolved, ...kept];
  if (all.length > BINDINGS_MAX) {
    throw invalidUpload(
      `bindings: ${all.length} with those that are kept, more than ${BINDINGS_MAX}.`,
      "Remove some, or delete secrets that are no longer used.",
    );
  }
  for (const binding of all) checkTarget(binding, sources);
  return all;
}

/**
 * The bindings after secrets were set and deleted; other bindings stay.
 * @throws PlatformError invalid_upload for a name that another kind of binding has, secret_not_found
 */
export function changeSecrets(before: readonly StoredBinding[], changes: SecretChanges, strict: boolean): StoredBinding[] {
  for (const [name, text] of changes) {
    const known = before.find((binding) => binding.name === name);
    if (known && known.type !== "secret_text") {
      throw invalidUpload(
        `name: ${shown(name)} is a binding of type ${wireType(known)}.`,
        "Choose another name, or remove that binding first.",
      );
    }
    if (strict && text === null && !known) {
      throw new PlatformError("secret_not_found", { message: `name: the Worker has no secret ${shown(name)}.` });
    }
  }
  const set = [...changes].flatMap(([name, text]) => (text === null ? [] : [{ type: "secret_text" as const, name, text }]));
  const after = [...before.filter((binding) => !changes.has(binding.name)), ...set];
  if (after.length > BINDINGS_MAX)
    throw invalidUpload(`bindings: ${after.length}, more than ${BINDINGS_MAX}.`, "Delete secrets that are no longer used.");
  return after;
}

/** Names of the secrets in which two versions differ. */
export function secretsThatDiffer(one: readonly StoredBinding[], other: readonly StoredBinding[]): string[] {
  const secrets = (bindings: readonly StoredBinding[]): Map<string, string> =>
    new Map(bindings.flatMap((binding) => (binding.type === "secret_text" ? [[binding.name, binding.text] as const] : [])));
  const [a, b] = [secrets(one), secrets(other)];
  return [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name)).sort();
}

/**
 * Checks that the resources that a version binds are there, inherited and kept ones included, and that the caller may bind them.
 * @param plan what the upload under way makes of the Worker's Durable Objects
 * @throws PlatformError invalid_upload, forbidden
 */
export async function checkResources(
  context: ProductContext,
  db: Kysely<Schema>,
  principal: Principal,
  script: string,
  bindings: readonly StoredBinding[],
  plan?: ObjectPlan,
): Promise<void> {
  for (const binding of bindings) {
    if (binding.type !== "resource") continue;
    const needed = await context.bindingKinds().get(binding.kind)?.settle(db, principal.account, binding.fields, script, plan);
    if (needed) context.require(principal, needed.action, needed.resource);
  }
}
