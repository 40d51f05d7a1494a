// What a process says that its tail events were. A process that has been taken over can say anything: every field is
// checked, cut to its bound or replaced, and what cannot be read is counted as lost.
import { outcome as outcomes, type LogOutcome } from "../../capsule/logs.ts";
import type { Origin } from "../contract.ts";

export type Line = { readonly level: string; readonly atMs: number; readonly text: string; readonly message: readonly unknown[] };
export type Thrown = { readonly name: string; readonly message: string; readonly stack: string | null; readonly atMs: number };

/** One invocation as the process tells it. */
export type Heard = {
  readonly origin: Origin;
  readonly trigger: string;
  readonly outcome: LogOutcome;
  readonly atMs: number;
  readonly ray: string | null;
  readonly truncated: boolean;
  readonly entrypoint: string | null;
  readonly lines: readonly Line[];
  readonly exceptions: readonly Thrown[];
  /** As the process told it while a tail wanted to know; anything. */
  readonly event: unknown;
};

export type Batch = { readonly heard: readonly Heard[]; readonly lost: number };

const MAX_EVENTS = 4_000;
const MAX_LINES = 1_100;
const MAX_LINE_CHARS = 16_384;
/** Of values in values in a console call's arguments; what is nested deeper is told as text. */
const MAX_DEPTH = 64;
const LEVELS: ReadonlySet<string> = new Set(["log", "info", "warn", "error", "debug"]);
const RAY = /^[0-9a-f]{16}-MAY$/;
const OUTCOMES: ReadonlySet<string> = new Set(outcomes.options);
/** How far from now the time of an event may lie. */
const BELIEVED_MS = 86_400_000;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (value: unknown, most: number): unknown[] => (Array.isArray(value) ? value.slice(0, most) : []);

export function textOf(value: unknown, most: number): string {
  return typeof value === "string" ? value.slice(0, most) : "";
}

function timeOf(value: unknown, nowMs: number): number {
  return typeof value === "number" && Math.abs(value - nowMs) < BELIEVED_MS ? Math.round(value) : nowMs;
}

function outcomeOf(value: unknown): LogOutcome {
  // The edge alone refuses.
  return typeof value === "string" && OUTCOMES.has(value) && value !== "refused" ? (value as LogOutcome) : "unknown";
}

/** A console call as a terminal would show it: texts as they are, errors with their stacks, the rest as JSON. */
function render(message: readonly unknown[], stacks: readonly unknown[]): string {
  const parts = message.map((value, at) => {
    const shown = typeof value === "string" ? value : JSON.stringify(value);
    const stack = stacks[at];
    return typeof stack === "string" && stack !== "" ? `${shown}\n${stack}` : shown;
  });
  return parts.join(" ").slice(0, MAX_LINE_CHARS);
}

function isDeep(value: unknown, room: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return room === 0 || Object.values(value).some((part) => isDeep(part, room - 1));
}

function readLine(value: unknown, nowMs: number): Line {
  const fields = isObject(value) ? value : {};
  // Writing out what is nested deeply takes as deep a stack: it is done here, where it may fail, and never again.
  const message = listOf(fields["message"], 256).map((part) => (isDeep(part, MAX_DEPTH) ? JSON.stringify(part) : part));
  const level = textOf(fields["level"], 16);
  return {
    level: LEVELS.has(level) ? level : "log",
    atMs: timeOf(fields["atMs"], nowMs),
    text: render(message, listOf(fields["stacks"], 256)),
    message,
  };
}

function readThrown(value: unknown, nowMs: number): Thrown {
  const fields = isObject(value) ? value : {};
  return {
    name: textOf(fields["name"], 256) || "Error",
    message: textOf(fields["message"], 4_096),
    stack: textOf(fields["stack"], 8_192) || null,
    atMs: timeOf(fields["atMs"], nowMs),
  };
}

/** Null for services of ours, and for what is none. */
function readEvent(value: unknown, origins: ReadonlyMap<string, Origin>, nowMs: number): Heard | null {
  if (!isObject(value)) return null;
  const origin = origins.get(textOf(value["service"], 80));
  if (origin === undefined) return null;
  const ray = textOf(value["ray"], 64);
  return {
    origin,
    trigger: textOf(value["trigger"], 128) || "other",
    outcome: outcomeOf(value["outcome"]),
    atMs: timeOf(value["atMs"], nowMs),
    ray: RAY.test(ray) ? ray : null,
    truncated: value["truncated"] === true,
    entrypoint: textOf(value["entrypoint"], 128) || null,
    lines: listOf(value["logs"], MAX_LINES).map((line) => readLine(line, nowMs)),
    exceptions: listOf(value["exceptions"], 8).map((thrown) => readThrown(thrown, nowMs)),
    event: value["event"],
  };
}

/**
 * Reads what a process answered.
 * @param origins service id → script and version, of the spec that the process was started with
 */
export function readBatch(text: string, origins: ReadonlyMap<string, Origin>, nowMs: number): Batch {
  const heard: Heard[] = [];
  let lost = 0;
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return { heard, lost: 1 };
  }
  if (!isObject(root)) return { heard, lost: 1 };
  const said = root["lost"];
  if (typeof said === "number" && said > 0) lost += Math.min(Math.floor(said), 1e9);
  for (const value of listOf(root["events"], MAX_EVENTS)) {
    try {
      const event = readEvent(value, origins, nowMs);
      if (event === null) lost++;
      else heard.push(event);
    } catch {
      // Nested so deeply that it cannot be written out again.
      lost++;
    }
  }
  return { heard, lost };
}
