// The pages of a claimed account for its owner, whose session is the permission: anybody else is told what they
// would be told of an account that does not exist. A token's secret is in one answer and nowhere else.
import { PlatformError } from "../../kernel/errors.ts";
import { newId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { renderPage, seeOther, type Html } from "../http/page.ts";
import type { PageRoute, Visit } from "../http/site.ts";
import { createAttempts, TOKEN_BY_PERSON, type Attempts } from "../people/attempts.ts";
import type { People } from "../people/people.ts";
import type { Person } from "../people/person.ts";
import type { Account, Store } from "../store/store.ts";
import type { OwnerTokens } from "../tokens/owner-tokens.ts";
import { accountBody, endedBody, madeBody, ownedSection, type Refused } from "./account-views.ts";
import type { Ending } from "./ending.ts";
import type { Holdings } from "./holdings.ts";
import type { LimitsOf } from "./limits.ts";

const ACCOUNTS_SHOWN = 50;

export type AccountPagesOptions = {
  readonly store: Store;
  readonly people: People;
  readonly ownerTokens: OwnerTokens;
  readonly ending: Ending;
  readonly holdingsOf: (account: Account) => Promise<Holdings>;
  readonly limitsOf: LimitsOf;
  readonly url: URL;
  readonly log: Log;
};

type Office = AccountPagesOptions & { readonly attempts: Attempts };

/** What a person owns, youngest claim first; null where that is nothing. */
export async function ownedBy(
  { store, holdingsOf }: Pick<AccountPagesOptions, "store" | "holdingsOf">,
  person: Person,
): Promise<Html | null> {
  const mine = store.db.selectFrom("accounts").where("owner_id", "=", person.id).where("state", "in", ["claimed", "ending"]);
  const accounts = await mine.selectAll().orderBy("claimed_at", "desc").limit(ACCOUNTS_SHOWN).execute();
  if (accounts.length === 0) return null;
  const { count } = await mine.select((of) => of.fn.countAll<number>().as("count")).executeTakeFirstOrThrow();
  const owned = await Promise.all(accounts.map(async (account) => ({ account, holdings: await holdingsOf(account) })));
  return ownedSection(owned, count - accounts.length);
}

async function accountPage(options: AccountPagesOptions, person: Person, account: Account, refused?: Refused): Promise<Response> {
  const body = accountBody({
    account,
    holdings: await options.holdingsOf(account),
    limits: await options.limitsOf(account),
    ...(await options.ownerTokens.list(account)),
    drawn: newId(),
    refused,
  });
  const { status = 200, retryAfterSeconds } = refused?.error ?? {};
  return renderPage({ title: account.subdomain, body, status, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }, person);
}

/** The page again, for a refusal that its reader can mend there; anything else goes on as it is. */
function again(options: AccountPagesOptions, person: Person, account: Account, form: Refused["form"], draft: Refused["draft"]) {
  return (error: unknown): Promise<Response> => {
    const mendable = ["invalid_input", "token_limit", "precondition_failed", "too_many_tries"];
    if (!(error instanceof PlatformError) || !mendable.includes(error.code)) throw error;
    return accountPage(options, person, account, { form, error, draft });
  };
}

async function makeToken({ ownerTokens, url, attempts }: Office, person: Person, account: Account, { form }: Visit): Promise<Response> {
  attempts.spend(TOKEN_BY_PERSON, person.id);
  const made = await ownerTokens.make({ account: account.id, person: person.id }, form);
  const body = madeBody({ ...made, account, token: made.secret, apiUrl: `${url.origin}/client/v4` });
  return renderPage({ title: "A new token", body }, person);
}

async function endAccount(options: AccountPagesOptions, person: Person, account: Account, { form }: Visit): Promise<Response> {
  const { ending, store, log } = options;
  if (form["subdomain"]?.trim() !== account.subdomain) {
    throw new PlatformError("invalid_input", { message: `what you typed is not ${account.subdomain}. Nothing was ended.` });
  }
  // Under the epoch at which the person was seen to own it.
  const by = { actors: [`person/${person.id}`], token: null, epoch: account.auth_epoch };
  const endedAt = store.clock.now();
  if (!(await ending.begin(account.id, "owner", by))) {
    throw new PlatformError("account_gone", { message: "This account ended a moment ago.", next: "There is nothing left to end." });
  }
  const erased = await ending.finish(account.id).then(
    () => true,
    (err: unknown) => {
      log.error({ err, account: account.id }, "an ended account could not be erased at once; the reaper goes on");
      return false;
    },
  );
  return renderPage({ title: "The account has ended", body: endedBody(account, endedAt, erased) }, person);
}

export function accountRoutes(given: AccountPagesOptions): PageRoute[] {
  const options: Office = { ...given, attempts: createAttempts(given.store.clock) };
  const { people, ownerTokens } = options;
  const owned =
    (handle: (person: Person, account: Account, visit: Visit) => Promise<Response>): PageRoute["handle"] =>
    async (visit) => {
      const person = await people.session(visit.headers);
      if (person === null) return seeOther("/sign-in");
      return handle(person, await ownerTokens.account(visit.params["account"] ?? "", person.id), visit);
    };
  return [
    { method: "GET", path: "/accounts/:account", handle: owned((person, account) => accountPage(options, person, account)) },
    {
      method: "POST",
      path: "/accounts/:account/tokens",
      handle: owned((person, account, visit) => {
        const { name, grant, life } = visit.form;
        const draft = { name: name?.slice(0, 200), grant, life };
        return makeToken(options, person, account, visit).catch(again(options, person, account, "token", draft));
      }),
    },
    {
      method: "POST",
      path: "/accounts/:account/tokens/:token/end",
      handle: owned(async (person, account, { params }) => {
        await ownerTokens.end({ account: account.id, person: person.id }, params["token"] ?? "");
        return seeOther(`/accounts/${account.id}`);
      }),
    },
    {
      method: "POST",
      path: "/accounts/:account/end",
      handle: owned((person, account, visit) =>
        endAccount(options, person, account, visit).catch(again(options, person, account, "end", {})),
      ),
    },
    ...(["/accounts/:account/tokens", "/accounts/:account/end", "/accounts/:account/tokens/:token/end"] as const).map(
      (path): PageRoute => ({
        method: "GET",
        path,
        handle: owned((_, account) => Promise.resolve(seeOther(`/accounts/${account.id}`))),
      }),
    ),
  ];
}
