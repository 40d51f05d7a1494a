// Bans as forms: one is added, confirmed where it is wide, removed, and what its callers made is ended.
import { iso } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { check } from "../http/body.ts";
import { seeOther } from "../http/page.ts";
import type { PageRoute, Visit } from "../http/site.ts";
import type { Person } from "../people/person.ts";
import { BAN_LIVES, isBanLife } from "./ban-words.ts";
import { bansBody, endedOfRange, type BansView } from "./ban-view.ts";
import { newBan, type NewBan } from "./bans.ts";
import { madeFrom } from "./made-from.ts";
import { forOperators, mendable, show, type PagesDesk } from "./page-frame.ts";
import { fromOf } from "./views.ts";

const SHOWN = 50;
const MENDABLE: ReadonlySet<PlatformError["code"]> = new Set(["invalid_input", "ban_unconfirmed", "precondition_failed", "quota_exceeded"]);

function readForm({ form }: Visit, nowMs: number): NewBan {
  const life = form["life"] ?? "1d";
  if (!isBanLife(life)) throw new PlatformError("invalid_input", { message: "life: choose when the ban ends." });
  const forMs = BAN_LIVES[life][1];
  const { range, reason, confirm } = form;
  return check(newBan, { range, reason, confirm, expires_at: forMs === null ? null : iso(nowMs + forMs) }, "form");
}

async function madeOf(desk: PagesDesk, id: string | undefined): Promise<BansView["made"]> {
  if (id === undefined) return null;
  const ban = await desk.bans.find(id);
  return { ban, accounts: (await madeFrom(desk, ban.range)).length };
}

async function page(
  desk: PagesDesk,
  visit: Visit,
  person: Person,
  more: { made?: string | undefined; refused?: BansView["refused"] },
): Promise<Response> {
  const at = { offset: fromOf(visit.query), limit: SHOWN };
  const { bans, total } = await desk.bans.list(at);
  const { range = "", reason = "", life = "1d" } = more.refused?.form === "end" ? {} : visit.form;
  const body = bansBody({
    bans,
    page: { ...at, total },
    made: await madeOf(desk, more.made),
    draft: { range: range.slice(0, 60), reason: reason.slice(0, 600), life },
    refused: more.refused,
    address: visit.address,
  });
  return show("Bans", body, person, more.refused?.error);
}

export function banPages(desk: PagesDesk): PageRoute[] {
  const { bans, deeds, store } = desk;
  return [
    forOperators(desk, "GET", "/operations/bans", (visit, person) => page(desk, visit, person, { made: visit.query["made"] })),
    forOperators(desk, "POST", "/operations/bans", async (visit, person, by) => {
      try {
        const { id } = await bans.add(by, readForm(visit, store.clock.now()), visit.address);
        return seeOther(`/operations/bans?made=${id}`);
      } catch (error) {
        return page(desk, visit, person, { refused: { form: "add", error: mendable(error, MENDABLE) } });
      }
    }),
    forOperators(desk, "POST", "/operations/bans/:ban/remove", async ({ params }, _person, by) => {
      await bans.remove(by, params["ban"] ?? "");
      return seeOther("/operations/bans");
    }),
    forOperators(desk, "POST", "/operations/bans/:ban/end-accounts", async (visit, person, by) => {
      const { id, range } = await bans.find(visit.params["ban"] ?? "");
      if (visit.form["range"]?.trim() !== range) {
        const error = new PlatformError("invalid_input", { message: `what you typed is not ${range}. Nothing was ended.` });
        return page(desk, visit, person, { made: id, refused: { form: "end", error } });
      }
      const { ended, left } = await deeds.endMadeFrom(by, range);
      return show("Accounts ended", endedOfRange(range, ended.length, left), person);
    }),
  ];
}
