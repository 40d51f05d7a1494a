// Reports of visitors as the operator's page and API need them; null where this installation takes none.
import type { AccountId } from "../../kernel/ids.ts";
import type { Operator } from "../http/routes.ts";

/** The texts are strangers', and null once the operator key of their month is gone. */
export type ReportLine = {
  readonly id: string;
  readonly at: string;
  readonly account: AccountId | null;
  readonly host: string;
  readonly kind: string;
  readonly state: "open" | "closed";
  readonly page: string | null;
  readonly text: string | null;
  readonly contact: string | null;
};

export type ReportDesk = {
  /** Open ones, the latest first. @param page.account of one account alone, closed ones too */
  list(page: { readonly account?: AccountId; readonly limit: number; readonly offset: number }): Promise<readonly ReportLine[]>;
  /** How many are open, by account; accounts without any are left out. */
  open(accounts: readonly AccountId[]): Promise<ReadonlyMap<AccountId, number>>;
  /** @throws PlatformError report_not_found */
  close(by: Operator, id: string): Promise<void>;
};
