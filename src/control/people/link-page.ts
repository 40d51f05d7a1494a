// A page for a link whose secret lies in the fragment, which no server sees: the script sends it once as a form,
// and without script the reader pastes the link. What arrives is kept in a sealed cookie, never in an address.
import { html } from "hono/html";
import { isSecret, type SecretKind } from "../../kernel/ids.ts";
import { renderPage, seeOther } from "../http/page.ts";
import type { SealedCookie } from "../http/sealed-cookie.ts";
import type { PageRoute } from "../http/site.ts";

export type LinkPage = {
  readonly kind: SecretKind;
  /** Path of the link; `/open` below it takes the form. */
  readonly path: `/${string}`;
  /** Where the visitor goes on once the secret is kept. */
  readonly next: `/${string}`;
  readonly title: string;
  /** One sentence on what the link is for. */
  readonly lead: string;
  readonly cookie: SealedCookie;
};

/** The secret in a pasted link, or alone; null when there is none of that kind. */
export function secretIn(pasted: string, kind: SecretKind): string | null {
  const found = new RegExp(`${kind}_[0-9a-z]{57}`).exec(pasted.slice(0, 2000))?.[0];
  return found !== undefined && isSecret(kind, found) ? found : null;
}

export function linkRoutes({ kind, path, next, title, lead, cookie }: LinkPage): PageRoute[] {
  const page = (problem: boolean): Promise<Response> =>
    renderPage({
      title,
      status: problem ? 400 : 200,
      body: html`<h1>${title}</h1>
        <p class="lead">${lead}</p>
        ${
          problem &&
          html`<div class="notice" role="alert" id="problem">
            <strong>That is not a whole link of this kind.</strong> Copy it again, from https or http to its last letter.
          </div>`
        }
        <section>
          <form method="post" action="${path}/open" id="open">
            <label>Link <input name="link" required autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="2000" /></label>
            <button>Open</button>
          </form>
        </section>`,
    });
  return [
    { method: "GET", path, handle: () => page(false) },
    { method: "GET", path: `${path}/open`, handle: () => Promise.resolve(seeOther(path)) },
    {
      method: "POST",
      path: `${path}/open`,
      handle: async ({ form }) => {
        const secret = secretIn(form["link"] ?? "", kind);
        return secret === null ? page(true) : seeOther(next, [await cookie.set(secret)]);
      },
    },
  ];
}
