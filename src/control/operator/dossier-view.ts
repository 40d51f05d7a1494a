// One account on the operator's page, and what can be done about it.
import { html } from "hono/html";
import type { PlatformError } from "../../kernel/errors.ts";
import { readRange } from "../../kernel/address-ranges.ts";
import { holds, usageTable } from "../accounts/account-views.ts";
import { bytesInWords } from "../accounts/limit-words.ts";
import { refusalNotice } from "../http/notice.ts";
import type { Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import { moment } from "../http/times.ts";
import type { Account } from "../store/store.ts";
import type { TrailLine } from "../trail/trail.ts";
import { BAN_LIVES, REASON_MAX } from "./ban-words.ts";
import type { Dossier } from "./dossier.ts";
import { reportList } from "./report-view.ts";
import type { Report } from "./reports.ts";
import { capList, cpuOf, pager, shortId, stateOf, tabs, timesOf, why } from "./views.ts";

/** A form that was refused, and what was typed into it. */
export type Refused = { readonly form: "suspend" | "release" | "end"; readonly error: PlatformError; readonly reason: string };

export type DossierView = {
  readonly dossier: Dossier;
  readonly reports: readonly Report[];
  readonly trail: { readonly offset: number; readonly limit: number; readonly total: number };
  readonly refused: Refused | undefined;
  readonly nowMs: number;
};

const notice = (form: Refused["form"], refused: Refused | undefined): Html | "" =>
  refused?.form === form ? refusalNotice(refused.error) : "";

function suspendForm(account: Account, refused: Refused | undefined): Html {
  const typed = refused?.form === "suspend" ? refused.reason : "";
  return html`<form method="post" action="/operations/accounts/${account.id}/suspend">
    ${notice("suspend", refused)}
    <label
      >Why <small>callers, the agent and the owner read this</small>
      <input name="reason" required maxlength="${REASON_MAX}" autocomplete="off" value="${typed}"
    /></label>
    <button class="danger">${account.suspended_by === "operator" ? "Suspend for this reason instead" : "Suspend"}</button>
  </form>`;
}

const releaseForm = (account: Account, refused: Refused | undefined): Html =>
  html`<form method="post" action="/operations/accounts/${account.id}/release">
    ${notice("release", refused)}
    <p>Suspended ${account.suspended_at !== null && moment(account.suspended_at)}. Its clock has run on.</p>
    <button>Release</button>
  </form>`;

function endForm(account: Account, refused: Refused | undefined): Html {
  return html`<details ${refused?.form === "end" && "open"}>
    <summary>End this account</summary>
    <form method="post" action="/operations/accounts/${account.id}/end">
      ${notice("end", refused)}
      <p>Every Worker stops, every token dies, and everything in the account is erased for good. The address is never given out again.</p>
      <label
        >Type <code>${account.subdomain}</code> to confirm
        <input name="subdomain" required autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="64" /></label
      ><button class="danger">End it and erase everything</button>
    </form>
  </details>`;
}

/** The address alone, and the networks that one customer is usually given. */
function rangesAround(address: string): string[] {
  const lengths = address.includes(":") ? [64, 56, 48] : [32, 24];
  return lengths.flatMap((bits) => readRange(`${address}/${bits}`)?.cidr ?? []);
}

export function banForm(ranges: readonly string[], why: string): Html {
  return html`<form method="post" action="/operations/bans">
    <label
      >Whom
      <select name="range">
        ${ranges.map((range) => html`<option value="${range}">${range}</option>`)}
      </select></label
    >
    <label>Why <small>for operators alone</small> <input name="reason" required maxlength="${REASON_MAX}" value="${why}" /></label>
    <label
      >Until
      <select name="life">
        ${Object.entries(BAN_LIVES).map(([name, [words]]) => html`<option value="${name}" ${name === "1d" && "selected"}>${words}</option>`)}
      </select></label
    >
    <button class="danger">Ban</button>
  </form>`;
}

function deeds({ dossier, refused }: DossierView): Html {
  const { account, madeFrom } = dossier;
  const live = account.state === "temporary" || account.state === "claimed";
  return html`<section>
    <h2>What to do</h2>
    ${live && (account.suspended_at === null ? notice("release", refused) : releaseForm(account, refused))}
    ${live && suspendForm(account, refused)} ${live && endForm(account, refused)}
    ${
      madeFrom !== null &&
      html`<details>
        <summary>Ban whoever made it</summary>
        ${banForm(rangesAround(madeFrom), `made ${account.subdomain}`)}
      </details>`
    }
    ${!live && madeFrom === null && html`<p>It has ended, and who made it is not known any more.</p>`}
  </section>`;
}

function use({ dossier, nowMs }: DossierView): Html {
  const { account, load, usage, caps, limits, madeFrom } = dossier;
  const facts: [string, Html | string][] = [
    ["CPU", cpuOf(load?.cpuMsPerMinute ?? 0)],
    ["CPU since host started", usage ? `${(usage.cpuMs / 1000).toFixed(1)} s` : "unknown"],
    ["Memory", bytesInWords(usage?.pssBytes ?? load?.pssBytes ?? 0)],
    ["Disk", usage ? bytesInWords(usage.diskBytes) : "unknown"],
    ["Starts, restarts", usage ? `${usage.starts}, ${usage.restarts}` : "unknown"],
    ["Refusals", String(dossier.refusals)],
    ["Made", moment(account.created_at)],
    ["Made from", madeFrom === null ? "not known any more" : html`<code>${madeFrom}</code>`],
  ];
  return html`<section>
    <h2>What it uses</h2>
    <p>${timesOf(account, nowMs)}</p>
    <dl class="facts">
      ${facts.map(
        ([name, text]) =>
          html`<div>
            <dt>${name}</dt>
            <dd>${text}</dd>
          </div>`,
      )}
    </dl>
    ${capList(caps.filter(({ refused }) => refused > 0))} ${usageTable(limits)}
    <p class="quiet">Account id <code>${account.id}</code></p>
  </section>`;
}

/** Such as `address: 203.0.113.9` or `hosts: a.example, b.example`; what is not of that form as it is. */
function unsealed(text: string | null): string {
  if (text === null) return "";
  try {
    const facts = Object.entries(JSON.parse(text) as Record<string, unknown>);
    return facts.map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(", ") : String(value)}`).join("; ");
  } catch {
    return text;
  }
}

/** A cell that a phone leaves out where there is nothing to say. */
const cell = (of: string, text: string): Html => html`<td class="${text === "" ? "none" : ""}" data-of="${of}"><bdi>${text}</bdi></td>`;

/** Of a token or key the beginning of its id, as the page of keys has it. */
const byWhom = ({ actors, token }: TrailLine): string =>
  `${actors.map((actor) => plainText(actor, 60)).join(", ")}${token === null ? "" : ` with ${shortId(token)}`}`;

const trailRow = (line: TrailLine): Html =>
  html`<tr>
    <td>${moment(line.at)}</td>
    <td>
      <code>${plainText(line.action, 60)}</code>
      ${line.outcome !== "done" && html`<span class="pill ${line.outcome === "refused" ? "bad" : "warn"}">${line.outcome}</span>`}<br /><bdi
        class="quiet"
        >${line.resource.startsWith("account/") ? "" : plainText(line.resource, 120)}</bdi
      >
    </td>
    ${cell("By", byWhom(line))} ${cell("Why", plainText(line.reason ?? "", 300))}
    <td class="n ${line.count === 1 ? "none" : ""}" data-of="Times">${line.count.toLocaleString("en-US")}</td>
    ${cell("Sealed for you", plainText(unsealed(line.text), 600))}
  </tr>`;

function trailTable(lines: readonly TrailLine[]): Html {
  return html`<table class="table stack">
    <thead>
      <tr>
        <th>When</th>
        <th>What</th>
        <th>By</th>
        <th>Why</th>
        <th class="n">Times</th>
        <th>Sealed for you</th>
      </tr>
    </thead>
    <tbody>
      ${lines.map(trailRow)}
    </tbody>
  </table>`;
}

function code({ hashes }: Dossier): Html | "" {
  if (hashes.length === 0) return "";
  return html`<details class="box">
    <summary>Its code by SHA-256</summary>
    <table class="table stack">
      <tbody>
        ${hashes.map(
          ({ worker, version, file, sha256 }) =>
            html`<tr>
              <td><bdi>${plainText(worker, 70)}</bdi></td>
              <td><bdi>${plainText(file, 120)}</bdi><br /><span class="quiet">${version}</span></td>
              <td><code>${sha256}</code></td>
            </tr>`,
        )}
      </tbody>
    </table>
  </details>`;
}

export function dossierBody(view: DossierView): Html {
  const { dossier, reports, trail, nowMs } = view;
  const { account, load, holdings } = dossier;
  return html`<h1>${account.subdomain}</h1>
    ${tabs(null)}
    <p class="lead">${stateOf(account, load?.hot ?? false, nowMs)}</p>
    ${why(account)}
    <div class="two">
      ${use(view)}
      <div>
        ${deeds(view)}
        <section>
          <h2>What it holds</h2>
          ${holds(holdings)}
        </section>
      </div>
    </div>
    ${code(dossier)}
    <section id="reports">
      <h2>Reports</h2>
      ${reportList(reports, `/operations/accounts/${account.id}`)}
    </section>
    <section id="trail">
      <h2>Trail</h2>
      ${trailTable(dossier.trail)} ${pager(`/operations/accounts/${account.id}`, {}, trail)}
      <p class="quiet">What was sealed for you is gone with its month's key; what the tenant wrote is not shown.</p>
    </section>
    <p><a href="/operations">Overview</a></p>`;
}

export function endedBody(account: Account, endedAtMs: number, erased: boolean): Html {
  return html`<h1>${account.subdomain} has ended</h1>
    <p class="lead" role="status">You ended it at ${moment(endedAtMs)}. Its addresses answer no more, and its tokens are refused.</p>
    <p>
      ${
        erased
          ? "Everything in it has been erased. What remains is the record of what was done, without its contents."
          : "What it held could not be erased at once; that is tried again until it is done, and there is nothing left for you to do."
      }
    </p>
    <p><a href="/operations">Overview</a> · <a href="/operations/accounts/${account.id}">What remains of it</a></p>`;
}
