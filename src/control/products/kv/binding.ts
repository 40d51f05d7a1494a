// The binding `kv_namespace`: workerd's own, over the account's KV service.
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import type { BindingKind, Fields } from "../product.ts";
import { propsOf, SERVICE } from "./compose.ts";
import { findNamespace, namespaceIds } from "./store.ts";

const fields = z.object({ namespace_id: z.string().min(1).max(200) });

const idOf = (given: Fields): string => fields.parse(given).namespace_id;

export const kvBinding: BindingKind = {
  type: "kv_namespace",
  fields,
  settle: async (db, account, given) => {
    const id = idOf(given);
    if (!(await findNamespace(db, account, id))) {
      throw new PlatformError("kv_binding_unknown", {
        message: `bindings: KV namespace ${JSON.stringify(id)} is not valid: this account has none with that namespace_id.`,
      });
    }
    return { action: "kv:write", resource: { account, product: "kv", id } };
  },
  compose: async (db, account) => {
    const ids = new Set(await namespaceIds(db, account));
    return (given) => {
      const id = idOf(given);
      return ids.has(id) ? { kind: "kv", service: SERVICE, props: propsOf(id) } : null;
    };
  },
  describe: (given) => `The KV namespace ${JSON.stringify(idOf(given))}`,
};
