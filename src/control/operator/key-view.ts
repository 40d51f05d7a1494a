// The pages of the operators' keys: those that work, one more, and the one answer that shows its secret.
import { html } from "hono/html";
import type { PlatformError } from "../../kernel/errors.ts";
import { refusalNotice } from "../http/notice.ts";
import type { Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import { moment } from "../http/times.ts";
import { KEY_LIVES, KEY_NAME_MAX, KEYS_MAX, type KeyAccess, type KeyLine, type MadeKey } from "./operator-keys.ts";
import { shortId, tabs } from "./views.ts";

export type KeysView = {
  readonly live: readonly KeyLine[];
  readonly over: readonly KeyLine[];
  /** Drawn for the form that makes one. */
  readonly drawn: string;
  readonly draft: { readonly name: string; readonly access: string; readonly life: string };
  readonly error: PlatformError | undefined;
};

const ACCESS_WORDS: Readonly<Record<KeyAccess, { readonly title: string; readonly text: string }>> = {
  read: { title: "Read only", text: "Looks at everything on these pages, addresses of callers included. It changes nothing." },
  full: { title: "Everything", text: "Suspends, releases and ends accounts, bans and closes reports besides." },
};

const keyItem = (key: KeyLine): Html =>
  html`<li>
    <strong><bdi>${plainText(key.name, KEY_NAME_MAX)}</bdi></strong
    >: ${ACCESS_WORDS[key.access].title}, <code>${shortId(key.id)}</code> in trails
    <p class="quiet">
      Of <bdi>${plainText(key.of, 80)}</bdi>, made ${moment(key.createdAtMs)},
      ${key.lastUsedAtMs === null ? "not used yet" : html`last used ${moment(key.lastUsedAtMs)}`}, expires ${moment(key.expiresAtMs)}.
    </p>
    <details>
      <summary>End this key</summary>
      <form method="post" action="/operations/keys/${key.id}/end">
        <p>Whatever uses it is refused from that moment on. This cannot be undone.</p>
        <button class="second">End it now</button>
      </form>
    </details>
  </li>`;

const overItem = (key: KeyLine): Html =>
  html`<li>
    <bdi>${plainText(key.name, KEY_NAME_MAX)}</bdi>, <code>${shortId(key.id)}</code> in trails:
    ${key.endedAtMs === null ? html`expired ${moment(key.expiresAtMs)}` : html`ended ${moment(key.endedAtMs)}`}
  </li>`;

function makeForm({ drawn, draft, error }: KeysView): Html {
  return html`<form method="post" action="/operations/keys">
    ${error && refusalNotice(error)}
    <input type="hidden" name="form" value="${drawn}" />
    <label
      >Name <small>what it is for</small> <input name="name" required maxlength="${KEY_NAME_MAX}" autocomplete="off" value="${draft.name}"
    /></label>
    <fieldset>
      <legend>What it may do</legend>
      ${(Object.keys(ACCESS_WORDS) as KeyAccess[]).map(
        (access) =>
          html`<label class="choice"
            ><input type="radio" name="access" value="${access}" required ${access === draft.access && "checked"} /><span
              >${ACCESS_WORDS[access].title} <small>${ACCESS_WORDS[access].text}</small></span
            ></label
          >`,
      )}
    </fieldset>
    <label
      >Expires
      <select name="life">
        ${Object.entries(KEY_LIVES).map(([name, [words]]) => html`<option value="${name}" ${name === draft.life && "selected"}>${words}</option>`)}
      </select></label
    >
    <button>Make a key</button>
  </form>`;
}

export function keysBody(view: KeysView): Html {
  const { live, over } = view;
  return html`<h1>Operator's keys</h1>
    ${tabs("/operations/keys")}
    <div class="two">
      <section>
        <h2>Make a key</h2>
        ${makeForm(view)}
        <p class="quiet">
          For scripts that call <code>/client/v4/operator/…</code>, as <code>Authorization: Bearer</code>. ${KEYS_MAX} work at once at most.
        </p>
      </section>
      <section>
        <h2>Keys that work</h2>
        ${
          live.length === 0
            ? html`<p>None.</p>`
            : html`<ul class="things">
                ${live.map(keyItem)}
              </ul>`
        }
        ${
          over.length > 0 &&
          html`<details>
            <summary>Keys that work no more</summary>
            <ul>
              ${over.map(overItem)}
            </ul>
          </details>`
        }
      </section>
    </div>`;
}

export const madeKeyBody = ({ secret, name, access, expiresAtMs }: MadeKey, apiUrl: string): Html =>
  html`<h1>An operator's key</h1>
    <p class="lead"><bdi>${plainText(name, KEY_NAME_MAX)}</bdi>: ${ACCESS_WORDS[access].title}, until ${moment(expiresAtMs)}.</p>
    <div class="notice good" role="status"><strong>Copy your key now.</strong> It is shown this once and stored nowhere.</div>
    <section>
      <h2>Your key</h2>
      <pre class="copy" id="key" tabindex="0">${secret}</pre>
      <h2>To look with it</h2>
      <pre class="copy wide" tabindex="0">curl -H "Authorization: Bearer $KEY" "${apiUrl}/operator/accounts?sort=load"</pre>
    </section>
    <p><a href="/operations/keys">All keys</a></p>`;
