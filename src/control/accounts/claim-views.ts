// What the claim's pages say. Whatever a stranger wrote goes through plainText() and stands in a box that says
// whose words it holds; before somebody signs in there is nothing here but that and the account's end.
import { html } from "hono/html";
import type { Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import { inWords, moment } from "../http/times.ts";
import type { Person } from "../people/person.ts";
import type { Limit } from "../products/product.ts";
import type { Account } from "../store/store.ts";
import { holds, shownToken, usageTable, type ShownToken } from "./account-views.ts";
import type { Holdings } from "./holdings.ts";

export const TITLE_MAX = 300;
export const AGENT_MAX = 100;

/** As the agent wrote them. */
export type ToldTask = { readonly title?: string | undefined; readonly agent?: string | undefined };

function ends(endsAtMs: number, nowMs: number): Html {
  return html`<p class="lead">
    It ends in <strong>${inWords(endsAtMs - nowMs)}</strong>, at ${moment(endsAtMs)}. Unless somebody claims it before, everything in it is
    erased then.
  </p>`;
}

function told(task: ToldTask | null): Html {
  const title = plainText(task?.title ?? "", TITLE_MAX);
  const agent = plainText(task?.agent ?? "", AGENT_MAX);
  return html`<section class="stranger">
    <h2>Written by the agent, unverified</h2>
    <dl>
      <dt>Task</dt>
      <dd><bdi dir="auto">${title === "" ? "It did not say." : title}</bdi></dd>
      ${
        agent !== "" &&
        html`<dt>Agent</dt>
          <dd><bdi dir="auto">${agent}</bdi></dd>`
      }
    </dl>
  </section>`;
}

export type Waiting = { readonly endsAtMs: number; readonly nowMs: number; readonly task: ToldTask | null };

/** For somebody who holds the link and has not signed in. */
export function strangerBody(waiting: Waiting, forms: Html): Html {
  return html`<h1>An agent made an account and asks you to keep it</h1>
    ${ends(waiting.endsAtMs, waiting.nowMs)} ${told(waiting.task)}
    <p>Sign up or in to see what it holds. Nothing is claimed before you say so on the next page.</p>
    ${forms}`;
}

export type Offer = Waiting & {
  readonly account: Account;
  readonly person: Person;
  readonly holdings: Holdings;
  readonly limits: readonly Limit[];
  /** Why the page is shown again. */
  readonly notice: string | null;
};

/** For a signed-in person: what the account holds, what claiming does, and the button. */
export function offerBody({ account, person, holdings, limits, notice, ...waiting }: Offer): Html {
  const name = plainText(person.name, 80);
  return html`<h1>Claim this account?</h1>
    ${notice !== null && html`<div class="notice" role="alert">${notice}</div>`} ${ends(waiting.endsAtMs, waiting.nowMs)}
    ${told(waiting.task)}
    <section>
      <h2>What it holds</h2>
      ${holds(holdings)} ${usageTable(limits)}
    </section>
    <section>
      <h2>What claiming does</h2>
      <ul>
        <li>The account is yours and has no end any more. Every address stays as it is.</li>
        <li>The agent's token stops working at once. You get one of your own; the agent goes on only if you give it that.</li>
        <li>Code that you did not write runs in your name. Look at what it does.</li>
      </ul>
    </section>
    <div class="row">
      <form method="post" action="/claim/confirm">
        <input type="hidden" name="account" value="${account.id}" /><button>Claim as ${name}</button>
      </form>
      <form method="post" action="/claim/sign-out"><button class="second">Use another person</button></form>
    </div>
    <p class="quiet">You are signed in as <bdi>${name}</bdi>, ${person.email}.</p>`;
}

export type Claimed = ShownToken & { readonly holdings: Holdings };

/** The one page that shows the owner's token. */
export function claimedBody({ holdings, ...shown }: Claimed): Html {
  return html`<h1>The account is yours</h1>
    ${shownToken(shown)}
    <section>
      <h2>What has changed</h2>
      <p>The agent's old token is dead. Every address answers as before.</p>
      ${holds(holdings)}
    </section>
    <p><a href="/accounts/${shown.account.id}">The account and its tokens</a></p>`;
}

/** For the owner who comes back to the link. */
export function ownedBody(account: Account, holdings: Holdings): Html {
  return html`<h1>This account is yours</h1>
    <p class="lead">
      You claimed it${account.claimed_at !== null && html` at ${moment(account.claimed_at)}`}. Its token was shown once, right after that,
      and is stored nowhere.
    </p>
    <section>
      <h2>What it holds</h2>
      ${holds(holdings)}
    </section>
    <p>If you kept the token, go on with it. If you did not, <a href="/accounts/${account.id}">make another and end the lost one</a>.</p>
    <p><a href="/">Home</a></p>`;
}

const REFUSALS = {
  claim_unknown: {
    title: "This link opens nothing",
    text: "No account of this installation belongs to it.",
    next: "Open the link exactly as the agent printed it, to its last letter.",
  },
  claim_taken: {
    title: "This account has an owner already",
    text: "Somebody claimed it before, and the link is used up.",
    next: "If it was not you and should have been, ask whoever sent you the link.",
  },
  claim_late: {
    title: "This account is gone",
    text: "Its time was up, and everything in it has been erased.",
    next: "Ask the agent to deploy again: it gets a new account and a new link.",
  },
} as const;

export type ClaimRefusal = keyof typeof REFUSALS;

/** Why there is nothing to claim; the same words for everybody who is not the owner. */
export function refusalBody(code: ClaimRefusal, signedIn: boolean): { readonly title: string; readonly body: Html } {
  const { title, text, next } = REFUSALS[code];
  const body = html`<h1>${title}</h1>
    <p class="lead" role="alert">${text}</p>
    <p>${next}</p>
    ${code === "claim_taken" && !signedIn && html`<p>If it was you, <a href="/sign-in">sign in</a> and open the link again.</p>`}
    <p><a href="/">Home</a></p>`;
  return { title, body };
}
