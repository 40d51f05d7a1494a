// The operator's pages. Only a person with the role is answered: everybody else is told what they would be told of a page
// that does not exist. All of it works without script, and every deed is a form.
import { PlatformError } from "../../kernel/errors.ts";
import { newId } from "../../kernel/ids.ts";
import { seeOther } from "../http/page.ts";
import type { PageRoute, Visit } from "../http/site.ts";
import type { Operator } from "../http/routes.ts";
import { check } from "../http/body.ts";
import type { Person } from "../people/person.ts";
import { reason } from "./bans.ts";
import { banPages } from "./ban-pages.ts";
import { capsBody } from "./cap-view.ts";
import { dossierOf } from "./dossier.ts";
import { dossierBody, endedBody, type Refused } from "./dossier-view.ts";
import { keysBody, madeKeyBody } from "./key-view.ts";
import { overviewBody } from "./overview-view.ts";
import { overviewOf } from "./overview.ts";
import { reportsBody } from "./report-view.ts";
import { FILTERS, SORTS, type Filter, type Question, type Sort } from "./sight.ts";
import { forOperators, mendable, show, type PagesDesk } from "./page-frame.ts";
import { fromOf } from "./views.ts";

const ACCOUNTS_SHOWN = 25;
const TRAIL_SHOWN = 50;
const REPORTS_SHOWN = 100;

const oneOf = <T extends string>(choices: readonly T[], given: string | undefined): T | undefined =>
  choices.find((choice) => choice === given);

function questionOf(query: Visit["query"]): Question {
  const search = (query["search"] ?? "").slice(0, 300);
  const sort: Sort = oneOf(SORTS, query["sort"]) ?? "load";
  // Whoever looks for one account wants it in whatever state it is.
  const filter: Filter = oneOf(FILTERS, query["filter"]) ?? (search.trim() === "" ? "live" : "any");
  return { sort, filter: search.trim() !== "" && filter === "live" ? "any" : filter, search, limit: ACCOUNTS_SHOWN, offset: fromOf(query) };
}

async function overview(desk: PagesDesk, visit: Visit, person: Person): Promise<Response> {
  const question = questionOf(visit.query);
  const body = overviewBody({
    overview: await overviewOf(desk),
    question,
    seen: await desk.sight.look(question),
    nowMs: desk.store.clock.now(),
  });
  return show("Operations", body, person);
}

const trailLength = async ({ store }: PagesDesk, account: string): Promise<number> =>
  (
    await store.db
      .selectFrom("trail")
      .select((of) => of.fn.countAll<number>().as("count"))
      .where("account_id", "=", account as never)
      .executeTakeFirstOrThrow()
  ).count;

async function accountPage(desk: PagesDesk, visit: Visit, person: Person, refused?: Refused): Promise<Response> {
  const account = await desk.deeds.account(visit.params["account"] ?? "");
  const trail = { limit: TRAIL_SHOWN, offset: fromOf(visit.query) };
  const body = dossierBody({
    dossier: await dossierOf(desk, account, trail),
    reports: (await desk.reportDesk.list({ account: account.id, limit: REPORTS_SHOWN, offset: 0 })).reports,
    trail: { ...trail, total: await trailLength(desk, account.id) },
    refused,
    nowMs: desk.store.clock.now(),
  });
  return show(account.subdomain, body, person, refused?.error);
}

function accountDeed(desk: PagesDesk, form: Refused["form"], deed: (visit: Visit, by: Operator) => Promise<Response | null>): PageRoute {
  return forOperators(desk, "POST", `/operations/accounts/:account/${form}`, async (visit, person, by) => {
    try {
      return (await deed(visit, by)) ?? seeOther(`/operations/accounts/${visit.params["account"] ?? ""}`);
    } catch (error) {
      return accountPage(desk, visit, person, { form, error: mendable(error), reason: visit.form["reason"]?.slice(0, 600) ?? "" });
    }
  });
}

function accountPages(desk: PagesDesk): PageRoute[] {
  const { deeds } = desk;
  const id = (visit: Visit): string => visit.params["account"] ?? "";
  const endPage = forOperators(desk, "POST", "/operations/accounts/:account/end", async (visit, person, by) => {
    const { subdomain } = await deeds.account(id(visit));
    if (visit.form["subdomain"]?.trim() !== subdomain) {
      const error = new PlatformError("invalid_input", { message: `what you typed is not ${subdomain}. Nothing was ended.` });
      return accountPage(desk, visit, person, { form: "end", error, reason: "" });
    }
    const { account, endedAtMs, erased } = await deeds.end(by, id(visit));
    return show("The account has ended", endedBody(account, endedAtMs, erased), person);
  });
  return [
    forOperators(desk, "GET", "/operations/accounts/:account", (visit, person) => accountPage(desk, visit, person)),
    accountDeed(desk, "suspend", async (visit, by) => {
      await deeds.suspend(by, id(visit), check(reason, visit.form["reason"], "reason"));
      return null;
    }),
    accountDeed(desk, "release", async (visit, by) => {
      await deeds.release(by, id(visit));
      return null;
    }),
    endPage,
    ...(["suspend", "release", "end"] as const).map((deed) =>
      forOperators(desk, "GET", `/operations/accounts/:account/${deed}`, (visit) =>
        Promise.resolve(seeOther(`/operations/accounts/${id(visit)}`)),
      ),
    ),
  ];
}

const KEY_MENDABLE: ReadonlySet<PlatformError["code"]> = new Set(["invalid_input", "precondition_failed", "operator_key_limit"]);

function keyPages(desk: PagesDesk): PageRoute[] {
  const { keyring, url } = desk;
  const page = async (person: Person, form: Visit["form"], error?: PlatformError): Promise<Response> => {
    const draft = { name: form["name"]?.slice(0, 200) ?? "", access: form["access"] ?? "read", life: form["life"] ?? "30d" };
    const body = keysBody({ ...(await keyring.list()), drawn: newId(), draft, error });
    return show("Operator's keys", body, person, error);
  };
  return [
    forOperators(desk, "GET", "/operations/keys", (_visit, person) => page(person, {})),
    forOperators(desk, "POST", "/operations/keys", async ({ form }, person, by) => {
      try {
        const made = await keyring.make(by, form);
        return await show("An operator's key", madeKeyBody(made, `${url.origin}/client/v4`), person);
      } catch (error) {
        return page(person, form, mendable(error, KEY_MENDABLE));
      }
    }),
    forOperators(desk, "POST", "/operations/keys/:key/end", async ({ params }, _person, by) => {
      await keyring.end(by, params["key"] ?? "");
      return seeOther("/operations/keys");
    }),
  ];
}

function reportPages(desk: PagesDesk): PageRoute[] {
  const { reportDesk } = desk;
  return [
    forOperators(desk, "GET", "/operations/reports", async ({ query }, person) => {
      const page = { limit: REPORTS_SHOWN, offset: fromOf(query) };
      return show("Reports", reportsBody(await reportDesk.list(page), page), person);
    }),
    forOperators(desk, "POST", "/operations/reports/:report/close", async ({ params, form }, _person, by) => {
      await reportDesk.close(by, params["report"] ?? "");
      const [back] = /^\/operations\/accounts\/[0-9a-f]{32}$/.exec(form["back"] ?? "") ?? ["/operations/reports"];
      return seeOther(back as `/${string}`);
    }),
  ];
}

/** All of them, to be served by createSite. */
export function operatorPages(desk: PagesDesk): PageRoute[] {
  return [
    forOperators(desk, "GET", "/operations", (visit, person) => overview(desk, visit, person)),
    forOperators(desk, "GET", "/operations/caps", async (_visit, person) => show("Caps", capsBody(await desk.caps()), person)),
    ...accountPages(desk),
    ...banPages(desk),
    ...keyPages(desk),
    ...reportPages(desk),
  ];
}
