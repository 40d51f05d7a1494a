// The pages of bans: those that act, one more, and what callers from it made of late.
import { html } from "hono/html";
import type { PlatformError } from "../../kernel/errors.ts";
import { refusalNotice } from "../http/notice.ts";
import type { Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import { moment, plural } from "../http/times.ts";
import { BAN_LIVES, REASON_MAX } from "./ban-words.ts";
import type { BanLine } from "./bans.ts";
import { ENDED_AT_ONCE } from "./deeds.ts";
import { pager, tabs } from "./views.ts";

export type BanDraft = { readonly range: string; readonly reason: string; readonly life: string };

export type BansView = {
  readonly bans: readonly BanLine[];
  readonly page: { readonly offset: number; readonly limit: number; readonly total: number };
  /** The one that was just made, and how many unclaimed accounts callers from it made within the hour. */
  readonly made: { readonly ban: BanLine; readonly accounts: number } | null;
  readonly draft: BanDraft;
  readonly refused: { readonly form: "add" | "end"; readonly error: PlatformError } | undefined;
  /** From where the operator calls. */
  readonly address: string;
};

const noticeOf = (form: "add" | "end", refused: BansView["refused"]): Html | "" =>
  refused?.form === form ? refusalNotice(refused.error) : "";

function addForm({ draft, refused, address }: BansView): Html {
  const unconfirmed = refused?.form === "add" && refused.error.code === "ban_unconfirmed";
  return html`<section>
    <h2>Ban a range</h2>
    <form method="post" action="/operations/bans">
      ${
        unconfirmed
          ? html`<div class="notice" role="alert">
              <strong>${refused.error.message}</strong> If you mean it, type the range once more below.
            </div>`
          : noticeOf("add", refused)
      }
      <label
        >Address or CIDR <small>such as 192.0.2.0/24 or 2001:db8::/32</small>
        <input name="range" required maxlength="60" autocomplete="off" autocapitalize="off" spellcheck="false" value="${draft.range}"
      /></label>
      <label
        >Why <small>for operators alone</small>
        <input name="reason" required maxlength="${REASON_MAX}" autocomplete="off" value="${draft.reason}"
      /></label>
      <label
        >Until
        <select name="life">
          ${Object.entries(BAN_LIVES).map(([name, [words]]) => html`<option value="${name}" ${name === draft.life && "selected"}>${words}</option>`)}
        </select></label
      >
      ${
        unconfirmed &&
        html`<label
          >The range once more, as it is written above
          <input name="confirm" maxlength="60" autocomplete="off" autocapitalize="off" spellcheck="false"
        /></label>`
      }
      <button class="danger">Ban</button>
    </form>
    <p class="quiet">
      Its callers get 403 from every Worker, page and API call; accounts that were made from it go on. You call from
      <code>${address}</code>; whoever is signed in as operator, and this machine itself, are never locked out.
    </p>
  </section>`;
}

function offer({ made, refused }: BansView): Html | "" {
  if (made === null) return "";
  const { ban, accounts } = made;
  return html`<section>
    <p class="lead" role="status">${ban.range} is banned.</p>
    ${
      accounts === 0
        ? html`<p>No unclaimed account was made from it within the hour.</p>`
        : html`<p>
              Callers from it made ${plural(accounts, "account")} within the hour that nobody claimed. They go on unless you end them.
            </p>
            <form method="post" action="/operations/bans/${ban.id}/end-accounts">
              ${noticeOf("end", refused)}
              <label
                >Type <code>${ban.range}</code> to end ${accounts > ENDED_AT_ONCE ? `${ENDED_AT_ONCE} of them` : "all of them"}
                <input name="range" required maxlength="60" autocomplete="off" autocapitalize="off" spellcheck="false" /></label
              ><button class="danger">End ${accounts > ENDED_AT_ONCE ? ENDED_AT_ONCE : plural(accounts, "account")}</button>
            </form>`
    }
  </section>`;
}

const item = (ban: BanLine): Html =>
  html`<li>
    <div class="row">
      <strong><code>${ban.range}</code></strong>
      <span class="quiet"
        >since ${moment(ban.createdAtMs)} by <bdi>${plainText(ban.by, 80)}</bdi>,
        ${ban.expiresAtMs === null ? "until it is removed" : html`until ${moment(ban.expiresAtMs)}`}</span
      >
      <form method="post" action="/operations/bans/${ban.id}/remove"><button class="second">Remove</button></form>
      <a href="/operations/bans?made=${ban.id}">Accounts made from it</a>
    </div>
    <p><bdi>${plainText(ban.reason, REASON_MAX)}</bdi></p>
  </li>`;

export function bansBody(view: BansView): Html {
  const { bans, page } = view;
  return html`<h1>Bans</h1>
    ${tabs("/operations/bans")} ${offer(view)}
    <div class="two">
      ${addForm(view)}
      <section>
        <h2>${page.total === 0 ? "Nobody is banned" : plural(page.total, "range")}</h2>
        ${
          bans.length > 0 &&
          html`<ul class="things">
            ${bans.map(item)}
          </ul>`
        }
        ${pager("/operations/bans", {}, page)}
      </section>
    </div>`;
}

/** @param left accounts that were made from it and are still there */
export const endedOfRange = (range: string, ended: number, left: number): Html =>
  html`<h1>${plural(ended, "account")} of ${range} ended</h1>
    <p class="lead" role="status">Their addresses answer no more, and their tokens are refused.</p>
    ${left > 0 && html`<p>${plural(left, "account")} more of the same range are left; send the form again.</p>`}
    <p><a href="/operations/bans">Bans</a></p>`;
