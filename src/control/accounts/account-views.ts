// What the pages of a claimed account say to its owner. Names of tokens are the owner's own words, names of Workers
// a tenant's; both go through plainText().
import { html } from "hono/html";
import type { PlatformError } from "../../kernel/errors.ts";
import { refusalNotice } from "../http/notice.ts";
import type { Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import { moment, plural } from "../http/times.ts";
import { GRANTS, type Grant } from "../permissions/actions.ts";
import type { Permission } from "../permissions/authorize.ts";
import type { Limit } from "../products/product.ts";
import type { Account } from "../store/store.ts";
import { LIVES, TOKEN_NAME_MAX, type TokenLine } from "../tokens/owner-tokens.ts";
import { shownLimits, type Holdings } from "./holdings.ts";
import { amountOf, titleOf } from "./limit-words.ts";

export function holds({ workers, files }: Holdings): Html {
  if (workers.length === 0 && files === 0) return html`<p>Nothing yet: the agent has deployed nothing.</p>`;
  return html`<ul>
    ${workers.map(
      ({ name, url }) =>
        html`<li>
          Worker <strong>${plainText(name, 100)}</strong>${
            url === null ? ", without an address" : html` at <a href="${url}" rel="noopener noreferrer" target="_blank">${url}</a>`
          }
        </li>`,
    )}${files > 0 && html`<li>${plural(files, "static file")}</li>`}
  </ul>`;
}

/** How much of what it may have the account has; nothing where that is nothing. */
export function usageTable(limits: readonly Limit[]): Html | "" {
  const shown = shownLimits(limits);
  if (shown.length === 0) return "";
  return html`<table class="usage">
    <caption class="quiet">
      What it uses of what it may
    </caption>
    <tbody>
      ${shown.map(
        (limit) =>
          html`<tr>
            <th scope="row">${titleOf(limit)}</th>
            <td>
              ${amountOf(limit.used ?? 0, limit.unit)}${limit.max !== null && html` <span class="quiet">of ${amountOf(limit.max, limit.unit)}</span>`}${
                limit.freesAtMs != null && html` <span class="quiet until">until ${moment(limit.freesAtMs)}</span>`
              }
            </td>
            <td>
              ${
                limit.max !== null &&
                limit.max > 0 &&
                html`<meter
                  min="0"
                  max="${limit.max}"
                  high="${limit.max * 0.9}"
                  value="${limit.used ?? 0}"
                  aria-label="${titleOf(limit)}"
                ></meter>`
              }
            </td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

export type ShownToken = { readonly account: Account; readonly token: string; readonly apiUrl: string; readonly grant: Grant };

/** A token's secret, which no other page ever shows. */
export function shownToken({ account, token, apiUrl, grant }: ShownToken): Html {
  const environment = [
    `export CLOUDFLARE_API_BASE_URL=${apiUrl}`,
    `export CLOUDFLARE_ACCOUNT_ID=${account.id}`,
    `export CLOUDFLARE_API_TOKEN=${token}`,
  ];
  return html`<div class="notice good" role="status"><strong>Copy your token now.</strong> It is shown this once and stored nowhere.</div>
    <section>
      <h2>Your token</h2>
      <pre class="copy" id="token" tabindex="0">${token}</pre>
      ${
        grant === "read"
          ? html`<h2>To look with it</h2>
              <p>Set these for wrangler or another client of the API. A deploy with it is refused.</p>`
          : html`<h2>To deploy with it</h2>
              <p>Set these, then run <code>wrangler deploy</code> (without <code>--temporary</code>) as before.</p>`
      }
      <pre class="copy wide" id="environment" tabindex="0">${environment.join("\n")}</pre>
    </section>`;
}

const GRANT_WORDS: Readonly<Record<Grant, { readonly title: string; readonly text: string }>> = {
  everything: { title: "Everything", text: "All that you may do, ending the account included." },
  deploy: {
    title: "Deploy and read",
    text:
      "Enough for an agent that goes on working: deploy, change and delete Workers, and read their logs, whole addresses of requests " +
      "included. It cannot end the account.",
  },
  read: {
    title: "Read only",
    text:
      "Look at Workers, settings, the trail and the logs, live ones too: every line that a Worker prints and the whole address of each " +
      "request, with whatever secrets stand in them. It changes nothing.",
  },
};
const GRANT_NAMES = Object.keys(GRANTS) as Grant[];

/** What a token may do, in the words of the form where it was made by it. */
export function inPermissionWords(permissions: readonly Permission[]): string {
  const whole = permissions.every(({ resource, conditions }) => resource.product === "*" && resource.id === "*" && conditions.length === 0);
  const actions = new Set<string>(permissions.map(({ action }) => action));
  const grant = GRANT_NAMES.find((name) => GRANTS[name].length === actions.size && GRANTS[name].every((action) => actions.has(action)));
  if (whole && grant) return GRANT_WORDS[grant].title;
  if (actions.size === 0) return "Nothing";
  return `${[...actions].toSorted().join(", ")}${whole ? "" : " (on some resources only)"}`;
}

const nameOf = ({ agent, name }: TokenLine): string => (agent ? "The agent's" : plainText(name, TOKEN_NAME_MAX));

function tokenItem(account: Account, token: TokenLine): Html {
  return html`<li>
    <strong><bdi>${nameOf(token)}</bdi></strong
    >: ${inPermissionWords(token.permissions)}
    <p class="quiet">
      Made ${moment(token.createdAtMs)}, ${token.lastUsedAtMs === null ? "not used yet" : html`last used ${moment(token.lastUsedAtMs)}`},
      ${token.expiresAtMs === null ? "never expires" : html`expires ${moment(token.expiresAtMs)}`}.
    </p>
    <details>
      <summary>End this token</summary>
      <form method="post" action="/accounts/${account.id}/tokens/${token.id}/end">
        <p>Whoever uses it is refused from that moment on. This cannot be undone.</p>
        <button class="second">End it now</button>
      </form>
    </details>
  </li>`;
}

const overItem = (token: TokenLine): Html =>
  html`<li>
    <bdi>${nameOf(token)}</bdi>:
    ${
      token.endedAtMs !== null
        ? html`${token.agent ? "ended when you claimed the account" : "ended"} ${moment(token.endedAtMs)}`
        : token.expiresAtMs !== null && html`expired ${moment(token.expiresAtMs)}`
    }
  </li>`;

/** What somebody filled in before it was refused. */
export type TokenDraft = { readonly name?: string | undefined; readonly grant?: string | undefined; readonly life?: string | undefined };

function makeForm(account: Account, drawn: string, draft: TokenDraft): Html {
  const grant = draft.grant ?? "deploy";
  const life = draft.life ?? "30d";
  return html`<form method="post" action="/accounts/${account.id}/tokens">
    <input type="hidden" name="form" value="${drawn}" />
    <label
      >Name <small>whom or what it is for</small>
      <input name="name" required maxlength="${TOKEN_NAME_MAX}" autocomplete="off" value="${draft.name ?? ""}"
    /></label>
    <fieldset>
      <legend>What it may do</legend>
      ${GRANT_NAMES.map(
        (name) =>
          html`<label class="choice"
            ><input type="radio" name="grant" value="${name}" required ${name === grant && "checked"} /><span
              >${GRANT_WORDS[name].title} <small>${GRANT_WORDS[name].text}</small></span
            ></label
          >`,
      )}
    </fieldset>
    <label
      >Expires
      <select name="life">
        ${Object.entries(LIVES).map(([name, [words]]) => html`<option value="${name}" ${name === life && "selected"}>${words}</option>`)}
      </select></label
    >
    <button>Make a token</button>
  </form>`;
}

/** A form that was refused. */
export type Refused = { readonly form: "token" | "end"; readonly error: PlatformError; readonly draft: TokenDraft };

const notice = (form: Refused["form"], refused: Refused | undefined): Html | "" =>
  refused?.form === form ? refusalNotice(refused.error) : "";

export type AccountView = {
  readonly account: Account;
  readonly holdings: Holdings;
  readonly limits: readonly Limit[];
  readonly live: readonly TokenLine[];
  readonly over: readonly TokenLine[];
  /** Drawn for the form that makes a token. */
  readonly drawn: string;
  readonly refused: Refused | undefined;
};

function endForm(account: Account, refused: Refused | undefined): Html {
  return html`<details class="box" ${refused?.form === "end" && "open"}>
    <summary>End this account</summary>
    <form method="post" action="/accounts/${account.id}/end">
      ${notice("end", refused)}
      <p>Every Worker stops, every token dies, and everything in the account is erased for good. The address is never given out again.</p>
      <label
        >Type <code>${account.subdomain}</code> to confirm
        <input name="subdomain" required autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="64" /></label
      ><button class="danger">End it and erase everything</button>
    </form>
  </details>`;
}

export function accountBody({ account, holdings, limits, live, over, drawn, refused }: AccountView): Html {
  return html`<h1>${account.subdomain}</h1>
    <p class="lead">${account.claimed_at !== null && html`Yours since ${moment(account.claimed_at)}. It has no end unless you end it.`}</p>
    ${
      account.suspended_at !== null &&
      html`<div class="notice" role="status">
        <strong>Suspended${account.suspended_by === "operator" && " by the operator"}: it answers nothing at the moment.</strong>
        ${plainText(account.suspended_reason ?? "", 300)}
      </div>`
    }
    <section>
      <h2>What it holds</h2>
      ${holds(holdings)} ${usageTable(limits)}
      <p class="quiet">Account id <code>${account.id}</code></p>
    </section>
    <section id="tokens">
      <h2>Tokens</h2>
      ${
        live.length === 0
          ? html`<p>None works at the moment: the Workers answer, but nobody can change them.</p>`
          : html`<ul class="things">
              ${live.map((token) => tokenItem(account, token))}
            </ul>`
      }
      ${
        over.length > 0 &&
        html`<details>
          <summary>Tokens that work no more</summary>
          <ul>
            ${over.map(overItem)}
          </ul>
        </details>`
      }
    </section>
    <section>
      <h2>Make a token</h2>
      ${notice("token", refused)} ${makeForm(account, drawn, refused?.form === "token" ? refused.draft : {})}
    </section>
    ${endForm(account, refused)}
    <p><a href="/">Home</a></p>`;
}

export type MadeView = ShownToken & { readonly name: string; readonly expiresAtMs: number | null };

/** The one page that shows a token that its owner made. */
export function madeBody({ name, expiresAtMs, ...shown }: MadeView): Html {
  return html`<h1>A token for ${shown.account.subdomain}</h1>
    <p class="lead">
      <bdi>${plainText(name, TOKEN_NAME_MAX)}</bdi>: ${GRANT_WORDS[shown.grant].title},
      ${expiresAtMs === null ? "until you end it" : html`until ${moment(expiresAtMs)}`}.
    </p>
    ${shownToken(shown)}
    <p><a href="/accounts/${shown.account.id}#tokens">All tokens of this account</a></p>`;
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
    <p><a href="/">Home</a></p>`;
}

export type OwnedAccount = { readonly account: Account; readonly holdings: Holdings };

function ownedItem({ account, holdings }: OwnedAccount): Html {
  if (account.state === "ending") {
    return html`<li>
      <strong>${account.subdomain}</strong>: ended${account.ended_at !== null && html` ${moment(account.ended_at)}`}, and being erased
    </li>`;
  }
  return html`<li>
    <strong><a href="/accounts/${account.id}">${account.subdomain}</a></strong
    >${account.suspended_at !== null && ", suspended"}
    <p class="quiet">
      Claimed ${account.claimed_at !== null && moment(account.claimed_at)}${holdings.workers.length === 0 && ", holds no Workers"}
    </p>
    ${holdings.workers.length > 0 && holds({ ...holdings, files: 0 })}
  </li>`;
}

/** The owner's accounts, for the home page. @param more how many are not shown */
export function ownedSection(owned: readonly OwnedAccount[], more: number): Html {
  return html`<section>
    <h2>Your accounts</h2>
    <ul class="things">
      ${owned.map((one) => ownedItem(one))}
    </ul>
    ${more > 0 && html`<p class="quiet">And ${plural(more, "older account")}.</p>`}
  </section>`;
}
