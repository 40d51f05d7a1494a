// The operator's side of what visitors report: read, counted, closed.
import type { AccountId } from "../../kernel/ids.ts";
import type { Operator } from "../http/routes.ts";
import { closeReport, countOpen, listReports, type Desk, type Report } from "./reports.ts";

export type ReportPage = { readonly reports: readonly Report[]; readonly total: number };

export type ReportDesk = {
  /** Open ones, the latest first. @param page.account of one account alone, closed ones too */
  list(page: { readonly account?: AccountId; readonly limit: number; readonly offset: number }): Promise<ReportPage>;
  /** How many are open, by account; accounts without any are left out. */
  open(accounts: readonly AccountId[]): Promise<ReadonlyMap<AccountId, number>>;
  /** One that is closed already stays so. @throws PlatformError report_not_found */
  close(by: Operator, id: string): Promise<void>;
};

export const createReportDesk = (desk: Desk): ReportDesk => ({
  list: ({ account, ...page }) => listReports(desk, { ...page, ...(account === undefined ? { state: "open" } : { account }) }),
  open: (accounts) => countOpen(desk.store, accounts),
  close: (by, id) => closeReport(desk, id, by),
});
