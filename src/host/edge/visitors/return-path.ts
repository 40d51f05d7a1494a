// Where a visitor goes on after pressing Continue: a path on the very host that asked, never anywhere else.

const QUERY_LIMIT = 8192;
/** One slash and no second, and nothing that browsers drop or read as a slash. */
const OWN_PATH = /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/;

/** Whether a text is a path that cannot lead to another host. */
export const isOwnPath = (path: string): boolean => path.length <= QUERY_LIMIT && OWN_PATH.test(path);

/** The `to` of a request's query; null where there is not exactly one. */
export function returnPath(path: string): string | null {
  const at = path.indexOf("?");
  const all = new URLSearchParams(at < 0 ? "" : path.slice(at + 1)).getAll("to");
  return all.length === 1 ? (all[0] ?? null) : null;
}
