// The ways in, signing up, signing in and a passkey, as forms and as what becomes of them. Any page can hold them: a
// mistake shows on the page where it was made, with everything but the password still in its field.
import { html } from "hono/html";
import { PlatformError } from "../../kernel/errors.ts";
import { refusalNotice } from "../http/notice.ts";
import type { Html } from "../http/page.ts";
import type { Visit } from "../http/site.ts";
import { PASSWORD_MAX, PASSWORD_MIN } from "./auth.ts";
import { passkeysOf } from "./passkey-pages.ts";
import type { People } from "./people.ts";
import type { SignedIn } from "./person.ts";

export type Way = "sign-up" | "sign-in" | "passkey";

/** Those that this installation has. */
export const waysOf = ({ passkeys }: People): readonly Way[] => (passkeys ? ["sign-up", "sign-in", "passkey"] : ["sign-up", "sign-in"]);

/** A try that was refused. */
export type Problem = { readonly way: Way; readonly error: PlatformError; readonly name: string; readonly email: string };

export type Entry = { readonly signedIn: SignedIn } | { readonly problem: Problem };

/** Signs up or in with the form's fields. @param invitation secret of the link that lets the person in; null without */
export async function enter(people: People, way: Way, visit: Visit, invitation: string | null): Promise<Entry> {
  const { name = "", email = "", password = "", credential = "" } = visit.form;
  try {
    if (way === "sign-up") return { signedIn: await people.signUp({ name, email, password }, invitation, visit.address) };
    if (way === "sign-in") return { signedIn: await people.signIn({ email, password }, visit.address) };
    return { signedIn: await passkeysOf(people).signIn(credential, visit.headers, visit.address) };
  } catch (error) {
    if (!(error instanceof PlatformError) || error.status >= 500) throw error;
    return { problem: { way, error, name: name.slice(0, 200), email: email.slice(0, 300) } };
  }
}

const notice = (problem: Problem | undefined): Html | "" => (problem === undefined ? "" : refusalNotice(problem.error));

const emailField = (problem: Problem | undefined): Html =>
  html`<label
    >E-mail address<input name="email" type="email" autocomplete="username" required maxlength="254" value="${problem?.email ?? ""}"
  /></label>`;

function signUpForm(base: string, problem: Problem | undefined): Html {
  return html`<form method="post" action="${base}/sign-up">
    ${notice(problem)}
    <label>Your name<input name="name" autocomplete="name" required maxlength="80" value="${problem?.name ?? ""}" /></label>
    ${emailField(problem)}
    <label
      >New password <small>${PASSWORD_MIN} characters or more</small>
      <input name="password" type="password" autocomplete="new-password" required minlength="${PASSWORD_MIN}" maxlength="${PASSWORD_MAX}"
    /></label>
    <button>Sign up</button>
  </form>`;
}

function signInForm(base: string, problem: Problem | undefined): Html {
  return html`<form method="post" action="${base}/sign-in">
    ${notice(problem)} ${emailField(problem)}
    <label>Password<input name="password" type="password" autocomplete="current-password" required /></label>
    <button>Sign in</button>
  </form>`;
}

/** Hidden until the script finds that this browser can; a refused try is told all the same. */
function passkeyForm(base: string, problem: Problem | undefined): Html {
  return html`${notice(problem)}
    <section class="passkey" hidden>
      <form method="post" action="${base}/passkey" data-passkey="get" data-options="/passkeys/sign-in/options">
        <input type="hidden" name="credential" /><button class="second">Sign in with a passkey</button>
      </form>
    </section>`;
}

export type EntryForms = {
  /** Path under which `/sign-up` and `/sign-in` take the forms; empty for the root. */
  readonly base: "" | `/${string}`;
  readonly people: People;
  /** Whether the visitor holds an invitation. */
  readonly invited: boolean;
  /** The form that stands open. */
  readonly first: "sign-up" | "sign-in";
  readonly problem: Problem | undefined;
};

/** Both forms, one open and the other folded away; without an invitation only the one that is of use. */
function passwordForms({ base, people: { policy }, invited, first, problem }: EntryForms): Html {
  const of = (way: Way): Problem | undefined => (problem?.way === way ? problem : undefined);
  if (policy !== "open" && !invited) {
    return html`<section>
        <h2>Sign in</h2>
        ${signInForm(base, of("sign-in"))}
      </section>
      <p class="quiet">
        ${
          policy === "invite"
            ? "Signing up here is by invitation: ask the operator of this installation for a link."
            : "Nobody can sign up at present: it wants a verified e-mail address, and this installation cannot send e-mail."
        }
      </p>`;
  }
  const open = problem === undefined || problem.way === "passkey" ? first : problem.way;
  return open === "sign-up"
    ? html`<section>
          <h2>Sign up</h2>
          ${signUpForm(base, of("sign-up"))}
        </section>
        <details class="box">
          <summary>I signed up here before</summary>
          ${signInForm(base, undefined)}
        </details>`
    : html`<section>
          <h2>Sign in</h2>
          ${signInForm(base, of("sign-in"))}
        </section>
        <details class="box">
          <summary>I am new here</summary>
          ${signUpForm(base, undefined)}
        </details>`;
}

/** Every way in that this installation has. */
export function entryForms(forms: EntryForms): Html {
  const passkey = forms.people.passkeys && passkeyForm(forms.base, forms.problem?.way === "passkey" ? forms.problem : undefined);
  return forms.first === "sign-in" ? html`${passkey}${passwordForms(forms)}` : html`${passwordForms(forms)}${passkey}`;
}
