// A person's passkeys as a page, and what the script of passkeys asks for. Without script a person still sees and
// removes them; adding one and signing in with one is what no form can do.
import { html } from "hono/html";
import { PlatformError } from "../../kernel/errors.ts";
import { refusalNotice } from "../http/notice.ts";
import { renderPage, seeOther, type Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import type { PageRoute, Visit } from "../http/site.ts";
import { moment } from "../http/times.ts";
import { PASSKEY_SCRIPT } from "./passkey-script.ts";
import type { Asked, Passkey, Passkeys } from "./passkeys.ts";
import type { People } from "./people.ts";
import type { Person } from "./person.ts";

const SCRIPT_PATH = "/passkeys.js";

export type PasskeyPagesOptions = { readonly people: People; readonly url: URL };

/** Addresses of the scripts that a page with a passkey form needs. */
export const passkeyScripts = ({ people, url }: PasskeyPagesOptions): readonly string[] =>
  people.passkeys === null ? [] : [`${url.origin}${SCRIPT_PATH}`];

/** @throws PlatformError route_not_found where this installation has none */
export function passkeysOf(people: People): Passkeys {
  if (people.passkeys !== null) return people.passkeys;
  throw new PlatformError("route_not_found", {
    message: "This installation has no passkeys: they want https, or the name localhost.",
    next: "Sign in with your password.",
  });
}

function passkeyItem({ id, name, createdAtMs, lastUsedAtMs, synced }: Passkey): Html {
  return html`<li>
    <strong><bdi>${plainText(name, 60)}</bdi></strong>
    <p class="quiet">
      Added ${moment(createdAtMs)}, ${lastUsedAtMs === null ? "not used yet" : html`last used ${moment(lastUsedAtMs)}`},
      ${synced ? "kept in sync between your devices" : "on one device"}.
    </p>
    <details>
      <summary>Remove</summary>
      <form method="post" action="/passkeys/${id}/remove">
        <p>
          It no longer signs you in here, and every browser but this one is signed out, however it was signed in. Delete the passkey from
          your device too, where it will go on being offered otherwise.
        </p>
        <button class="second">Remove this passkey</button>
      </form>
    </details>
  </li>`;
}

function addForm(problem: PlatformError | undefined, name: string): Html {
  return html`<section>
    <h2>Add a passkey</h2>
    <p>Your device or its password manager keeps it; you sign in with a fingerprint, your face or the device's code.</p>
    ${problem && refusalNotice(problem)}
    <p data-without-passkey>Adding one wants a browser that knows passkeys, with script switched on.</p>
    <div hidden>
      <form method="post" action="/passkeys/add" data-passkey="create" data-options="/passkeys/add/options">
        <label>Name <small>such as the device it lies on</small><input name="name" required maxlength="60" value="${name}" /></label>
        <input type="hidden" name="credential" /><button>Add a passkey</button>
      </form>
    </div>
  </section>`;
}

async function page(options: PasskeyPagesOptions, person: Person, problem?: PlatformError, name = ""): Promise<Response> {
  const passkeys = await passkeysOf(options.people).list(person);
  const body = html`<h1>Your passkeys</h1>
    <p class="lead">A passkey signs you in without the password, and cannot be given away to a page that only looks like this one.</p>
    ${
      passkeys.length > 0 &&
      html`<section>
        <ul class="things">
          ${passkeys.map(passkeyItem)}
        </ul>
      </section>`
    }
    ${addForm(problem, name)}
    <p class="quiet">Your password goes on working.</p>
    <p><a href="/">Home</a></p>`;
  const frame = {
    status: problem?.status ?? 200,
    ...(problem?.retryAfterSeconds !== undefined && { retryAfterSeconds: problem.retryAfterSeconds }),
  };
  return renderPage({ ...frame, title: "Your passkeys", body, scripts: passkeyScripts(options) }, person);
}

/** What the script reads; refusals are told as JSON too, since it shows them. */
async function asked(work: () => Promise<Asked>): Promise<Response> {
  const headers = new Headers({ "content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff" });
  try {
    const { options, cookie } = await work();
    headers.set("set-cookie", cookie);
    return new Response(JSON.stringify(options), { headers });
  } catch (error) {
    if (!(error instanceof PlatformError) || error.status >= 500) throw error;
    return new Response(JSON.stringify({ message: error.message }), { status: error.status, headers });
  }
}

const script = (): Response =>
  new Response(PASSKEY_SCRIPT, {
    headers: { "content-type": "text/javascript; charset=utf-8", "cache-control": "no-cache", "x-content-type-options": "nosniff" },
  });

export function passkeyRoutes(options: PasskeyPagesOptions): PageRoute[] {
  const { people } = options;
  const signedIn =
    (handle: (person: Person, visit: Visit) => Promise<Response>): PageRoute["handle"] =>
    async (visit) => {
      const person = await people.session(visit.headers);
      return person ? handle(person, visit) : seeOther("/sign-in");
    };
  return [
    { method: "GET", path: SCRIPT_PATH, handle: () => Promise.resolve(script()) },
    { method: "POST", path: "/passkeys/sign-in/options", handle: () => asked(() => passkeysOf(people).signInOptions()) },
    { method: "GET", path: "/passkeys", handle: signedIn((person) => page(options, person)) },
    {
      method: "POST",
      path: "/passkeys/add/options",
      handle: async ({ headers }) => {
        const person = await people.session(headers);
        return asked(() => {
          if (person === null) throw new PlatformError("sign_in_failed", { message: "You are no longer signed in; reload the page." });
          return passkeysOf(people).addOptions(person);
        });
      },
    },
    {
      method: "POST",
      path: "/passkeys/add",
      handle: signedIn(async (person, { form, headers, address }) => {
        const { name = "", credential = "" } = form;
        try {
          await passkeysOf(people).add(person, { name, credential }, headers, address);
          return seeOther("/passkeys");
        } catch (error) {
          if (!(error instanceof PlatformError) || error.status >= 500 || error.status === 404) throw error;
          return page(options, person, error, name.slice(0, 60));
        }
      }),
    },
    {
      method: "POST",
      path: "/passkeys/:passkey/remove",
      handle: signedIn(async (person, { params, headers, address }) => {
        await passkeysOf(people).remove(person, params["passkey"] ?? "", headers, address);
        return seeOther("/passkeys");
      }),
    },
    ...(["/passkeys/add", "/passkeys/add/options", "/passkeys/sign-in/options", "/passkeys/:passkey/remove"] as const).map(
      (path): PageRoute => ({ method: "GET", path, handle: () => Promise.resolve(seeOther("/passkeys")) }),
    ),
  ];
}
