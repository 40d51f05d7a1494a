// Who am I, which accounts do I see, end this account: the calls behind `wrangler whoami` and their kin.
import { iso } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { AccountId } from "../../kernel/ids.ts";
import { success } from "../http/envelope.ts";
import { pageInfo, pageOf, type Page } from "../http/pagination.ts";
import { accountRoute, holderRoute, type Route } from "../http/routes.ts";
import type { Principal } from "../permissions/authorize.ts";
import type { Account, Store } from "../store/store.ts";
import type { Trail } from "../trail/trail.ts";
import type { Ending } from "./ending.ts";
import { endReasonFor, lifeOf } from "./lifecycle.ts";
import { DIFFERENCES } from "./differences.ts";
import { inSentence } from "./limit-words.ts";
import type { LimitsOf } from "./limits.ts";
import { accountOnWire } from "./names.ts";

export type IdentityOptions = {
  readonly store: Store;
  readonly trail: Trail;
  readonly ending: Ending;
  readonly urlOf: (label: string) => string;
  readonly limitsOf: LimitsOf;
  /** Public origin of the API. */
  readonly origin: string;
};

const verified = (principal: Principal) => ({
  id: principal.token,
  status: "active",
  ...(principal.expiresAtMs !== null && { expires_on: iso(principal.expiresAtMs) }),
});

const onPage = <T>(items: readonly T[], page: Page): readonly T[] => items.slice(page.offset, page.offset + page.perPage);

async function read(store: Store, id: AccountId): Promise<Account> {
  const account = await store.db.selectFrom("accounts").selectAll().where("id", "=", id).executeTakeFirst();
  if (!account) throw new PlatformError("account_not_found", { message: "account: there is no such account." });
  return account;
}

/** What the account may have, has, and how long it lives: short names that stay, and the same in words. */
async function limitsOnWire({ store, limitsOf, origin }: IdentityOptions, id: AccountId) {
  const account = await read(store, id);
  const { state, expires_at } = account;
  const leftSeconds = expires_at === null ? null : Math.max(0, Math.floor((expires_at - store.clock.now()) / 1000));
  return {
    state,
    expires_at: expires_at === null ? null : iso(expires_at),
    left_seconds: leftSeconds,
    limits: (await limitsOf(account)).map(({ freesAtMs, ...limit }) => ({
      ...limit,
      ...(freesAtMs !== undefined && { frees_at: freesAtMs === null ? null : iso(freesAtMs) }),
      message: inSentence({ ...limit, freesAtMs: freesAtMs ?? null }),
    })),
    differences: DIFFERENCES,
    docs: `${origin}/errors#quota_exceeded`,
  };
}

export function identityRoutes(options: IdentityOptions): Route[] {
  const { store, trail, ending, urlOf } = options;
  const wire = async (id: AccountId) => accountOnWire(await read(store, id), urlOf, store.clock.now());
  const listed = (call: { readonly url: URL }, items: readonly unknown[]): Response => {
    const page = pageOf(call.url);
    const shown = onPage(items, page);
    return success(shown, { info: pageInfo(page, shown.length, items.length) });
  };
  return [
    holderRoute("GET", "/user/tokens/verify", "a token may learn that it is alive", async (call) => success(verified(call.principal))),
    holderRoute("GET", "/user", "answers that an account's token belongs to no user", () => {
      throw new PlatformError("no_user", { message: "This token belongs to an account, not to a user." });
    }),
    holderRoute("GET", "/accounts", "a token sees its own account", async (call) => listed(call, [await wire(call.principal.account)])),
    holderRoute("GET", "/memberships", "a token sees its own account", async (call) => {
      const { id, name } = await wire(call.principal.account);
      const role = { id: call.principal.kind, name: call.principal.kind === "agent" ? "Agent" : "Owner" };
      return listed(call, [{ id: call.principal.token, status: "accepted", account: { id, name }, roles: [role] }]);
    }),
    accountRoute("GET", "/accounts/:account", { action: "account:read", product: "account" }, async (call) =>
      success(await wire(call.account)),
    ),
    accountRoute("GET", "/accounts/:account/limits", { action: "account:read", product: "account" }, async (call) =>
      success(await limitsOnWire(options, call.account)),
    ),
    accountRoute("GET", "/accounts/:account/tokens/verify", { action: "account:read", product: "account" }, async (call) =>
      success(verified(call.principal)),
    ),
    accountRoute("GET", "/accounts/:account/trail", { action: "trail:read", product: "account" }, async (call) => {
      const page = pageOf(call.url);
      const lines = await trail.read(call.account, { limit: page.perPage, offset: page.offset });
      return success(
        lines.map((line) => ({ ...line, at: iso(line.at) })),
        { info: { page: page.page, per_page: page.perPage, count: lines.length } },
      );
    }),
    accountRoute("DELETE", "/accounts/:account", { action: "account:end", product: "account" }, async (call) => {
      const begun = await ending.begin(call.account, endReasonFor(call.principal.kind), call.principal);
      if (!begun && lifeOf(await read(store, call.account), store.clock.now()) === "live") {
        throw new PlatformError("token_refused", {
          message: "A person claimed this account while the request was on its way; the token ended with that.",
          next: "Ask the person who claimed it for a new token.",
        });
      }
      await ending.finish(call.account).catch((cause: unknown) => {
        throw new PlatformError("capsule_failed", {
          message: "The account has ended and its token with it, but what it held could not be erased at once.",
          next: "Nothing is left for you to do: erasing is tried again until it is done.",
          cause,
        });
      });
      return success({ id: call.account });
    }),
  ];
}
