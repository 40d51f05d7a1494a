// What the edge itself says when no Worker answers: as HTML to browsers, JSON to programs that ask for it and
// plain text to everybody else. Nothing here is stored by caches, and every text names the next step.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Tombstone } from "../../capsule/spec.ts";
import type { Over } from "../contract.ts";
import { endOnceRead, hasBody } from "./linger.ts";

export type Page = {
  readonly status: 400 | 403 | 404 | 410 | 421 | 429 | 431 | 502 | 503;
  /** Snake case, for programs. */
  readonly code: string;
  readonly title: string;
  /** Sentences, one a paragraph; the last is the next step. */
  readonly text: readonly string[];
  readonly retryAfterSeconds?: number;
  /** Where a person can report what answers or answered here. */
  readonly reportUrl?: string | undefined;
  /** Further members of the JSON form. */
  readonly facts?: Readonly<Record<string, string>>;
  /** Header lines that this page alone has. */
  readonly headers?: Readonly<Record<string, string>>;
};

const WHO: Record<Tombstone["reason"], string> = {
  expired: "It was a temporary account and its time was up; nobody had claimed it.",
  "task-done": "Its agent ended it: the task was done.",
  owner: "Its owner ended it.",
  operator: "The operator of this installation ended it.",
};

export const pages = {
  gone: (tombstone: Tombstone, reportUrl?: string): Page => {
    const at = new Date(tombstone.endedAtMs).toISOString();
    return {
      status: 410,
      code: "account_gone",
      title: "This account is gone",
      text: [
        `The account that answered here ended at ${at}.`,
        WHO[tombstone.reason],
        "Its code and data were erased. Nothing remains but the trail of what it did; it cannot be restored, and this address will never be used again.",
        "Next step: deploy again with `wrangler deploy --temporary`; that makes a new account at a new address.",
      ],
      reportUrl,
      facts: { reason: tombstone.reason, ended_at: at },
      // Not "cookies", which would clear those of every host of the same registrable domain.
      headers: { "Clear-Site-Data": '"cache", "storage"' },
    };
  },
  suspended: (reason: string, reportUrl?: string): Page => ({
    status: 503,
    code: "account_suspended",
    title: "This account is suspended",
    text: [
      `Reason: ${reason}`,
      "Its code and data are kept. Next step: its owner or agent mends the cause and deploys again, or asks the operator.",
    ],
    reportUrl,
    facts: { reason },
  }),
  none: (): Page => ({
    status: 404,
    code: "no_worker",
    title: "No Worker answers here",
    text: ["No Worker answers here.", "Next step: compare the address with the one that `wrangler deploy` printed, or deploy the Worker."],
  }),
  unavailable: (reason: string, retryAfterSeconds: number): Page => ({
    status: 503,
    code: "unavailable",
    title: "Not available at the moment",
    text: [reason, `Next step: try again in ${retryAfterSeconds} s.`],
    retryAfterSeconds,
  }),
  capped: ({ cap, reason, retryAfterSeconds, freesAtMs }: Over, reportUrl?: string): Page => {
    const freesAt = freesAtMs === null ? null : new Date(freesAtMs).toISOString();
    return {
      status: cap === "cpu_ms" || cap === "disk_bytes" ? 503 : 429,
      code: "over_cap",
      title: "This account is at a cap",
      text: [
        reason,
        freesAt === null
          ? "Next step: its owner or agent deletes something that it keeps; `GET /accounts/{id}/limits` tells how much it may keep."
          : `It is free again at ${freesAt}. Next step: try again in ${retryAfterSeconds} s.`,
      ],
      retryAfterSeconds,
      reportUrl,
      facts: { cap, ...(freesAt !== null && { frees_at: freesAt }) },
    };
  },
  died: (): Page => ({
    status: 502,
    code: "worker_died",
    title: "The Worker did not answer",
    text: [
      "The Worker's process ended before it answered. The request may have been carried out in part, so it was not sent again.",
      "Next step: look at the Worker's use of memory and CPU, then try again.",
    ],
  }),
  foreign: (domain: string): Page => ({
    status: 421,
    code: "wrong_host",
    title: "Not served here",
    text: [`This server answers for hosts under ${domain} only.`, "Next step: send the Host header of the Worker's address."],
  }),
  banned: (address: string, ray: string): Page => ({
    status: 403,
    code: "address_banned",
    title: "Calls from your network are refused",
    text: [
      `The operator of this installation refuses calls from ${address}.`,
      `Next step: if that is a mistake, tell the operator, naming this address and the request's id, ${ray}.`,
    ],
    facts: { address },
  }),
  serviceWorkerRefused: (): Page => ({
    status: 403,
    code: "service_worker_refused",
    title: "No service workers before a claim",
    text: [
      "A service worker would outlive this temporary account in its visitors' browsers, so none is installed while nobody has claimed the account.",
      "Next step: have a person claim the account, then register it again.",
    ],
  }),
  reserved: (): Page => ({
    status: 404,
    code: "reserved_path",
    title: "This path is the platform's",
    text: [
      "Paths below /cdn-cgi/mayfly/ never reach a Worker whose account nobody has claimed.",
      "Next step: use another path, or have a person claim the account.",
    ],
  }),
  notFromHere: (): Page => ({
    status: 403,
    code: "cross_site",
    title: "This form came from elsewhere",
    text: [
      "Only the page of this very host may say that its visitor goes on.",
      "Next step: open the address itself and press Continue there.",
    ],
  }),
  tokenInUrl: (): Page => ({
    status: 400,
    code: "token_in_url",
    title: "A token in an address",
    text: [
      "The address of this request, or of the page before it, holds a token or an operator's key. Whoever keeps addresses has read it, so it is ended if it worked, and no Worker was asked.",
      "Next step: send tokens as `Authorization: Bearer <token>` to the API alone. `wrangler deploy --temporary` makes a new account; the owner of a claimed one makes new tokens, and an operator new keys.",
    ],
  }),
  linkInUrl: (): Page => ({
    status: 400,
    code: "link_in_url",
    title: "A link's secret in an address",
    text: [
      "The address of this request, or of the page before it, holds the secret of a claim link or an invitation. Whoever keeps addresses has read it, so an invitation is ended, and no Worker was asked.",
      "Next step: open the link exactly as it was printed; claim the account soon, before anybody else does, or ask for a new invitation.",
    ],
  }),
  malformed: (problem: string): Page => ({
    status: 400,
    code: "bad_request",
    title: "Bad request",
    text: [`${problem}.`, "Next step: send the request to the Worker's address as `wrangler deploy` printed it."],
  }),
};

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
/** Text as it may stand in an element or in an attribute between double quotes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (character) => ESCAPES[character] ?? "");

const html = (page: Page): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>${escapeHtml(page.title)}</title>
<style>:root{color-scheme:light dark}body{font:1.05rem/1.6 system-ui,sans-serif;max-width:38rem;margin:15vh auto;padding:0 1.5rem}h1{font-size:1.4rem}</style>
<h1>${escapeHtml(page.title)}</h1>
${page.text.map((sentence) => `<p>${escapeHtml(sentence).replace(/`([^`]*)`/g, "<code>$1</code>")}</p>`).join("\n")}
${page.reportUrl === undefined ? "" : `<p><a href="${escapeHtml(page.reportUrl)}" rel="noreferrer">Report what was here</a></p>\n`}</html>
`;

/** The form that an Accept header prefers: the first of the three kinds that it names. */
export function form(accept: string | undefined): "html" | "json" | "text" {
  for (const range of (accept ?? "").toLowerCase().split(",")) {
    const type = range.split(";")[0]?.trim();
    if (type === "text/html" || type === "application/xhtml+xml") return "html";
    if (type === "application/json" || type?.endsWith("+json")) return "json";
    if (type === "text/plain") return "text";
  }
  return "text";
}

const TYPES = { html: "text/html; charset=utf-8", json: "application/json; charset=utf-8", text: "text/plain; charset=utf-8" };

function render(page: Page, as: keyof typeof TYPES): string {
  if (as === "html") return html(page);
  const report = page.reportUrl === undefined ? [] : [`Report what was here: ${page.reportUrl}`];
  if (as === "text") return `${[...page.text, ...report].join("\n")}\n`;
  return `${JSON.stringify({ error: page.code, message: page.text.join(" "), ...page.facts })}\n`;
}

/** Answers with a page and ends the response. */
export function sendPage(incoming: IncomingMessage, outgoing: ServerResponse, page: Page, ray: string): void {
  if (hasBody(incoming)) outgoing.shouldKeepAlive = false;
  const as = form(incoming.headers.accept);
  const body = Buffer.from(render(page, as));
  outgoing.writeHead(page.status, {
    "Content-Type": TYPES[as],
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    ...page.headers,
    Vary: "Accept",
    "CF-Ray": ray,
    ...(page.retryAfterSeconds === undefined ? {} : { "Retry-After": page.retryAfterSeconds }),
  });
  outgoing.write(body);
  // A caller who waits for 100 Continue may send the body or not.
  if (incoming.headers.expect === undefined) endOnceRead(incoming, outgoing);
  else outgoing.end();
}
