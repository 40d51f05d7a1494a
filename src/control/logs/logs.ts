// What an account's holder can see of what its Workers do: kept records, records as they come, figures by the minute
// and `wrangler tail`. Nothing here outlives the token that asked.
import type { CapsuleHost } from "../../capsule/messages.ts";
import type { Log } from "../../kernel/log.ts";
import { success } from "../http/envelope.ts";
import type { EndLeaked } from "../http/leaked.ts";
import { accountRoute, type AccountCall, type Route } from "../http/routes.ts";
import { createUpgrades, type Upgrades } from "../http/upgrade.ts";
import type { Keys } from "../keys/keys.ts";
import type { Product, ProductContext } from "../products/product.ts";
import type { Store } from "../store/store.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { Trail } from "../trail/trail.ts";
import { openFollowing, type Following } from "./following.ts";
import { readFollowQuery, readLogQuery, readMetricsQuery, wantsFollow } from "./query.ts";
import { openTailCapabilities } from "./tail-capability.ts";
import { CONNECT_PATH, tailRoutes } from "./tail-routes.ts";
import { connectTail } from "./tailing.ts";
import { openTails } from "./tails.ts";
import { openWatch } from "./watch.ts";
import { droppedOnWire, metricsOnWire, recordOnWire } from "./wire.ts";

export type LogsOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly tokens: Pick<Tokens, "standing">;
  readonly host: Pick<CapsuleHost, "logs" | "follow" | "tail" | "metrics">;
  /** The product that knows which Workers there are. */
  readonly workers: Product;
  readonly require: ProductContext["require"];
  readonly endLeaked: EndLeaked;
  readonly url: URL;
  readonly log: Log;
};

export type Logs = AsyncDisposable & {
  readonly routes: readonly Route[];
  /** Where tails are opened. */
  readonly upgrades: Upgrades;
};

const READ = { action: "logs:read", product: "account" } as const;

async function readLogs({ host, store }: LogsOptions, call: AccountCall): Promise<Response> {
  const page = await host.logs(readLogQuery(call.account, call.url, store.clock.now()));
  const dropped = droppedOnWire(page);
  return success(page.records.map(recordOnWire), {
    info: { count: page.records.length, cursor: page.cursor ?? "" },
    messages: dropped === null ? [] : [dropped],
  });
}

function recordRoutes(options: LogsOptions, following: Following): Route[] {
  const { host, store } = options;
  return [
    accountRoute("GET", "/accounts/:account/logs", READ, (call) =>
      wantsFollow(call.request, call.url) ? following.open(call, readFollowQuery(call.account, call.url)) : readLogs(options, call),
    ),
    accountRoute("GET", "/accounts/:account/metrics", READ, async (call) => {
      const query = readMetricsQuery(call.account, call.url, store.clock.now());
      return success(metricsOnWire(await host.metrics(query), query));
    }),
  ];
}

export function createLogs(options: LogsOptions): Logs {
  const { store, keys, trail, tokens, host, workers, require, endLeaked, url, log } = options;
  const watch = openWatch({ tokens, clock: store.clock, log });
  const following = openFollowing({ host, watch, log });
  const tails = openTails({ store, trail, workers, require, log });
  const capabilities = openTailCapabilities(keys.signing("tail"), store.clock);
  const stop = async (): Promise<void> => {
    watch[Symbol.dispose]();
    following.stop();
    await tails.stop();
  };
  return {
    routes: [...recordRoutes(options, following), ...tailRoutes({ host, tails, capabilities, url })],
    upgrades: createUpgrades({
      url,
      path: CONNECT_PATH,
      connect: (call) => connectTail({ host, tails, capabilities, watch, log }, call),
      stop,
      endLeaked,
      log,
    }),
    [Symbol.asyncDispose]: stop,
  };
}
