// The form that the official SDK sends in place of wrangler's: each field of the metadata in a part of its own, named by
// brackets, files named `files[…]`. It becomes what wrangler sends, before anything looks at it.
import { parseJson } from "../../http/body.ts";
import type { Part } from "../../http/form.ts";
import { invalidUpload } from "./contract.ts";

type Node = string | Tree | Node[];
type Tree = { [key: string]: Node };

/** Fields that are not text, by their last name; everything else is. */
const BOOLEANS = new Set(["enabled", "invocation_logs", "keep_assets", "logpush", "persist", "run_worker_first"]);
const NUMBERS = new Set(["cpu_ms", "head_sampling_rate", "limit", "period", "subrequests"]);
const DEPTH_MAX = 20;

const tree = (): Tree => Object.create(null) as Tree;

/** `metadata[bindings][][type]` → bindings, "" (the next of a list), type. */
function pathOf(name: string): string[] {
  const path = [...name.slice("metadata".length).matchAll(/\[([^\]]*)\]/g)].map(([, key = ""]) => key);
  if (path.length > 0 && path.length <= DEPTH_MAX && path[0] !== "") return path;
  throw invalidUpload(`${JSON.stringify(name.slice(0, 80))}: is not the name of a field of the metadata.`);
}

function valueOf(key: string, text: string): unknown {
  if (BOOLEANS.has(key) && (text === "true" || text === "false")) return text === "true";
  return NUMBERS.has(key) && text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** Whether the object has a value already where the path leads: then a list goes on with its next object. */
const isTaken = (node: Node | undefined, [key = "", ...rest]: readonly string[]): boolean => {
  if (typeof node !== "object" || Array.isArray(node) || !Object.hasOwn(node, key)) return false;
  return rest.length === 0 || (rest[0] !== "" && isTaken(node[key], rest));
};

function place(into: Tree, [key = "", ...rest]: readonly string[], value: Node): void {
  if (rest.length === 0) {
    into[key] = value;
    return;
  }
  if (rest[0] !== "") {
    const next = into[key];
    const child = typeof next === "object" && !Array.isArray(next) ? next : tree();
    into[key] = child;
    place(child, rest, value);
    return;
  }
  const known = into[key];
  const list = Array.isArray(known) ? known : [];
  into[key] = list;
  const within = rest.slice(1);
  if (within.length === 0) {
    list.push(value);
    return;
  }
  const last = list.at(-1);
  const goesOn = typeof last === "object" && !Array.isArray(last) && !isTaken(last, within);
  const element = goesOn ? last : tree();
  if (!goesOn) list.push(element);
  place(element, within, value);
}

/** The metadata of a body that is JSON. */
function metadataIn(bytes: Buffer): Buffer {
  const parsed = parseJson(bytes);
  if (parsed.ok && typeof parsed.value === "object" && parsed.value !== null && "metadata" in parsed.value) {
    return Buffer.from(JSON.stringify(parsed.value.metadata) ?? "null");
  }
  throw invalidUpload(parsed.ok ? "metadata: missing." : `body: ${parsed.problem}.`);
}

/** @throws PlatformError invalid_upload for a name that cannot be read */
export function asWranglerSends(parts: readonly Part[]): readonly Part[] {
  const [only, ...others] = parts;
  if (only?.name === "body" && only.type === "application/json" && others.length === 0)
    return [{ ...only, name: "metadata", bytes: metadataIn(only.bytes) }];
  const folded = parts.filter(({ name }) => name.startsWith("metadata["));
  if (folded.length === 0) return parts;
  const metadata = tree();
  for (const { name, bytes } of folded) {
    const path = pathOf(name);
    place(metadata, path, valueOf(path.findLast((key) => key !== "") ?? "", bytes.toString()) as Node);
  }
  const files = parts
    .filter((part) => !folded.includes(part))
    .map((part) => {
      const named = /^files\[(.*)\]$/s.exec(part.name);
      return named ? { ...part, name: named[1] || part.fileName || part.name } : part;
    });
  return [{ name: "metadata", fileName: undefined, type: "application/json", bytes: Buffer.from(JSON.stringify(metadata)) }, ...files];
}
