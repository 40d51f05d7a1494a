// The operator's room, put together: what it hands to the API, to the pages and to host.
import type { CapsuleHost } from "../../capsule/messages.ts";
import type { CapsuleLimits } from "../../capsule/spec.ts";
import type { Log } from "../../kernel/log.ts";
import type { Ending } from "../accounts/ending.ts";
import { createHoldings } from "../accounts/holdings.ts";
import type { LimitsOf } from "../accounts/limits.ts";
import type { Composer } from "../composer/composer.ts";
import type { ApiOptions } from "../http/api.ts";
import type { Route } from "../http/routes.ts";
import type { PageRoute } from "../http/site.ts";
import type { Keys } from "../keys/keys.ts";
import type { People } from "../people/people.ts";
import type { Account, Store } from "../store/store.ts";
import type { Refusals } from "../tokens/refusals.ts";
import type { Trail } from "../trail/trail.ts";
import { openBans, type Bans } from "./bans.ts";
import { capTable, type CapTableOptions } from "./cap-table.ts";
import { createDeeds } from "./deeds.ts";
import { createOperatorKeys, type OperatorKeys } from "./operator-keys.ts";
import type { OverviewOptions } from "./overview.ts";
import { operatorPages } from "./pages.ts";
import { createReportDesk } from "./report-desk.ts";
import { operatorRoutes } from "./routes.ts";
import { createSight } from "./sight.ts";

export type OfficeOptions = Omit<CapTableOptions, "limitsOf"> & {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly refusals: Refusals;
  readonly composer: Composer;
  readonly ending: Ending;
  readonly people: People;
  readonly host: CapsuleHost;
  readonly admission: OverviewOptions["admission"];
  /** What an account may have, and has. */
  readonly limitsOf: LimitsOf;
  /** What host keeps its process to. */
  readonly boundsOf: (account: Pick<Account, "state">) => CapsuleLimits;
  readonly urlOf: (label: string) => string;
  readonly url: URL;
  readonly log: Log;
};

export type Office = AsyncDisposable & {
  readonly routes: readonly Route[];
  readonly pages: readonly PageRoute[];
  readonly bans: Bans;
  /** For the API. */
  readonly operators: NonNullable<ApiOptions["operators"]>;
  /** Ends operators' keys that stood where others can read them. */
  readonly endLeaked: OperatorKeys["endLeaked"];
  /** For the pages: an operator who is signed in is never locked out. @throws PlatformError address_banned */
  refuseBanned(address: string, headers: Headers): Promise<void>;
};

export async function openOffice(options: OfficeOptions): Promise<Office> {
  const { store, people, boundsOf } = options;
  const bans = await openBans(options);
  const keyring = createOperatorKeys(options);
  const reportDesk = createReportDesk(options);
  const desk = {
    ...options,
    bans,
    keyring,
    reportDesk,
    deeds: createDeeds(options),
    sight: createSight({ store, host: options.host, limitsOf: boundsOf, reports: reportDesk.open }),
    holdingsOf: createHoldings(store, options.urlOf),
    caps: () => capTable({ ...options, limitsOf: boundsOf }),
  };
  return {
    routes: operatorRoutes(desk),
    pages: operatorPages(desk),
    bans,
    operators: { lookUp: keyring.lookUp, refuseBanned: bans.refuse },
    endLeaked: keyring.endLeaked,
    refuseBanned: async (address, headers) => {
      if (bans.refuses(address) && (await people.session(headers))?.role !== "operator") bans.refuse(address);
    },
    [Symbol.asyncDispose]: () => bans[Symbol.asyncDispose](),
  };
}
