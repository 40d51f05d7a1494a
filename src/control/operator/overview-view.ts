// The operator's first page: the machine, the door, and all accounts, heaviest first.
import { html } from "hono/html";
import { bytesInWords } from "../accounts/limit-words.ts";
import type { Html } from "../http/page.ts";
import { plural } from "../http/times.ts";
import type { Overview } from "./overview.ts";
import { FILTERS, SORTS, type AccountLine, type Filter, type Question, type Seen, type Sort } from "./sight.ts";
import { capList, cpuOf, meter, pager, stateOf, tabs, timesOf, why } from "./views.ts";

const count = (value: number): string => value.toLocaleString("en-US");

const SORT_WORDS: Readonly<Record<Sort, string>> = {
  load: "CPU per minute",
  memory: "memory",
  refusals: "refusals",
  age: "age, youngest first",
};
const FILTER_WORDS: Readonly<Record<Filter, string>> = {
  live: "that live",
  temporary: "temporary",
  claimed: "claimed",
  hot: "hot",
  suspended: "suspended",
  ended: "that ended",
  any: "all there ever were",
};

const fact = (name: string, text: Html | string, bar: Html | "" = ""): Html =>
  html`<div>
    <dt>${name}</dt>
    <dd>${text}${bar}</dd>
  </div>`;

function taken(name: string, used: number, total: number, write: (value: number) => string): Html {
  return fact(name, html`${write(used)} <span class="quiet">of ${write(total)}</span>`, meter(name, used, total));
}

function machine({ capacity }: Overview): Html {
  if (capacity === null) {
    return html`<div class="notice" role="alert">
      <strong>The part of this installation that runs Workers does not answer.</strong> Loads are unknown.
    </div>`;
  }
  const { cores, loadAverage, memoryBytes, diskBytes, processes, edgeConnections, accountsKnown } = capacity;
  const [load = 0] = loadAverage;
  return html`<dl class="facts">
    ${fact("Load", html`${loadAverage.map((one) => one.toFixed(2)).join(" · ")} <span class="quiet">on ${plural(cores, "core")}</span>`, meter("Load", load, cores))}
    ${taken("Memory", memoryBytes.total - memoryBytes.free, memoryBytes.total, bytesInWords)}
    ${taken("Disk", diskBytes.total - diskBytes.free, diskBytes.total, bytesInWords)}
    ${taken("Processes", processes.hot, processes.max, count)}
    ${taken("Connections to the edge", edgeConnections.open, edgeConnections.max, count)}
    ${fact("Accounts that host knows", count(accountsKnown))}
  </dl>`;
}

function door({ admission }: Overview): Html {
  const refused = Object.entries(admission.refused).filter(([, times]) => (times ?? 0) > 0);
  return html`<dl class="facts">
      ${fact("Price of an account", `${count(admission.price)} hashes`)} ${fact("Admitted", count(admission.admitted))}
      ${fact("Challenges given", count(admission.challenges))} ${fact("Wrong solutions", count(admission.wrong))}
      ${taken("Accounts made within the hour", admission.accountsInHour, admission.limits.accountsPerHour, count)}
      ${fact("Waiting to be verified", `${count(admission.waitingChains)} (${count(admission.waitingHashes)} hashes)`)}
    </dl>
    ${
      refused.length > 0 &&
      html`<p>
        Refused: ${refused.map(([reason, times], at) => `${at > 0 ? ", " : ""}${reason.replaceAll("_", " ")} ${count(times ?? 0)}`)}.
      </p>`
    }`;
}

function line({ account, load, caps, refusals, reports }: AccountLine, { nowMs }: OverviewView): Html {
  return html`<li>
    <div class="line">
      <div>
        <strong><a href="/operations/accounts/${account.id}">${account.subdomain}</a></strong>
        <p>${stateOf(account, load?.hot ?? false, nowMs)}</p>
        <p class="quiet">${timesOf(account, nowMs)}</p>
        ${why(account)}
      </div>
      <dl class="facts">
        ${fact("CPU", cpuOf(load?.cpuMsPerMinute ?? 0))} ${fact("Memory", bytesInWords(load?.pssBytes ?? 0))}
        ${fact("Refusals", refusals > 0 ? html`<strong>${count(refusals)}</strong>` : "0")}
        ${fact("Reports", reports > 0 ? html`<strong>${count(reports)}</strong>` : "0")}
      </dl>
      ${capList(caps)}
    </div>
  </li>`;
}

function findForm({ sort, filter, search }: Question): Html {
  return html`<form class="find" method="get" action="/operations" role="search">
    <label
      >Find <input name="search" value="${search}" maxlength="300" autocomplete="off" placeholder="id, subdomain or host name"
    /></label>
    <label
      >Accounts
      <select name="filter">
        ${FILTERS.map((one) => html`<option value="${one}" ${one === filter && "selected"}>${FILTER_WORDS[one]}</option>`)}
      </select></label
    >
    <label
      >In order of
      <select name="sort">
        ${SORTS.map((one) => html`<option value="${one}" ${one === sort && "selected"}>${SORT_WORDS[one]}</option>`)}
      </select></label
    >
    <button class="second">Show</button>
  </form>`;
}

export type OverviewView = {
  readonly overview: Overview;
  readonly question: Question;
  readonly seen: Seen;
  readonly nowMs: number;
};

export function overviewBody(view: OverviewView): Html {
  const { overview, question, seen } = view;
  const { temporary, claimed, ending } = overview.accounts.byState;
  const { sort, filter, search, limit, offset } = question;
  return html`<h1>Operations</h1>
    ${tabs("/operations")}
    <div class="two">
      <section>
        <h2>This machine</h2>
        ${machine(overview)}
      </section>
      <section>
        <h2>Who comes in</h2>
        <dl class="facts">
          ${taken("Temporary accounts", temporary, overview.admission.limits.accountsMax, count)} ${fact("Claimed", count(claimed))}
          ${fact("Ending", count(ending))} ${fact("Suspended", count(overview.accounts.suspended))}
          ${fact("Ranges banned", html`<a href="/operations/bans">${count(overview.bans)}</a>`)}
        </dl>
        ${door(overview)}
      </section>
    </div>
    <section id="accounts">
      <h2>Accounts</h2>
      ${findForm(question)}
      ${
        seen.lines.length === 0
          ? html`<p>None.</p>`
          : html`<ul class="things">
              ${seen.lines.map((one) => line(one, view))}
            </ul>`
      }
      ${pager("/operations", { sort, filter, search }, { offset, limit, total: seen.total })}
    </section>
    <p class="quiet">
      Refusals are those at caps in their ten minutes and all others of the last hour; admission counts since the start.
      <a href="/">Home</a>
    </p>`;
}
