// The binding `d1`: a database of the account, by its id.
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import type { BindingKind } from "../product.ts";
import { propsOf, SERVICE } from "./compose.ts";
import { findDatabase, listDatabases } from "./store.ts";

const fields = z.object({ id: z.string("binding of type d1 must have a valid `id` specified") });
const idOf = (kept: unknown): string => fields.parse(kept).id;

export const d1Binding: BindingKind = {
  type: "d1",
  fields,
  settle: async (db, account, kept) => {
    const id = idOf(kept);
    const found = await findDatabase(db, account, id);
    if (found?.id === id) return { action: "d1:write", resource: { account, product: "d1", id } };
    throw new PlatformError("invalid_upload", {
      message: `binding of type d1 must have a valid \`id\` specified: this account has no database with the id ${JSON.stringify(id.slice(0, 80))}.`,
      next: "List its databases with `wrangler d1 list`, or leave database_id out of the configuration and let the deploy make one.",
    });
  },
  compose: async (db, account) => {
    const ids = new Set((await listDatabases(db, account)).map(({ id }) => id));
    return (kept) => {
      const id = idOf(kept);
      return ids.has(id) ? { kind: "d1", service: SERVICE, props: propsOf(id) } : null;
    };
  },
  describe: (kept) => `The D1 database ${JSON.stringify(idOf(kept))}`,
};
