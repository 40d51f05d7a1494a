// `_headers`: paths, each followed by the headers that its answers get or lose.
import { linesOf, shown, type Problems } from "./problems.ts";
import { readRuleUrl, splats } from "./rule-url.ts";

export const HEADER_RULES_MAX = 100;

const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;
const IS_PATH = /^(?:\S+:\/\/|\/)/;

function pathProblem(line: string): string | null {
  const path = readRuleUrl(line, { host: true, port: true, rest: false });
  if (!path.ok) return `the URL ${shown(line)} ${path.problem}`;
  const wildcards = splats(path.url);
  if (wildcards > 1) return `${shown(line)} has more than one "*"; name the others, such as ":part"`;
  return wildcards === 1 && /:splat(?!\w)/.test(path.url) ? `${shown(line)} has both "*" and ":splat", which are the same` : null;
}

function headerProblem(line: string): string | null {
  if (!line.includes(":")) {
    if (!line.startsWith("! ")) return `${shown(line)} is neither a path, nor "Name: value", nor "! Name"`;
    return TOKEN.test(line.slice(2).trim()) ? null : `${shown(line.slice(2))} is not a header's name`;
  }
  const colon = line.indexOf(":");
  const [name, value] = [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  if (!TOKEN.test(name)) return `${shown(name)} is not a header's name`;
  if (name.toLowerCase().startsWith("mayfly-")) return `${shown(name)} is a name that this platform keeps for itself`;
  if (value === "") return `${shown(name)} has no value`;
  return CONTROL.test(value) ? `the value of ${shown(name)} holds a control character` : null;
}

/** How many rules it has; the problems say what is wrong. */
export function checkHeaders(text: string, problems: Problems): number {
  let rules = 0;
  let rule: { readonly line: number; readonly path: string; headers: number } | null = null;
  const close = (): void => {
    if (rule?.headers === 0) problems.add(rule.line, `${shown(rule.path)} is followed by no header`);
  };
  for (const { number, text: line } of linesOf(text, problems)) {
    if (problems.enough) break;
    if (IS_PATH.test(line)) {
      close();
      rules++;
      if (rules === HEADER_RULES_MAX + 1) problems.add(number, `begins rule ${rules}; ${HEADER_RULES_MAX} are allowed`);
      const problem = pathProblem(line);
      if (problem !== null) problems.add(number, problem);
      rule = { line: number, path: line, headers: 0 };
      continue;
    }
    if (rule !== null) rule.headers++;
    const problem = rule === null ? `${shown(line)} stands before the first path` : headerProblem(line);
    if (problem !== null) problems.add(number, problem);
  }
  close();
  return rules;
}
