// workerd's words about an upload, freed of everything that is ours: names of our services, the probe's frames,
// the runtime's own log lines. What is left names the upload's modules as they were uploaded.
import { LENS, SUBJECT } from "../trials/trial-config.ts";

/** Longest text handed on. */
const MAX_CHARS = 4096;

/** Begins a line that belongs to no message of a service. */
const OTHER = /^(service |Worker "|workerd\/|\*\*\* |stack: )/;

function messagesOf(service: string, lines: readonly string[]): string[] {
  const start = `service ${service}: `;
  const kept: string[] = [];
  let inside = false;
  for (const line of lines) {
    if (line.startsWith(start)) {
      inside = true;
      kept.push(line.slice(start.length));
    } else if (OTHER.test(line)) inside = false;
    else if (inside && line.trim() !== "" && !line.includes("mayfly-probe-")) kept.push(line);
  }
  return kept;
}

/** The new module registry names modules by URL, and a parser of JSON names a place without a file. */
const asUploaded = (line: string): string => line.replaceAll("file:///bundle/", "");
const PLACELESS = /^:\d+:\d+$/;

/** Said of every script that failed before it could listen, after why it failed. */
const NOTHING_REGISTERED = "No event handlers were registered. This script does nothing.";

/** What the script does under such flags says nothing. */
const CONTRADICTION = "Compatibility flags are mutually contradictory";

const AT = /^( +at .+?:\d+)(?::(\d+))?$/;

/** Columns of what does not parse are counted from 0, and a 0 is left out; those of frames are counted from 1. Source: workerd's jsvalue.c++. */
function withColumn(lines: readonly string[]): readonly string[] {
  const unparsed = lines[0]?.startsWith("Uncaught SyntaxError: ") && !lines[0].includes("JSON");
  if (!unparsed || lines.filter((line) => /^ +at /.test(line)).length !== 1) return lines;
  return lines.map((line) => line.replace(AT, (_, place: string, column?: string) => `${place}:${Number(column ?? 0) + 1}`));
}

/**
 * Why the upload did not start, in the runtime's words with file:line:column; null when it said nothing about it.
 * @param script what a service-worker script is called in frames
 */
export function diagnosticsOf(stderr: string, script: string): string | null {
  const lines = stderr.split("\n");
  const own = messagesOf(SUBJECT, lines);
  const said = own.length > 0 ? own : messagesOf(LENS, lines);
  const cause = said.filter((line) => line !== NOTHING_REGISTERED);
  const kept = cause.length === 0 || cause[0]?.startsWith(CONTRADICTION) ? said.slice(0, 1) : cause;
  if (kept.length === 0) return null;
  const text = withColumn(kept)
    .filter((line) => !PLACELESS.test(line))
    .map((line) => asUploaded(line).replace(/^(\s+at )(?:upload|lens)(:\d+)/, (_, at: string, place: string) => at + script + place))
    .join("\n")
    .replaceAll(`Worker "${SUBJECT}"'s`, "The Worker's")
    .replaceAll(`Worker "${LENS}"'s`, "The Worker's");
  return text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)} …` : text;
}

/** Lines of the sandbox's or the runtime's own making; any other may hold what a tenant's code threw or printed. */
const OURS = /^(capsule: |bwrap: |\*\*\* Received signal |\S+\.c\+\+:\d+: fatal: )/;

/** What of a process's standard error the operator's log may hold. */
export function runtimeWords(stderr: string): string {
  const kept = stderr.split("\n").filter((line) => OURS.test(line));
  return kept.join("\n").slice(0, MAX_CHARS);
}
