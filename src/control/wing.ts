// The parts of this wing, put together from plain options: main.ts hands it the settings, tests their own.
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import type { Context, Hono } from "hono";
import { sql } from "kysely";
import type { CapsuleControl, CapsuleHost } from "../capsule/messages.ts";
import type { CapsuleLimits } from "../capsule/spec.ts";
import { clientAddresses } from "../kernel/client-address.ts";
import { agentLine } from "../kernel/agent-lines.ts";
import type { Clock } from "../kernel/clock.ts";
import { PlatformError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import { alarmWakes } from "./accounts/alarm-wakes.ts";
import { createCapsuleControl } from "./accounts/capsule-control.ts";
import { followCapsuleEvents } from "./accounts/capsule-events.ts";
import { createClaims, type Claims } from "./accounts/claim.ts";
import { cronWakes } from "./accounts/cron-wakes.ts";
import { createEnding } from "./accounts/ending.ts";
import { identityRoutes } from "./accounts/identity-routes.ts";
import { createLimits } from "./accounts/limits.ts";
import { createPages } from "./accounts/pages.ts";
import { provisioningRoutes } from "./accounts/provisioning.ts";
import { startReaper, sweepKeys, type Reaper } from "./accounts/reaper.ts";
import { startWakes, type Wakes } from "./accounts/wakes.ts";
import { createAdmission } from "./admission/admission.ts";
import { createApp } from "./app.ts";
import { createChange } from "./composer/change.ts";
import { createComposer, limitsByState, type Composer } from "./composer/composer.ts";
import { createOutside } from "./composer/outside.ts";
import { createApi, type Env } from "./http/api.ts";
import type { EndLeaked } from "./http/leaked.ts";
import { createMetrics } from "./http/metrics.ts";
import type { Route } from "./http/routes.ts";
import type { Upgrades } from "./http/upgrade.ts";
import { openKeys, type Keys } from "./keys/keys.ts";
import { createLogs } from "./logs/logs.ts";
import { openOffice } from "./operator/office.ts";
import { createPeople, type People } from "./people/people.ts";
import { keepReports } from "./operator/reports.ts";
import { reportPages } from "./operator/report-pages.ts";
import { authorize } from "./permissions/authorize.ts";
import type { Product, ProductContext, QuotaSettings } from "./products/product.ts";
import { createProducts } from "./products/registry.ts";
import { openStore, type Store } from "./store/store.ts";
import { openRefusals, type Refusals } from "./tokens/refusals.ts";
import { createOwnerTokens } from "./tokens/owner-tokens.ts";
import { endLeakedTokens } from "./tokens/leaked.ts";
import { openTokens, type Tokens } from "./tokens/tokens.ts";
import { openTokenUses, type TokenUses } from "./tokens/uses.ts";
import { openTrail, type Trail } from "./trail/trail.ts";

export type WingOptions = {
  readonly data: string;
  readonly databaseUrl: string | null;
  readonly masterKey: string | null;
  readonly url: URL;
  readonly edgeUrl: URL;
  readonly edgeDomain: string;
  readonly trustedProxies: readonly string[];
  readonly accountTtlSeconds: number;
  readonly accountTtlMaxSeconds: number;
  readonly powHashes: number;
  readonly powMaxHashes: number;
  readonly accountsPerHourPerIp: number;
  readonly accountsPerHour: number;
  readonly accountsMax: number;
  readonly diskReserveBytes: number;
  readonly connectionsPerAddress: number;
  readonly signUp: "open" | "verified" | "invite";
  readonly claimsPerDay: number;
  readonly quota: QuotaSettings;
  /** Of a temporary account. */
  readonly limits: CapsuleLimits;
  /** Ports outside that a claimed account's Workers may reach. */
  readonly egressPortsClaimed: CapsuleLimits["egress"]["ports"];
  readonly clock: Clock;
  readonly host: CapsuleHost;
  readonly log: Log;
};

export type Wing = AsyncDisposable & {
  readonly app: Hono<Env>;
  /** WebSockets that the listener hands on. */
  readonly upgrades: Upgrades;
  /** What host may ask. */
  readonly capsuleControl: CapsuleControl;
  readonly routes: readonly Route[];
  readonly store: Store;
  readonly keys: Keys;
  readonly people: People;
  readonly claims: Claims;
  readonly reaper: Reaper;
  readonly wakes: Wakes;
};

type Foundation = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly tokens: Tokens;
  readonly uses: TokenUses;
  readonly refusals: Refusals;
};

async function openFoundation(options: WingOptions, stack: AsyncDisposableStack): Promise<Foundation> {
  const store = stack.use(await openStore(options));
  const keys = openKeys(options);
  await sweepKeys(store, keys, options.log);
  // A crash between an account's last transaction and this leaves its rows in the log.
  await store.truncateLog();
  const trail = openTrail(store.db, keys);
  const uses = stack.use(openTokenUses({ store, log: options.log }));
  const tokens = openTokens({ store, keys, used: uses.note });
  const refusals = stack.use(openRefusals({ store, trail, log: options.log }));
  return { store, keys, trail, tokens, uses, refusals };
}

const urlBuilder =
  ({ edgeUrl, edgeDomain }: WingOptions) =>
  (label: string): string =>
    `${edgeUrl.protocol}//${label}.${edgeDomain}${edgeUrl.port && `:${edgeUrl.port}`}`;

type Require = ProductContext["require"];

const createRequire =
  (refusals: Refusals): Require =>
  (principal, action, resource) => {
    const decision = authorize(principal, action, resource);
    if (decision.allowed) return;
    const named = `${resource.product}/${resource.id}`;
    refusals.record(principal, action, named, decision.reason);
    throw new PlatformError("forbidden", { message: `This token does not hold ${action} on ${named}.` });
  };

const capsuleLimits = ({ limits, egressPortsClaimed }: WingOptions) => limitsByState(limits, egressPortsClaimed);

type Products = { readonly products: readonly Product[]; readonly composer: Composer };

function openProducts(options: WingOptions, foundation: Foundation, require: Require, rescheduled: () => void): Products {
  const { store, keys, trail } = foundation;
  const parts: { composer?: Composer } = {};
  const composer = (): Composer => {
    if (!parts.composer) throw new Error("A product changed an account before the composer was there");
    return parts.composer;
  };
  const products = createProducts({
    store,
    keys,
    trail,
    host: options.host,
    log: options.log,
    quota: options.quota,
    url: options.url,
    spool: join(options.data, "spool"),
    edge: { urlOf: urlBuilder(options), domain: options.edgeDomain, hasTls: options.edgeUrl.protocol === "https:" },
    change: createChange({ store, composer }),
    outside: createOutside({ store, trail }),
    rescheduled,
    require,
  });
  parts.composer = createComposer({
    products,
    host: options.host,
    limitsOf: capsuleLimits(options),
  });
  return { products, composer: parts.composer };
}

/** Ends whatever of the secrets can be made anew. */
function endsLeaked(foundation: Foundation, ...others: readonly { readonly endLeaked: EndLeaked }[]): EndLeaked {
  return async (secrets) => {
    await endLeakedTokens(foundation, secrets);
    for (const { endLeaked } of others) await endLeaked(secrets);
  };
}

/** Who asks, of a request in the app and of one that is to be upgraded. */
function callersBehind(trustedProxies: WingOptions["trustedProxies"]) {
  const clients = clientAddresses(trustedProxies);
  return {
    callerOf: (context: Context<Env>): string =>
      clients.of(context.env.incoming?.socket.remoteAddress ?? "0.0.0.0", context.req.header("x-forwarded-for")),
    peerOf: ({ socket, headers }: IncomingMessage): string =>
      clients.of(socket.remoteAddress ?? "0.0.0.0", headers["x-forwarded-for"]?.toString()),
  };
}

async function accountsByState(store: Store): Promise<Record<string, number>> {
  const rows = await store.db
    .selectFrom("accounts")
    .select(["state", (of) => of.fn.countAll<number>().as("count")])
    .groupBy("state")
    .execute();
  return Object.fromEntries(rows.map((row) => [row.state, row.count]));
}

const answers = (store: Store): Promise<boolean> =>
  sql`select 1`.execute(store.db).then(
    () => true,
    () => false,
  );

/** Opens everything and starts the reaper. @throws Error when the database or the keys cannot be opened */
export async function openWing(options: WingOptions): Promise<Wing> {
  await using opening = new AsyncDisposableStack();
  const { url, host, log } = options;
  const foundation = await openFoundation(options, opening);
  const { store, keys, trail, tokens, uses, refusals } = foundation;
  const require = createRequire(refusals);
  const clockwork: { wakes?: Wakes } = {};
  const rescheduled = (): void => clockwork.wakes?.look();
  const { products, composer } = openProducts(options, foundation, require, rescheduled);
  const urlOf = urlBuilder(options);
  const ending = createEnding({ store, keys, trail, host, products, log });
  const claims = createClaims({ store, keys, trail, tokens, composer, claimsPerDay: options.claimsPerDay, log });
  const admission = opening.use(createAdmission({ ...options, store, keys }));
  // Where the database does not answer, as of the last look.
  const admissionNow = () => admission.look().then(admission.stats, admission.stats);
  const people = createPeople({ store, keys, trail, url, signUp: options.signUp, log });
  const reaper = opening.use(startReaper({ store, keys, ending, log }));
  opening.use(keepReports(store, log));
  opening.use(followCapsuleEvents({ store, trail, composer, host, rescheduled, log }));
  const workers = products.find(({ name }) => name === "workers");
  if (!workers) throw new Error("The registry lacks Workers");
  const crons = products.flatMap(({ schedules }) => (schedules ? [cronWakes({ store, schedules, host, log })] : []));
  const wakes = opening.use(startWakes({ sources: [...crons, alarmWakes({ store, host, log })], clock: store.clock, log }));
  clockwork.wakes = wakes;
  const limitsOf = createLimits({ store, products, host, capsule: capsuleLimits(options) });
  const office = opening.use(
    await openOffice({
      ...options,
      ...foundation,
      products,
      composer,
      ending,
      people,
      admission: admissionNow,
      limitsOf,
      boundsOf: capsuleLimits(options),
      urlOf,
    }),
  );
  const endLeaked = endsLeaked(foundation, people, office);
  const logs = opening.use(createLogs({ store, keys, trail, tokens, host, workers, require, endLeaked, url, log }));
  const lifetime = { defaultSeconds: options.accountTtlSeconds, maxSeconds: options.accountTtlMaxSeconds };
  const claimUrl = (secret: string): string => `${url.origin}/claim#${secret}`;
  const routes = [
    ...admission.routes,
    ...provisioningRoutes({ store, keys, trail, tokens, admission, lifetime, claimUrl, urlOf }),
    ...identityRoutes({ store, trail, ending, urlOf, limitsOf, origin: url.origin }),
    ...products.flatMap((product) => product.routes),
    ...logs.routes,
    ...office.routes,
  ];
  const metrics = createMetrics({
    // Without the database the other figures are wanted all the more.
    accounts: () => accountsByState(store).catch(() => ({})),
    admission: admissionNow,
  });
  const { callerOf, peerOf } = callersBehind(options.trustedProxies);
  const api = createApi({
    routes,
    lookUp: tokens.lookUp,
    refused: refusals.record,
    operators: office.operators,
    addressOf: callerOf,
    observe: metrics.observe,
    origin: url.origin,
    log,
  });
  const pages = createPages({
    store,
    keys,
    claims,
    people,
    ownerTokens: createOwnerTokens({ store, trail, tokens, uses }),
    ending,
    urlOf,
    limitsOf,
    agentLines: [agentLine(url.origin)],
    url,
    addressOf: callerOf,
    further: [...office.pages, ...reportPages({ store, keys, trail, edgeDomain: options.edgeDomain })],
    refuseBanned: office.refuseBanned,
    log,
  });
  const app = createApp({ api, pages, host, metrics, url, endLeaked, log, databaseAnswers: () => answers(store) });
  const stack = opening.move();
  return {
    app,
    upgrades: { ...logs.upgrades, wants: (request) => !office.bans.refuses(peerOf(request)) && logs.upgrades.wants(request) },
    routes,
    store,
    keys,
    people,
    claims,
    reaper,
    wakes,
    capsuleControl: createCapsuleControl({ store, composer, products, endLeaked, bans: office.bans.active }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
