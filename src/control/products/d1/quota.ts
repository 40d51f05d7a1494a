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

/** How long an upload is taken and kept until it is imported. */
export const UPLOAD_SECONDS = 900;
/** How long the address of an export works: what wrangler tells its user. */
export const DOWNLOAD_SECONDS = 3600;
/** Raw bytes of a file of SQL: bytes of a blob are two characters each, and a row repeats its table's columns. */
export const importMaxBytes = (settings: QuotaSettings): number => settings.d1Bytes * 5;
/** Raw bytes of all files that wait to be imported. */
export const SPOOL_MAX_BYTES = 4_294_967_296;
/** So long a poll waits for the end of an import: clients ask again at once. */
export const HOLD_MS = 20_000;
/** For so long after its end an import's outcome can be asked for. */
export const REMEMBERED_SECONDS = 600;
