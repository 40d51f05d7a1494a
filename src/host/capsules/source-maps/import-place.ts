// The runtime names the module that imports a missing one, but no line of it; the import itself is looked for here.
import { posix } from "node:path";

const MISSING = /No such module "(?<module>[^"\n]+)"\.\n +imported from "(?<importer>[^"\n]+)"/;
const IMPORT = /\b(?:from|import|require)\s*\(?\s*(?<quoted>"[^"\n]{1,512}"|'[^'\n]{1,512}')/g;

/** A specifier as the runtime tells it. */
function resolved(specifier: string, importer: string): string {
  if (!/^\.{0,2}\//.test(specifier)) return specifier;
  return posix.join(specifier.startsWith("/") ? "" : posix.dirname(importer), specifier).replace(/^\//, "");
}

/** Names of modules that import a missing one. */
export const importerIn = (stack: string): string | undefined => MISSING.exec(stack)?.groups?.["importer"];

/** The stack with the import's place as a frame, where the importer's text shows it. */
export function withImportPlace(stack: string, files: ReadonlyMap<string, { readonly text: string }>): string {
  const found = MISSING.exec(stack);
  const { module = "", importer = "" } = found?.groups ?? {};
  const text = files.get(importer)?.text;
  if (!found || text === undefined) return stack;
  for (const match of text.matchAll(IMPORT)) {
    const quoted = match.groups?.["quoted"] ?? "";
    if (resolved(quoted.slice(1, -1), importer) !== module) continue;
    const before = text.slice(0, match.index + match[0].length - quoted.length);
    const start = before.lastIndexOf("\n") + 1;
    const frame = `  at ${importer}:${before.split("\n").length}:${before.length - start + 1}`;
    const end = found.index + found[0].length;
    return `${stack.slice(0, stack.lastIndexOf("\n", end))}\n${frame}${stack.slice(end)}`;
  }
  return stack;
}
