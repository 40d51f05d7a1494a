// An invocation in the form in which `wrangler tail` prints it, and which of them a tail asked for. Secrets that a caller
// sent are taken out as the hosted original does, and headers by which the edge speaks to the process are left out.
import type { TailQuery } from "../../capsule/logs.ts";
import type { Origin, Passed } from "../contract.ts";
import { textOf, type Heard } from "./batch.ts";

type TailRequest = { readonly url: string; readonly method: string; readonly headers: Record<string, string>; readonly cf: unknown };

/** Names and meaning are those of the hosted original's trace events. */
export type TailEvent = {
  readonly outcome: string;
  readonly scriptName: string;
  readonly scriptVersion: { readonly id: string };
  readonly entrypoint?: string;
  readonly logs: readonly { readonly message: readonly unknown[]; readonly level: string; readonly timestamp: number }[];
  readonly exceptions: readonly { readonly name: string; readonly message: string; readonly stack?: string; readonly timestamp: number }[];
  readonly diagnosticsChannelEvents: readonly [];
  readonly truncated: boolean;
  readonly eventTimestamp: number;
  readonly wallTime: number;
  readonly cpuTime: number;
  readonly event: Readonly<Record<string, unknown>> | null;
};

/** What the edge knows of the request beside what the process tells. */
export type Known = { readonly wallMs: number; readonly cpuMs: number | null; readonly status: number };

const REDACTED = "REDACTED";
const SECRET = /^(set-)?cookie$|auth|jwt|key|secret|token/;
const PLATFORM = /^mayfly-|^cf-.*-blob$/;
const MAX_HEADERS = 128;
const MAX_HEADER_CHARS = 4_096;
const MAX_URL_CHARS = 8_192;
/** Members of other events than requests. wrangler takes the texts for texts without asking. */
const TEXTS = ["rpcMethod", "cron", "queue"] as const;
const NUMBERS = ["scheduledTime", "batchSize"] as const;

/** A URL with what looks like a secret in it taken out: 32 hexadecimal digits, or 21 characters of letters of both cases and digits. */
export function redactUrl(url: string): string {
  return url.slice(0, MAX_URL_CHARS).replace(/[0-9a-zA-Z+_-]{21,}/g, (run) => {
    const count = (kind: RegExp): number => run.match(kind)?.length ?? 0;
    if (/^[0-9a-fA-F+_-]+$/.test(run) && count(/[0-9a-fA-F]/g) >= 32) return REDACTED;
    return [/[0-9]/g, /[A-Z]/g, /[a-z]/g].every((kind) => count(kind) >= 2) ? REDACTED : run;
  });
}

function headersOf(pairs: Iterable<readonly [string, unknown]>): Record<string, string> {
  const headers: Record<string, string> = {};
  let count = 0;
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase().slice(0, 256);
    if (PLATFORM.test(lower) || lower === "__proto__" || typeof value !== "string") continue;
    if (++count > MAX_HEADERS) break;
    headers[lower] = SECRET.test(lower) ? REDACTED : value.slice(0, MAX_HEADER_CHARS);
  }
  return headers;
}

/** Names and values of a head's lines, the first of which is the request's. */
function* linesOf(head: string): Generator<readonly [string, string]> {
  for (const line of head.split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (colon > 0) yield [line.slice(0, colon), line.slice(colon + 1).trim()];
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** `request.cf` as the process got it from the edge: flat, of texts and numbers. */
function cfOf(value: unknown): Record<string, unknown> {
  if (!isObject(value)) return {};
  const plain = Object.entries(value).filter(([, member]) => typeof member === "string" || typeof member === "number");
  return Object.fromEntries(plain.slice(0, 64).map(([name, member]) => [name, typeof member === "string" ? member.slice(0, 512) : member]));
}

function eventOf(told: unknown, known: Known | null): TailEvent["event"] {
  if (!isObject(told)) return null;
  const { request, response } = told;
  if (isObject(request)) {
    const made: TailRequest = {
      url: redactUrl(textOf(request["url"], MAX_URL_CHARS)),
      method: textOf(request["method"], 32),
      headers: headersOf(Object.entries(isObject(request["headers"]) ? request["headers"] : {})),
      cf: cfOf(request["cf"]),
    };
    const said = isObject(response) && typeof response["status"] === "number" ? response["status"] : known?.status;
    return { request: made, ...(said !== undefined && said !== 0 && { response: { status: said } }) };
  }
  const facts: Record<string, string | number> = {};
  for (const name of TEXTS) if (typeof told[name] === "string") facts[name] = told[name].slice(0, 256);
  for (const name of NUMBERS) {
    // A time may come as a text, as a Date is written out.
    const fact = typeof told[name] === "string" ? Date.parse(told[name]) : told[name];
    if (typeof fact === "number" && !Number.isNaN(fact)) facts[name] = fact;
  }
  return Object.keys(facts).length === 0 ? null : facts;
}

/** What the process told, and the edge's measure of it. */
export function heardEvent(heard: Heard, known: Known | null): TailEvent {
  const event = eventOf(heard.event, known);
  // A call of a method is printed with what it was called on, which has no name where that is the default export.
  const entrypoint = heard.entrypoint ?? (event !== null && "rpcMethod" in event ? "default" : null);
  return {
    outcome: heard.outcome,
    scriptName: heard.origin.script,
    scriptVersion: { id: heard.origin.version },
    ...(entrypoint !== null && { entrypoint }),
    logs: heard.lines.map(({ message, level, atMs }) => ({ message, level, timestamp: atMs })),
    exceptions: heard.exceptions.map(({ name, message, stack, atMs }) => ({
      name,
      message,
      ...(stack !== null && { stack }),
      timestamp: atMs,
    })),
    diagnosticsChannelEvents: [],
    truncated: heard.truncated,
    eventTimestamp: heard.atMs,
    wallTime: Math.round(known?.wallMs ?? 0),
    cpuTime: Math.round(known?.cpuMs ?? 0),
    event,
  };
}

/** A request that the process could not tell of any more. */
export function lostEvent(
  passed: Passed,
  origin: Origin,
  fate: { readonly outcome: string; readonly reason: string | null },
  atMs: number,
): TailEvent {
  const cf = [...linesOf(passed.head)].find(([name]) => name.toLowerCase() === "mayfly-cf-blob")?.[1];
  const request: TailRequest = {
    url: redactUrl(passed.url),
    method: passed.method,
    headers: headersOf(linesOf(passed.head)),
    cf: cf === undefined ? {} : cfOf(JSON.parse(cf)),
  };
  const endedAtMs = Math.round(atMs + passed.wallMs);
  return {
    outcome: fate.outcome,
    scriptName: origin.script,
    scriptVersion: { id: origin.version },
    logs: [],
    exceptions: fate.reason === null ? [] : [{ name: "Error", message: fate.reason, timestamp: endedAtMs }],
    diagnosticsChannelEvents: [],
    truncated: false,
    eventTimestamp: Math.round(atMs),
    wallTime: Math.round(passed.wallMs),
    cpuTime: Math.round(passed.cpuMs ?? 0),
    event: { request, ...(passed.status !== 0 && { response: { status: passed.status } }) },
  };
}

/** What the stream itself has to say, in the form of an event. */
const notice = (event: { readonly type: string; readonly message: string }): string =>
  JSON.stringify({ outcome: "unknown", scriptName: null, logs: [], exceptions: [], eventTimestamp: null, event });

/** The account's log is at its cap. */
export const capEvent = (message: string): string => notice({ type: "overload", message });

export const overloadEvent = (): string =>
  notice({ type: "overload", message: "Events come faster than they are read; some are left out until the reader has caught up." });

export const overloadStopEvent = (missed: number): string =>
  notice({ type: "overload-stop", message: `The reader has caught up; ${missed} ${missed === 1 ? "event was" : "events were"} left out.` });

const headersIn = (event: TailEvent): Record<string, string> => (event.event?.["request"] as TailRequest | undefined)?.headers ?? {};

/** Whether the tail asked for the event: all that it asked for must hold. A header that is redacted holds no other text. */
export function wants(query: TailQuery, event: TailEvent, random: () => number = Math.random): boolean {
  if (event.scriptName !== query.worker) return false;
  if (query.version !== undefined && event.scriptVersion.id !== query.version) return false;
  if (query.outcomes !== undefined && !query.outcomes.includes(event.outcome)) return false;
  const request = event.event?.["request"] as TailRequest | undefined;
  if (query.methods !== undefined && !(request !== undefined && query.methods.includes(request.method.toUpperCase()))) return false;
  const headers = headersIn(event);
  for (const { key, query: part } of query.headers ?? []) {
    const value = headers[key.toLowerCase()];
    if (value === undefined || (part !== undefined && !value.toLowerCase().includes(part.toLowerCase()))) return false;
  }
  if (query.clientIps !== undefined && !query.clientIps.includes(headers["cf-connecting-ip"] ?? "")) return false;
  if (query.query !== undefined && !hasWords(event, query.query)) return false;
  return query.samplingRate === undefined || random() < query.samplingRate;
}

function hasWords(event: TailEvent, words: string): boolean {
  const sought = words.toLowerCase();
  return event.logs.some(({ message }) =>
    message.some((part) => (typeof part === "string" ? part : JSON.stringify(part)).toLowerCase().includes(sought)),
  );
}
