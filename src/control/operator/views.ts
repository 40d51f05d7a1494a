// What the operator's pages have in common. Everything that a tenant or a stranger wrote goes through plainText().
import { html } from "hono/html";
import type { Cap } from "../../capsule/caps.ts";
import { lifeOf } from "../accounts/lifecycle.ts";
import { bytesInWords } from "../accounts/limit-words.ts";
import type { Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import { inWords } from "../http/times.ts";
import type { Account } from "../store/store.ts";
import type { CapLine } from "./sight.ts";

const TABS = [
  ["/operations", "Overview"],
  ["/operations/bans", "Bans"],
  ["/operations/reports", "Reports"],
  ["/operations/caps", "Caps"],
  ["/operations/keys", "Keys"],
] as const;
export type Tab = (typeof TABS)[number][0];

export const tabs = (current: Tab | null): Html =>
  html`<nav class="tabs" aria-label="Operations">
    ${TABS.map(([path, title]) => html`<a href="${path}" ${path === current && html`aria-current="page"`}>${title}</a>`)}
  </nav>`;

const CAP_TITLES: Readonly<Record<Cap, string>> = {
  requests: "Requests",
  cpu_ms: "CPU",
  served_bytes: "Served",
  subrequests: "Sub-requests",
  egress_bytes: "Egress",
  egress_hosts: "Hosts reached",
  log_bytes: "Log",
};

const seconds = (ms: number): string => `${Number((ms / 1000).toFixed(ms < 10_000 ? 1 : 0)).toLocaleString("en-US")} s`;

export function amount(cap: Cap, value: number): string {
  if (cap.endsWith("_bytes")) return bytesInWords(value);
  return cap === "cpu_ms" ? seconds(value) : value.toLocaleString("en-US");
}

export const cpuOf = (msPerMinute: number): string => `${seconds(msPerMinute)}/min`;

/** A bar with a name: how much of a whole is taken. */
export const meter = (name: string, value: number, max: number): Html =>
  html`<meter
    min="0"
    max="${max}"
    low="${max * 0.6}"
    high="${max * 0.9}"
    optimum="0"
    value="${Math.min(value, max)}"
    aria-label="${name}"
  ></meter>`;

function capItem({ cap, used, max, refused }: CapLine): Html {
  return html`<li>
    ${CAP_TITLES[cap]} ${amount(cap, used)}${max > 0 && html` <span class="quiet">of ${amount(cap, max)}</span>`}
    ${max > 0 && meter(CAP_TITLES[cap], used, max)}${refused > 0 && html`<span class="pill bad">${refused.toLocaleString("en-US")} refused</span>`}
  </li>`;
}

/** What is used of each cap; nothing where nothing is. */
export function capList(caps: readonly CapLine[]): Html | "" {
  const used = caps.filter((cap) => cap.used > 0 || cap.refused > 0);
  return used.length === 0
    ? ""
    : html`<ul class="caps">
        ${used.map(capItem)}
      </ul>`;
}

/** Enough of an id to tell tokens and keys apart by. */
export const shortId = (id: string): string => id.slice(0, 8);

/** State, and what is unusual about it. */
export function stateOf(account: Account, hot: boolean, nowMs: number): Html {
  const life = lifeOf(account, nowMs);
  const state = life === "late" ? "ending" : account.state;
  const end = account.end_reason !== null && html` (${account.end_reason})`;
  const stopped = account.suspended_at !== null && life === "live";
  return html`<span class="pill ${life === "live" ? "" : "warn"}">${state}${end}</span>${hot && html` <span class="pill">hot</span>`}${
      stopped && html` <span class="pill bad">suspended by ${account.suspended_by === "operator" ? "operator" : "watchdog"}</span>`
    }`;
}

/** How old it is, and when it ends. */
export function timesOf({ created_at, expires_at, ended_at }: Account, nowMs: number): string {
  const age = `${inWords(nowMs - created_at)} old`;
  if (ended_at !== null) return `${age}, ended ${inWords(nowMs - ended_at)} ago`;
  return expires_at === null ? `${age}, no end` : `${age}, ends in ${inWords(expires_at - nowMs)}`;
}

export const why = (account: Account): Html | "" =>
  account.suspended_reason === null ? "" : html`<p class="quiet"><bdi>${plainText(account.suspended_reason, 300)}</bdi></p>`;

/** The address of a list's page. */
export function pager(
  path: string,
  fields: Readonly<Record<string, string>>,
  page: { offset: number; limit: number; total: number },
): Html | "" {
  const { offset, limit, total } = page;
  if (total <= limit && offset === 0) return "";
  const link = (from: number): string => `${path}?${new URLSearchParams({ ...fields, from: String(from) }).toString()}`;
  const shown = `${(offset + 1).toLocaleString("en-US")} to ${Math.min(offset + limit, total).toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`;
  return html`<p class="row">
    <span class="quiet">${shown}</span>
    ${offset > 0 && html`<a rel="prev" href="${link(Math.max(0, offset - limit))}">Before</a>`}
    ${offset + limit < total && html`<a rel="next" href="${link(offset + limit)}">Next</a>`}
  </p>`;
}

/** Where a list's page begins, from the address; what is no number is the beginning. */
export const fromOf = (query: Readonly<Record<string, string>>): number =>
  /^\d{1,9}$/.test(query["from"] ?? "") ? Number(query["from"]) : 0;
