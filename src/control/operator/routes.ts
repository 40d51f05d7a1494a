// The operator's API, for scripts: what the page shows and does, by key. Every deed is one call.
import { z } from "zod";
import type { Store } from "../store/store.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { check, readJson } from "../http/body.ts";
import { success } from "../http/envelope.ts";
import { pageInfo, pageOf } from "../http/pagination.ts";
import { operatorRoute, type OperatorCall, type Route } from "../http/routes.ts";
import { newBan, reason, type Bans } from "./bans.ts";
import type { CapRow } from "./cap-table.ts";
import type { Deeds } from "./deeds.ts";
import { dossierOf, type DossierOptions } from "./dossier.ts";
import { madeFrom } from "./made-from.ts";
import { overviewOf, type OverviewOptions } from "./overview.ts";
import type { ReportDesk } from "./report-desk.ts";
import { FILTERS, SORTS, type Sight } from "./sight.ts";
import { banOnWire, dossierOnWire, lineOnWire, overviewOnWire, reportOnWire } from "./wire.ts";

const TRAIL_SHOWN = 100;

export type OperatorDesk = DossierOptions &
  OverviewOptions & {
    readonly store: Store;
    readonly sight: Sight;
    readonly bans: Bans;
    readonly deeds: Deeds;
    readonly reportDesk: ReportDesk;
    readonly caps: () => Promise<readonly CapRow[]>;
  };

const question = z.object({
  sort: z.enum(SORTS, `one of ${SORTS.join(", ")}`).default("load"),
  filter: z.enum(FILTERS, `one of ${FILTERS.join(", ")}`).default("live"),
  search: z.string().max(300, "longer than 300 characters").default(""),
  limit: z.coerce.number().int().min(1).max(1000).default(50),
  cursor: z.string().max(100, "not a cursor of this list").default(""),
});

const suspension = z.strictObject({ reason });
const bannedWith = z.strictObject({ ...newBan.shape });

/** Where the next page begins. Loads change while somebody reads, so a page may hold again what the one before held. */
const cursorOf = (offset: number): string => Buffer.from(`from ${offset}`).toString("base64url");

function offsetOf(cursor: string): number {
  if (cursor === "") return 0;
  const [, digits] = /^from (\d{1,9})$/.exec(Buffer.from(cursor, "base64url").toString()) ?? [];
  if (digits === undefined) throw new PlatformError("invalid_input", { message: "cursor: not one that this list answered." });
  return Number(digits);
}

const account = ({ params }: OperatorCall): string => params["id"] ?? "";

function accountRoutes(desk: OperatorDesk): Route[] {
  const { store, sight, deeds } = desk;
  const line = async (id: string) => lineOnWire(await sight.line(await deeds.account(id)), store.clock.now());
  return [
    operatorRoute("GET", "/operator/accounts", "read", async ({ url }) => {
      const { cursor, ...asked } = check(question, Object.fromEntries(url.searchParams), "query");
      const offset = offsetOf(cursor);
      const { lines, total, hostAnswers } = await sight.look({ ...asked, offset });
      const next = offset + lines.length < total && lines.length > 0 ? cursorOf(offset + lines.length) : "";
      return success(
        lines.map((one) => lineOnWire(one, store.clock.now())),
        {
          info: { count: lines.length, total_count: total, cursor: next },
          ...(!hostAnswers && { messages: ["The part of this installation that runs Workers does not answer: loads are unknown."] }),
        },
      );
    }),
    operatorRoute("GET", "/operator/accounts/:id", "read", async (call) => {
      const found = await deeds.account(account(call));
      return success(dossierOnWire(await dossierOf(desk, found, { limit: TRAIL_SHOWN, offset: 0 }), store.clock.now()));
    }),
    operatorRoute("POST", "/operator/accounts/:id/suspend", "full", async (call) => {
      const { reason: why } = await readJson(call.request, suspension);
      const { id } = await deeds.suspend(call.operator, account(call), why);
      return success(await line(id));
    }),
    operatorRoute("POST", "/operator/accounts/:id/release", "full", async (call) => {
      const { id } = await deeds.release(call.operator, account(call));
      return success(await line(id));
    }),
    operatorRoute("DELETE", "/operator/accounts/:id", "full", async (call) => {
      const { account: ended, erased } = await deeds.end(call.operator, account(call));
      const messages = erased ? [] : ["What it held could not be erased at once; that is tried again until it is done."];
      return success({ id: ended.id, erased }, { messages });
    }),
  ];
}

function banRoutes({ store, keys, bans, deeds }: OperatorDesk): Route[] {
  return [
    operatorRoute("GET", "/operator/bans", "read", async ({ url }) => {
      const page = pageOf(url);
      const { bans: listed, total } = await bans.list({ limit: page.perPage, offset: page.offset });
      return success(listed.map(banOnWire), { info: pageInfo(page, listed.length, total) });
    }),
    operatorRoute("POST", "/operator/bans", "full", async (call) => {
      const made = await bans.add(call.operator, await readJson(call.request, bannedWith), call.address);
      const accounts = await madeFrom({ store, keys }, made.range);
      return success({ ...banOnWire(made), unclaimed_accounts_of_the_hour: accounts.length });
    }),
    operatorRoute("POST", "/operator/bans/:id/end-accounts", "full", async (call) => {
      const { range } = await bans.find(account(call));
      return success(await deeds.endMadeFrom(call.operator, range));
    }),
    operatorRoute("DELETE", "/operator/bans/:id", "full", async (call) => {
      await bans.remove(call.operator, account(call));
      return success({ id: account(call) });
    }),
  ];
}

function reportRoutes({ reportDesk }: OperatorDesk): Route[] {
  return [
    operatorRoute("GET", "/operator/reports", "read", async ({ url }) => {
      const page = pageOf(url);
      const { reports, total } = await reportDesk.list({ limit: page.perPage, offset: page.offset });
      return success(reports.map(reportOnWire), { info: pageInfo(page, reports.length, total) });
    }),
    operatorRoute("POST", "/operator/reports/:id/close", "full", async (call) => {
      await reportDesk.close(call.operator, account(call));
      return success({ id: account(call) });
    }),
  ];
}

export function operatorRoutes(desk: OperatorDesk): Route[] {
  return [
    operatorRoute("GET", "/operator/overview", "read", async () => success(overviewOnWire(await overviewOf(desk)))),
    operatorRoute("GET", "/operator/caps", "read", async () => success(await desk.caps())),
    ...accountRoutes(desk),
    ...banRoutes(desk),
    ...reportRoutes(desk),
  ];
}
