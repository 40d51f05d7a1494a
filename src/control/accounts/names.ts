// How an account presents itself: its name carries the edge's address whole, because wrangler prints the name
// as it is but drops scheme and port of every host name.
import { iso } from "../../kernel/clock.ts";
import type { Account } from "../store/store.ts";
import { lifeOf } from "./lifecycle.ts";

/** @param urlOf turns a host label into the URL at which it answers */
export function accountName(account: Pick<Account, "subdomain">, urlOf: (label: string) => string): string {
  return `${account.subdomain} (Workers answer at ${urlOf(`NAME--${account.subdomain}`)})`;
}

/** The account as the v4 API shows it, with what only Mayfly knows under `mayfly`. */
export function accountOnWire(account: Account, urlOf: (label: string) => string, nowMs: number) {
  return {
    id: account.id,
    name: accountName(account, urlOf),
    type: "standard",
    created_on: iso(account.created_at),
    settings: { enforce_twofactor: false },
    mayfly: {
      state: lifeOf(account, nowMs) === "late" ? "ending" : account.state,
      subdomain: account.subdomain,
      expires_at: account.expires_at === null ? null : iso(account.expires_at),
      suspended:
        account.suspended_at === null
          ? null
          : { at: iso(account.suspended_at), by: account.suspended_by, reason: account.suspended_reason },
    },
  };
}
