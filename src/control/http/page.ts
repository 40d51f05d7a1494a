// Every page's frame and headers. Nothing is stored by caches, framed, or sent a referrer across sites; the only
// script and style that run are the two constants below, named by their hashes, and what a page names by its address.
import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import { PAGE_SCRIPT } from "./page-script.ts";
import { PAGE_STYLE } from "./page-style.ts";
import { plainText } from "./plain-text.ts";

export type Html = ReturnType<typeof html>;

export type Page = {
  readonly title: string;
  readonly body: Html;
  readonly status?: number;
  /** Set-Cookie headers. */
  readonly cookies?: readonly string[];
  readonly retryAfterSeconds?: number;
  /** Addresses of our own scripts that the page needs besides the one of all pages; they may call this origin. */
  readonly scripts?: readonly string[];
  /** For pages that compare many things at once. */
  readonly wide?: boolean;
};

/** Whose name stands at the top of the page, in their own words. */
export type Visitor = { readonly name: string } | null;
const VISITOR_MAX = 40;

const sourceOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

// Whole elements, since the hash covers every space between their tags and formatters put some there.
const STYLE_ELEMENT = raw(`<style>${PAGE_STYLE}</style>`);
const SCRIPT_ELEMENT = raw(`<script>${PAGE_SCRIPT}</script>`);

const SCRIPT_SOURCE = sourceOf(PAGE_SCRIPT);
const STYLE_SOURCE = sourceOf(PAGE_STYLE);

/** Scripts are named whole: nothing else of this origin can become one. */
const policyOf = (scripts: readonly string[]): string =>
  [
    "default-src 'none'",
    ["script-src", SCRIPT_SOURCE, ...scripts].join(" "),
    `style-src ${STYLE_SOURCE}`,
    "img-src 'self'",
    ...(scripts.length > 0 ? ["connect-src 'self'"] : []),
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  // Not `no-referrer`: see origin.ts. Addresses of these pages hold no secret.
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** The page as an answer. */
export async function renderPage(page: Page, visitor: Visitor = null): Promise<Response> {
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <meta name="color-scheme" content="light dark" />
        <title>${page.title} · Mayfly</title>
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        ${STYLE_ELEMENT}
      </head>
      <body class="${page.wide ? "wide" : ""}">
        <header>
          <a class="mark" href="/"><img src="/icon.svg" width="28" height="28" alt="" />Mayfly</a
          >${visitor && html`<bdi class="who">${plainText(visitor.name, VISITOR_MAX)}</bdi>`}
        </header>
        <main>${page.body}</main>
        ${SCRIPT_ELEMENT}${page.scripts?.map((address) => html`<script src="${address}" defer></script>`)}
      </body>
    </html> `;
  const headers = new Headers(SECURITY_HEADERS);
  headers.set("content-security-policy", policyOf(page.scripts ?? []));
  for (const cookie of page.cookies ?? []) headers.append("set-cookie", cookie);
  if (page.retryAfterSeconds !== undefined) headers.set("retry-after", String(Math.max(1, Math.ceil(page.retryAfterSeconds))));
  return new Response(String(await document), { status: page.status ?? 200, headers });
}

/** On to another page, which the browser asks for with GET. RFC 9110 §15.4.4. */
export function seeOther(path: `/${string}`, cookies: readonly string[] = []): Response {
  const headers = new Headers({ location: path, "cache-control": "no-store", "referrer-policy": "same-origin" });
  for (const cookie of cookies) headers.append("set-cookie", cookie);
  return new Response(null, { status: 303, headers });
}

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill="none" stroke="#2f7d66" stroke-width="2.4" stroke-linecap="round"><path d="M16 12C11 3 4 3 3 8c-.800 5 6 8 13 6"/><path d="M16 12c5-9 12-9 13-4 .800 5-6 8-13 6"/><path d="M16 11v11m0 0c0 4-2 6-4 8m4-8c0 4 2 6 4 8"/></g><circle cx="16" cy="9.500" r="2" fill="#2f7d66"/></svg>`;

export function icon(): Response {
  return new Response(ICON, {
    headers: { "content-type": "image/svg+xml", "cache-control": "public, max-age=86400", "x-content-type-options": "nosniff" },
  });
}
