// The binding `secrets_store_secret`: the text of one secret, by `get()`. Who binds it lets code read what the API
// never answers, and needs to be allowed to write the store.
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import type { Keys } from "../../keys/keys.ts";
import { ownService, type BindingKind } from "../product.ts";
import { listSecrets } from "./store.ts";

const SERVICE = "secrets-store";

const fields = z.object({ store_id: z.string().min(1).max(200), secret_name: z.string().min(1).max(255) });

const shown = (text: string): string => JSON.stringify(text.slice(0, 80));

export function secretBinding(keys: Keys): BindingKind {
  return {
    type: "secrets_store_secret",
    fields,
    settle: async (db, account, given) => {
      const { store_id: id, secret_name: name } = fields.parse(given);
      const secrets = await listSecrets(db, keys, account);
      const found = secrets.find((secret) => secret.storeId === id && secret.name === name);
      if (!found) {
        throw new PlatformError("invalid_upload", {
          message: `bindings: the secret ${shown(name)} is not in a secrets store ${shown(id)} of this account.`,
          next: "Make it first: POST secrets_store/stores/{id}/secrets.",
        });
      }
      if (!found.scopes.includes("workers")) {
        throw new PlatformError("invalid_upload", {
          message: `bindings: the secret ${shown(name)} has not the scope workers.`,
          next: "Add workers to its scopes and deploy again.",
        });
      }
      return { action: "secrets-store:write", resource: { account, product: "secrets-store", id } };
    },
    compose: async (db, account) => {
      const secrets = await listSecrets(db, keys, account);
      return (given) => {
        const { store_id: id, secret_name: name } = fields.parse(given);
        const found = secrets.find((secret) => secret.storeId === id && secret.name === name && secret.scopes.includes("workers"));
        return { kind: "service", service: SERVICE, entrypoint: "Secret", props: JSON.stringify({ name, value: found?.value }) };
      };
    },
    services: [ownService(SERVICE)],
    describe: (given) => `The secret ${shown(fields.parse(given).secret_name)}`,
  };
}
