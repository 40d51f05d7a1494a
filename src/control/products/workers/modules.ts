// The parts of an upload become the code of a version. Names are tenants' text: they are checked here, used as
// module names in the process and nowhere else; bytes are named by their SHA-256.
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { PlatformError } from "../../../kernel/errors.ts";
import type { Part } from "../../http/form.ts";
import { namesCaches } from "./cache.ts";
import { invalidUpload, type UploadMetadata } from "./contract.ts";
import { authorsName, codeFiles, type Code, type CodeFile, type CodeModule } from "./model.ts";
import { MODULE_NAME_MAX_BYTES } from "./quota.ts";

type Kind = CodeModule["kind"];
type Sorted = { readonly name: string; readonly kind: Kind | "source-map"; readonly bytes: Buffer };

/** Code and the bytes that it names, by SHA-256. */
export type Assembled = { readonly code: Code; readonly files: ReadonlyMap<string, Buffer> };

const KINDS: ReadonlyMap<string, Kind | "source-map"> = new Map([
  ["application/javascript+module", "esm"],
  ["text/javascript+module", "esm"],
  ["application/javascript", "commonjs"],
  ["text/javascript", "commonjs"],
  ["application/wasm", "wasm"],
  ["text/plain", "text"],
  ["application/octet-stream", "data"],
  ["application/json", "json"],
  ["application/source-map", "source-map"],
]);

const shown = (name: string): string => JSON.stringify(name.slice(0, 80));

/** Module names resolve as URLs do, so the `./` that clients put before some would never be found. */
function normalised(name: string): string {
  const segments = name.split("/").filter((segment) => segment !== ".");
  return segments.join("/");
}

function checkName(name: string): void {
  const because = (problem: string): never => {
    throw invalidUpload(`modules: the name ${shown(name)} ${problem}.`, "Rename the module and deploy again.");
  };
  if (name === "") because("is empty");
  if (Buffer.byteLength(name) > MODULE_NAME_MAX_BYTES) because(`is longer than ${MODULE_NAME_MAX_BYTES} bytes`);
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (/[\u0000-\u001f\u007f]/.test(name)) because("holds control characters");
  if (name.startsWith("/")) because("begins with a slash");
  if (name.includes("\\")) because("holds a backslash");
  if (name.split("/").includes("..")) because('holds a ".." segment');
}

function kindOf(part: Part): Kind | "source-map" {
  if (part.type.startsWith("text/x-python")) {
    throw invalidUpload(
      `modules: ${shown(part.name)} is Python, which does not run here yet.`,
      "Deploy JavaScript, TypeScript or WebAssembly.",
    );
  }
  const kind = KINDS.get(part.type);
  if (kind) return kind;
  throw invalidUpload(
    `modules: ${shown(part.name)} has the content type ${shown(part.type)}, which names no kind of module.`,
    `Use one of ${[...KINDS.keys()].join(", ")}.`,
  );
}

function sort(parts: readonly Part[]): Map<string, Sorted> {
  const sorted = new Map<string, Sorted>();
  for (const part of parts) {
    checkName(part.name);
    const name = normalised(part.name);
    if (name === "" || sorted.has(name)) throw invalidUpload(`modules: two are named ${shown(part.name)}, a leading "./" left out.`);
    sorted.set(name, { name, kind: kindOf(part), bytes: part.bytes });
  }
  return sorted;
}

const SHA256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** @throws PlatformError invalid_upload, naming the part that is missing or wrong */
export function assemble(metadata: UploadMetadata, parts: readonly Part[]): Assembled {
  const { main_module: main, body_part: body } = metadata;
  if (main && body)
    throw invalidUpload(
      "metadata: holds both main_module and body_part.",
      "Send main_module for ES modules, body_part for a service worker.",
    );
  const sorted = sort(parts);
  const files = new Map<string, Buffer>();
  const stored = ({ name, bytes }: Sorted): CodeFile => {
    const hash = SHA256(bytes);
    files.set(hash, bytes);
    return { name, hash, size: bytes.byteLength };
  };
  const entry = (name: string, field: string): Sorted => {
    const found = sorted.get(normalised(name));
    if (!found) throw invalidUpload(`metadata.${field}: names ${shown(name)}, but the form has no such part.`);
    return found;
  };
  const all = [...sorted.values()];
  const sourceMaps = all.filter((file) => file.kind === "source-map");
  const rest = all.filter((file) => file.kind !== "source-map");
  const texts = { sourceMaps: sourceMaps.map(stored), usesCache: rest.some(namesCache) };
  if (main) return { code: { ...modules(entry(main, "main_module"), rest, stored), ...texts }, files };
  if (body) return { code: { ...script(entry(body, "body_part"), rest, stored), ...texts }, files };
  if (parts.length > 0 || !metadata.assets) {
    throw invalidUpload("metadata: has neither main_module nor body_part.", "Name the part that is the Worker's entry point.");
  }
  return { code: { format: "none" }, files };
}

const namesCache = ({ kind, bytes }: Sorted): boolean => (kind === "esm" || kind === "commonjs") && namesCaches(bytes.toString("latin1"));

type Coded<F extends Code["format"]> = Omit<Extract<Code, { format: F }>, "sourceMaps" | "usesCache">;

function modules(main: Sorted, rest: readonly Sorted[], stored: (file: Sorted) => CodeFile): Coded<"modules"> {
  if (main.kind !== "esm" && main.kind !== "commonjs") {
    throw invalidUpload(
      `metadata.main_module: ${shown(main.name)} is not JavaScript.`,
      "Send the entry point as application/javascript+module.",
    );
  }
  const withKind = (file: Sorted): CodeModule => ({ ...stored(file), kind: file.kind === "source-map" ? "data" : file.kind });
  return { format: "modules", modules: [main, ...rest.filter((file) => file !== main)].map(withKind) };
}

function script(entry: Sorted, rest: readonly Sorted[], stored: (file: Sorted) => CodeFile): Coded<"service-worker"> {
  if (entry.kind !== "commonjs") {
    throw invalidUpload(
      `metadata.body_part: ${shown(entry.name)} is not a classic script.`,
      "Send a service worker as application/javascript, or name an ES module in main_module.",
    );
  }
  return { format: "service-worker", script: stored(entry), parts: rest.filter((file) => file !== entry).map(stored) };
}

const compress = promisify(gzip);

const LARGEST_TOLD = 5;
const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;

/** @param maxBytes of all files together, compressed @throws PlatformError upload_too_large, naming the largest */
export async function checkSize({ code, files }: Assembled, maxBytes: number): Promise<void> {
  const raw = [...files];
  const size = raw.reduce((sum, [, bytes]) => sum + bytes.byteLength, 0);
  // gzip never makes more of it than this; most uploads need not be compressed at all to know.
  if (size + 1024 <= maxBytes) return;
  const sizes = new Map<string, number>();
  let compressed = 0;
  for (const [hash, bytes] of raw) {
    const { byteLength } = await compress(bytes);
    sizes.set(hash, byteLength);
    compressed += byteLength;
  }
  if (compressed <= maxBytes) return;
  const sizeOf = ({ hash }: CodeFile): number => sizes.get(hash) ?? 0;
  const largest = codeFiles(code).toSorted((a, b) => sizeOf(b) - sizeOf(a));
  const told = largest.slice(0, LARGEST_TOLD).map((file) => `${shown(authorsName(file))} ${kib(sizeOf(file))}`);
  const maps = code.format === "none" ? 0 : code.sourceMaps.reduce((sum, map) => sum + sizeOf(map), 0);
  throw new PlatformError("upload_too_large", {
    message: `modules: ${compressed} bytes when compressed, ${compressed - maxBytes} more than the ${maxBytes} that a Worker may have. Largest, compressed: ${told.join(", ")}.`,
    ...(compressed - maps <= maxBytes && { next: 'Without its source maps it fits: set "upload_source_maps" to false and deploy again.' }),
  });
}
