// The page before the page: says in plain words what a visitor is about to see, and by whom. It needs no script, loads
// nothing, is framed nowhere and stored by nobody; in the hand of the console's pages (control/http/page-style.ts).
import { createHash } from "node:crypto";
import { escapeHtml } from "../pages.ts";

export type Interstitial = {
  readonly host: string;
  /** Null: not known. */
  readonly endsAtMs: number | null;
  readonly nowMs: number;
  /** Of the form: a path. */
  readonly action: string;
  readonly reportUrl: string;
  /** Whether the visitor sent something that did not go on. */
  readonly dropped: boolean;
};

const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f5f1; --card: #fff; --ink: #1d1f1c; --quiet: #5b6058; --line: #dcdad2;
  --accent: #23634f; --on-accent: #fff; --warn: #7a4a00; --warn-tint: #fbf1dd;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #151714; --card: #1e211d; --ink: #ecede8; --quiet: #a6aca1; --line: #363a34;
    --accent: #8ad6b9; --on-accent: #10251d; --warn: #f0c678; --warn-tint: #33280f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main { max-width: 38rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; align-items: center; gap: .5rem; padding-top: 1.5rem; padding-bottom: 1.5rem; font-weight: 650; letter-spacing: .01em; }
header svg { color: #2f7d66; flex: none; }
main { padding-bottom: 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .75rem 0; letter-spacing: -.01em; text-wrap: balance; }
p { margin: 0 0 .9rem; }
.lead { font-size: 1.06rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.15rem 1.25rem; margin: 0 0 1rem; }
section > :last-child { margin-bottom: 0; }
dl { margin: 0; }
dt { color: var(--quiet); font-size: .9rem; }
dd { margin: 0 0 .6rem; overflow-wrap: anywhere; }
dd:last-child { margin-bottom: 0; }
.host { font: .95rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.warn { background: var(--warn-tint); border-color: transparent; }
.warn strong { color: var(--warn); }
.row { display: flex; flex-wrap: wrap; gap: .75rem 1.5rem; align-items: center; margin: 1.4rem 0; }
.row form { margin: 0; }
button { font: inherit; font-weight: 600; padding: .7rem 1.5rem; min-height: 2.75rem; color: var(--on-accent); background: var(--accent); border: 1px solid transparent; border-radius: .5rem; cursor: pointer; }
button:hover { filter: brightness(1.08); }
a { color: var(--accent); display: inline-block; padding: .4rem 0; }
.quiet { color: var(--quiet); font-size: .9rem; }
button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
time { white-space: nowrap; }
@media (max-width: 26rem) { .row form, button { width: 100%; } h1 { font-size: 1.5rem; } }
`;

const MARK = `<svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true"><g fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round"><path d="M16 12C11 3 4 3 3 8c-.8 5 6 8 13 6"/><path d="M16 12c5-9 12-9 13-4 .8 5-6 8-13 6"/><path d="M16 11v11m0 0c0 4-2 6-4 8m4-8c0 4 2 6 4 8"/></g><circle cx="16" cy="9.5" r="2" fill="currentColor"/></svg>`;

const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

export const INTERSTITIAL_HEADERS: Readonly<Record<string, string>> = {
  "Content-Type": "text/html; charset=utf-8",
  "Cache-Control": "no-store",
  "Content-Security-Policy": POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  // Not `no-referrer`: browsers would name the origin of the form `null`.
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "X-Robots-Tag": "noindex",
};

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

function inWords(ms: number): string {
  const minutes = Math.max(1, Math.round(ms / 60_000));
  return minutes < 120 ? plural(minutes, "minute") : plural(Math.round(minutes / 60), "hour");
}

function goneAt(endsAtMs: number | null, nowMs: number): string {
  if (endsAtMs === null) return "the end of its time";
  const iso = new Date(endsAtMs).toISOString();
  return `<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")} UTC</time>, in ${inWords(endsAtMs - nowMs)}`;
}

/** The page as text. */
export function renderInterstitial({ host, endsAtMs, nowMs, action, reportUrl, dropped }: Interstitial): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>Before you go on · Mayfly</title>
<style>${STYLE}</style>
</head>
<body>
<header>${MARK}Mayfly</header>
<main>
<h1>This page was made by an AI agent, and nobody has claimed it</h1>
<p class="lead">It runs under a temporary account that no person answers for. Who made it is not known.</p>
<section><dl>
<dt>You asked for</dt><dd class="host">${escapeHtml(host)}</dd>
<dt>It is gone at</dt><dd>${goneAt(endsAtMs, nowMs)}</dd>
</dl></section>
<section class="warn"><p><strong>Do not type passwords, card numbers or anything private here.</strong> If the page looks like the sign-in of a bank, a shop or an employer, it is not theirs.</p></section>
${dropped ? `<section role="status"><p>What you were sending was not passed on. After going on, send it again.</p></section>\n` : ""}<div class="row">
<form method="post" action="${escapeHtml(action)}"><button>Continue</button></form>
<a href="${escapeHtml(reportUrl)}" rel="noreferrer">Report this page</a>
</div>
<p class="quiet">A cookie remembers that you went on, for this address alone and until the page is gone, a day at most.</p>
</main>
</body>
</html>
`;
}
