// Time comes from here, so that a test can move it. Milliseconds since the epoch throughout.

export type Clock = { readonly now: () => number };

export const systemClock: Clock = { now: () => Date.now() };

/** RFC 3339 in UTC with milliseconds, as the v4 API writes times. */
export function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
