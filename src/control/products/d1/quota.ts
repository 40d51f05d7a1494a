// Limits of D1, with units. Pure: the operator's settings and the account's state in, numbers out.
import type { QuotaSettings } from "../product.ts";

export const databasesAllowed = (settings: QuotaSettings, state: string): number =>
  state === "claimed" ? settings.d1Databases * 10 : settings.d1Databases;

export const NAME_MAX = 128;
/** Raw bytes of a request with statements: a migration's file comes in one. */
export const QUERY_MAX_BYTES = 10_485_760;
/** Raw bytes of all such requests that are being read at once. */
export const QUERIES_BYTES = 134_217_728;
/** What the process says of a statement that it refuses; more is cut off. */
export const REFUSAL_MAX_BYTES = 65_536;
