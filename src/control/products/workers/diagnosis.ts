// Why an upload cannot run, for a reader who sees nothing but the answer: the runtime's own words, and the step that
// fits them. Words that no rule knows keep the table's next step; the words themselves are never replaced.
import { isBuiltin } from "node:module";
import { COMPATIBILITY_FLAGS, newestDate } from "../../../capsule/compatibility.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { exportsIn, unparsableJson, wasmModules } from "./module-contents.ts";
import { authorsName, type Code, type Exports } from "./model.ts";
import { nearest } from "./nearest.ts";

/** The upload that was refused. */
export type Refused = {
  readonly code: Code;
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  /** By SHA-256; empty where nothing was sent. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly nowMs: number;
};

type Advice = { readonly next: string; /** A fact to be told beside the runtime's words. */ readonly fact?: string };
type Rule = { readonly words: RegExp; readonly advise: (found: RegExpExecArray, refused: Refused) => Advice };

const MAX_LISTED = 12;
const MAX_COMPARED = 400;
const quoted = (text: string): string => JSON.stringify(text.slice(0, 120));
const listed = (names: readonly string[]): string =>
  names.slice(0, MAX_LISTED).map(quoted).join(", ") + (names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : "");
const meant = (wanted: string, known: readonly string[]): string => {
  const name = nearest(wanted, known.slice(0, MAX_COMPARED));
  return name === undefined ? "" : ` Did you mean ${quoted(name)}?`;
};

const CONFIGURATION = "in the Wrangler configuration (metadata, for an API upload)";
/** With nodejs_compat, since when most of Node's modules are there. */
const NODE_DATE = "2024-09-23";

/** A step for a Worker without Node's modules and globals; undefined when the flag is there. */
function nodeCompatibility({ compatibilityFlags, compatibilityDate }: Refused): string | undefined {
  if (compatibilityFlags.some((flag) => flag.startsWith("nodejs_compat"))) return undefined;
  const date = compatibilityDate < NODE_DATE ? ` and set compatibility_date to "${NODE_DATE}" or later` : "";
  return `Add "nodejs_compat" to compatibility_flags${date} ${CONFIGURATION}.`;
}

function laterDate({ compatibilityDate, nowMs }: Refused): string {
  const newest = newestDate(nowMs);
  return compatibilityDate < newest ? ` Set a later compatibility_date than "${compatibilityDate}"; the newest is "${newest}".` : "";
}

function missingModule(name: string, refused: Refused, words: string): Advice {
  if (name.startsWith("cloudflare:")) {
    const known = ["cloudflare:workers", "cloudflare:sockets", "cloudflare:email", "cloudflare:workflows", "cloudflare:node"];
    return { next: `The runtime's own modules are ${listed(known)}.${meant(name, known)}` };
  }
  if (isBuiltin(name)) {
    const missing = nodeCompatibility(refused);
    if (missing !== undefined) return { next: `${quoted(name)} is a module of Node.js. ${missing}` };
    return { next: `This module of Node.js is not there.${laterDate(refused) || " Use another."}` };
  }
  if (name.startsWith("node:")) return { next: `Node.js has no module ${quoted(name)}; correct its name.` };
  const modules = refused.code.format === "modules" ? refused.code.modules.map(authorsName) : [];
  const fact = `The upload has ${modules.length === 1 ? "one module" : `${modules.length} modules`}: ${listed(modules)}.`;
  const api = `over the API, send the module as a part named ${quoted(name)}.`;
  // The line of the import, which tells a path from a package.
  const isPath = /^ {4}\| .*["']\.{1,2}\//m.test(words);
  const cure = isPath
    ? `Correct the path, or deploy without --no-bundle, so that wrangler uploads the file too; ${api}`
    : `Install the package (npm install ${/^(?:@[\w.-]+\/)?[\w.-]+/.exec(name)?.[0] ?? "NAME"}) and deploy without --no-bundle, so that wrangler bundles it; ${api}`;
  return { fact, next: `${meant(name, modules)} ${cure}`.trimStart() };
}

function missingExport(specifier: string, name: string, { code, files }: Refused): Advice {
  const path = specifier.replace(/^(\.{0,2}\/)+/, "");
  const matches =
    code.format === "modules" ? code.modules.filter((module) => module.name === path || module.name.endsWith(`/${path}`)) : [];
  const bytes = matches.length === 1 && matches[0] ? files.get(matches[0].hash) : undefined;
  if (!bytes) return { next: `Export ${quoted(name)} from ${quoted(specifier)}, or correct the name in the import.` };
  const names = exportsIn(bytes);
  const fact = names.length === 0 ? `${quoted(specifier)} exports nothing.` : `${quoted(specifier)} exports ${listed(names)}.`;
  return { fact, next: `${meant(name, names).trimStart()} Correct the import, or export ${quoted(name)} there.`.trimStart() };
}

const NOT_DEFINED: ReadonlyMap<string, string> = new Map([
  ["require", "An ES module has no require: use `import`, or deploy without --no-bundle so that wrangler converts it."],
  ["module", "An ES module has no module.exports: use `export default`."],
  ["exports", "An ES module has no exports object: use `export`."],
  ["__dirname", "A Worker has no files of its own: import what it needs, or serve it as static assets."],
  ["__filename", "A Worker has no files of its own: import what it needs, or serve it as static assets."],
  ["window", "A Worker is no browser: it has no window, document or localStorage."],
  ["document", "A Worker is no browser: it has no window, document or localStorage."],
  ["localStorage", "A Worker is no browser: it has no window, document or localStorage."],
  ["env", 'Bindings are in the second argument of a handler, or in `import { env } from "cloudflare:workers"`.'],
]);

const TOP_LEVEL = "This ran at the top level, when the script starts; correct it there, or move it into a handler, and deploy again.";

const NODE_GLOBALS: ReadonlySet<string> = new Set(["process", "Buffer", "global", "setImmediate", "clearImmediate"]);

function notDefined(name: string, refused: Refused): string {
  if (NODE_GLOBALS.has(name)) return nodeCompatibility(refused) ?? (laterDate(refused).trimStart() || TOP_LEVEL);
  return NOT_DEFINED.get(name) ?? `Define or import ${quoted(name)}. ${TOP_LEVEL}`;
}

/** First match wins. */
const RULES: readonly Rule[] = [
  {
    words: /(?:No such module "|Module not found: )([^"\n]+?)(?:"\.|$)/m,
    advise: (found, refused) => missingModule(found[1] ?? "", refused, found.input),
  },
  {
    words: /requested module '([^'\n]+)' does not provide an export named '([^'\n]+)'/,
    advise: (found, refused) => missingExport(found[1] ?? "", found[2] ?? "", refused),
  },
  {
    words: /^Disallowed operation called within global scope|Error: Disallowed operation called within global scope/m,
    advise: () => ({
      next: "Move the call at the place named into a handler such as fetch(), or into a function that only a handler calls; keep its result in a variable if later requests need it.",
    }),
  },
  {
    words: /Top-level await in module is unsettled/,
    advise: () => ({ next: "A promise awaited at the top level never settles. Await it inside a handler." }),
  },
  { words: /in JSON at position|Unexpected end of JSON input|is not valid JSON/, advise: (_, refused) => badJson(refused) },
  {
    words: /^Uncaught CompileError/,
    advise: (_, { code, files }) => {
      const { names, broken } = wasmModules(code, files);
      const which = broken.length > 0 ? broken : names;
      return {
        fact: `${which.length === 1 ? "The WebAssembly module is" : "One of the WebAssembly modules is at fault:"} ${listed(which)}.`,
        next: "Build the module anew and check that the file is a whole .wasm binary (it begins with 00 61 73 6d), not text, a download page or a Git LFS pointer.",
      };
    },
  },
  {
    words: /Cannot use import statement outside a module|Unexpected token 'export'|Cannot use 'import\.meta' outside a module/,
    advise: () => ({
      next: "The script was sent as a service worker, but it is an ES module: deploy it with an `export default` (over the API: name the part in metadata.main_module, type application/javascript+module).",
    }),
  },
  {
    words: /Main module must be an ES module/,
    advise: () => ({ next: "Send the entry point as application/javascript+module and use `export default` in place of module.exports." }),
  },
  {
    words: /^Uncaught SyntaxError/,
    advise: () => ({
      next: "Correct the syntax at the place named; TypeScript and JSX must be compiled first, which wrangler does without --no-bundle.",
    }),
  },
  {
    words: /^Uncaught ReferenceError: (\S+) is not defined/,
    advise: (found, refused) => ({ next: notDefined(found[1] ?? "", refused) }),
  },
  {
    words: /Incorrect type for map entry '([^'\n]+)'/,
    advise: (found) => ({
      next: `The entry module may export functions, classes and objects with handlers alone: move ${quoted(found[1] ?? "")} into another module or do not export it.`,
    }),
  },
  {
    words: /Compatibility flags are mutually contradictory: (\S+) vs (\S+)/,
    advise: (found) => ({ next: `Remove ${quoted(found[1] ?? "")} or ${quoted(found[2] ?? "")} from compatibility_flags.` }),
  },
  {
    words: /^compatibility_flags holds "([^"\n]*)", which this installation's runtime does not know/,
    advise: (found) => ({
      next: `${meant(found[1] ?? "", [...COMPATIBILITY_FLAGS])} Correct or remove it ${CONFIGURATION}.`.trimStart(),
    }),
  },
  { words: /^compatibility_flags /, advise: () => ({ next: `Remove it from compatibility_flags ${CONFIGURATION}.` }) },
  {
    words: /^compatibility_date /,
    advise: (_, { nowMs }) => ({ next: `Set compatibility_date to "${newestDate(nowMs)}" or earlier ${CONFIGURATION}.` }),
  },
  {
    words: /Code generation from strings disallowed|Wasm code generation disallowed/,
    advise: () => ({
      next: "A Worker compiles no code at run time (eval, new Function, WebAssembly.compile): put it into the upload and import it.",
    }),
  },
  { words: /Maximum call stack size exceeded/, advise: () => ({ next: `A function calls itself without end. ${TOP_LEVEL}` }) },
  {
    words: /^Script startup /,
    advise: () => ({
      next: "Look there for a loop without end, and for data or work that can wait until the first request needs it.",
    }),
  },
  {
    words: /^Uncaught [^\n]*Cannot read properties of undefined/,
    advise: () => ({
      next: `${TOP_LEVEL} Bindings and secrets are in a handler's \`env\` argument, or in \`import { env } from "cloudflare:workers"\`.`,
    }),
  },
  {
    words: /^Uncaught Error: [^\n]*$(?![\s\S]*:\d)/,
    advise: () => ({ next: `${TOP_LEVEL} What was thrown tells no place: throw an Error object to learn file and line.` }),
  },
  { words: /^Uncaught /, advise: () => ({ next: TOP_LEVEL }) },
];

function badJson({ code, files }: Refused): Advice {
  const found = unparsableJson(code, files);
  if (!found) return { next: `${TOP_LEVEL} Check what JSON.parse is given.` };
  return {
    fact: `The JSON module ${quoted(found.name)} does not parse: ${found.problem}.`,
    next: `Correct ${quoted(found.name)} and deploy again; comments, trailing commas and single quotes are not JSON.`,
  };
}

/** Limits of a start are what wrangler explains, and profiles, wherever a refusal under invalid_upload's number has the word. */
const LIMIT = /^Script startup exceeded/;
const isMistaken = (words: string): boolean => /startup/i.test(words) && !LIMIT.test(words);

/** The refusal of an upload that cannot run. @param words what the runtime, or the check of date and flags, said */
export function diagnosed(words: string, refused: Refused): PlatformError {
  if (words.startsWith("No event handlers were registered")) {
    return new PlatformError("no_handlers", { message: "The uploaded script has no registered event handlers." });
  }
  const rule = RULES.find((candidate) => candidate.words.test(words));
  const found = rule?.words.exec(words);
  const advice: Partial<Advice> = rule && found ? rule.advise(found, refused) : {};
  const lines = [words.trimEnd(), ...(advice.fact === undefined ? [] : [advice.fact])].join("\n");
  // Advice stands on a line of its own after what is no sentence: a stack, or a stranger's words.
  const message = /\n|[^.]$/.test(lines) || lines.startsWith("Uncaught ") ? `${lines}\n` : lines;
  const code = isMistaken(message + (advice.next ?? "")) ? "script_failed" : "invalid_upload";
  return new PlatformError(code, { message, ...(advice.next !== undefined && { next: advice.next }) });
}

/**
 * Refuses a script that starts but that nothing can ever call.
 * @param named how many exports it has besides the default one
 * @throws PlatformError no_handlers
 */
export function requireHandlers(exports: Exports, named: number): void {
  if ((exports.handlers?.length ?? 0) > 0 || named > 0) return;
  throw new PlatformError("no_handlers", {
    message:
      exports.handlers === null
        ? "The uploaded script has no registered event handlers: it has no default export, and exports no class or handlers by name."
        : "The uploaded script has no registered event handlers: its default export has no fetch(), scheduled() or other handler.",
  });
}
