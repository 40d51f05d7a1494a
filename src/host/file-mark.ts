// How the edge tells a file from what a Worker says: the asset service behind an edge socket marks every answer of its
// own and none of the Worker behind it. The mark is drawn for one process and taken off at the edge; bindings reach the
// same files through a service without it. So no tenant's code can learn or forge it, and a Worker that hands on
// what `env.ASSETS` gave it has made an answer of its own. A process that was taken over speaks of its own files.
import { randomBytes } from "node:crypto";
import { withHeaderRule } from "../capsule/header-rules.ts";

/** Lower case; the edge lets no header pass that begins like this. */
export const FILE_MARK = "mayfly-file";
/** Behind the mark where the tenant's own rules may have set the ETag, which then need not name one content. */
const OWN_TAG = "-own-tag";

export const newFileMark = (): string => randomBytes(16).toString("hex");

/**
 * The configuration of an asset service with a rule that marks its answers. Where rules of the tenant take the mark away
 * or add to it, the answer is left as it is.
 * @param config JSON of the asset service
 */
export function withFileMark(config: string, mark: string): string {
  const parsed = JSON.parse(config) as { readonly headers?: string };
  const headers = parsed.headers ?? "";
  const value = /etag/i.test(headers) ? mark + OWN_TAG : mark;
  return JSON.stringify({ ...parsed, headers: withHeaderRule(headers, "/*", `${FILE_MARK}: ${value}`) });
}

/** Whether a response is a file, and whether its ETag is the asset service's own. */
export function readFileMark(value: string | undefined, mark: string): { readonly ownTag: boolean } | null {
  if (value === mark) return { ownTag: false };
  return value === mark + OWN_TAG ? { ownTag: true } : null;
}
