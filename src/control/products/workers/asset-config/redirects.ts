// `_redirects`: one rule a line, from where, to where, and with which status. Rules count as static until the first with a
// wildcard or a placeholder, and as dynamic from there on.
import { linesOf, shown, type Problems } from "./problems.ts";
import { hasPlaceholder, isAbsolute, readRuleUrl, splats } from "./rule-url.ts";

export const STATIC_RULES_MAX = 2000;
export const DYNAMIC_RULES_MAX = 100;

const STATUSES = ["200", "301", "302", "303", "307", "308"];
const TO_INDEX = /\/index(?:\.html)?$/;

/** Whether the asset service, which takes `/index` and `.html` off, would lead the caller back. */
function loops(from: string, to: string, htmlHandling: boolean): boolean {
  if (isAbsolute(to) || !TO_INDEX.test(to)) return false;
  return from.endsWith("/*") || (htmlHandling && from.endsWith("/"));
}

type Rule = { readonly ok: true; readonly from: string } | { readonly ok: false; readonly from: string | null; readonly problem: string };

function readRule(line: string, htmlHandling: boolean): Rule {
  const tokens = line.replace(/\s+#.*$/, "").split(/\s+/);
  const refused = (problem: string, at: string | null = null): Rule => ({ ok: false, from: at, problem });
  if (tokens.length < 2 || tokens.length > 3) return refused(`has ${tokens.length} words, not from, to and perhaps a status`);
  const [source = "", target = "", status = "302"] = tokens;
  const from = readRuleUrl(source, { host: false, port: false, rest: false });
  if (!from.ok) return refused(`the URL ${shown(source)} ${from.problem}`);
  const to = readRuleUrl(target, { host: true, port: true, rest: true });
  if (!to.ok) return refused(`the URL ${shown(target)} ${to.problem}`, from.url);
  if (!STATUSES.includes(status)) return refused(`the status ${shown(status)} is none of ${STATUSES.join(", ")}`, from.url);
  if (splats(from.url) > 1) return refused(`${shown(source)} has more than one "*"`, from.url);
  if (loops(from.url, to.url, htmlHandling)) return refused(`${shown(source)} to ${shown(target)} would lead back to itself`, from.url);
  if (status === "200" && isAbsolute(to.url))
    return refused(`${shown(target)} names a host; with the status 200 it must be a path`, from.url);
  return { ok: true, from: from.url };
}

/** The problems say what is wrong. @param htmlHandling whether the asset service takes `.html` off */
export function checkRedirects(text: string, htmlHandling: boolean, problems: Problems): void {
  const seen = new Map<string, number>();
  const count = { static: 0, dynamic: 0 };
  for (const { number, text: line } of linesOf(text, problems)) {
    if (problems.enough) break;
    const rule = readRule(line, htmlHandling);
    if (!rule.ok) problems.add(number, rule.problem);
    if (rule.from === null) continue;
    const kind = count.dynamic === 0 && splats(rule.from) === 0 && !hasPlaceholder(rule.from) ? "static" : "dynamic";
    const most = kind === "static" ? STATIC_RULES_MAX : DYNAMIC_RULES_MAX;
    count[kind]++;
    if (count[kind] === most + 1) {
      const hint = kind === "dynamic" ? ', counted from the first with "*" or ":name"; put the others before it' : "";
      problems.add(number, `is ${kind} rule ${count[kind]}; ${most} are allowed${hint}`);
    }
    const before = seen.get(rule.from);
    if (before !== undefined) problems.add(number, `${shown(rule.from)} has a rule in line ${before} already`);
    else seen.set(rule.from, number);
  }
}
