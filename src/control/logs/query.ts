// What a caller asks of logs and metrics, read strictly: a parameter that is unknown, doubled or wrong is named
// together with what it may be, for an answer to another question than was asked is worse than none.
import { LOG_KINDS, outcome, type FollowQuery, type LogQuery, type MetricsQuery } from "../../capsule/logs.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { AccountId } from "../../kernel/ids.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const TEXT_MAX = 200;
const CURSOR_MAX = 1000;
const HOUR_MS = 3_600_000;
/** Minutes that one answer holds. */
const METRICS_MAX_MS = 24 * HOUR_MS;
/** 1973 in milliseconds: a smaller number was meant as seconds. */
const MILLISECONDS_MIN = 100_000_000_000;
/** The last moment of 9999: what lies beyond is written with other forms, and was not meant. */
const TIME_MAX_MS = 253_402_300_799_999;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: HOUR_MS, d: 24 * HOUR_MS };
const ISO_8601 = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/i;
const TIME_FORMS = "an ISO 8601 time with its zone (2026-01-31T12:00:00Z), milliseconds since 1970, or how long ago (90s, 10m, 2h, 1d)";

const quoted = (text: string): string => JSON.stringify(text.slice(0, 60));
const wrong = (name: string, may: string, value: string): PlatformError =>
  new PlatformError("invalid_input", { message: `${name}: must be ${may}, not ${quoted(value)}.` });

/** @throws PlatformError invalid_input for a parameter that is not among the names, or comes twice */
function parametersOf(url: URL, names: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (!names.includes(name)) {
      throw new PlatformError("invalid_input", { message: `${quoted(name)}: no such parameter here; there are ${names.join(", ")}.` });
    }
    if (found.has(name)) throw new PlatformError("invalid_input", { message: `${name}: given twice; it may come once.` });
    found.set(name, value);
  }
  return found;
}

function parseTime(name: string, text: string, nowMs: number): number {
  const ago = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (ago) return nowMs - Number(ago[1]) * (UNIT_MS[ago[2] ?? ""] ?? 0);
  if (/^\d{1,16}$/.test(text)) {
    const ms = Number(text);
    if (ms < MILLISECONDS_MIN) {
      throw new PlatformError("invalid_input", { message: `${name}: ${text} is in the 1970s; send milliseconds, not seconds.` });
    }
    return ms;
  }
  const ms = ISO_8601.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw wrong(name, TIME_FORMS, text);
  return ms;
}

/** Milliseconds since the epoch, from 1970 to 9999. @throws PlatformError invalid_input */
export function readTime(name: string, text: string, nowMs: number): number {
  const ms = parseTime(name, text, nowMs);
  if (ms >= 0 && ms <= TIME_MAX_MS) return ms;
  throw new PlatformError("invalid_input", { message: `${name}: ${quoted(text)} lies ${ms < 0 ? "before 1970" : "after 9999"}.` });
}

type Range = { readonly sinceMs?: number; readonly untilMs?: number };

function readRange(given: ReadonlyMap<string, string>, nowMs: number): Range {
  const [since, until] = [given.get("since"), given.get("until")];
  const range = {
    ...(since !== undefined && { sinceMs: readTime("since", since, nowMs) }),
    ...(until !== undefined && { untilMs: readTime("until", until, nowMs) }),
  };
  if (range.sinceMs !== undefined && range.sinceMs > (range.untilMs ?? nowMs)) {
    throw new PlatformError("invalid_input", { message: `since: must not be later than ${until === undefined ? "now" : "until"}.` });
  }
  return range;
}

function oneOf<T extends string>(given: ReadonlyMap<string, string>, name: string, values: readonly T[]): T | undefined {
  const value = given.get(name);
  if (value === undefined) return undefined;
  const found = values.find((candidate) => candidate === value);
  if (found === undefined) throw wrong(name, `one of ${values.join(", ")}`, value);
  return found;
}

function bounded(given: ReadonlyMap<string, string>, name: string, maxCharacters: number): string | undefined {
  const value = given.get(name);
  if (value === undefined || (value.length > 0 && value.length <= maxCharacters)) return value;
  throw wrong(name, `1 to ${maxCharacters} characters`, value);
}

function readLimit(given: ReadonlyMap<string, string>): number {
  const text = given.get("limit");
  if (text === undefined) return LIMIT_DEFAULT;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(limit >= 1 && limit <= LIMIT_MAX)) throw wrong("limit", `a whole number from 1 to ${LIMIT_MAX}`, text);
  return limit;
}

const defined = <T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;

function readWanted(account: AccountId, given: ReadonlyMap<string, string>): FollowQuery {
  return {
    account,
    ...defined({
      kind: oneOf(given, "kind", LOG_KINDS),
      worker: bounded(given, "worker", TEXT_MAX),
      outcome: oneOf(given, "outcome", outcome.options),
      text: bounded(given, "text", TEXT_MAX),
    }),
  };
}

const WANTED = ["worker", "outcome", "kind", "text"];
const PAGED = ["since", "until", "limit", "cursor"];

/** Whether the caller wants records as they come. @throws PlatformError invalid_input */
export function wantsFollow(request: Request, url: URL): boolean {
  const follow = url.searchParams.get("follow");
  if (follow !== null && follow !== "true" && follow !== "false") throw wrong("follow", "true or false", follow);
  if (follow !== null) return follow === "true";
  return /(^|,)\s*text\/event-stream\s*(;|,|$)/i.test(request.headers.get("accept") ?? "");
}

/** @throws PlatformError invalid_input */
export function readLogQuery(account: AccountId, url: URL, nowMs: number): LogQuery {
  const given = parametersOf(url, [...WANTED, ...PAGED, "follow"]);
  const cursor = bounded(given, "cursor", CURSOR_MAX);
  return {
    ...readWanted(account, given),
    ...readRange(given, nowMs),
    limit: readLimit(given),
    ...(cursor !== undefined && { cursor }),
  };
}

/** @throws PlatformError invalid_input */
export function readFollowQuery(account: AccountId, url: URL): FollowQuery {
  const given = parametersOf(url, [...WANTED, ...PAGED, "follow"]);
  const paged = PAGED.find((name) => given.has(name));
  if (paged !== undefined) {
    throw new PlatformError("invalid_input", {
      message: `${paged}: a stream begins now and has no pages.`,
      next: "Leave the parameter out, or ask for what is kept: without follow and without `Accept: text/event-stream`.",
    });
  }
  return readWanted(account, given);
}

/** The last hour unless told otherwise. @throws PlatformError invalid_input */
export function readMetricsQuery(account: AccountId, url: URL, nowMs: number): MetricsQuery {
  const range = readRange(parametersOf(url, ["since", "until"]), nowMs);
  const untilMs = range.untilMs ?? nowMs;
  const sinceMs = range.sinceMs ?? Math.max(0, untilMs - HOUR_MS);
  if (untilMs - sinceMs > METRICS_MAX_MS) {
    throw new PlatformError("invalid_input", { message: "since: must be at most 24 hours before until; minutes are not kept for longer." });
  }
  return { account, sinceMs, untilMs };
}
