// Every number that stops somebody, as a table.
import { html } from "hono/html";
import { bytesInWords } from "../accounts/limit-words.ts";
import type { Html } from "../http/page.ts";
import type { CapRow } from "./cap-table.ts";
import { tabs } from "./views.ts";

function written(value: CapRow["temporary"], unit: string): string {
  if (value === null) return "none";
  if (typeof value === "string") return value;
  if (unit === "bytes") return bytesInWords(value);
  return `${value.toLocaleString("en-US")}${unit === "count" ? "" : ` ${unit}`}`;
}

export const capsBody = (rows: readonly CapRow[]): Html =>
  html`<h1>Caps</h1>
    ${tabs("/operations/caps")}
    <section>
      <p>What stops an account, as it is set now. To change one, set it and start again; docs/operator.md says what each protects.</p>
      <table class="table stack">
        <thead>
          <tr>
            <th>What</th>
            <th class="n">Temporary</th>
            <th class="n">Claimed</th>
            <th>Setting</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ({ what, unit, temporary, claimed, setting }) =>
              html`<tr>
                <td>${what}</td>
                <td class="n" data-of="Temporary">${written(temporary, unit)}</td>
                <td class="n" data-of="Claimed">${written(claimed, unit)}</td>
                <td data-of="Setting">${setting === null ? "fixed" : html`<code>${setting}</code>`}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </section>`;
