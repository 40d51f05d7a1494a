// A stack in the runtime's words, told in places of the author's own files. Maps come from strangers: a malformed
// one leaves its frames as they were, and what it names is cut and freed of control characters. It bounds neither
// time nor memory: whoever takes a stranger's map runs it in mapper-process.ts.
import { FlattenMap, originalPositionFor, sourceContentFor, type TraceMap } from "@jridgewell/trace-mapping";
import { importerIn, withImportPlace } from "./import-place.ts";

/** An uploaded file that a stack may name, and the map that came with it. */
export type MappedFile = { readonly text: string; readonly map: string | null };

export type MapOptions = {
  /** Shows the line of the first frame in the author's code under it, with a caret. */
  readonly excerpt?: boolean;
};

/** `  at index.js:3:14 in start`, as workerd tells why a script does not start; the column and the function may be missing. */
const AT_START = /^ {1,2}at (?<file>.+?):(?<line>\d+)(?::(?<column>\d+))?(?: in (?<name>.*))?$/;
/** `    at start (index.js:3:14)`, as V8 writes the stack of an error. */
const AT_RUN_TIME = /^ {4}at (?<wait>async )?(?:(?<name>.+) \()?(?<file>[^()]+):(?<line>\d+):(?<column>\d+)\)?$/;

const MAX_FRAMES = 50;
const MAX_PATH_CHARS = 200;
const MAX_EXCERPT_CHARS = 120;
const INLINE = /^data:application\/json;(?:charset=[\w-]+;)?base64,/;
const URL_MARK = "//# sourceMappingURL=";

type Frame = {
  readonly file: string;
  readonly line: number;
  readonly column: number | null;
  /** The frame's line with another place. */
  readonly at: (place: string) => string;
};
type Place = { readonly file: string; readonly line: number; readonly column: number | null; readonly source: string | null };

function frameOf(line: string): Frame | null {
  const [start, thrown] = [AT_START.exec(line)?.groups, AT_RUN_TIME.exec(line)?.groups];
  const groups = thrown ?? start;
  if (!groups) return null;
  const { file = "", column, name } = groups;
  const at = thrown
    ? (place: string): string => `    at ${thrown["wait"] ?? ""}${name ? `${name} (${place})` : place}`
    : (place: string): string => ` at ${place}${name ? ` in ${name}` : ""}`;
  return { file, line: Number(groups["line"]), column: column === undefined ? null : Number(column), at };
}

// oxlint-disable-next-line no-control-regex -- control characters are what is removed
const clean = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ");

/** The map inside a module's last comment, as compilers put it when they write a single file. */
function inlineMap(text: string): string | null {
  const at = text.lastIndexOf(URL_MARK);
  if (at === -1) return null;
  const url = text.slice(at + URL_MARK.length).trimEnd();
  const prefix = INLINE.exec(url);
  return prefix && Buffer.from(url.slice(prefix[0].length), "base64").toString("utf8");
}

function traceOf(file: MappedFile): TraceMap | null {
  try {
    const map = file.map ?? inlineMap(file.text);
    return map === null ? null : new FlattenMap(map);
  } catch {
    return null;
  }
}

function originalOf(trace: TraceMap | null, { line, column }: Frame): Place | null {
  if (!trace || line < 1 || column === 0) return null;
  try {
    const found = originalPositionFor(trace, { line, column: (column ?? 1) - 1 });
    if (found.source === null || !(found.line >= 1) || !(found.column >= 0)) return null;
    const content: unknown = sourceContentFor(trace, found.source);
    return {
      file: clean(found.source).slice(-MAX_PATH_CHARS),
      line: found.line,
      column: found.column + 1,
      source: typeof content === "string" ? content : null,
    };
  } catch {
    return null;
  }
}

/** The line with a caret under the column; of a long line the part around it. */
function excerptOf({ source, line, column }: Place): string[] {
  if (source === null) return [];
  let from = 0;
  for (let at = 1; at < line; at++) {
    from = source.indexOf("\n", from) + 1;
    if (from === 0) return [];
  }
  const end = source.indexOf("\n", from);
  const whole = source.slice(from, end === -1 ? undefined : end);
  const start = Math.max(0, (column ?? 1) - 1 - MAX_EXCERPT_CHARS / 2);
  const part = clean(whole.slice(start, start + MAX_EXCERPT_CHARS)).trimEnd();
  const shown = part.trimStart();
  const caret = (column ?? 0) - 1 - start - (part.length - shown.length);
  if (shown === "") return [];
  return [`    | ${shown}`, ...(caret >= 0 && caret <= shown.length ? [`    | ${" ".repeat(caret)}^`] : [])];
}

/** Frames of the runtime's own modules say nothing to an author. */
const isInternal = (file: string): boolean => /^(node-internal|cloudflare-internal|internal|workerd|cloudflare|node):/.test(file);

/**
 * Tells the frames of a stack in places of the authors' files. Those of a script that does not start are indented by one
 * space: wrangler rewrites lines that are indented by two to four, with a map of its own if it has one, and would map
 * these a second time. Only a frame whose module names a map that was not sent stays as it was, for wrangler to map.
 * The stack of an error keeps V8's form; hand it to nothing that maps it again.
 * @param files by module name, as the frames name them
 */
export function mapStack(stack: string, files: ReadonlyMap<string, MappedFile>, options: MapOptions = {}): string {
  const lines = withImportPlace(stack, files).split("\n");
  const traces = new Map([...files].map(([name, file]) => [name, { file, trace: once(() => traceOf(file)) }]));
  const known = lines.some((line) => traces.has(frameOf(line)?.file ?? ""));
  let excerpt = options.excerpt === true;
  let frames = 0;
  const told = lines.flatMap((line) => {
    const frame = frameOf(line);
    if (!frame || ++frames > MAX_FRAMES) return [line];
    if (known && isInternal(frame.file)) return [];
    const asItCame = frame.at([frame.file, frame.line, ...(frame.column === null ? [] : [frame.column])].join(":"));
    const { file, trace } = traces.get(frame.file) ?? {};
    if (!file || !trace) return [asItCame];
    const original = originalOf(trace(), frame);
    // Its map stayed at home, where only the client can read it.
    if (!original && !trace() && file.map === null && file.text.includes(URL_MARK)) return [line];
    const place = original ?? { ...frame, source: file.text };
    const shown = excerpt ? excerptOf(place) : [];
    excerpt &&= shown.length === 0;
    return [original ? frame.at(`${original.file}:${original.line}:${original.column}`) : asItCame, ...shown];
  });
  return folded(told).join("\n");
}

/** Frames that repeat, as endless recursion has them, once. */
function folded(lines: readonly string[]): string[] {
  const frames = lines.filter((line) => frameOf(line) !== null);
  const repeated = new Set(frames.filter((frame, at) => frame === frames[at - 1]));
  const seen = new Set<string>();
  return lines.filter((line) => {
    if (!repeated.has(line)) return true;
    return seen.has(line) ? false : seen.add(line);
  });
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Names of the modules that a stack's frames name, each once. */
export function filesIn(stack: string): string[] {
  const names = [importerIn(stack), ...stack.split("\n").map((line) => frameOf(line)?.file)];
  return [...new Set(names.filter((name) => name !== undefined && !isInternal(name)))].slice(0, MAX_FRAMES) as string[];
}
