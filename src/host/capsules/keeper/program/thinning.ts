// Which snapshots of a database stay: pure.

export type Kept = { readonly atMs: number; readonly bytes: number };
export type Bounds = { readonly count: number; readonly bytes: number };

/** The one whose absence widens the history least, measured against its age; neither the newest nor the oldest. */
function leastMissed(newestFirst: readonly Kept[], nowMs: number): number {
  let least = newestFirst.length - 1;
  let leastGap = Infinity;
  for (let at = 1; at < newestFirst.length - 1; at++) {
    const newer = newestFirst[at - 1]?.atMs ?? 0;
    const older = newestFirst[at + 1]?.atMs ?? 0;
    const gap = (newer - older) / Math.max(1, nowMs - older);
    if (gap < leastGap) [least, leastGap] = [at, gap];
  }
  return least;
}

/**
 * Those that go, so that the rest is within the bounds. The newest always stays; too many are thinned so that they
 * lie the closer the younger they are; where they are too big, the oldest goes.
 */
export function thin<T extends Kept>(newestFirst: readonly T[], bounds: Bounds, nowMs: number): T[] {
  const kept = [...newestFirst];
  const gone: T[] = [];
  while (kept.length > bounds.count) gone.push(...kept.splice(leastMissed(kept, nowMs), 1));
  while (kept.length > 1 && kept.reduce((sum, { bytes }) => sum + bytes, 0) > bounds.bytes) gone.push(...kept.splice(-1));
  return gone;
}
