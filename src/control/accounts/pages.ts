// All pages of this installation: the claim's, an owner's, and those of people.
import type { Context, Hono } from "hono";
import type { Env } from "../http/api.ts";
import { createSite, type PageRoute, type SiteOptions } from "../http/site.ts";
import { peoplePages } from "../people/pages.ts";
import { accountRoutes, ownedBy, type AccountPagesOptions } from "./account-pages.ts";
import { claimRoutes, type ClaimPagesOptions } from "./claim-pages.ts";
import { createHoldings } from "./holdings.ts";

export type PagesOptions = Omit<AccountPagesOptions & ClaimPagesOptions, "holdingsOf"> & {
  /** Turns a host label into the URL at which a Worker answers. */
  readonly urlOf: (label: string) => string;
  /** What an agent runs, one command a line, as start prints it. */
  readonly agentLines: readonly string[];
  readonly addressOf: (context: Context<Env>) => string;
  /** Pages beside these. */
  readonly further?: readonly PageRoute[];
} & Pick<SiteOptions, "refuseBanned">;

/** To be mounted at the root after everything else. */
export function createPages({ urlOf, agentLines, addressOf, refuseBanned, further = [], ...options }: PagesOptions): Hono<Env> {
  const { store, keys, people, url, log } = options;
  const desk = { ...options, holdingsOf: createHoldings(store, urlOf) };
  const routes = [
    ...claimRoutes(desk),
    ...accountRoutes(desk),
    ...peoplePages({ people, keys, clock: store.clock, url, agentLines, ownedBy: (person) => ownedBy(desk, person) }),
    ...further,
  ];
  return createSite({ routes, url, addressOf, log, ...(refuseBanned && { refuseBanned }) });
}
