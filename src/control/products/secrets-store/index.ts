// Secrets stores: secrets of the account, which its Workers bind by name and the API never tells.
import { NOTHING, type Product, type ProductContext } from "../product.ts";
import { secretBinding } from "./binding.ts";
import { SECRETS_MAX, STORES_MAX } from "./quota.ts";
import { secretsStoreRoutes } from "./routes.ts";
import { countSecrets, listStores } from "./store.ts";
import { teardownSecretsStore } from "./teardown.ts";

export function createSecretsStore(context: ProductContext): Product {
  return {
    name: "secrets-store",
    routes: secretsStoreRoutes(context),
    resolve: async (tx, account, idOrName) => {
      const found = (await listStores(tx, account)).find(({ id, name }) => id === idOrName || name === idOrName);
      return found ? { id: found.id, name: found.name } : null;
    },
    bindings: [secretBinding(context.keys)],
    limits: async (db, { id }) => [
      { name: "secrets_store.stores", unit: "count", max: STORES_MAX, used: (await listStores(db, id)).length },
      { name: "secrets_store.secrets", unit: "count", max: SECRETS_MAX, used: await countSecrets(db, id) },
    ],
    // Which Workers bind a secret, their versions alone know.
    referencedBy: () => Promise.resolve([]),
    compose: () => Promise.resolve(NOTHING),
    teardown: teardownSecretsStore,
  };
}
