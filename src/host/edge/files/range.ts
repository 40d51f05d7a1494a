// Which bytes of a file a request asks for. What cannot be read, another unit than bytes, and several ranges at once
// leave the answer whole, as a server may choose. Source: RFC 9110 §14.1.2, §14.2.

export type Range =
  | { readonly kind: "whole" }
  /** Both inclusive. */
  | { readonly kind: "part"; readonly first: number; readonly last: number }
  | { readonly kind: "unsatisfiable" };

const WHOLE: Range = { kind: "whole" };
const UNSATISFIABLE: Range = { kind: "unsatisfiable" };
const ONE = /^bytes=[\t ]*(\d*)-(\d*)[\t ]*$/i;

/** @param length of the file in bytes */
export function readRange(header: string, length: number): Range {
  const [, from, to] = ONE.exec(header) ?? [];
  if (from === undefined || to === undefined || (from === "" && to === "")) return WHOLE;
  if (from === "") {
    const suffix = Number(to);
    if (suffix === 0) return UNSATISFIABLE;
    // Of an empty file there is nothing that a Content-Range could name.
    return length === 0 ? WHOLE : { kind: "part", first: Math.max(0, length - suffix), last: length - 1 };
  }
  const first = Number(from);
  const last = to === "" ? Infinity : Number(to);
  if (last < first) return WHOLE;
  return first >= length ? UNSATISFIABLE : { kind: "part", first, last: Math.min(last, length - 1) };
}
