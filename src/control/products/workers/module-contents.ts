// What the modules of a refused upload hold, as far as it explains the refusal. Strangers' bytes: only the first
// part of a large one is looked at, and nothing of them is run.
import { authorsName, type Code, type CodeFile } from "./model.ts";

const MAX_BYTES = 4_194_304;
const MAX_NAMES = 50;
const WASM_MAGIC = Buffer.from([0, 0x61, 0x73, 0x6d]);

type Files = ReadonlyMap<string, Uint8Array>;

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(0, MAX_BYTES));
const ofKind = (code: Code, kind: "json" | "wasm"): CodeFile[] =>
  code.format === "modules" ? code.modules.filter((module) => module.kind === kind) : [];

const DECLARED = /^[ \t]*export[ \t]+(?:async[ \t]+)?(?:const|let|var|class|function\*?)[ \t]+([\p{ID_Start}$_][\p{ID_Continue}$]*)/gmu;
const LISTED = /^[ \t]*export[ \t]*\{([^{}]{0,4000})\}/gm;
const DEFAULT = /^[ \t]*export[ \t]+default\b/m;

/** Names that a module's text exports, as far as its form is usual. */
export function exportsIn(bytes: Uint8Array): string[] {
  const text = textOf(bytes);
  const declared = [...text.matchAll(DECLARED)].map(([, name = ""]) => name);
  const listed = [...text.matchAll(LISTED)].flatMap(([, names = ""]) =>
    names.split(",").map(
      (name) =>
        name
          .trim()
          .split(/\s+as\s+/)
          .at(-1) ?? "",
    ),
  );
  const all = [...declared, ...listed, ...(DEFAULT.test(text) ? ["default"] : [])];
  return [...new Set(all.filter((name) => name !== ""))].slice(0, MAX_NAMES);
}

/** The first JSON module that does not parse, among as many as are looked at. */
export function unparsableJson(code: Code, files: Files): { readonly name: string; readonly problem: string } | undefined {
  let left = MAX_BYTES;
  for (const file of ofKind(code, "json")) {
    const bytes = files.get(file.hash);
    if (!bytes || bytes.byteLength > left) continue;
    left -= bytes.byteLength;
    try {
      JSON.parse(textOf(bytes));
    } catch (error) {
      return { name: authorsName(file), problem: (error as Error).message.replaceAll(/\s+/g, " ").slice(0, 200) };
    }
  }
  return undefined;
}

/** Names of the WebAssembly modules, and of those that are none by their first bytes. */
export function wasmModules(code: Code, files: Files): { readonly names: string[]; readonly broken: string[] } {
  const modules = ofKind(code, "wasm");
  const broken = modules.filter(({ hash }) => {
    const bytes = files.get(hash);
    return bytes !== undefined && !WASM_MAGIC.equals(bytes.subarray(0, WASM_MAGIC.length));
  });
  return { names: modules.map(authorsName), broken: broken.map(authorsName) };
}
