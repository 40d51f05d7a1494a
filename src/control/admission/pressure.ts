// What an account costs, as a pure function of how full the limits are: the base below half of every limit, from there
// on twice as much with each tenth of the fullest one, never above the ceiling. More pressure never costs less.

/** How much of a limit is taken. */
export type Load = { readonly count: number; readonly limit: number };

export const taken = ({ count, limit }: Load): number => count / limit;

export type Prices = {
  /** Hashes without pressure. */
  readonly base: number;
  /** Hashes under any pressure; at least the base. */
  readonly ceiling: number;
};

const TENTHS = 10;
const FREE_TENTHS = 5;
/** Of the price that was paid: what has become dearer than that is asked for anew. */
const MOST_RISE = 4;

/** 0 below half of the limit, 1 from there, one more with every tenth of it: 6 when it is full, and on. */
export function doublings({ count, limit }: Load): number {
  const tenths = Math.floor((count * TENTHS) / limit);
  return tenths < FREE_TENTHS ? 0 : tenths - FREE_TENTHS + 1;
}

/** Hashes of one account under these loads, of which the heaviest decides. */
export function priceOf({ base, ceiling }: Prices, loads: readonly Load[]): number {
  const most = loads.reduce((steps, load) => Math.max(steps, doublings(load)), 0);
  return Math.min(ceiling, base * 2 ** most);
}

export type Paid = {
  /** Hashes of the challenge, and what one would cost the same caller now. */
  readonly hashes: number;
  readonly priceNow: number;
  readonly ageMs: number;
  /** What a slow client needs to solve it. */
  readonly solvingMs: number;
};

/**
 * Whether a challenge was hoarded while it was cheap: older than a slow client needs, and the price rose by more than
 * four times. Who solves at once is never asked again. Who is slower than that is asked again only when the price rose
 * fourfold meanwhile, so at most log4(ceiling / base) times before the ceiling is reached.
 */
export function isOutpriced({ hashes, priceNow, ageMs, solvingMs }: Paid): boolean {
  return ageMs > solvingMs && priceNow > MOST_RISE * hashes;
}
