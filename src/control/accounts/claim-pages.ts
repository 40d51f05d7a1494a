// The claim as a person sees it. The link's secret comes from the fragment by one POST, lives in a sealed cookie
// for half an hour, and is in no address; the owner's token is in one answer and nowhere else.
import { ERRORS, PlatformError } from "../../kernel/errors.ts";
import { renderPage, seeOther } from "../http/page.ts";
import { sealedCookie, type SealedCookie } from "../http/sealed-cookie.ts";
import type { PageRoute, Visit } from "../http/site.ts";
import type { Keys } from "../keys/keys.ts";
import { enter, entryForms, waysOf, type Problem, type Way } from "../people/entry.ts";
import { linkRoutes } from "../people/link-page.ts";
import { passkeyScripts } from "../people/passkey-pages.ts";
import type { People } from "../people/people.ts";
import type { Person } from "../people/person.ts";
import type { Account, Store } from "../store/store.ts";
import type { Claims } from "./claim.ts";
import { claimedBody, offerBody, ownedBody, refusalBody, strangerBody, type ClaimRefusal, type ToldTask } from "./claim-views.ts";
import type { Holdings } from "./holdings.ts";
import type { LimitsOf } from "./limits.ts";

const LINK_SECONDS = 1800;

export type ClaimPagesOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly claims: Claims;
  readonly people: People;
  readonly holdingsOf: (account: Account) => Promise<Holdings>;
  readonly limitsOf: LimitsOf;
  /** Public origin of API and pages. */
  readonly url: URL;
};

type Desk = ClaimPagesOptions & { readonly cookie: SealedCookie };

function taskOf(keys: Keys, account: Account): ToldTask | null {
  return account.task_sealed && (JSON.parse(keys.openFor(account.id, "task", account.task_sealed)) as ToldTask);
}

const KINDS = { unknown: "claim_unknown", taken: "claim_taken", late: "claim_late" } as const;

async function refuse(desk: Desk, code: ClaimRefusal, account: Account | undefined, person: Person | null): Promise<Response> {
  if (code === "claim_taken" && account && person && account.owner_id === person.id) {
    const body = ownedBody(account, await desk.holdingsOf(account));
    return renderPage({ title: "This account is yours", body }, person);
  }
  return renderPage({ ...refusalBody(code, person !== null), status: ERRORS[code].status }, person);
}

/** The page of the account behind the link, as far as the visitor may see it. */
async function accountPage(desk: Desk, visit: Visit, again: { problem?: Problem; notice?: PlatformError } = {}): Promise<Response> {
  const secret = await desk.cookie.read(visit.headers);
  if (secret === null) return seeOther("/claim");
  const { account, claimability } = await desk.claims.find(secret);
  const person = await desk.people.session(visit.headers);
  if (claimability.kind !== "open" || !account) {
    return refuse(desk, claimability.kind === "open" ? "claim_unknown" : KINDS[claimability.kind], account, person);
  }
  const waiting = { endsAtMs: claimability.endsAtMs, nowMs: desk.store.clock.now(), task: taskOf(desk.keys, account) };
  const refusal = again.problem?.error ?? again.notice;
  const frame = {
    status: refusal?.status ?? 200,
    ...(refusal?.retryAfterSeconds !== undefined && { retryAfterSeconds: refusal.retryAfterSeconds }),
  };
  if (person === null) {
    const forms = entryForms({ base: "/claim", people: desk.people, invited: false, first: "sign-up", problem: again.problem });
    return renderPage({ ...frame, title: "An account waits for you", scripts: passkeyScripts(desk), body: strangerBody(waiting, forms) });
  }
  const notice = again.notice === undefined ? null : `${again.notice.message} ${again.notice.next}`;
  const body = offerBody({
    ...waiting,
    account,
    person,
    holdings: await desk.holdingsOf(account),
    limits: await desk.limitsOf(account),
    notice,
  });
  return renderPage({ ...frame, title: "Claim this account?", body }, person);
}

const changedLink = (): PlatformError =>
  new PlatformError("precondition_failed", {
    message: "You opened another claim link since.",
    next: "This page shows that account now; look at it, or open the first link again.",
  });

async function confirm(desk: Desk, visit: Visit): Promise<Response> {
  const secret = await desk.cookie.read(visit.headers);
  if (secret === null) return seeOther("/claim");
  const person = await desk.people.session(visit.headers);
  if (person === null) return seeOther("/claim/account");
  const { account, claimability } = await desk.claims.find(secret);
  // The form names the account that the person looked at; the cookie may hold a later link's.
  if (claimability.kind === "open" && account?.id !== visit.form["account"]) return accountPage(desk, visit, { notice: changedLink() });
  try {
    const taken = await desk.claims.take(secret, person);
    const holdings = await desk.holdingsOf(taken.account);
    const body = claimedBody({
      account: taken.account,
      token: taken.token,
      grant: "everything",
      apiUrl: `${desk.url.origin}/client/v4`,
      holdings,
    });
    return await renderPage({ title: "The account is yours", body }, person);
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    if (error.code === "claim_limit") return accountPage(desk, visit, { notice: error });
    if (error.code !== "claim_unknown" && error.code !== "claim_taken" && error.code !== "claim_late") throw error;
    return refuse(desk, error.code, (await desk.claims.find(secret)).account, person);
  }
}

export function claimRoutes(options: ClaimPagesOptions): PageRoute[] {
  const { people, keys, url, store } = options;
  const { clock } = store;
  const cookie = sealedCookie({ keys, clock, url, name: "mayfly_claim", path: "/claim", maxAgeSeconds: LINK_SECONDS });
  const desk: Desk = { ...options, cookie };
  const entering = (way: Way): PageRoute => ({
    method: "POST",
    path: `/claim/${way}`,
    handle: async (visit) => {
      const entry = await enter(people, way, visit, null);
      if ("problem" in entry) return accountPage(desk, visit, { problem: entry.problem });
      return seeOther("/claim/account", entry.signedIn.cookies);
    },
  });
  const back = (path: `/${string}`): PageRoute => ({ method: "GET", path, handle: () => Promise.resolve(seeOther("/claim/account")) });
  return [
    ...linkRoutes({
      kind: "mfc",
      path: "/claim",
      next: "/claim/account",
      title: "Open a claim link",
      lead: "Your agent printed a link with which you can keep what it made. Paste it here.",
      cookie,
    }),
    { method: "GET", path: "/claim/account", handle: (visit) => accountPage(desk, visit) },
    { method: "POST", path: "/claim/confirm", handle: (visit) => confirm(desk, visit) },
    ...waysOf(people).map(entering),
    {
      method: "POST",
      path: "/claim/sign-out",
      handle: async ({ headers, address }) => seeOther("/claim/account", (await people.signOut(headers, address)).cookies),
    },
    ...(["/claim/confirm", "/claim/sign-in", "/claim/sign-up", "/claim/passkey", "/claim/sign-out"] as const).map(back),
  ];
}
