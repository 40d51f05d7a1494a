// Limits of secrets stores, the hosted original's: the same for every account.
export const STORES_MAX = 1;
export const SECRETS_MAX = 100;
export const VALUE_MAX_BYTES = 65_536;
export const NAME_MAX_BYTES = 255;
export const COMMENT_MAX_BYTES = 1024;
/** A hundred secrets at once, every character escaped. */
export const BODY_MAX_BYTES = SECRETS_MAX * (VALUE_MAX_BYTES + 8192);
