// D1: SQL databases, each one object in the account's process, reached by Workers and by the API alike.
import { join } from "node:path";
import type { Product, ProductContext } from "../product.ts";
import { d1Binding } from "./bindings.ts";
import { composeD1 } from "./compose.ts";
import { databaseRoutes } from "./database-routes.ts";
import { graphqlRoute } from "./graphql.ts";
import { Imports } from "./imports.ts";
import { openDatabaseKeeper } from "./keeper.ts";
import { openDatabases } from "./process.ts";
import { queryRoutes } from "./query-routes.ts";
import { databasesAllowed } from "./quota.ts";
import { Spool } from "./spool.ts";
import { findDatabase, listDatabases } from "./store.ts";
import { teardownD1 } from "./teardown.ts";
import { timeTravelRoutes } from "./time-travel-routes.ts";
import { transferRoutes } from "./transfer-routes.ts";

export function createD1(context: ProductContext): Product {
  const databases = openDatabases(context.host);
  const keeper = openDatabaseKeeper(context.host);
  const spool = new Spool({ directory: join(context.spool, "d1"), clock: context.store.clock });
  const imports = new Imports(context.store.clock, context.log);
  const { quota } = context;
  return {
    name: "d1",
    routes: [
      ...databaseRoutes(context, databases),
      ...queryRoutes(context, databases, keeper),
      ...transferRoutes(context, keeper, spool, imports),
      ...timeTravelRoutes(context, keeper),
      graphqlRoute,
    ],
    resolve: findDatabase,
    bindings: [d1Binding],
    limits: async (db, account) => {
      const all = await listDatabases(db, account.id);
      const held = await Promise.all(all.map(({ id }) => databases.sizes(account.id, id).catch(() => null)));
      // The cap is each database's, so the largest says how near it is.
      const largest = held.includes(null) ? null : Math.max(0, ...held.map((one) => one?.bytes ?? 0));
      return [
        { name: "d1.databases", unit: "count", max: databasesAllowed(quota, account.state), used: all.length },
        { name: "d1.database_bytes", unit: "bytes", max: quota.d1Bytes, used: largest },
      ];
    },
    referencedBy: () => Promise.resolve([]),
    compose: async (tx, account) => composeD1(await listDatabases(tx, account.id), quota.d1Bytes),
    teardown: (tx, account) => teardownD1(tx, account, [spool, imports]),
  };
}
