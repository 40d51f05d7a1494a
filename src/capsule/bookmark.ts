// A moment of a D1 database, in the shape that clients of the hosted original know: four groups of hexadecimal digits
// that sort by time. Imports nothing of ours: the keeper's program carries a copy into its sandbox.

export const BOOKMARK = /^[0-9a-f]{8}-[0-9a-f]{4}0000-[0-9a-f]{8}-[0-9a-f]{32}$/;

export type Moment = {
  /** Milliseconds since the epoch; no two bookmarks of a database share one. */
  readonly atMs: number;
  readonly pages: number;
  /** Of the content; its first 32 hexadecimal digits are kept. */
  readonly hash: string;
};

export function formatBookmark({ atMs, pages, hash }: Moment): string {
  const time = atMs.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}0000-${pages.toString(16).padStart(8, "0")}-${hash.slice(0, 32)}`;
}

/** What a bookmark says; null when the text is none of ours. */
export function readBookmark(text: string): Moment | null {
  if (!BOOKMARK.test(text)) return null;
  const [high = "", low = "", pages = "", hash = ""] = text.split("-");
  return { atMs: Number.parseInt(high + low.slice(0, 4), 16), pages: Number.parseInt(pages, 16), hash };
}
