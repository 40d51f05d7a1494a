// `run_worker_first` as a list, and `base_path`: what the asset service would not start with is refused by name.
import { invalidUpload } from "../contract.ts";
import { shown } from "./problems.ts";

const PATTERN_MAX = 100;
const FIELD = "metadata.assets.config";

function patternProblem(pattern: string, others: readonly string[]): string | null {
  if (pattern.length > PATTERN_MAX) return `is longer than ${PATTERN_MAX} characters`;
  const wider = others.find((other) => other.endsWith("*") && other !== pattern && pattern.startsWith(other.slice(0, -1)));
  return wider === undefined ? null : `is part of ${shown(wider)} already`;
}

/** @param patterns each begins with "/" or "!/" @throws PlatformError invalid_upload */
export function checkPatterns(patterns: readonly string[]): void {
  const refuse = (problem: string): never => {
    throw invalidUpload(`${FIELD}.run_worker_first: ${problem}.`, "Correct the list, or set it to true or false.");
  };
  if (!patterns.some((pattern) => !pattern.startsWith("!"))) refuse('needs a pattern that does not begin with "!"');
  for (const [at, pattern] of patterns.entries()) {
    const problem = patterns.indexOf(pattern) < at ? "is there twice" : patternProblem(pattern, patterns);
    if (problem !== null) refuse(`the pattern ${shown(pattern)} ${problem}`);
  }
}

// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f]/;

function basePathProblem(path: string): string | null {
  if (path === "") return "is empty";
  if (path.startsWith("//") || /^[a-z][a-z\d+.-]*:/i.test(path)) return "is a URL, not a path";
  if (path.includes("\\")) return "holds a backslash";
  if (CONTROL.test(path)) return "holds a control character";
  if (/[?#]/.test(path)) return "holds a query or a fragment";
  return path.includes("%") ? "holds percent-encoding" : null;
}

/** The path, as the asset service reads it. @throws PlatformError invalid_upload */
export function checkBasePath(path: string): string {
  const problem = basePathProblem(path);
  if (problem !== null) throw invalidUpload(`${FIELD}.base_path: ${problem}.`, 'Give a path such as "/docs".');
  return path;
}
