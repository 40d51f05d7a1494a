// Which URL paths can be files on disk. Both wings ask: control to refuse an upload by name, host before it makes
// a directory entry, so that no path leaves its tree, hides another, or fails half-way.

/** Of one directory entry on the file systems in use, in bytes of UTF-8. */
const SEGMENT_MAX_BYTES = 255;
/** Room that Linux's 4,096 leave for the directory before it. */
const PATH_MAX_BYTES = 2048;

export type AssetPathCheck = { readonly ok: true } | { readonly ok: false; readonly path: string; readonly problem: string };

function problemOf(path: string): string | null {
  if (!path.startsWith("/")) return "does not begin with a slash";
  if (path.includes("\0")) return "holds a NUL character";
  if (path.includes("\\")) return "holds a backslash";
  if (!path.isWellFormed()) return "is not well-formed Unicode";
  if (Buffer.byteLength(path) > PATH_MAX_BYTES) return `is longer than ${PATH_MAX_BYTES} bytes`;
  for (const segment of path.slice(1).split("/")) {
    if (segment === "") return "has an empty segment";
    if (segment === "." || segment === "..") return `has the segment "${segment}"`;
    if (Buffer.byteLength(segment) > SEGMENT_MAX_BYTES) return `has a segment longer than ${SEGMENT_MAX_BYTES} bytes`;
  }
  return null;
}

/** Every directory that the path lies in, the tree's root left out. */
function directoriesOf(path: string): string[] {
  const segments = path.split("/");
  return segments.slice(2).map((_, index) => segments.slice(0, index + 2).join("/"));
}

/**
 * Whether these paths can lie side by side in one tree.
 * @param paths percent-decoded URL paths beginning with a slash. The answer names the first that cannot, with words
 *   that complete the sentence "the path … ".
 */
export function checkAssetPaths(paths: readonly string[]): AssetPathCheck {
  const files = new Set<string>();
  for (const path of paths) {
    const problem = problemOf(path) ?? (files.has(path) ? "is named twice" : null);
    if (problem !== null) return { ok: false, path, problem };
    files.add(path);
  }
  for (const path of paths) {
    const file = directoriesOf(path).find((directory) => files.has(directory));
    if (file !== undefined) return { ok: false, path: file, problem: "is both a file and a directory" };
  }
  return { ok: true };
}
