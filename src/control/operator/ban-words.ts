// What a ban may be, in words and numbers that forms and checks share.

export const REASON_MAX = 300;
const HOUR_MS = 3_600_000;

/** How long a ban that is made on the page lasts. */
export const BAN_LIVES = {
  "1h": ["for 1 hour", HOUR_MS],
  "1d": ["for 1 day", 24 * HOUR_MS],
  "7d": ["for 7 days", 168 * HOUR_MS],
  "30d": ["for 30 days", 720 * HOUR_MS],
  never: ["until you remove it", null],
} as const satisfies Record<string, readonly [string, number | null]>;
export type BanLife = keyof typeof BAN_LIVES;

export const isBanLife = (text: string): text is BanLife => Object.hasOwn(BAN_LIVES, text);
