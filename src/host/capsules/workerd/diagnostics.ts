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

/** Why the upload did not start, in the runtime's words with file:line:column; null when it said nothing about it. */
export function diagnosticsOf(stderr: string): string | null {
  const lines = stderr.split("\n");
  const own = messagesOf(SUBJECT, lines);
  const kept = own.length > 0 ? own : messagesOf(LENS, lines);
  if (kept.length === 0) return null;
  const text = kept.join("\n").replaceAll(`Worker "${SUBJECT}"'s`, "The Worker's").replaceAll(`Worker "${LENS}"'s`, "The Worker's");
  return text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)} …` : text;
}

/** Lines of the sandbox's or the runtime's own making; any other may hold what a tenant's code threw or printed. */
const OURS = /^(capsule: |bwrap: |\*\*\* Received signal |\S+\.c\+\+:\d+: fatal: )/;

/** What of a process's standard error the operator's log may hold. */
export function runtimeWords(stderr: string): string {
  const kept = stderr.split("\n").filter((line) => OURS.test(line));
  return kept.join("\n").slice(0, MAX_CHARS);
}
