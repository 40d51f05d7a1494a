// Reports of visitors, for the operator to read and to close. All of their words are strangers'.
import { html } from "hono/html";
import { iso } from "../../kernel/clock.ts";
import type { Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import type { ReportPage } from "./report-desk.ts";
import type { Report } from "./reports.ts";
import { pager, tabs } from "./views.ts";

/** @param back where closing one leads */
export function reportList(reports: readonly Report[], back: string): Html {
  if (reports.length === 0) return html`<p>None.</p>`;
  return html`<ul class="things">
    ${reports.map(
      ({ id, at, account, host, kind, state, page, text, contact }) =>
        html`<li>
          <p>
            <span class="pill ${state === "open" ? "bad" : ""}">${kind}</span>
            ${account === null ? html`<bdi>${plainText(host, 260)}</bdi>` : html`<a href="/operations/accounts/${account}">${plainText(host, 260)}</a>`}
            <span class="quiet"
              >${plainText(page ?? "", 300)}, ${iso(at).slice(0, 16).replace("T", " ")} UTC${state === "closed" && ", closed"}</span
            >
          </p>
          ${text !== null && text !== "" && html`<div class="box stranger"><bdi>${plainText(text, 2000)}</bdi></div>`}
          ${contact !== null && contact !== "" && html`<p class="quiet">From <bdi>${plainText(contact, 254)}</bdi></p>`}
          ${
            state === "open" &&
            html`<form method="post" action="/operations/reports/${id}/close">
              <input type="hidden" name="back" value="${back}" /><button class="second">Close</button>
            </form>`
          }
        </li>`,
    )}
  </ul>`;
}

export const reportsBody = ({ reports, total }: ReportPage, page: { readonly limit: number; readonly offset: number }): Html =>
  html`<h1>Reports</h1>
    ${tabs("/operations/reports")}
    <section>${reportList(reports, "/operations/reports")} ${pager("/operations/reports", {}, { ...page, total })}</section>`;
