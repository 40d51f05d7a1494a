// The pages about people: the landing page, signing in, up and out, the first operator's link and invitations.
import { html } from "hono/html";
import type { Clock } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { renderPage, seeOther, type Html } from "../http/page.ts";
import { plainText } from "../http/plain-text.ts";
import { sealedCookie } from "../http/sealed-cookie.ts";
import type { PageRoute, Visit } from "../http/site.ts";
import type { Keys } from "../keys/keys.ts";
import { enter, entryForms, waysOf, type Problem, type Way } from "./entry.ts";
import { linkRoutes } from "./link-page.ts";
import { passkeyRoutes, passkeyScripts } from "./passkey-pages.ts";
import type { People } from "./people.ts";
import type { Person } from "./person.ts";

const LINK_SECONDS = 1800;

export type PeoplePagesOptions = {
  readonly people: People;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly url: URL;
  /** What an agent runs, one command a line, as start prints it. */
  readonly agentLines: readonly string[];
  /** What a person owns, as a part of their home page; null where that is nothing. */
  readonly ownedBy: (person: Person) => Promise<Html | null>;
};

const signOutForm = (action: string, label: string): Html =>
  html`<form method="post" action="${action}"><button class="second">${label}</button></form>`;

async function landing(options: PeoplePagesOptions, person: Person | null): Promise<Response> {
  const { agentLines, people } = options;
  const owned = person && (await options.ownedBy(person));
  const body = html`<h1>Real accounts for agents, for as long as they are of use</h1>
    <p class="lead">
      An agent gets an account here in one call: it deploys code, gets a live address, and an hour later everything is gone, unless a person
      claims it.
    </p>
    ${owned}
    ${
      agentLines.length > 0 &&
      html`<section>
        <h2>For the agent</h2>
        <p>It runs this where its Worker's code lies, and prints the address and a link for you.</p>
        ${agentLines.map((line) => html`<pre class="copy" tabindex="0">${line}</pre>`)}
      </section>`
    }
    <section>
      <h2>For you</h2>
      <p>Your agent printed a claim link? <a href="/claim">Open it here</a> and see what you would take over.</p>
      ${
        person
          ? html`<p>
                You are signed in as
                <bdi>${plainText(person.name, 80)}</bdi> (${person.email}${person.role === "operator" && ", operator"}).
              </p>
              <div class="row">
                ${
                  person.role === "operator" &&
                  html`<a href="/operations">Operations</a>
                    <form method="post" action="/invitations"><button class="second">Make an invitation</button></form>`
                }${signOutForm("/sign-out", "Sign out")}${people.passkeys && html`<a href="/passkeys">Your passkeys</a>`}
              </div>`
          : html`<p><a href="/sign-in">Sign in</a></p>`
      }
    </section>`;
  return renderPage({ title: "Accounts for agents", body }, person);
}

function signInPage(options: PeoplePagesOptions, problem?: Problem): Promise<Response> {
  return renderPage({
    title: "Sign in",
    scripts: passkeyScripts(options),
    status: problem?.error.status ?? 200,
    ...(problem?.error.retryAfterSeconds !== undefined && { retryAfterSeconds: problem.error.retryAfterSeconds }),
    body: html`<h1>Welcome</h1>
      ${entryForms({ base: "", people: options.people, invited: false, first: "sign-in", problem })}`,
  });
}

function rootRoutes(options: PeoplePagesOptions): PageRoute[] {
  const { people } = options;
  const entering = (way: Way): PageRoute => ({
    method: "POST",
    path: `/${way}`,
    handle: async (visit) => {
      const entry = await enter(people, way, visit, null);
      return "problem" in entry ? signInPage(options, entry.problem) : seeOther("/", entry.signedIn.cookies);
    },
  });
  return [
    { method: "GET", path: "/", handle: async ({ headers }) => landing(options, await people.session(headers)) },
    {
      method: "GET",
      path: "/sign-in",
      handle: async ({ headers }) => ((await people.session(headers)) ? seeOther("/") : signInPage(options)),
    },
    ...(["/sign-up", "/passkey"] as const).map((path): PageRoute => ({
      method: "GET",
      path,
      handle: () => Promise.resolve(seeOther("/sign-in")),
    })),
    ...waysOf(people).map(entering),
    {
      method: "POST",
      path: "/sign-out",
      handle: async ({ headers, address }) => seeOther("/", (await people.signOut(headers, address)).cookies),
    },
    {
      method: "POST",
      path: "/invitations",
      handle: async ({ headers }) => {
        const person = await people.session(headers);
        return person ? invitationPage(await people.invite(person), person) : seeOther("/sign-in");
      },
    },
  ];
}

function invitationPage(link: string, person: Person): Promise<Response> {
  const body = html`<h1>An invitation for one person</h1>
    <p class="lead">Send this link to whom you want to invite. It is shown this once, and works once within seven days.</p>
    <section><pre class="copy" tabindex="0">${link}</pre></section>
    <p><a href="/">Home</a></p>`;
  return renderPage({ title: "Invitation", body }, person);
}

type Door = {
  readonly path: "/operator" | "/invitation";
  readonly kind: "mfo" | "mfi";
  readonly title: string;
  readonly lead: string;
  readonly about: string;
};

const DOORS: readonly Door[] = [
  {
    path: "/operator",
    kind: "mfo",
    title: "Become the operator",
    lead: "The link that this installation printed when it started lets one person run it. Paste it here.",
    about: "Whoever signs up here runs this installation: invites people, and answers for what it does.",
  },
  {
    path: "/invitation",
    kind: "mfi",
    title: "You are invited",
    lead: "Paste the link that the operator sent you. It works once.",
    about: "The operator of this installation invites you to sign up.",
  },
];

/** Pages behind a link that lets one person in: the link itself, then the forms, then, for the operator's, the office. */
function doorRoutes(options: PeoplePagesOptions, door: Door): PageRoute[] {
  const { people, keys, clock, url } = options;
  const cookie = sealedCookie({
    keys,
    clock,
    url,
    name: `mayfly${door.path.replace("/", "_")}`,
    path: door.path,
    maxAgeSeconds: LINK_SECONDS,
  });
  const inside = `${door.path}/sign-up` as const;

  const page = async (visit: Visit, problem?: Problem): Promise<Response> => {
    const secret = await cookie.read(visit.headers);
    if (secret === null) return seeOther(door.path);
    if ((await people.invitation(secret)) === null) throw unknown(door);
    const person = await people.session(visit.headers);
    return renderPage(
      {
        title: door.title,
        status: problem?.error.status ?? 200,
        scripts: passkeyScripts(options),
        body: html`<h1>${door.title}</h1>
          <p class="lead">${door.about}</p>
          ${person ? signedInBody(door, person) : entryForms({ base: door.path, people, invited: true, first: "sign-up", problem })}`,
      },
      person,
    );
  };
  const entering = (way: Way): PageRoute => ({
    method: "POST",
    path: `${door.path}/${way}`,
    handle: async (visit) => {
      const secret = await cookie.read(visit.headers);
      if (secret === null) return seeOther(door.path);
      const entry = await enter(people, way, visit, secret);
      if ("problem" in entry) return page(visit, entry.problem);
      return seeOther(way === "sign-up" ? "/" : inside, entry.signedIn.cookies);
    },
  });
  return [
    ...linkRoutes({ ...door, next: inside, cookie }),
    { method: "GET", path: inside, handle: (visit) => page(visit) },
    ...waysOf(people).map(entering),
    {
      method: "POST",
      path: `${door.path}/accept`,
      handle: async ({ headers }) => {
        const [secret, person] = [await cookie.read(headers), await people.session(headers)];
        if (secret === null || person === null) return seeOther(door.path);
        if (door.kind === "mfo") await people.becomeOperator(person, secret);
        return seeOther("/");
      },
    },
  ];
}

function signedInBody(door: Door, person: Person): Html {
  const name = plainText(person.name, 80);
  return door.kind === "mfo"
    ? html`<p class="lead">You are signed in as <bdi>${name}</bdi> (${person.email}).</p>
        <div class="row">
          <form method="post" action="${door.path}/accept"><button>Become operator as ${name}</button></form>
          ${signOutForm("/sign-out", "Sign out")}
        </div>`
    : html`<p class="lead">You are signed in as <bdi>${name}</bdi>; you need no invitation.</p>
        <p><a href="/">Home</a></p>`;
}

function unknown(door: Door): PlatformError {
  return new PlatformError("invitation_unknown", {
    message: "This link is not known, was used, or is too old.",
    ...(door.kind === "mfo" && { next: "While there is no operator, each start of the installation prints a new one." }),
  });
}

/** All of them, to be served by createSite. */
export function peoplePages(options: PeoplePagesOptions): PageRoute[] {
  return [...rootRoutes(options), ...passkeyRoutes(options), ...DOORS.flatMap((door) => doorRoutes(options, door))];
}
